// algebra.cpp - see algebra.h.
// SPDX-License-Identifier: MIT
#include "generators/algebra.h"

#include <cmath>
#include <stdexcept>

namespace hconv {

using namespace Halide;

Expr inside_or_zero(const Expr &x, const Expr &y, const Expr &w, const Expr &h,
                    const std::function<Expr(Expr, Expr)> &value) {
    return select(x >= 0 && x < w && y >= 0 && y < h, value(clamp(x, 0, w - 1), clamp(y, 0, h - 1)), 0.0f);
}

Expr inside_or_zero(const Expr &i, const Expr &size, const std::function<Expr(Expr)> &value) {
    return select(i >= 0 && i < size, value(clamp(i, 0, size - 1)), 0.0f);
}

Expr leave_out(RDom &r, const Expr &i, const Expr &size) {
    r.where(i >= 0 && i < size);
    return clamp(i, 0, size - 1);
}

Expr group_start(const Expr &co, int inputs, int outputs, int groups) {
    if (groups == 1) return 0;
    int in = inputs / groups, out = outputs / groups;
    Expr group = out == 1 ? co : co / out;
    return in == 1 ? group : group * in;
}

// exp(v) = 2^k exp(r), |r| <= ln(2) / 2, by a polynomial whose relative error is 1.1e-7 (least greatest error, fitted on that
// interval). The argument is clamped where float32 would overflow: infinities are not assumed to work, and no case is left over.
// A sum with 1.5 * 2^23 + 127 has no fraction: its last bits are k + 127, which shifted is 2^k. Where the same is taken away
// again the two must not cancel.
Expr safe_exp(const Expr &v) {
    Expr x = clamp(v, -87.0f, 87.0f), shift = 12583039.0f, sum = x * 1.44269504f + shift;
    Expr k = Internal::Call::make(Float(32), Internal::Call::strict_sub, {sum, shift}, Internal::Call::PureIntrinsic);
    Expr r = x - k * 0.69314718f;
    Expr p = 1.0f + r * (1.0f + r * (0.49999231f + r * (0.16667114f + r * (0.041890148f + r * 0.0083125215f))));
    return p * reinterpret<float>(reinterpret<uint32_t>(sum) << 23);
}

// 1 / v for 1 <= v < 2^126: the processor's estimate (12 bits or more) and a step of Newton's; a division takes longer than all
// of exp.
static Expr inverse(const Expr &v) {
    Expr estimate = fast_inverse(v);
    return estimate * (2.0f - v * estimate);
}

// A half at 0, exactly.
Expr sigmoid(const Expr &v) { return 1.0f / (1.0f + safe_exp(-v)); }

// (1 - e) / (1 + e), e = exp(-2 |v|), with v's sign.
static Expr tanh_by_exp(const Expr &v) {
    Expr e = safe_exp(-2.0f * abs(v));
    Expr t = (1.0f - e) * inverse(1.0f + e);
    return select(v < 0.0f, -t, t);
}

Expr activation(int which, const Expr &v, const std::function<Expr()> &slope) {
    const float root_half = 0.70710678118654752440f, root_2_over_pi = 0.79788456080286535588f;
    switch (which) {
    case HCONV_LINEAR: return v;
    case HCONV_RELU: return max(v, 0.0f);
    case HCONV_RELU6: return clamp(v, 0.0f, 6.0f);
    case HCONV_LEAKY:
    case HCONV_PRELU: return select(v > 0.0f, v, v * slope());
    case HCONV_SILU: return v * inverse(1.0f + safe_exp(-v));
    case HCONV_HARDSWISH: return v * clamp(v + 3.0f, 0.0f, 6.0f) * (1.0f / 6.0f);
    // Clamped last: a clamp before the product is moved behind a fused multiply-add, and 0 becomes -2^-26.
    case HCONV_HARDSIGMOID: return clamp(v * (1.0f / 6.0f) + 0.5f, 0.0f, 1.0f);
    case HCONV_GELU: return 0.5f * v * (1.0f + erf(v * root_half));
    case HCONV_GELUTANH: return 0.5f * v * (1.0f + tanh_by_exp(root_2_over_pi * (v + 0.044715f * v * v * v)));
    case HCONV_SIGMOID: return sigmoid(v);
    case HCONV_TANH: return tanh_by_exp(v);
    default: throw std::logic_error("an activation without a formula");
    }
}

Expr activation(const Problem &p, const Tensors &t, const Expr &v, const Expr &c) {
    return activation(p.activation, v, [&] { return t.parameter("slope", {p.activation == HCONV_PRELU ? c : Expr(0)}); });
}

// total = max((ceil(size / stride) - 1) stride + (window - 1) dilation + 1 - size, 0), the smaller half first.
static Expr tfsame_before(const Expr &size, int window, int stride, int dilation) {
    Expr out = (size + (stride - 1)) / stride;
    return max((out - 1) * stride + (window - 1) * dilation + 1 - size, 0) / 2;
}

Expr pad_top(const Problem &p, const Expr &h) {
    return p.same == HCONV_PAD_TFSAME ? tfsame_before(h, p.kh, p.stride_h, p.dilation_h) : Expr(p.pad_top);
}

Expr pad_left(const Problem &p, const Expr &w) {
    return p.same == HCONV_PAD_TFSAME ? tfsame_before(w, p.kw, p.stride_w, p.dilation_w) : Expr(p.pad_left);
}

}  // namespace hconv
