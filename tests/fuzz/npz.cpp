// npz.cpp - a .npz file of any bytes is read or refused.
// SPDX-License-Identifier: MIT
#include "tests/fuzz/tensors.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    hconv::try_tensor_file("given.npz", data, size);
    return 0;
}
