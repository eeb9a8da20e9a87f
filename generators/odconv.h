// odconv.h - the stages a schedule of odconv may touch.
// SPDX-License-Identifier: MIT
#pragma once

#include "generators/problem.h"

#include <Halide.h>

namespace hconv {

struct OdconvStages {
    static constexpr const char *family = "odconv";
    Halide::Var co{"co"}, x{"x"}, y{"y"}, n{"n"}, ci{"ci"}, kx{"kx"}, ky{"ky"}, ix{"ix"}, iy{"iy"};
    Halide::RDom r;  // input channel within the group, kx, ky
    // The attention head, in order: pooled (c, n), hidden sum and its relu, then for each attention a sum and its value.
    std::vector<Halide::Func> head;
    Halide::Func mixed{"mixed"};    // (co, ci in group, kx, ky, n): the kernel of each sample
    Halide::Func padded{"padded"}, acc{"acc"}, out{"out"};
    std::vector<Halide::Func> outputs() const { return {out}; }
    std::vector<Halide::Func> all() const {
        std::vector<Halide::Func> list = head;
        list.insert(list.end(), {mixed, padded, acc, out});
        return list;
    }
    bool is_output(const Halide::Func &f) const { return f.name() == out.name(); }
};

}  // namespace hconv
