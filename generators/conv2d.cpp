// conv2d.cpp - dense, dilated, grouped, depthwise, pointwise and linear are one sum:
// out(co,x,y,n) = act(bias(co) + sum_{ci,kx,ky} weight(co,ci,ky,kx) * in(G + ci, x sw + kx dw - pl, y sh + ky dh - pt, n) + residual)
// where G is the first input channel of co's group.
// SPDX-License-Identifier: MIT
#include "generators/conv2d.h"

#include "generators/algebra.h"
#include "generators/generator.h"

namespace hconv {

using namespace Halide;

class Conv2d : public ConvGenerator<Conv2d, Conv2dStages> {
public:
    void algorithm(const Problem &p, const Tensors &t, Conv2dStages &s) {
        Expr w = t.extent("x", 'w'), h = t.extent("x", 'h');
        s.r = RDom(0, p.ci / p.groups, 0, p.kw, 0, p.kh, "r");
        // Depthwise: channel c of padded is the one that output c reads, so that lanes of outputs read lanes of inputs.
        const bool depthwise = p.groups > 1 && p.groups == p.ci;
        Expr ci = group_start(s.co, p.ci, p.co, p.groups) + s.r.x;
        Expr channel = depthwise ? group_start(s.ci, p.ci, p.co, p.groups) : s.ci;
        const bool sampled = p.kh * p.kw == 1 && !p.has_padding();
        s.copied(s.ci, s.ix, s.iy, s.n) = t.input("x", s.ci, sampled ? s.ix * p.stride_w : Expr(s.ix),
                                                  sampled ? s.iy * p.stride_h : Expr(s.iy), s.n);
        auto in = [&](const Expr &x, const Expr &y) { return s.copied(channel, x, y, s.n); };
        // Most coordinates are inside: loops over them can be parted there and run without the tests.
        auto likely_in = [&](const Expr &x, const Expr &y) { return likely(in(x, y)); };
        s.padded(s.ci, s.ix, s.iy, s.n) =
            !p.has_padding()   ? in(s.ix, s.iy)
            : !s.rows_left_out ? inside_or_zero(likely(s.ix), likely(s.iy), w, h, likely_in)
                               : inside_or_zero(likely(s.ix), w, [&](const Expr &x) { return likely_in(x, s.iy); });
        Expr ix = sampled ? Expr(s.x) : s.x * p.stride_w + s.r.y * p.dilation_w - pad_left(p, w);
        Expr iy = sampled ? Expr(s.y) : s.y * p.stride_h + s.r.z * p.dilation_h - pad_top(p, h);
        if (s.rows_left_out && p.has_padding()) iy = leave_out(s.r, iy, h);
        if (s.by_groups) {
            sum_by_groups(p, t, s, ix, iy);
        } else {
            s.acc(s.co, s.x, s.y, s.n) = t.parameter("bias", {s.co});
            s.acc(s.co, s.x, s.y, s.n) += t.parameter("weight", {s.co, s.r.x, s.r.z, s.r.y}) *
                                              s.padded(depthwise ? s.co : ci, ix, iy, s.n);
        }
        Expr sum = s.acc(s.co, s.x, s.y, s.n);
        if (p.residual()) sum += t.input("residual", s.co, s.x, s.y, s.n);
        s.out(s.co, s.x, s.y, s.n) = activation(p, t, sum, s.co);
    }

private:
    static void sum_by_groups(const Problem &p, const Tensors &t, Conv2dStages &s, const Expr &ix, const Expr &iy) {
        const int in = p.ci / p.groups, out = p.co / p.groups;
        s.gathered(s.g, s.k, s.ix, s.iy, s.n) = s.padded(s.g * in + s.k, s.ix, s.iy, s.n);
        s.weight(s.co, s.k, s.kx, s.ky) = t.parameter("weight", {s.co, s.k, s.ky, s.kx});
        s.group_weight(s.g, s.o, s.k, s.kx, s.ky) = s.weight(s.g * out + s.o, s.k, s.kx, s.ky);
        s.group_acc(s.g, s.o, s.x, s.y, s.n) = t.parameter("bias", {s.g * out + s.o});
        s.group_acc(s.g, s.o, s.x, s.y, s.n) +=
            s.group_weight(s.g, s.o, s.r.x, s.r.y, s.r.z) * s.gathered(s.g, s.r.x, ix, iy, s.n);
        s.acc(s.co, s.x, s.y, s.n) = s.group_acc(s.co / out, s.co % out, s.x, s.y, s.n);
    }
};

}  // namespace hconv

HCONV_FAMILY(hconv::Conv2dStages)
HCONV_GENERATOR(hconv::Conv2d, conv2d)
HCONV_GENERATOR(hconv::Conv2d, dilated)
HCONV_GENERATOR(hconv::Conv2d, grouped)
HCONV_GENERATOR(hconv::Conv2d, depthwise)
HCONV_GENERATOR(hconv::Conv2d, pointwise)
HCONV_GENERATOR(hconv::Conv2d, linear)
