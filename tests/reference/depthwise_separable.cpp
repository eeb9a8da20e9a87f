// depthwise_separable.cpp - a window a channel, then a sum over the channels.
// SPDX-License-Identifier: MIT
// z[n,c,i,j] = act_mid(bn_mid(bd[c] + sum_{u,v} D[c,u,v] x[n, floor(c/m), i sh + u dh - pt, j sw + v dw - pl]))
// y[n,o,i,j] = act(bn(b[o] + sum_c P[o,c] z[n,c,i,j]) + residual)
// The errors of the z enter the sum multiplied by |P|; behind an activation they are no multiple of |z|, so they are
// added up beside the sum's own.
#include "families.h"

namespace hconv::reference {

static Weights scaled(const float *given, const Norm &norm, int outputs, int inputs, int kh, int kw) {
    Weights weights(outputs, inputs, kh, kw);
    weights.ops = norm.present;
    for (int o = 0; o < outputs; ++o)
        for (int c = 0; c < inputs; ++c)
            for (int u = 0; u < kh; ++u)
                for (int v = 0; v < kw; ++v) {
                    double w = norm.scale[o] * *given++;
                    weights.v[weights.at(o, u, v, c)] = w, weights.mag[weights.at(o, u, v, c)] = std::fabs(w);
                }
    return weights;
}

static void add_bias(Sum &sum, const Norm &norm, const float *bias, int o) {
    double b = norm.shift[o] + norm.scale[o] * (bias ? bias[o] : 0.0f);
    if (norm.present || bias) sum.add(norm.present ? rounded(b) : exactly(b));
}

// The z of one pixel, kept while the outputs of that pixel are asked for.
struct Pixel {
    int n = -1, i = -1, j = -1;
    std::vector<Num> z;
};

static Num middle_slope(const Request &r, int channel) {
    if (r.p.mid_activation == HCONV_PRELU) return exactly(r.data("mid_slope")[channel]);
    return exactly(r.scalar("mid_slope", 0.01f));
}

// sum += sum_c P[o,c] z[c]; the z's own errors, multiplied by |P|, are returned.
static double add_products(Sum &sum, const Weights &point, const std::vector<Num> &z, int o) {
    double carried = 0;
    for (int c = 0; c < point.ci; ++c) {
        size_t at = point.at(o, 0, 0, c);
        double error = z[c].error();
        sum.add(Num{point.v[at], point.mag[at], point.ops} * Num{z[c].v, std::fabs(z[c].v) + error, 0});
        carried += point.mag[at] * error;
    }
    return carried;
}

std::vector<Output> families::depthwise_separable(const Request &r) {
    const hconv_problem &p = r.p;
    const int channels = p.ci * p.extra[0];
    Map x = read_map(r, "x"), residual = read_map(r, "residual");
    Norm mid_norm = read_norm(r, "mid_bn", channels, p.extra[2]), norm = read_norm(r, "bn", p.co, p.flags & HCONV_NORM);
    Weights depth = scaled(r.data("depthwise_conv.weight"), mid_norm, channels, 1, p.kh, p.kw);
    Weights point = scaled(r.data("pointwise_conv.weight"), norm, p.co, channels, 1, 1);
    Steps steps = steps_of(p);
    Pixel pixel;
    return {make_output(r, "y", [&](int n, int o, int i, int j) {
        if (pixel.n != n || pixel.i != i || pixel.j != j) {
            pixel = {n, i, j, {}};
            for (int c = 0; c < channels; ++c) {
                Sum sum;
                add_window(sum, x, depth, steps, n, c, i, j);
                add_bias(sum, mid_norm, r.data("depthwise_conv.bias"), c);
                pixel.z.push_back(activate(p.mid_activation, sum.total(), middle_slope(r, c)));
            }
        }
        Sum sum;
        double carried = add_products(sum, point, pixel.z, o);
        add_bias(sum, norm, r.data("pointwise_conv.bias"), o);
        if (residual.n) sum.add(residual.num(residual.at(n, i, j, o)));
        Num total = sum.total();
        return activate(p.activation, with_error(total.v, total.error() + 1.01 * carried), slope_of(r, o));
    })};
}

}  // namespace hconv::reference
