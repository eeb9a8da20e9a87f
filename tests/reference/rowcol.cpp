// rowcol.cpp - row/column-separable convolution: r pairs of a column and a row, a channel at a time, zeros around x.
// SPDX-License-Identifier: MIT
//   z[c,e] = conv(x[c]; col[c r + e], kh x 1, down by the stride's rows)
//   y[c] = act(bn(bias[c] + sum_e conv(z[c,e]; row[c r + e], 1 x kw, across by its columns)) + residual[c])
#include "families.h"

namespace hconv::reference {

// Windows [out, in] of n taps; tap v of place out in + i.
static Weights read_windows(const float *given, int out, int in, int kh, int kw, const Norm &norm) {
    Weights w(out, in, kh, kw);
    int taps = kh * kw;
    w.ops = norm.present;
    for (int o = 0; o < out; ++o)
        for (int i = 0; i < in; ++i)
            for (int t = 0; t < taps; ++t) {
                double value = norm.scale[o] * given[(int64_t(o) * in + i) * taps + t];
                size_t at = w.at(o, t / kw, t % kw, i);
                w.v[at] = value, w.mag[at] = std::fabs(value);
            }
    return w;
}

std::vector<Output> families::rowcol(const Request &r) {
    const hconv_problem &p = r.p;
    int pairs = p.extra[0], windows = p.ci * pairs;
    Map x = read_map(r, "x"), residual = read_map(r, "residual"), z;
    Norm norm = read_norm(r, "bn", p.ci, p.flags & HCONV_NORM), none = read_norm(r, "", windows, false);
    Weights columns = read_windows(r.data("col.weight"), windows, 1, p.kh, 1, none);
    Weights rows = read_windows(r.data("row.weight"), p.ci, pairs, 1, p.kw, norm);
    const float *bias = r.data("bias");
    z.n = x.n, z.h = (x.h + p.pad_top + p.pad_bottom - p.kh) / p.stride_h + 1, z.w = x.w, z.c = windows;
    z.v.resize(size_t(z.n) * z.h * z.w * z.c), z.mag.resize(z.v.size());
    for (int n = 0; n < z.n; ++n)
        for (int i = 0; i < z.h; ++i)
            for (int j = 0; j < z.w; ++j)
                for (int o = 0; o < windows; ++o) {
                    Sum sum;
                    add_window(sum, x, columns, {p.stride_h, 1, 1, 1, p.pad_top, 0}, n, o, i, j);
                    Num total = sum.total();
                    z.v[z.at(n, i, j, o)] = total.v, z.mag[z.at(n, i, j, o)] = total.mag, z.ops = total.ops;
                }
    return {make_output(r, "y", [&](int n, int c, int i, int j) {
        Sum sum;
        add_window(sum, z, rows, {1, p.stride_w, 1, 1, 0, p.pad_left}, n, c, i, j);
        sum.add(rounded(norm.shift[c] + norm.scale[c] * (bias ? bias[c] : 0.0)));
        if (residual.n) sum.add(residual.num(residual.at(n, i, j, c)));
        return activate(p.activation, sum.total(), slope_of(r, c));
    })};
}

} // namespace hconv::reference
