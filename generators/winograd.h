// winograd.h - the stages a schedule of minimal filtering may touch: the formulation "winograd" of the conv2d family.
// SPDX-License-Identifier: MIT
#pragma once

#include "generators/problem.h"
#include "runtime/variants/common.h"

#include <Halide.h>

namespace hconv {

// The output is covered by tiles of m x m outputs that lie a dilation apart; the tiles of all images are one list.
struct TileGrid {
    TileGrid(const Problem &p, int m, const Halide::Expr &ow, const Halide::Expr &oh);
    int m, apart_x, apart_y;
    bool one_image;
    Halide::Expr columns, rows;  // of tiles, an image
    // Tiles along `size` outputs: of `apart` interleaved grids the last m * apart outputs may hold only the first ones' tiles.
    static Halide::Expr count(const Halide::Expr &size, int m, int apart);
    // The column of tiles that output column x is in, and its place there; rows alike.
    Halide::Expr column(const Halide::Expr &x) const;
    Halide::Expr row(const Halide::Expr &y) const;
    Halide::Expr place_x(const Halide::Expr &x) const { return x / apart_x % m; }
    Halide::Expr place_y(const Halide::Expr &y) const { return y / apart_y % m; }
    Halide::Expr index(const Halide::Expr &column, const Halide::Expr &row, const Halide::Expr &n) const {
        return (n * rows + row) * columns + column;
    }
    // The first output of tile t, and its image.
    Halide::Expr first_x(const Halide::Expr &t) const;
    Halide::Expr first_y(const Halide::Expr &t) const;
    Halide::Expr image(const Halide::Expr &t) const { return one_image ? Halide::Expr(0) : t / (columns * rows); }
};

struct WinogradStages {
    static constexpr const char *family = "conv2d", *formulation = "winograd";
    static constexpr const char *needs = "the word fast, a window of 3 x 3, stride 1 and eight or more channels a group";
    static bool fits(const Problem &p) { return p.family() == family && hconv_minimal_filtering(&p); }
    static std::string layout(const hconv_tensor &t) { return std::string(t.letters) == "oihw" ? "wino2:hwio" : ""; }

    Halide::Var co{"co"}, x{"x"}, y{"y"}, n{"n"};
    Halide::Var ci{"ci"}, ix{"ix"}, iy{"iy"};
    Halide::Var c{"c"}, cb{"cb"};                  // input channel cb * block + c
    Halide::Var t{"t"}, i{"i"}, j{"j"}, q{"q"};    // tile, column and row in it, column of the input that it reads
    Halide::Var tx{"tx"}, ty{"ty"};                // its column and row
    Halide::RDom r;                                // c, cb
    Halide::Func padded{"padded"};                 // (ci, ix, iy, n): the input with zeros around it
    Halide::Func rows{"rows"};                     // (c, q, t, j, cb): B^T d, the columns still as they are
    Halide::Func spectrum{"spectrum"};             // (c, t, i, j, cb): B^T d B
    Halide::Func acc{"acc"};                       // (co, t, i, j): pure: 0; update 0: products added over the channels
    Halide::Func half{"half"};                     // (co, tx, ty, n, i, j): A^T acc
    Halide::Func result{"result"};                 // (co, tx, ty, n, i, j): A^T acc A
    Halide::Func map{"map"};                       // (co, x, y, n): the same as a map
    Halide::Func out{"out"};                       // (co, x, y, n)
    std::vector<Halide::Func> all() const { return {padded, rows, spectrum, acc, half, result, map, out}; }
    std::vector<Halide::Func> outputs() const { return {out}; }
    bool is_output(const Halide::Func &f) const { return f.name() == out.name(); }
};

}  // namespace hconv
