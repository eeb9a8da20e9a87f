// conv2d.h - the stages a schedule of the conv2d family may touch. Nothing else is shared.
// SPDX-License-Identifier: MIT
#pragma once

#include "generators/problem.h"

#include <Halide.h>

namespace hconv {

// Depthwise: a window with so many taps is worth a copy of what it reads, and loops of its own.
inline bool large_window(const Problem &p) { return p.kh * p.kw > 100; }

struct Conv2dStages {
    static constexpr const char *family = "conv2d";
    Halide::Var co{"co"}, x{"x"}, y{"y"}, n{"n"};
    Halide::Var ci{"ci"}, ix{"ix"}, iy{"iy"};
    // Asked for by a schedule: taps of rows outside the map are left out, and padded has zeros beside the rows only.
    bool rows_left_out = false;
    // Asked for by a schedule: sums are indexed by group and place in it, so that lanes can be groups.
    bool by_groups = false;
    Halide::RDom r;                // r.x = input channel within the group, r.y = kx, r.z = ky
    // (ci, ix, iy, n): the input; under a window of 1 x 1 without padding, of the pixels that are read, in the output's
    // coordinates. In the input's own memory, unless a schedule gives it other.
    Halide::Func copied{"copied"};
    // (ci, ix, iy, n): the input with zeros around it, in copied's coordinates. Depthwise: (co, ...), one an output.
    Halide::Func padded{"padded"};
    Halide::Func acc{"acc"};        // pure: bias; update 0: multiply-accumulate over r
    Halide::Func out{"out"};        // activation(acc + residual): the pipeline's output
    // by_groups: the sum is group_acc; acc, without an update, reads it.
    Halide::Var g{"g"}, o{"o"}, k{"k"}, kx{"kx"}, ky{"ky"};
    Halide::Func weight{"weight_"};             // (co, k, kx, ky)
    Halide::Func gathered{"gathered"};          // (g, k, ix, iy, n): padded, channel k of group g
    Halide::Func group_weight{"group_weight"};  // (g, o, k, kx, ky)
    Halide::Func group_acc{"group_acc"};        // (g, o, x, y, n): pure: bias; update 0: over r
    std::vector<Halide::Func> all() const {
        if (group_acc.defined()) return {padded, gathered, group_weight, group_acc, acc, out};
        return {padded, acc, out};
    }
    std::vector<Halide::Func> outputs() const { return {out}; }
    bool is_output(const Halide::Func &f) const { return f.name() == out.name(); }
};

}  // namespace hconv
