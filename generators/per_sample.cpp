// per_sample.cpp - see per_sample.h.
// SPDX-License-Identifier: MIT
#include "generators/per_sample.h"

#include "generators/algebra.h"

namespace hconv {

using namespace Halide;

Func &Head::add(const std::string &name) {
    s.head.emplace_back(name);
    return s.head.back();
}

Func Head::pooled() {
    Expr w = t.extent("x", 'w'), h = t.extent("x", 'h');
    RDom area(0, w, 0, h, "area");
    Func sum = add("pooled_sum");
    sum(s.ci, s.n) = 0.0f;
    sum(s.ci, s.n) += t.input("x", s.ci, area.x, area.y, s.n);
    Func mean = add("pooled");
    mean(s.ci, s.n) = sum(s.ci, s.n) / cast<float>(w * h);
    return mean;
}

Func Head::layer(const std::string &name, const Func &in, int inputs, bool bias) {
    RDom k(0, inputs, "k_" + name);
    Func sum = add(name);
    sum(s.co, s.n) = bias ? t.parameter(name + ".bias", {s.co}) : 0.0f;
    sum(s.co, s.n) += t.parameter(name + ".weight", {s.co, k}) * in(k, s.n);
    return sum;
}

Func Head::relu(const std::string &name, const Func &in) {
    Func value = add(name);
    value(s.co, s.n) = max(in(s.co, s.n), 0.0f);
    return value;
}

Func Head::sigmoid(const std::string &name, const Func &in) {
    Func value = add(name);
    value(s.co, s.n) = hconv::sigmoid(in(s.co, s.n));
    return value;
}

// exp(v - max v) / sum: the greatest is subtracted, so no exponential overflows.
Func Head::softmax(const std::string &name, const Func &in, int count) {
    RDom e(0, count, "e");
    Func most = add(name + "_most"), power = add(name + "_power"), sum = add(name + "_sum"), value = add(name);
    most(s.n) = in(0, s.n);
    most(s.n) = max(most(s.n), in(e, s.n));
    power(s.co, s.n) = safe_exp(in(s.co, s.n) - most(s.n));
    sum(s.n) = 0.0f;
    sum(s.n) += power(e, s.n);
    value(s.co, s.n) = power(s.co, s.n) / sum(s.n);
    return value;
}

Expr mix(int experts, const std::function<Expr(int)> &routing, const std::function<Expr(int)> &value) {
    Expr sum = routing(0) * value(0);
    for (int e = 1; e < experts; ++e) sum += routing(e) * value(e);
    return sum;
}

void convolve_by_mixed(const Problem &p, const Tensors &t, PerSampleStages &s, const Expr &bias) {
    Expr w = t.extent("x", 'w'), h = t.extent("x", 'h');
    s.r = RDom(0, p.ci / p.groups, 0, p.kw, 0, p.kh, "r");
    auto in = [&](const Expr &x, const Expr &y) { return t.input("x", s.ci, x, y, s.n); };
    s.padded(s.ci, s.ix, s.iy, s.n) = p.has_padding() ? inside_or_zero(s.ix, s.iy, w, h, in) : in(s.ix, s.iy);
    Expr ci = group_start(s.co, p.ci, p.co, p.groups) + s.r.x;
    Expr ix = s.x * p.stride_w + s.r.y * p.dilation_w - pad_left(p, w);
    Expr iy = s.y * p.stride_h + s.r.z * p.dilation_h - pad_top(p, h);
    s.acc(s.co, s.x, s.y, s.n) = bias;
    Expr kernel = s.mixed(s.co, s.r.x, s.r.y, s.r.z, s.n);
    if (const int block = t.parameter_block("weight", 'o'); block > 1) {
        s.blocked(s.co, s.ci, s.kx, s.ky, s.block, s.n) = s.mixed(s.block * block + s.co, s.ci, s.kx, s.ky, s.n);
        kernel = s.blocked(s.co % block, s.r.x, s.r.y, s.r.z, s.co / block, s.n);
    }
    s.acc(s.co, s.x, s.y, s.n) += kernel * s.padded(ci, ix, iy, s.n);
    Expr sum = s.acc(s.co, s.x, s.y, s.n);
    if (p.residual()) sum += t.input("residual", s.co, s.x, s.y, s.n);
    s.out(s.co, s.x, s.y, s.n) = activation(p, t, sum, s.co);
}

}  // namespace hconv
