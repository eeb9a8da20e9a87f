// tensors.h - what holds for every tensor file: it is read whole, or refused with a sentence that names it.
// SPDX-License-Identifier: MIT
#pragma once

#include "tests/fuzz/fuzz.h"

#include "tools/tensor_file.h"

#include <stdexcept>

namespace hconv {

inline void claim_same(const Tensor &a, const Tensor &b) {
    claim(a.shape == b.shape && a.data.size() == b.data.size(), "a tensor written and read has its shape");
    claim(a.data.empty() || !std::memcmp(a.data.data(), b.data.data(), a.data.size() * sizeof(float)),
          "a tensor written and read has its bits");
}

// name: "x.npy", "x.npz" or "x.safetensors".
inline void try_tensor_file(const char *name, const uint8_t *data, size_t size) {
    TensorFile file;
    try {
        file = read_tensor_bytes(name, {data, data + size});
    } catch (const std::runtime_error &e) {
        claim(!std::strncmp(e.what(), name, std::strlen(name)), "a refusal names the file");
        return;
    }
    for (const auto &[tensor, why] : file.skipped) claim(!why.empty(), "what is skipped has a reason");
    for (const auto &[tensor, t] : file.tensors) {
        size_t count = 1;
        for (int64_t extent : t.shape) {
            claim(extent >= 0, "no extent is negative");
            count *= size_t(extent);
        }
        claim(count == t.data.size(), "the data has the shape's size");
        std::string bytes = npy_bytes(t.shape, t.data.data());
        claim_same(t, read_tensor_bytes("again.npy", {bytes.begin(), bytes.end()}).tensors.at("again"));
    }
}

}  // namespace hconv
