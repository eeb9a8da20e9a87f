// rowcol.h - the stages a schedule of rowcol may touch.
// SPDX-License-Identifier: MIT
#pragma once

#include "generators/problem.h"

#include <Halide.h>

namespace hconv {

struct RowcolStages {
    static constexpr const char *family = "rowcol";
    Halide::Var c{"c"}, x{"x"}, y{"y"}, e{"e"}, n{"n"};
    Halide::RDom down, across;         // down: ky; across.x = kx, across.y = pair
    Halide::Func padded{"padded"};     // (c, x, y, n): the input with zeros around it, in its own coordinates
    Halide::Func columns{"columns"};   // (c, x, y, e, n): x in the input's columns, y in output rows; update 0: over down
    Halide::Func acc{"acc"};           // (c, x, y, n): pure: bias; update 0: over across
    Halide::Func out{"out"};
    std::vector<Halide::Func> all() const { return {padded, columns, acc, out}; }
    std::vector<Halide::Func> outputs() const { return {out}; }
    bool is_output(const Halide::Func &f) const { return f.name() == out.name(); }
};

}  // namespace hconv
