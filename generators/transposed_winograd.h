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
    static std::string layout(const hconv_tensor &) { return ""; }
    // A tile, an axis: outputs of a phase (a schedule may take 4) and of both, products of a phase.
    int m = 2;
    int wide() const { return 2 * m; }
    int taps() const { return m + 1; }
    // Inputs are summed in points() ways at places: of F(4,2) one for each tile and shift of its phases, of F(2,2) all inputs.
    int points() const { return m == 2 ? 2 : taps(); }
    int shifts(int pad) const { return m == 2 || pad % 2 ? 2 : 1; }

    Halide::Var co{"co"}, x{"x"}, y{"y"}, n{"n"};
    Halide::Var ci{"ci"}, ix{"ix"}, iy{"iy"};
    Halide::Var u{"u"}, v{"v"};                    // column and row of the place
    Halide::Var kx{"kx"}, ky{"ky"};                // way of summing along them
    Halide::Var tx{"tx"}, ty{"ty"};                // column and row of the tile
    Halide::Var px{"px"}, py{"py"};                // phase of column and row
    Halide::Var i{"i"}, j{"j"};                    // column and row in the tile
    Halide::Var part{"part"};                      // of the channels
    int parts = 1;                                 // a schedule may sum the channels in so many parts
    Halide::RDom r, rproduct;                      // channel in the part; part, column of the product
    Halide::Func padded{"padded"};                 // (ci, ix, iy, n): the input with zeros around it
    Halide::Func rows{"rows"};                     // (ci, ix, v, ky, n): B^T d, the columns still as they are
    Halide::Func spectrum{"spectrum"};             // (ci, u, v, kx, ky, n): B^T d B of all tiles
    Halide::Func acc{"acc"};        // (co, tx, ty, n, px, py, i, j, part): pure: 0; update 0: products added over the channels
    Halide::Func half{"half"};      // (co, tx, ty, n, px, py, i, j): pure: 0 or nothing; update 0: acc A
    Halide::Func map{"map"};                       // (co, x, y, n): A^T acc A as a map
    Halide::Func out{"out"};                       // (co, x, y, n)
    std::vector<Halide::Func> all() const { return {padded, rows, spectrum, acc, half, map, out}; }
    std::vector<Halide::Func> outputs() const { return {out}; }
    bool is_output(const Halide::Func &f) const { return f.name() == out.name(); }
};

}  // namespace hconv
