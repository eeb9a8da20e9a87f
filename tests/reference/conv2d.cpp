// conv2d.cpp - dense, dilated, grouped, depthwise, pointwise and linear: one sum (torch.nn.Conv2d, Linear).
// SPDX-License-Identifier: MIT
// y[n,o,i,j] = act(bn(b[o] + sum_{c,u,v} W[o,c,u,v] x[n, first(o) + c, i sh + u dh - pt, j sw + v dw - pl]) + residual)
// first(o) = floor(o / (co/g)) (ci/g); x is zero outside the map. The norm's scale joins W and b when they are packed.
// fast allows minimal filtering: the bound is the widest of what the direct sum, F(2,3) and F(4,3) may round.
#include "families.h"

#include "filtering.h"
#include "variants/common.h"

#include <memory>

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
    std::unique_ptr<Filtering> filters[2];
    if (hconv_minimal_filtering(&p)) {
        filters[0] = std::make_unique<Filtering>(filter_2_3(), x, weights, steps, hconv_ow(&p));
        filters[1] = std::make_unique<Filtering>(filter_4_3(), x, weights, steps, hconv_ow(&p));
    }
    return {make_output(r, "y", [&](int n, int o, int i, int j) {
        Sum sum;
        add_window(sum, x, weights, steps, n, o, i, j);
        double b = norm.shift[o] + norm.scale[o] * (bias ? bias[o] : 0.0f);
        auto finished = [&](Sum window) {
            if (norm.present || bias) window.add(norm.present ? rounded(b) : exactly(b));
            if (residual.n) window.add(residual.num(residual.at(n, i, j, o)));
            return window.total();
        };
        Num y = finished(sum);
        for (const auto &filter : filters) {
            if (!filter) continue;
            Num other = finished(filter->sum(sum.v, n, o, i, j));
            if (other.error() > y.error()) y = other;
        }
        return activate(p.activation, y, slope_of(r, o));
    })};
}

} // namespace hconv::reference
