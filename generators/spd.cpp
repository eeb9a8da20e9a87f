// spd.cpp - space to depth, SPD(x)(d C + c, x, y) = x(c, x b + dx, y b + dy) with d = dx b + dy, and a convolution:
// spd:   out(co,x,y,n) = act(bias(co) + sum_{ci,kx,ky} weight(co,ci,ky,kx) * in(ci, X(kx), Y(ky), n) + residual) over a
//        window of b kw x b kh: X(kx) = (x sw + (kx/b) dw - pl) b + kx%b. More groups sum over SPD's channels instead.
// after: out(d co + o,x,y,n) = act(scale * acc(d co + o,x,y,n) + shift + residual), acc = channel o of the convolution
//        at (x b + dx, y b + dy)
// SPDX-License-Identifier: MIT
#include "generators/spd.h"

#include "generators/algebra.h"
#include "generators/generator.h"
#include "runtime/variants/spd.h"

namespace hconv {

using namespace Halide;

class Spd : public ConvGenerator<Spd, SpdStages> {
public:
    void algorithm(const Problem &p, const Tensors &t, SpdStages &s) {
        const int b = p.extra[HCONV_BLOCK];
        if (p.extra[HCONV_ORDER] == HCONV_SPD_ONLY) {
            Expr block = s.co / p.ci;
            s.out(s.co, s.x, s.y, s.n) = t.input("x", s.co % p.ci, s.x * b + block / b, s.y * b + block % b, s.n);
            return;
        }
        Expr w = t.extent("x", 'w'), h = t.extent("x", 'h');
        s.copied(s.ci, s.ix, s.iy, s.n) = t.input("x", s.ci, s.ix, s.iy, s.n);
        auto in = [&](const Expr &x, const Expr &y) { return s.copied(s.ci, x, y, s.n); };
        s.padded(s.ci, s.ix, s.iy, s.n) =
            !p.has_padding()  ? in(s.ix, s.iy)
            : s.rows_left_out ? inside_or_zero(likely(s.ix), w, [&](const Expr &x) { return likely(in(x, s.iy)); })
                              : inside_or_zero(s.ix, s.iy, w, h, in);
        const bool after = p.extra[HCONV_ORDER] == HCONV_CONV_SPD;
        if (after) conv_spd(p, t, s);
        else if (p.groups == 1) spd_conv(p, t, s);
        else spd_grouped(p, t, s);
        Expr sum = s.acc(s.co, s.x, s.y, s.n);
        Expr co = after && s.rows_left_out ? s.x % b * (b * p.co) + s.co : Expr(s.co);
        if (after && p.norm()) sum *= t.parameter("scale", {co});
        if (after) sum += t.parameter("shift", {co});
        if (p.residual()) sum += t.input("residual", s.co, s.x, s.y, s.n);
        s.out(s.co, s.x, s.y, s.n) = activation(p, t, sum, s.co % p.co);
    }

private:
    static void spd_conv(const Problem &p, const Tensors &t, SpdStages &s) {
        const int b = p.extra[HCONV_BLOCK];
        s.r = RDom(0, p.ci, 0, p.kw * b, 0, p.kh * b, "r");
        auto at = [b](const Expr &x, int stride, const Expr &k, int dilation, int pad) {
            Expr tap = dilation == 1 ? k : k / b * (dilation * b) + k % b;
            return x * (stride * b) + tap - pad * b;
        };
        Expr ix = at(s.x, p.stride_w, s.r.y, p.dilation_w, p.pad_left);
        Expr iy = at(s.y, p.stride_h, s.r.z, p.dilation_h, p.pad_top);
        if (s.rows_left_out && p.has_padding()) iy = leave_out(s.r, iy, t.extent("x", 'h'));
        s.acc(s.co, s.x, s.y, s.n) = t.parameter("bias", {s.co});
        s.acc(s.co, s.x, s.y, s.n) += t.parameter("weight", {s.co, s.r.x, s.r.z, s.r.y}) * s.padded(s.r.x, ix, iy, s.n);
    }

    // A group's channels are any share of SPD's: channel and place within the block follow from the channel's number.
    static void spd_grouped(const Problem &p, const Tensors &t, SpdStages &s) {
        const int b = p.extra[HCONV_BLOCK], channels = p.ci * b * b;
        s.r = RDom(0, channels / p.groups, 0, p.kw, 0, p.kh, "r");
        Expr channel = group_start(s.co, channels, p.co, p.groups) + s.r.x, block = channel / p.ci;
        Expr ix = (s.x * p.stride_w + s.r.y * p.dilation_w - p.pad_left) * b + block / b;
        Expr iy = (s.y * p.stride_h + s.r.z * p.dilation_h - p.pad_top) * b + block % b;
        s.acc(s.co, s.x, s.y, s.n) = t.parameter("bias", {s.co});
        s.acc(s.co, s.x, s.y, s.n) +=
            t.parameter("weight", {s.co, s.r.x, s.r.z, s.r.y}) * s.padded(channel % p.ci, ix, iy, s.n);
    }

    static void conv_spd(const Problem &p, const Tensors &t, SpdStages &s) {
        const int b = p.extra[HCONV_BLOCK];
        s.r = RDom(0, p.ci / p.groups, 0, p.kw, 0, p.kh, "r");
        Expr o = s.co % p.co, block = s.co / p.co;
        Expr ci = group_start(o, p.ci, p.co, p.groups) + s.r.x;
        Expr x = s.rows_left_out ? Expr(s.x) : s.x * b + block / b, y = s.y * b + (s.rows_left_out ? block : block % b);
        Expr ix = x * p.stride_w + s.r.y * p.dilation_w - p.pad_left;
        Expr iy = y * p.stride_h + s.r.z * p.dilation_h - p.pad_top;
        if (s.rows_left_out && p.has_padding()) iy = leave_out(s.r, iy, t.extent("x", 'h'));
        s.acc(s.co, s.x, s.y, s.n) = 0.0f;
        s.acc(s.co, s.x, s.y, s.n) += t.parameter("weight", {o, s.r.x, s.r.z, s.r.y}) * s.padded(ci, ix, iy, s.n);
    }
};

}  // namespace hconv

HCONV_FAMILY(hconv::SpdStages)
HCONV_GENERATOR(hconv::Spd, spd)
