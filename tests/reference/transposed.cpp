// transposed.cpp - transposed convolution (torch.nn.ConvTranspose2d), looked at from the output: every row of the window
// is asked whether some input row lands here through it.
// SPDX-License-Identifier: MIT
// y[n,o,i,j] = act(bn(b[o] + sum_{c,u,v} W[c, o mod (co/g), u, v] x[n,c,a,b]) + residual)
// over the channels c of o's group and all (u, a), (v, b) with a sh + u dh - pt = i, b sw + v dw - pl = j.
#include "families.h"

namespace hconv::reference {

// The input row that window row u carries to output row i, or -1.
static int source(int i, int u, int stride, int dilation, int pad, int rows) {
    int64_t from = int64_t(i) + pad - int64_t(u) * dilation;
    return from < 0 || from % stride || from / stride >= rows ? -1 : int(from / stride);
}

std::vector<Output> families::transposed(const Request &r) {
    const hconv_problem &p = r.p;
    Map x = read_map(r, "x"), residual = read_map(r, "residual");
    Norm norm = read_norm(r, "bn", p.co, p.flags & HCONV_NORM);
    const float *weight = r.data("weight"), *bias = r.data("bias");
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
        if (norm.present || bias) sum.add(norm.present ? rounded(b) : exactly(b));
        if (residual.n) sum.add(residual.num(residual.at(n, i, j, o)));
        return activate(p.activation, sum.total(), slope_of(r, o));
    })};
}

}  // namespace hconv::reference
