// conv2d.cpp - dense, dilated, grouped, depthwise, pointwise and linear: one sum (torch.nn.Conv2d, Linear).
// SPDX-License-Identifier: MIT
// y[n,o,i,j] = act(bn(b[o] + sum_{c,u,v} W[o,c,u,v] x[n, first(o) + c, i sh + u dh - pt, j sw + v dw - pl]) + residual)
// first(o) = floor(o / (co/g)) (ci/g); x is zero outside the map. The norm's scale joins W and b when they are packed.
#include "families.h"

namespace hconv::reference {

std::vector<Output> families::conv2d(const Request &r) {
    const hconv_problem &p = r.p;
    Map x = read_map(r, "x"), residual = read_map(r, "residual");
    Norm norm = read_norm(r, "bn", p.co, p.flags & HCONV_NORM);
    Weights weights(p.co, p.ci / p.groups, p.kh, p.kw);
    weights.ops = norm.present;
    const float *given = r.data("weight"), *bias = r.data("bias");
    for (int o = 0; o < p.co; ++o)
        for (int c = 0; c < weights.ci; ++c)
            for (int u = 0; u < p.kh; ++u)
                for (int v = 0; v < p.kw; ++v) {
                    double w = norm.scale[o] * *given++;
                    weights.v[weights.at(o, u, v, c)] = w, weights.mag[weights.at(o, u, v, c)] = std::fabs(w);
                }
    Steps steps = steps_of(p);
    return {make_output(r, "y", [&](int n, int o, int i, int j) {
        Sum sum;
        add_window(sum, x, weights, steps, n, o, i, j);
        double b = norm.shift[o] + norm.scale[o] * (bias ? bias[o] : 0.0f);
        if (norm.present || bias) sum.add(norm.present ? rounded(b) : exactly(b));
        if (residual.n) sum.add(residual.num(residual.at(n, i, j, o)));
        return activate(p.activation, sum.total(), slope_of(r, o));
    })};
}

} // namespace hconv::reference
