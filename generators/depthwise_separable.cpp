// depthwise_separable.cpp - a window a channel, then a matrix product over the channels:
// middle(cm,x,y,n) = act_mid(bias(cm) + sum_{kx,ky} depthwise(cm,ky,kx) in(cm / m, x sw + kx dw - pl, y sh + ky dh - pt))
// out(co,x,y,n) = act(bias(co) + sum_cm pointwise(co,cm) middle(cm,x,y,n) + residual)
// SPDX-License-Identifier: MIT
#include "generators/depthwise_separable.h"

#include "generators/algebra.h"
#include "generators/generator.h"
#include "runtime/variants/depthwise_separable.h"

namespace hconv {

using namespace Halide;

class DepthwiseSeparable : public ConvGenerator<DepthwiseSeparable, DepthwiseSeparableStages> {
public:
    void algorithm(const Problem &p, const Tensors &t, DepthwiseSeparableStages &s) {
        const int multiplier = p.extra[HCONV_MULTIPLIER];
        Expr w = t.extent("x", 'w'), h = t.extent("x", 'h');
        auto in = [&](const Expr &x, const Expr &y) { return t.input("x", s.ci, x, y, s.n); };
        s.padded(s.ci, s.ix, s.iy, s.n) = inside_or_zero(s.ix, s.iy, w, h, in);

        s.window = RDom(0, p.kw, 0, p.kh, "window");
        Expr ix = s.x * p.stride_w + s.window.x * p.dilation_w - pad_left(p, w);
        Expr iy = s.y * p.stride_h + s.window.y * p.dilation_h - pad_top(p, h);
        Expr ci = group_start(s.cm, p.ci, p.ci * multiplier, p.ci);
        s.depthwise(s.cm, s.x, s.y, s.n) = t.parameter("depthwise.bias", {s.cm});
        s.depthwise(s.cm, s.x, s.y, s.n) +=
            t.parameter("depthwise.weight", {s.cm, s.window.y, s.window.x}) * s.padded(ci, ix, iy, s.n);
        s.middle(s.cm, s.x, s.y, s.n) =
            activation(p.mid_activation, s.depthwise(s.cm, s.x, s.y, s.n), [&] { return mid_slope(p, t, s.cm); });

        s.r = RDom(0, p.ci * multiplier, "r");
        s.acc(s.co, s.x, s.y, s.n) = t.parameter("pointwise.bias", {s.co});
        s.acc(s.co, s.x, s.y, s.n) += t.parameter("pointwise.weight", {s.co, s.r}) * s.middle(s.r, s.x, s.y, s.n);
        Expr sum = s.acc(s.co, s.x, s.y, s.n);
        if (p.residual()) sum += t.input("residual", s.co, s.x, s.y, s.n);
        s.out(s.co, s.x, s.y, s.n) = activation(p, t, sum, s.co);
    }

private:
    static Expr mid_slope(const Problem &p, const Tensors &t, const Expr &c) {
        return t.parameter("mid_slope", {p.mid_activation == HCONV_PRELU ? c : Expr(0)});
    }
};

}  // namespace hconv

HCONV_FAMILY(hconv::DepthwiseSeparableStages)
HCONV_GENERATOR(hconv::DepthwiseSeparable, depthwise_separable)
