// depthwise_planes.cpp - depthwise convolution of planes: rows of zeros into which the input is written, and
// out(c,x,y,n) = act(bias(c) + sum_{kx,ky} weight(c,ky,kx) * rows(c, x sw + kx dw, y sh + ky dh - pt, n) + residual)
// SPDX-License-Identifier: MIT
#include "generators/depthwise_planes.h"

#include "generators/algebra.h"
#include "generators/generator.h"

namespace hconv {

using namespace Halide;

class DepthwisePlanes : public ConvGenerator<DepthwisePlanes, DepthwisePlanesStages> {
public:
    void algorithm(const Problem &p, const Tensors &t, DepthwisePlanesStages &s) {
        Expr w = t.extent("x", 'w'), h = t.extent("x", 'h');
        s.inside = RDom(0, w, "inside");
        s.columns = w + pad_left(p, w);
        s.rows(s.c, s.ix, s.iy, s.n) = 0.0f;
        s.rows(s.c, s.inside + pad_left(p, w), s.iy, s.n) =
            inside_or_zero(s.iy, h, [&](const Expr &y) { return t.input("x", s.c, s.inside, y, s.n); });

        s.r = RDom(0, p.kw, 0, p.kh, "r");
        Expr ix = s.x * p.stride_w + s.r.x * p.dilation_w, iy = s.y * p.stride_h + s.r.y * p.dilation_h - pad_top(p, h);
        s.acc(s.c, s.x, s.y, s.n) = t.parameter("bias", {s.c});
        s.acc(s.c, s.x, s.y, s.n) += t.parameter("weight", {s.c, 0, s.r.y, s.r.x}) * s.rows(s.c, ix, iy, s.n);
        Expr sum = s.acc(s.c, s.x, s.y, s.n);
        if (p.residual()) sum += t.input("residual", s.c, s.x, s.y, s.n);
        s.out(s.c, s.x, s.y, s.n) = activation(p, t, sum, s.c);
    }
};

}  // namespace hconv

HCONV_FORMULATION(hconv::DepthwisePlanes, hconv::DepthwisePlanesStages, conv2d_planes)
