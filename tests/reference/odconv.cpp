// odconv.cpp - ODConv: one window a sample, mixed and scaled by attentions over the input's channel means.
// SPDX-License-Identifier: MIT
// z  = relu(bn(fc mean(x))),  ac = sigmoid((channel_fc z + b) / T), af, as alike, aw = softmax((kernel_fc z + b) / T)
// W_n[o,c,u,v] = as[u,v] sum_k aw[k] weight[k,o,c,u,v],   y_n = act(bn(af[o] conv(ac x_n, W_n)) + residual)
// af is 1 where g = ci = co, as where the window is 1 x 1, aw where there is one kernel. Packed: the attention's norm
// in fc, 1 / T in the four last layers, the outer norm's scale in weight.
#include "families.h"
#include "layers.h"

namespace hconv::reference {

static Layer head_layer(const Request &r, const std::string &name, int outputs, int hidden) {
    Layer layer{outputs, hidden, 1, {}, {}};
    double temperature = r.scalar("temperature", 1.0);
    const float *weight = r.data("attention." + name + ".weight"), *bias = r.data("attention." + name + ".bias");
    for (int k = 0; k < outputs * hidden; ++k) layer.weight.push_back(weight[k] / temperature);
    for (int k = 0; k < outputs; ++k) layer.bias.push_back(bias[k] / temperature);
    return layer;
}

static Layer first_layer(const Request &r, int hidden, int channels) {
    Layer layer{hidden, channels, 1, {}, {}};
    Norm norm = read_norm(r, "attention.bn", hidden, true);
    const float *weight = r.data("attention.fc.weight");
    for (int z = 0; z < hidden; ++z)
        for (int c = 0; c < channels; ++c) layer.weight.push_back(norm.scale[z] * weight[z * channels + c]);
    layer.bias = norm.shift;
    return layer;
}

struct Attention {
    Layer first, channel, filter, spatial, kernel; // those that are skipped have no outputs
};

// Of one sample; a skipped attention is empty.
struct Gates {
    std::vector<Num> channel, filter, spatial, kernel;
};

static Attention read_attention(const Request &r, int experts, int hidden) {
    const hconv_problem &p = r.p;
    Attention a;
    a.first = first_layer(r, hidden, p.ci);
    a.channel = head_layer(r, "channel_fc", p.ci, hidden);
    if (!(p.groups == p.ci && p.ci == p.co)) a.filter = head_layer(r, "filter_fc", p.co, hidden);
    if (p.kh * p.kw > 1) a.spatial = head_layer(r, "spatial_fc", p.kh * p.kw, hidden);
    if (experts > 1) a.kernel = head_layer(r, "kernel_fc", experts, hidden);
    return a;
}

static Gates gates_of(const Attention &a, const Map &x, int n) {
    std::vector<Num> z = run_layer(a.first, channel_means(x, n));
    for (Num &each : z) each = activate(HCONV_RELU, each, {});
    Gates g{run_layer(a.channel, z), run_layer(a.filter, z), run_layer(a.spatial, z), run_layer(a.kernel, z)};
    for (std::vector<Num> *gate : {&g.channel, &g.filter, &g.spatial})
        for (Num &each : *gate) each = sigmoid(each);
    if (!g.kernel.empty()) softmax(g.kernel.data(), int(g.kernel.size()));
    return g;
}

// ac as sum_k aw[k] (scale weight)[k]: multiplying x by ac instead gives the same products in another order.
static Weights mixed_weights(const Request &r, const Gates &g, const Norm &norm, int experts) {
    const hconv_problem &p = r.p;
    Weights w(p.co, p.ci / p.groups, p.kh, p.kw);
    const float *given = r.data("weight");
    size_t expert_size = w.v.size();
    for (int o = 0; o < p.co; ++o)
        for (int c = 0; c < w.ci; ++c)
            for (int u = 0; u < p.kh; ++u)
                for (int v = 0; v < p.kw; ++v) {
                    size_t at = ((size_t(o) * w.ci + c) * p.kh + u) * p.kw + v, to = w.at(o, u, v, c);
                    Sum mix;
                    for (int k = 0; k < experts; ++k) {
                        double value = norm.scale[o] * given[k * expert_size + at];
                        Num term{value, std::fabs(value), norm.present ? 1.0 : 0.0};
                        mix.add(experts > 1 ? term * g.kernel[k] : term);
                    }
                    int channel = o / (p.co / p.groups) * w.ci + c;
                    Num one = mix.total() * g.channel[channel];
                    if (!g.spatial.empty()) one = one * g.spatial[u * p.kw + v];
                    w.v[to] = one.v, w.mag[to] = one.mag, w.ops = std::max(w.ops, one.ops);
                }
    return w;
}

std::vector<Output> families::odconv(const Request &r) {
    const hconv_problem &p = r.p;
    int experts = p.extra[0], hidden = p.extra[1];
    Map x = read_map(r, "x"), residual = read_map(r, "residual");
    Norm norm = read_norm(r, "bn", p.co, p.flags & HCONV_NORM);
    Attention attention = read_attention(r, experts, hidden);
    std::vector<Gates> gates;
    std::vector<Weights> weights;
    for (int n = 0; n < x.n; ++n) {
        gates.push_back(gates_of(attention, x, n));
        weights.push_back(mixed_weights(r, gates[n], norm, experts));
    }
    Steps steps = steps_of(p);
    return {make_output(r, "y", [&](int n, int o, int i, int j) {
        Sum window, sum;
        add_window(window, x, weights[n], steps, n, o, i, j);
        Num conv = window.total();
        sum.add(gates[n].filter.empty() ? conv : conv * gates[n].filter[o]);
        if (norm.present) sum.add(rounded(norm.shift[o]));
        if (residual.n) sum.add(residual.num(residual.at(n, i, j, o)));
        return activate(p.activation, sum.total(), slope_of(r, o));
    })};
}

} // namespace hconv::reference
