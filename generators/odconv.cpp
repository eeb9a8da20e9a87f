// odconv.cpp - a kernel a sample, mixed by four attentions on the pooled input:
// z = relu(fc gap(x) + b), ac, af, as = sigmoid of a layer of z, aw = softmax of one (a skipped attention is 1);
// mixed(co,ci,kx,ky,n) = as(kx,ky,n) ac(ci,n) af(co,n) sum_e aw(e,n) weight(e,co,ci,ky,kx)
// out = act(bias + mixed * in + residual)
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
        Head head(t, s);
        Func z = head.relu("hidden", head.layer("fc", head.pooled(), p.ci));
        auto attention = [&](const std::string &name) {
            return head.sigmoid(name + "_attention", head.layer(name, z, o.hidden));
        };
        Func ac = attention("channel_fc"), af, as, aw;
        if (o.filter) af = attention("filter_fc");
        if (o.spatial) as = attention("spatial_fc");
        if (o.kernel) aw = head.softmax("kernel_attention", head.layer("kernel_fc", z, o.hidden), o.experts);

        Expr kernel = mix(
            o.experts, [&](int e) { return o.kernel ? aw(e, s.n) : Expr(1.0f); },
            [&](int e) { return t.parameter("weight", {e, s.co, s.ci, s.ky, s.kx}); });
        kernel *= ac(group_start(s.co, p.ci, p.co, p.groups) + s.ci, s.n);
        if (o.spatial) kernel *= as(s.ky * p.kw + s.kx, s.n);
        if (o.filter) kernel *= af(s.co, s.n);
        s.mixed(s.co, s.ci, s.kx, s.ky, s.n) = kernel;
        convolve_by_mixed(p, t, s, t.parameter("bias", {s.co}));
    }
};

}  // namespace hconv

HCONV_FAMILY(hconv::OdconvStages)
HCONV_GENERATOR(hconv::Odconv, odconv)
