// depthwise_planes.h - the stages a schedule of depthwise planes may touch: the formulation "planes" of the conv2d family.
// SPDX-License-Identifier: MIT
#pragma once

#include "generators/problem.h"

#include <Halide.h>

namespace hconv {

struct DepthwisePlanesStages {
    static constexpr const char *family = "conv2d", *formulation = "planes";
    static constexpr const char *needs = "nchw, and one output and one input a group";
    static bool fits(const Problem &p) {
        return p.family() == family && p.nchw() && p.groups > 1 && p.groups == p.ci && p.ci == p.co;
    }
    static std::string layout(const hconv_tensor &) { return ""; }

    Halide::Var c{"c"}, x{"x"}, y{"y"}, n{"n"};
    Halide::Var ix{"ix"}, iy{"iy"};
    Halide::RDom inside;        // columns of the input
    Halide::Expr columns;       // those of the input and the zeros before them
    Halide::RDom r;             // r.x = kx, r.y = ky
    // (c, ix, iy, n): pure: 0; update 0: the input, row iy of it, its columns behind those of zeros
    Halide::Func rows{"rows"};
    Halide::Func acc{"acc"};    // (c, x, y, n): pure: bias; update 0: multiply-accumulate over r
    Halide::Func out{"out"};
    std::vector<Halide::Func> all() const { return {rows, acc, out}; }
    std::vector<Halide::Func> outputs() const { return {out}; }
    bool is_output(const Halide::Func &f) const { return f.name() == out.name(); }
};

}  // namespace hconv
