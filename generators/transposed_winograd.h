// transposed_winograd.h - the stages a schedule of transposed minimal filtering may touch: the formulation "winograd" of the
// transposed family.
// SPDX-License-Identifier: MIT
#pragma once

#include "generators/problem.h"
#include "runtime/variants/common.h"

#include <Halide.h>

namespace hconv {

struct TransposedWinogradStages {
    static constexpr const char *family = "transposed", *formulation = "winograd";
    static constexpr const char *needs = "the word fast, a window of 4 x 4 and stride 2, without dilation or groups";
    static bool fits(const Problem &p) { return p.family() == family && hconv_minimal_filtering(&p); }
    static std::string layout(const hconv_tensor &t) { return std::string(t.letters) == "oihw" ? "halves:hwio" : ""; }
    // A tile, an axis: inputs (and products a phase), outputs of both phases.
    static constexpr int taps = 4, wide = 6;
    // Tiles that hold `size` outputs and the `pad` before them.
    static int tiles(int size, int pad) { return (size + pad + wide - 1) / wide; }

    Halide::Var co{"co"}, x{"x"}, y{"y"}, n{"n"};
    Halide::Var ci{"ci"}, ix{"ix"}, iy{"iy"};
    Halide::Var c{"c"}, cb{"cb"};                  // input channel cb * block + c
    Halide::Var t{"t"}, i{"i"}, j{"j"}, q{"q"};    // tile, column and row in it, column of the input that it reads
    Halide::Var tx{"tx"}, ty{"ty"};                // its column and row
    Halide::Var fx{"fx"}, fy{"fy"};                // phase of column and row
    Halide::RDom r;                                // c, cb
    Halide::Func padded{"padded"};                 // (ci, ix, iy, n): the input with zeros around it
    Halide::Func rows{"rows"};                     // (c, q, t, j, cb): B^T d, the columns still as they are
    Halide::Func spectrum{"spectrum"};             // (c, t, i, j, cb): B^T d B
    Halide::Func acc{"acc"};    // (co, t, fx, fy, i, j): pure: 0; update 0: products added over the channels
    Halide::Func half{"half"};  // (co, tx, ty, n, fx, i, j): A^T acc, rows of the phases interleaved
    Halide::Func result{"result"};                 // (co, tx, ty, n, i, j): A^T acc A
    Halide::Func map{"map"};                       // (co, x, y, n): the same as a map, with what the padding cuts off
    Halide::Func out{"out"};                       // (co, x, y, n)
    std::vector<Halide::Func> all() const { return {padded, rows, spectrum, acc, half, result, map, out}; }
    std::vector<Halide::Func> outputs() const { return {out}; }
    bool is_output(const Halide::Func &f) const { return f.name() == out.name(); }
};

}  // namespace hconv
