// rowcol.cpp - a window of rank r as r pairs of a column and a row, a channel at a time:
// columns(c,x,y,e) = sum_u col(c,e,u) xpad(c, x, y sh + u - pt)
// out(c,x,y) = act(bias(c) + sum_{e,v} row(c,e,v) columns(c, x sw + v - pl, y, e) + residual); columns beside x are 0
// SPDX-License-Identifier: MIT
#include "generators/rowcol.h"

#include "generators/algebra.h"
#include "generators/generator.h"
#include "runtime/variants/rowcol.h"

namespace hconv {

using namespace Halide;

class Rowcol : public ConvGenerator<Rowcol, RowcolStages> {
public:
    void algorithm(const Problem &p, const Tensors &t, RowcolStages &s) {
        Expr w = t.extent("x", 'w'), h = t.extent("x", 'h');
        s.down = RDom(0, p.kh, "down");
        s.across = RDom(0, p.kw, 0, p.extra[HCONV_PAIRS], "across");
        // Most coordinates are inside: loops over them can be parted there and run without the tests.
        s.padded(s.c, s.x, s.y, s.n) =
            inside_or_zero(likely(s.x), likely(s.y), w, h,
                           [&](const Expr &x, const Expr &y) { return likely(t.input("x", s.c, x, y, s.n)); });
        s.columns(s.c, s.x, s.y, s.e, s.n) = 0.0f;
        s.columns(s.c, s.x, s.y, s.e, s.n) += t.parameter("col.weight", {s.c, s.e, s.down.x}) *
                                              s.padded(s.c, s.x, s.y * p.stride_h + s.down.x - pad_top(p, h), s.n);
        s.acc(s.c, s.x, s.y, s.n) = t.parameter("bias", {s.c});
        s.acc(s.c, s.x, s.y, s.n) +=
            t.parameter("row.weight", {s.c, s.across.y, s.across.x}) *
            s.columns(s.c, s.x * p.stride_w + s.across.x - pad_left(p, w), s.y, s.across.y, s.n);
        Expr sum = s.acc(s.c, s.x, s.y, s.n);
        if (p.residual()) sum += t.input("residual", s.c, s.x, s.y, s.n);
        s.out(s.c, s.x, s.y, s.n) = activation(p, t, sum, s.c);
    }
};

}  // namespace hconv

HCONV_FAMILY(hconv::RowcolStages)
HCONV_GENERATOR(hconv::Rowcol, rowcol)
