// spd.cpp - space to depth and a convolution behind it, or before it (after), or none (only).
// SPDX-License-Identifier: MIT
// SPD(x)[n, (dx b + dy) C + c, i, j] = x[n, c, i b + dy, j b + dx]
// spd: y = act(bn(conv(SPD(x))) + residual); after: y = act(bn(SPD(conv(x))) + residual), or the norm before SPD, told
// by its size; only: y = SPD(x). Packed: the norm's scale in W and b; after: next to W, the bias in its shift.
#include "families.h"

namespace hconv::reference {

enum Order { kSpdConv = 0, kConvSpd = 1, kOnly = 2 };

// Where SPD(x)'s element (n, c, i, j) comes from.
static size_t source(const Map &x, int b, int n, int c, int i, int j) {
    int d = c / x.c, dx = d / b, dy = d % b;
    return x.at(n, i * b + dy, j * b + dx, c % x.c);
}

static Map space_to_depth(const Map &x, int b) {
    Map y;
    y.n = x.n, y.h = x.h / b, y.w = x.w / b, y.c = x.c * b * b, y.ops = x.ops;
    y.v.resize(x.v.size()), y.mag.resize(x.v.size());
    for (int n = 0; n < y.n; ++n)
        for (int i = 0; i < y.h; ++i)
            for (int j = 0; j < y.w; ++j)
                for (int c = 0; c < y.c; ++c) {
                    size_t from = source(x, b, n, c, i, j), to = y.at(n, i, j, c);
                    y.v[to] = x.v[from], y.mag[to] = x.mag[from];
                }
    return y;
}

static Weights read_weights(const Request &r, int channels, const Norm *norm) {
    const hconv_problem &p = r.p;
    Weights w(p.co, channels / p.groups, p.kh, p.kw);
    const float *given = r.data("weight");
    w.ops = norm && norm->present;
    for (int o = 0; o < p.co; ++o)
        for (int c = 0; c < w.ci; ++c)
            for (int u = 0; u < p.kh; ++u)
                for (int v = 0; v < p.kw; ++v) {
                    double value = (norm ? norm->scale[o] : 1.0) * *given++;
                    w.v[w.at(o, u, v, c)] = value, w.mag[w.at(o, u, v, c)] = std::fabs(value);
                }
    return w;
}

static std::vector<Output> spd_conv(const Request &r, const Map &x, int b) {
    const hconv_problem &p = r.p;
    Map z = space_to_depth(x, b), residual = read_map(r, "residual");
    Norm norm = read_norm(r, "bn", p.co, p.flags & HCONV_NORM);
    Weights weights = read_weights(r, z.c, &norm);
    const float *bias = r.data("bias");
    Steps steps = steps_of(p);
    return {make_output(r, "y", [&](int n, int o, int i, int j) {
        Sum sum;
        add_window(sum, z, weights, steps, n, o, i, j);
        double shift = norm.shift[o] + norm.scale[o] * (bias ? bias[o] : 0.0f);
        if (norm.present || bias) sum.add(norm.present ? rounded(shift) : exactly(shift));
        if (residual.n) sum.add(residual.num(residual.at(n, i, j, o)));
        return activate(p.activation, sum.total(), slope_of(r, o));
    })};
}

static std::vector<Output> conv_spd(const Request &r, const Map &x, int b) {
    const hconv_problem &p = r.p;
    Map residual = read_map(r, "residual");
    bool present = p.flags & HCONV_NORM;
    int norms = present ? int(r.tensors.at("bn.weight").shape.at(0)) : 1;
    Norm norm = read_norm(r, "bn", norms, present);
    Weights weights = read_weights(r, p.ci, nullptr);
    const float *bias = r.data("bias");
    Steps steps = steps_of(p);
    return {make_output(r, "y", [&](int n, int c, int i, int j) {
        int d = c / p.co, o = c % p.co;
        Sum window, sum;
        add_window(window, x, weights, steps, n, o, i * b + d % b, j * b + d / b);
        double scale = norm.scale[c % norms], shift = norm.shift[c % norms] + scale * (bias ? bias[o] : 0.0f);
        sum.add(present ? window.total() * rounded(scale) : window.total());
        if (present || bias) sum.add(present ? rounded(shift) : exactly(shift));
        if (residual.n) sum.add(residual.num(residual.at(n, i, j, c)));
        return activate(p.activation, sum.total(), slope_of(r, o));
    })};
}

std::vector<Output> families::spd(const Request &r) {
    int b = r.p.extra[0], order = r.p.extra[1];
    Map x = read_map(r, "x");
    if (order == kSpdConv) return spd_conv(r, x, b);
    if (order == kConvSpd) return conv_spd(r, x, b);
    return {make_output(r, "y", [&](int n, int c, int i, int j) { return exactly(x.v[source(x, b, n, c, i, j)]); })};
}

} // namespace hconv::reference
