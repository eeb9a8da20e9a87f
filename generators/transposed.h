// transposed.h - the stages a schedule of transposed convolution may touch.
// SPDX-License-Identifier: MIT
#pragma once

#include "generators/problem.h"

#include <Halide.h>

namespace hconv {

// One axis. Output row y = q stride + phase reads, for t = 0, 1, ... while the window lasts,
//   input row q + shift(phase) - t step,  window row first(phase) + t every:
// the window rows u with u dilation = phase + pad (mod stride). There are none where common does not divide
// phase + pad.
struct PhaseAxis {
    PhaseAxis(int window, int stride, int dilation, int pad);
    int window, stride, dilation, pad;
    int common;       // gcd(stride, dilation)
    int every, step;  // stride / common, dilation / common
    int inverse;      // step inverse = 1 (mod every)
    int taps;         // the most that a phase has
    Halide::Expr first(const Halide::Expr &phase) const;
    Halide::Expr shift(const Halide::Expr &phase) const;
    // Does tap t of the phase exist? Undefined where all do.
    Halide::Expr exists(const Halide::Expr &phase, const Halide::Expr &t) const;
    // The window row of a tap that exists; never past the window, which is what bounds inference needs to be told.
    Halide::Expr tap(const Halide::Expr &phase, const Halide::Expr &t) const;
};

// Where the input has one row, or one column, its stride may as well be the window.
Problem widest_strides(Problem p);

// Do the windows of the input's pixels lie side by side, uncut? Then output x belongs to input x / stride.
bool patches(const Problem &p);

struct TransposedStages {
    static constexpr const char *family = "transposed";
    Halide::Var co{"co"}, x{"x"}, y{"y"}, n{"n"};
    Halide::Var ci{"ci"}, ix{"ix"}, iy{"iy"};
    Halide::Var xq{"xq"}, yq{"yq"}, px{"px"}, py{"py"};
    bool rows_left_out = false;        // leave out window rows that lie in the padding, where sizes are known
    Halide::RDom r;                 // input channel within the group, taps of the column's phase, of the row's
    Halide::Func padded{"padded"};  // (ci, ix, iy, n): the input with zeros around it, in the input's own coordinates
    Halide::Func acc{"acc"};  // (co, xq, yq, px, py, n): one small convolution a phase; pure: bias; update 0: the sum
    Halide::Func out{"out"};  // (co, x, y, n): the phases interleaved
    std::vector<Halide::Func> all() const { return {padded, acc, out}; }
    std::vector<Halide::Func> outputs() const { return {out}; }
    bool is_output(const Halide::Func &f) const { return f.name() == out.name(); }
};

}  // namespace hconv
