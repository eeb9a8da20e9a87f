// condconv.cpp - a kernel a sample, a weighted sum of experts:
// r(e,n) = sigmoid(fc gap(x)), or softmax(fc2 relu(fc1 gap(x))), or an input
// mixed(co,ci,kx,ky,n) = sum_e r(e,n) weight(e,co,ci,ky,kx);  mixed_bias(co,n) = shift(co) + sum_e r(e,n) bias(e,co)
// out = act(mixed_bias + mixed * in + residual)
// SPDX-License-Identifier: MIT
#include "generators/condconv.h"

#include "generators/generator.h"
#include "runtime/variants/condconv.h"

namespace hconv {

using namespace Halide;

class Condconv : public ConvGenerator<Condconv, CondconvStages> {
public:
    void algorithm(const Problem &p, const Tensors &t, CondconvStages &s) {
        const int experts = p.extra[HCONV_EX];
        const std::function<Expr(int)> r = routing(p, t, s);
        s.mixed(s.co, s.ci, s.kx, s.ky, s.n) =
            mix(experts, r, [&](int e) { return t.parameter("weight", {e, s.co, s.ci, s.ky, s.kx}); });
        Expr bias = t.parameter("shift", {s.co});
        if (!(p.flags & HCONV_NO_BIAS)) {
            s.mixed_bias = Func("mixed_bias");
            s.mixed_bias(s.co, s.n) = bias + mix(experts, r, [&](int e) { return t.parameter("bias", {e, s.co}); });
            bias = s.mixed_bias(s.co, s.n);
        }
        convolve_by_mixed(p, t, s, bias);
    }

private:
    static std::function<Expr(int)> routing(const Problem &p, const Tensors &t, CondconvStages &s) {
        Head head(t, s);
        Func value;
        switch (hconv_routing_of(&p)) {
        case HCONV_ROUTING_ONE: return [](int) { return Expr(1.0f); };
        case HCONV_ROUTING_INPUT: return [&](int e) { return t.input("routing", e, 0, 0, s.n); };
        case HCONV_ROUTING_SIGMOID:
            value = head.sigmoid("routing_weights", head.layer("fc", head.pooled(), p.ci));
            break;
        case HCONV_ROUTING_SOFTMAX: {
            const int hidden = p.extra[HCONV_HID];
            Func z = head.relu("hidden", head.layer("fc1", head.pooled(), p.ci, false));
            value = head.softmax("routing_weights", head.layer("fc2", z, hidden), p.extra[HCONV_EX]);
            break;
        }
        }
        return [value, &s](int e) { return value(e, s.n); };
    }
};

}  // namespace hconv

HCONV_FAMILY(hconv::CondconvStages)
HCONV_GENERATOR(hconv::Condconv, condconv)
HCONV_GENERATOR(hconv::Condconv, dynamicconv)
