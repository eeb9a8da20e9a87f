// algebra.h - maths that variants share: zero padding, the channels of a group, activations, the multiply-accumulate.
// SPDX-License-Identifier: MIT
#pragma once

#include "generators/problem.h"
#include "generators/tensors.h"

namespace hconv {

// v inside [0, w) x [0, h), 0 outside; value(x, y) is only asked for clamped coordinates.
Halide::Expr inside_or_zero(const Halide::Expr &x, const Halide::Expr &y, const Halide::Expr &w, const Halide::Expr &h,
                            const std::function<Halide::Expr(Halide::Expr, Halide::Expr)> &value);

// v inside [0, size), 0 outside; value(i) is only asked for clamped coordinates.
Halide::Expr inside_or_zero(const Halide::Expr &i, const Halide::Expr &size,
                            const std::function<Halide::Expr(Halide::Expr)> &value);

// Leaves the terms whose coordinate i is not in [0, size) out of the sum over r; i as the others may be read.
Halide::Expr leave_out(Halide::RDom &r, const Halide::Expr &i, const Halide::Expr &size);

// First input channel of co's group: (co / (outputs / groups)) * (inputs / groups).
Halide::Expr group_start(const Halide::Expr &co, int inputs, int outputs, int groups);

// exp(v), v clamped to -87...87: finite, and never 0; relative error 7 x 2^-24, 4 x 2^-24 for |v| <= 20, where multiply-adds are
// fused. No call and no rounding instruction, which not every CPU has.
Halide::Expr safe_exp(const Halide::Expr &v);

// 1 / (1 + exp(-v)).
Halide::Expr sigmoid(const Halide::Expr &v);

// The hconv_activation `which` of v; slope is asked for where it has one.
Halide::Expr activation(int which, const Halide::Expr &v, const std::function<Halide::Expr()> &slope);

// The problem's activation of v; c: the output channel, for prelu's slope.
Halide::Expr activation(const Problem &p, const Tensors &t, const Halide::Expr &v, const Halide::Expr &c);

// Rows and columns of zeros before the input: the problem's pads, or tfsame's from sizes known only at run time.
Halide::Expr pad_top(const Problem &p, const Halide::Expr &h);
Halide::Expr pad_left(const Problem &p, const Halide::Expr &w);

}  // namespace hconv
