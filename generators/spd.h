// spd.h - the stages a schedule of spd may touch.
// SPDX-License-Identifier: MIT
#pragma once

#include "generators/problem.h"

#include <Halide.h>

namespace hconv {

struct SpdStages {
    static constexpr const char *family = "spd";
    Halide::Var co{"co"}, x{"x"}, y{"y"}, n{"n"};
    Halide::Var ci{"ci"}, ix{"ix"}, iy{"iy"};
    // spd: input channel, kx, ky of the window that is b times as large (more groups: of the small one). after: as in
    // conv2d.
    Halide::RDom r;
    Halide::Func padded{"padded"};  // (ci, ix, iy, n): the input with zeros around it
    Halide::Func acc;               // (co, x, y, n): co counts y's channels. only: none
    Halide::Func out{"out"};
    std::vector<Halide::Func> all() const {
        if (!acc.defined()) return {out};
        return {padded, acc, out};
    }
    std::vector<Halide::Func> outputs() const { return {out}; }
    bool is_output(const Halide::Func &f) const { return f.name() == out.name(); }
};

}  // namespace hconv
