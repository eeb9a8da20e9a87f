// library.h - a kernel table of one row, made for a problem from its descriptor, so that a plan of any problem can be made
// without a compiler. Its kernel does nothing.
// SPDX-License-Identifier: MIT
#pragma once

#include "runtime/variant.h"

#include <cstring>
#include <string>
#include <vector>

namespace hconv {

class OneKernel {
public:
    // text: the row's problem, which may leave sizes open.
    OneKernel(const hconv_problem &p, const std::string &text) : problem(text) {
        const hconv_family *family = hconv_variant_of(&p)->family;
        family->tensors(&p, &tensors);
        family->kernel_tensors(&p, &parameters);
        layouts.reserve(size_t(tensors.count) + size_t(parameters.count));
        for (int i = 0; i < tensors.count; ++i)
            if (tensors.at[i].role != HCONV_PARAMETER) add(tensors.at[i], activation_layout(p, tensors.at[i]));
        for (int i = 0; i < parameters.count; ++i) add(parameters.at[i], parameters.at[i].letters);
        kernel.symbol = "fuzz__kernel", kernel.problem = problem.c_str();
        kernel.target = "any", kernel.schedule = "by-hand", kernel.isa = "any";
        kernel.call = [](void **) { return 0; };
        kernel.arguments = arguments.data(), kernel.argument_count = int32_t(arguments.size());
        kernel.root_bytes = root, kernel.slot_bytes = slot;
        kernel.min_h = kernel.min_w = 1, kernel.hash = 77;
        library = {HCONV_LIBRARY_ABI, 1, "fuzz", "by hand", &kernel};
    }
    OneKernel(const OneKernel &) = delete;

    hconv_library library{};

private:
    static std::string activation_layout(const hconv_problem &p, const hconv_tensor &t) {
        std::string layout;
        for (const char *at = p.layout == HCONV_NCHW ? "nchw" : "nhwc"; *at; ++at)
            if (std::strchr(t.letters, *at)) layout += *at;
        return layout;
    }
    void add(const hconv_tensor &t, const std::string &layout) {
        layouts.push_back(layout);
        arguments.push_back({t.name, uint8_t(t.role), HCONV_F32, uint8_t(layout.size()), layouts.back().c_str()});
    }

    const std::string problem;
    hconv_tensor_list tensors{}, parameters{};
    std::vector<std::string> layouts;
    std::vector<hconv_argument> arguments;
    hconv_kernel kernel{};
    const int64_t root[3] = {HCONV_SIZE_CONST, 1000, HCONV_SIZE_END};
    const int64_t slot[7] = {HCONV_SIZE_EXTENT, 1, HCONV_SIZE_CONST, 12, HCONV_SIZE_MUL, 0, HCONV_SIZE_END};
};

}  // namespace hconv
