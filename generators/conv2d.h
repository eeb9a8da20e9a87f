// conv2d.h - the stages a schedule of the conv2d family may touch. Nothing else is shared.
// SPDX-License-Identifier: MIT
#pragma once

#include "generators/problem.h"

#include <Halide.h>

namespace hconv {

struct Conv2dStages {
    static constexpr const char *family = "conv2d";
    Halide::Var co{"co"}, x{"x"}, y{"y"}, n{"n"};
    Halide::Var ci{"ci"}, ix{"ix"}, iy{"iy"};
    Halide::RDom r;                // r.x = input channel within the group, r.y = kx, r.z = ky
    // (ci, ix, iy, n): the input with zeros around it, in the input's own coordinates. Depthwise: (co, ...), one an output.
    Halide::Func padded{"padded"};
    Halide::Func acc{"acc"};        // pure: bias; update 0: multiply-accumulate over r
    Halide::Func out{"out"};        // activation(acc + residual): the pipeline's output
    std::vector<Halide::Func> all() const { return {padded, acc, out}; }
    std::vector<Halide::Func> outputs() const { return {out}; }
    bool is_output(const Halide::Func &f) const { return f.name() == out.name(); }
};

}  // namespace hconv
