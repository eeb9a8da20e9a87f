// odconv.cpp - a kernel a sample, mixed by four attentions on the pooled input:
// z = relu(fc gap(x) + b), ac, af, as = sigmoid of a layer of z, aw = softmax of one (an attention that is skipped is 1);
// mixed(co,ci,kx,ky,n) = as(kx,ky,n) ac(ci,n) af(co,n) sum_e aw(e,n) weight(e,co,ci,ky,kx);  out = act(bias + mixed * in + residual)
// SPDX-License-Identifier: MIT
#include "generators/odconv.h"

#include "generators/algebra.h"
#include "generators/generator.h"
#include "runtime/variants/odconv.h"

namespace hconv {

using namespace Halide;

class Odconv : public ConvGenerator<Odconv, OdconvStages> {
public:
    void algorithm(const Problem &p, const Tensors &t, OdconvStages &s) {
        const hconv_odconv o = hconv_odconv_of(&p);
        Expr w = t.extent("x", 'w'), h = t.extent("x", 'h');
        Func z = hidden(p, t, o, w, h, s);
        Func ac = attention("channel_fc", z, o.hidden, t, s), af, as, aw;
        if (o.filter) af = attention("filter_fc", z, o.hidden, t, s);
        if (o.spatial) as = attention("spatial_fc", z, o.hidden, t, s);
        if (o.kernel) aw = softmax(layer("kernel_fc", z, o.hidden, t, s), o.experts, s);

        Expr mix = 0.0f;
        for (int e = 0; e < o.experts; ++e) {
            Expr weight = t.parameter("weight", {e, s.co, s.ci, s.ky, s.kx});
            mix += o.kernel ? aw(e, s.n) * weight : weight;
        }
        mix *= ac(group_start(s.co, p.ci, p.co, p.groups) + s.ci, s.n);
        if (o.spatial) mix *= as(s.ky * p.kw + s.kx, s.n);
        if (o.filter) mix *= af(s.co, s.n);
        s.mixed(s.co, s.ci, s.kx, s.ky, s.n) = mix;

        s.r = RDom(0, p.ci / p.groups, 0, p.kw, 0, p.kh, "r");
        auto in = [&](const Expr &x, const Expr &y) { return t.input("x", s.ci, x, y, s.n); };
        s.padded(s.ci, s.ix, s.iy, s.n) = p.has_padding() ? inside_or_zero(s.ix, s.iy, w, h, in) : in(s.ix, s.iy);
        Expr ci = group_start(s.co, p.ci, p.co, p.groups) + s.r.x;
        s.acc(s.co, s.x, s.y, s.n) = t.parameter("bias", {s.co});
        s.acc(s.co, s.x, s.y, s.n) +=
            s.mixed(s.co, s.r.x, s.r.y, s.r.z, s.n) *
            s.padded(ci, s.x * p.stride_w + s.r.y * p.dilation_w - p.pad_left,
                     s.y * p.stride_h + s.r.z * p.dilation_h - p.pad_top, s.n);
        Expr sum = s.acc(s.co, s.x, s.y, s.n);
        if (p.residual()) sum += t.input("residual", s.co, s.x, s.y, s.n);
        s.out(s.co, s.x, s.y, s.n) = activation(p, t, sum, s.co);
    }

private:
    static Func &add(OdconvStages &s, const std::string &name) {
        s.head.emplace_back(name);
        return s.head.back();
    }

    // relu(fc.weight mean(x) + fc.bias), over (hidden unit, n).
    static Func hidden(const Problem &p, const Tensors &t, const hconv_odconv &, const Expr &w, const Expr &h, OdconvStages &s) {
        Func sum = add(s, "pooled_sum");
        RDom area(0, w, 0, h, "area");
        sum(s.ci, s.n) = 0.0f;
        sum(s.ci, s.n) += t.input("x", s.ci, area.x, area.y, s.n);
        Func mean = add(s, "pooled");
        mean(s.ci, s.n) = sum(s.ci, s.n) / cast<float>(w * h);
        Func fc = layer("fc", mean, p.ci, t, s);
        Func z = add(s, "hidden");
        z(s.co, s.n) = max(fc(s.co, s.n), 0.0f);
        return z;
    }

    // name.weight in + name.bias.
    static Func layer(const std::string &name, const Func &in, int inputs, const Tensors &t, OdconvStages &s) {
        Func sum = add(s, name);
        RDom k(0, inputs, "k_" + name);
        sum(s.co, s.n) = t.parameter(name + ".bias", {s.co});
        sum(s.co, s.n) += t.parameter(name + ".weight", {s.co, k}) * in(k, s.n);
        return sum;
    }

    static Func attention(const std::string &name, const Func &z, int hidden_units, const Tensors &t, OdconvStages &s) {
        Func sum = layer(name, z, hidden_units, t, s);
        Func value = add(s, name + "_attention");
        value(s.co, s.n) = sigmoid(sum(s.co, s.n));
        return value;
    }

    // exp(v - max v) / sum: the greatest is subtracted, so no exponential overflows.
    static Func softmax(const Func &v, int count, OdconvStages &s) {
        RDom e(0, count, "e");
        Func most = add(s, "most"), power = add(s, "power"), sum = add(s, "power_sum"), value = add(s, "kernel_attention");
        most(s.n) = v(0, s.n);
        most(s.n) = max(most(s.n), v(e, s.n));
        power(s.co, s.n) = exp(max(v(s.co, s.n) - most(s.n), -87.0f));
        sum(s.n) = 0.0f;
        sum(s.n) += power(e, s.n);
        value(s.co, s.n) = power(s.co, s.n) / sum(s.n);
        return value;
    }
};

}  // namespace hconv

HCONV_FAMILY(hconv::OdconvStages)
HCONV_GENERATOR(hconv::Odconv, odconv)
