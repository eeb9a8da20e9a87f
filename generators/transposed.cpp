// transposed.cpp - transposed convolution gathered, one small convolution per phase of the output (y mod stride):
// acc(co,xq,yq,px,py,n) = bias(co) + sum_{ci,tx,ty} weight(co,ci,uy,ux) in(G + ci, xq + shift(px) - tx step, ..., n),
// out(co,x,y,n) = act(acc(co, x / sw, y / sh, x % sw, y % sh, n) + residual)
// with ux = first(px) + tx every: only the window's columns that meet an input column are ever looked at.
// SPDX-License-Identifier: MIT
#include "generators/transposed.h"

#include "generators/algebra.h"
#include "generators/generator.h"

#include <numeric>

namespace hconv {

using namespace Halide;

PhaseAxis::PhaseAxis(int window, int stride, int dilation, int pad)
    : window(window), stride(stride), dilation(dilation), pad(pad), common(std::gcd(stride, dilation)),
      every(stride / common), step(dilation / common), inverse(0), taps((window + every - 1) / every) {
    while (int64_t(step) * inverse % every != 1 % every) ++inverse;
}

Expr PhaseAxis::first(const Expr &phase) const {
    if (every == 1) return 0;
    Expr uncut = phase + pad;
    return inverse == 1 ? uncut / common % every : uncut / common % every * inverse % every;
}

// Written without the remainder where that can be: bounds inference takes the phase in its two places for two numbers.
Expr PhaseAxis::shift(const Expr &phase) const {
    return dilation == 1 ? (phase + pad) / stride : (phase + pad - first(phase) * dilation) / stride;
}

Expr PhaseAxis::exists(const Expr &phase, const Expr &t) const {
    if (window % every == 0 && common == 1) return Expr();
    Expr u = first(phase) + t * every;
    return (common == 1 ? u : select((phase + pad) % common == 0, u, window)) < window;
}

Expr PhaseAxis::tap(const Expr &phase, const Expr &t) const {
    return min(first(phase) + t * every, window - 1);
}

Problem widest_strides(Problem p) {
    if (p.h == 1 && p.dilation_h == 1 && p.pad_top + p.pad_bottom + p.out_pad_h == 0) p.stride_h = p.kh;
    if (p.w == 1 && p.dilation_w == 1 && p.pad_left + p.pad_right + p.out_pad_w == 0) p.stride_w = p.kw;
    return p;
}

bool patches(const Problem &p) {
    auto axis = [](int window, int stride, int dilation, int pads, int out_pad) {
        return window == stride && dilation == 1 && pads == 0 && out_pad == 0;
    };
    return axis(p.kw, p.stride_w, p.dilation_w, p.pad_left + p.pad_right, p.out_pad_w) &&
           axis(p.kh, p.stride_h, p.dilation_h, p.pad_top + p.pad_bottom, p.out_pad_h);
}

// x % stride, so that bounds inference sees one phase where x is one: an interval of a remainder is all of them.
static Expr phase_of(const Expr &x, int stride) { return clamp(x - x / stride * stride, 0, stride - 1); }

class Transposed : public ConvGenerator<Transposed, TransposedStages> {
public:
    void algorithm(const Problem &given, const Tensors &t, TransposedStages &s) {
        const Problem p = widest_strides(given);
        const PhaseAxis ax(p.kw, p.stride_w, p.dilation_w, p.pad_left), ay(p.kh, p.stride_h, p.dilation_h, p.pad_top);
        Expr w = t.extent("x", 'w'), h = t.extent("x", 'h');
        auto in = [&](const Expr &x, const Expr &y) { return t.input("x", s.ci, x, y, s.n); };
        s.padded(s.ci, s.ix, s.iy, s.n) = inside_or_zero(s.ix, s.iy, w, h, in);

        s.r = RDom(0, p.ci / p.groups, 0, ax.taps, 0, ay.taps, "r");
        for (Expr exists : {ax.exists(s.px, s.r.y), ay.exists(s.py, s.r.z)})
            if (exists.defined()) s.r.where(exists);
        Expr ci = group_start(s.co, p.ci, p.co, p.groups) + s.r.x;
        Expr ux = ax.tap(s.px, s.r.y), uy = ay.tap(s.py, s.r.z);
        Expr ix = s.xq + ax.shift(s.px) - s.r.y * ax.step, iy = s.yq + ay.shift(s.py) - s.r.z * ay.step;
        if (s.rows_left_out && p.h != HCONV_OPEN && p.dilation_h == 1) s.r.where(iy >= 0 && iy < h);
        s.acc(s.co, s.xq, s.yq, s.px, s.py, s.n) = t.parameter("bias", {s.co});
        s.acc(s.co, s.xq, s.yq, s.px, s.py, s.n) +=
            t.parameter("weight", {s.co, s.r.x, uy, ux}) * s.padded(ci, ix, iy, s.n);

        Expr sum = s.acc(s.co, s.x / p.stride_w, s.y / p.stride_h, phase_of(s.x, p.stride_w), phase_of(s.y, p.stride_h), s.n);
        if (p.residual()) sum += t.input("residual", s.co, s.x, s.y, s.n);
        s.out(s.co, s.x, s.y, s.n) = activation(p, t, sum, s.co);
    }
};

}  // namespace hconv

HCONV_FAMILY(hconv::TransposedStages)
HCONV_GENERATOR(hconv::Transposed, transposed)
