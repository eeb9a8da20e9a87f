// condconv.cpp - CondConv and DynamicConv: one window a sample, a weighted sum of experts.
// SPDX-License-Identifier: MIT
// condconv:    r = sigmoid(fc mean(x) + b), or the input routing; it does not sum to 1, and one expert is scaled too
// dynamicconv: r = softmax((fc2 relu(fc1 mean(x)) + b) / T)
// y_n = act(bn(conv(x_n, sum_k r_k W_k) + sum_k r_k b_k) + residual)
// Packed: the norm's scale in W and b, 1 / T in fc2.
#include "families.h"
#include "layers.h"

namespace hconv::reference {

static Layer read_layer(const Request &r, const std::string &name, int outputs, int inputs, double divisor = 1) {
    Layer layer{outputs, inputs, divisor == 1 ? 0.0 : 1.0, {}, {}};
    const float *weight = r.data(name + ".weight"), *bias = r.data(name + ".bias");
    for (int k = 0; k < outputs * inputs; ++k) layer.weight.push_back(weight[k] / divisor);
    for (int k = 0; bias && k < outputs; ++k) layer.bias.push_back(bias[k] / divisor);
    return layer;
}

// [sample][expert]
static std::vector<std::vector<Num>> routing_of(const Request &r, const Map &x, int experts) {
    bool dynamic = r.p.variant == HCONV_VARIANT_dynamicconv;
    const float *given = r.data("routing");
    std::vector<std::vector<Num>> routing(x.n);
    Layer first, last;
    if (dynamic) {
        first = read_layer(r, "attention.fc1", r.p.extra[1], x.c);
        last = read_layer(r, "attention.fc2", experts, r.p.extra[1], r.scalar("temperature", 1));
    } else if (!given) {
        last = read_layer(r, "route.fc", experts, x.c);
    }
    for (int n = 0; n < x.n; ++n) {
        for (int k = 0; given && k < experts; ++k) routing[n].push_back(exactly(given[n * experts + k]));
        if (given) continue;
        std::vector<Num> units = channel_means(x, n);
        if (dynamic) units = run_layer(first, units);
        for (Num &unit : units)
            if (dynamic) unit = activate(HCONV_RELU, unit, {});
        routing[n] = run_layer(last, units);
        if (dynamic) softmax(routing[n].data(), experts);
        for (Num &each : routing[n])
            if (!dynamic) each = sigmoid(each);
    }
    return routing;
}

// sum_k r[k] (scale value[k stride])
static Num mixed(const std::vector<Num> &routing, double scale, bool scaled, const float *value, size_t stride) {
    Sum sum;
    for (size_t k = 0; k < routing.size(); ++k) {
        double v = scale * value[k * stride];
        sum.add(Num{v, std::fabs(v), double(scaled)} * routing[k]);
    }
    return sum.total();
}

static Weights mixed_weights(const Request &r, const std::vector<Num> &routing, const Norm &norm) {
    const hconv_problem &p = r.p;
    Weights w(p.co, p.ci / p.groups, p.kh, p.kw);
    const float *given = r.data("weight");
    for (int o = 0; o < p.co; ++o)
        for (int c = 0; c < w.ci; ++c)
            for (int u = 0; u < p.kh; ++u)
                for (int v = 0; v < p.kw; ++v) {
                    Num one = mixed(routing, norm.scale[o], norm.present, given++, w.v.size());
                    size_t to = w.at(o, u, v, c);
                    w.v[to] = one.v, w.mag[to] = one.mag, w.ops = std::max(w.ops, one.ops);
                }
    return w;
}

std::vector<Output> families::condconv(const Request &r) {
    const hconv_problem &p = r.p;
    Map x = read_map(r, "x"), residual = read_map(r, "residual");
    Norm norm = read_norm(r, "bn", p.co, p.flags & HCONV_NORM);
    const float *bias = r.data("bias");
    std::vector<std::vector<Num>> routing = routing_of(r, x, p.extra[0]);
    std::vector<Weights> weights;
    for (int n = 0; n < x.n; ++n) weights.push_back(mixed_weights(r, routing[n], norm));
    Steps steps = steps_of(p);
    return {make_output(r, "y", [&](int n, int o, int i, int j) {
        Sum sum;
        add_window(sum, x, weights[n], steps, n, o, i, j);
        if (bias) sum.add(mixed(routing[n], norm.scale[o], norm.present, bias + o, p.co));
        if (norm.present) sum.add(rounded(norm.shift[o]));
        if (residual.n) sum.add(residual.num(residual.at(n, i, j, o)));
        return activate(p.activation, sum.total(), slope_of(r, o));
    })};
}

} // namespace hconv::reference
