// transposed.cpp - transposed convolution (torch.nn.ConvTranspose2d), looked at from the output: every row of the window
// is asked whether some input row lands here through it.
// SPDX-License-Identifier: MIT
// y[n,o,i,j] = act(bn(b[o] + sum_{c,u,v} W[c, o mod (co/g), u, v] x[n,c,a,b]) + residual)
// over the channels c of o's group and all (u, a), (v, b) with a sh + u dh - pt = i, b sw + v dw - pl = j.
// fast allows minimal filtering of 4 x 4 windows at stride 2: the bound is the widest of the direct sum's, F(2,2)'s and F(4,2)'s,
// of the phase i % 2, j % 2 as a window of 2 x 2 that ends at input ((i + pt) / 2, (j + pl) / 2).
#include "families.h"

#include "filtering.h"
#include "variants/common.h"
#include "variants/transposed.h"

#include <memory>

namespace hconv::reference {

// The input row that window row u carries to output row i, or -1.
static int source(int i, int u, int stride, int dilation, int pad, int rows) {
    int64_t from = int64_t(i) + pad - int64_t(u) * dilation;
    return from < 0 || from % stride || from / stride >= rows ? -1 : int(from / stride);
}

// The four phases' windows, and both filters of each.
struct Phases {
    std::vector<Weights> windows;
    std::vector<std::unique_ptr<Filtering>> filters[2];

    Phases(const hconv_problem &p, const Map &x, const Norm &norm, const float *weight) {
        for (int phase = 0; phase < 4; ++phase) {
            Weights w(p.co, p.ci, 2, 2);
            w.ops = norm.present;
            for (int o = 0; o < p.co; ++o)
                for (int c = 0; c < p.ci; ++c)
                    for (int k = 0; k < 4; ++k) {
                        const int u = (phase / 2 + p.pad_top) % 2 + (k / 2 ? 0 : 2), v = (phase + p.pad_left) % 2 + (k % 2 ? 0 : 2);
                        const double value = norm.scale[o] * weight[((int64_t(c) * p.co + o) * 4 + u) * 4 + v];
                        w.v[w.at(o, k / 2, k % 2, c)] = value, w.mag[w.at(o, k / 2, k % 2, c)] = std::fabs(value);
                    }
            windows.push_back(w);
        }
        for (int phase = 0; phase < 4; ++phase)
            for (int four : {0, 1})
                filters[four].push_back(std::make_unique<Filtering>(
                    four ? filter_4_2() : filter_2_2(), x, windows[size_t(phase)],
                    Steps{1, 1, 1, 1, 1 - (phase / 2 + p.pad_top) / 2, 1 - (phase % 2 + p.pad_left) / 2}, hconv_transposed_ow(&p) / 2 + 1));
    }
};

std::vector<Output> families::transposed(const Request &r) {
    const hconv_problem &p = r.p;
    Map x = read_map(r, "x"), residual = read_map(r, "residual");
    Norm norm = read_norm(r, "bn", p.co, p.flags & HCONV_NORM);
    const float *weight = r.data("weight"), *bias = r.data("bias");
    std::unique_ptr<Phases> phases;
    if (hconv_minimal_filtering(&p)) phases = std::make_unique<Phases>(p, x, norm, weight);
    int inputs = p.ci / p.groups, outputs = p.co / p.groups;
    return {make_output(r, "y", [&](int n, int o, int i, int j) {
        Sum sum;
        int first = o / outputs * inputs;
        for (int u = 0; u < p.kh; ++u) {
            int row = source(i, u, p.stride_h, p.dilation_h, p.pad_top, x.h);
            for (int v = 0; v < p.kw && row >= 0; ++v) {
                int column = source(j, v, p.stride_w, p.dilation_w, p.pad_left, x.w);
                for (int c = first; c < first + inputs && column >= 0; ++c) {
                    int64_t at = ((int64_t(c) * outputs + o % outputs) * p.kh + u) * p.kw + v;
                    double w = norm.scale[o] * weight[at];
                    sum.add((norm.present ? rounded(w) : exactly(w)) * x.num(x.at(n, row, column, c)));
                }
            }
        }
        double b = norm.shift[o] + norm.scale[o] * (bias ? bias[o] : 0.0f);
        auto finished = [&](Sum window) {
            if (norm.present || bias) window.add(norm.present ? rounded(b) : exactly(b));
            if (residual.n) window.add(residual.num(residual.at(n, i, j, o)));
            return window.total();
        };
        Num y = finished(sum);
        for (int four = 0; phases && four < 2; ++four) {
            Num other = finished(phases->filters[four][size_t(i % 2 * 2 + j % 2)]->sum(sum.v, n, o, i / 2, j / 2));
            if (other.error() > y.error()) y = other;
        }
        return activate(p.activation, y, slope_of(r, o));
    })};
}

}  // namespace hconv::reference
