// depthwise_separable.h - the stages a schedule of depthwise-separable convolution may touch.
// SPDX-License-Identifier: MIT
#pragma once

#include "generators/problem.h"

#include <Halide.h>

namespace hconv {

struct DepthwiseSeparableStages {
    static constexpr const char *family = "depthwise_separable";
    Halide::Var co{"co"}, x{"x"}, y{"y"}, n{"n"};
    Halide::Var ci{"ci"}, ix{"ix"}, iy{"iy"}, cm{"cm"};
    Halide::RDom window;            // kx, ky
    Halide::RDom r;                 // middle channel
    Halide::Func padded{"padded"};  // (ci, ix, iy, n): the input with zeros around it, in the input's own coordinates
    Halide::Func depthwise{"depthwise"};  // (cm, x, y, n): pure: bias; update 0: the sum over window
    Halide::Func middle{"middle"};        // (cm, x, y, n): what the pointwise sum reads
    Halide::Func acc{"acc"};              // (co, x, y, n): pure: bias; update 0: the sum over r
    Halide::Func out{"out"};
    std::vector<Halide::Func> all() const { return {padded, depthwise, middle, acc, out}; }
    std::vector<Halide::Func> outputs() const { return {out}; }
    bool is_output(const Halide::Func &f) const { return f.name() == out.name(); }
};

}  // namespace hconv
