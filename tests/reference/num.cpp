// num.cpp - the functions that are no sums: f(x + e) - f(x) is bounded by a Lipschitz constant times e.
// SPDX-License-Identifier: MIT
#include "num.h"

#include "hconv/hconv.h"

namespace hconv::reference {

// Relative: s'/s = 1 - s, so an error e of x multiplies s by no more than exp((1 - s) e), to first order.
Num sigmoid(const Num &x) {
    double s = 1 / (1 + std::exp(-x.v)), e = std::expm1(std::min(x.error(), 50.0));
    return with_error(s, s * (std::min(1.0, (1 - s) * (1 + e)) * e + (kExpOps + 3) * kUnit));
}

// Relative: numerator and denominator each move by exp(e), e = the largest error of x; subtracting the maximum rounds
// once per element; then exp, a sum and a division.
void softmax(Num *x, int count) {
    double most = x[0].v, least = x[0].v, error = 0, sum = 0;
    for (int k = 0; k < count; ++k) {
        most = std::max(most, x[k].v), least = std::min(least, x[k].v);
        error = std::max(error, x[k].error());
    }
    for (int k = 0; k < count; ++k) sum += std::exp(x[k].v - most);
    double shift = count > 1 ? 2 * (most - least) : 0;
    double relative = std::expm1(std::min(2 * error, 50.0)) + (shift + 2 * kExpOps + count + 2) * kUnit;
    for (int k = 0; k < count; ++k) {
        double p = std::exp(x[k].v - most) / sum;
        x[k] = with_error(p, std::min(p * relative, 1.0));
    }
}

// min(max(x, low), high): no error is left where the limit is reached for certain.
static Num clip(const Num &x, double low, double high) {
    double e = x.error(), v = std::min(std::max(x.v, low), high);
    if (x.v + e < low || x.v - e > high) return exactly(v);
    return {v, x.mag, x.ops};
}

static Num leaky(const Num &x, const Num &slope) {
    double e = x.error();
    if (x.v > e) return x;
    Num below = x * slope;
    if (x.v < -e) return below;
    return with_error(x.v > 0 ? x.v : below.v, std::max(e, below.error() + std::fabs(slope.v) * e));
}

static Num sixth_of_clipped(const Num &x) { // min(max(x + 3, 0), 6) / 6
    Sum sum;
    sum.add(x), sum.add(exactly(3));
    return clip(sum.total(), 0, 6) * rounded(1.0 / 6);
}

// Both curves are steepest at 0: the slope nearest to 0 that t, wrong by e, can have reached bounds the change.
static double nearest_to_zero(const Num &t) { return std::max(std::fabs(t.v) - t.error(), 0.0); }

// 1 + erf(x / sqrt 2); erf'(t) = 2 / sqrt(pi) exp(-t^2)
static Num one_plus_erf(const Num &x) {
    Num t = x * rounded(std::sqrt(0.5));
    double near = nearest_to_zero(t), slope = 2 / std::sqrt(M_PI) * std::exp(-near * near);
    return with_error(std::erfc(-t.v), std::min(slope * t.error(), 2.0) + (kErfError + 2) * kUnit);
}

// The error of tanh, of its argument and its own; tanh' = 1 / cosh^2.
static double tanh_error(const Num &t) {
    double cosh = std::cosh(std::min(nearest_to_zero(t), 300.0));
    return std::min(t.error() / (cosh * cosh), 2.0) + kTanhError * kUnit;
}

// 1 + tanh(sqrt(2 / pi) (x + 0.044715 x^3))
static Num one_plus_tanh(const Num &x) {
    Sum sum;
    sum.add(x), sum.add(x * x * x * rounded(0.044715));
    Num t = sum.total() * rounded(std::sqrt(2 / M_PI));
    return with_error(2 / (1 + std::exp(-2 * t.v)), tanh_error(t) + 2 * kUnit);
}

static Num half(const Num &x) { return {x.v / 2, x.mag / 2, x.ops}; }

Num activate(int activation, const Num &x, const Num &slope) {
    constexpr double infinity = HUGE_VAL;
    switch (activation) {
    case HCONV_RELU: return clip(x, 0, infinity);
    case HCONV_RELU6: return clip(x, 0, 6);
    case HCONV_LEAKY:
    case HCONV_PRELU: return leaky(x, slope);
    case HCONV_SILU: return x * sigmoid(x);
    case HCONV_HARDSWISH: return x * sixth_of_clipped(x);
    case HCONV_HARDSIGMOID: return sixth_of_clipped(x);
    case HCONV_GELU: return half(x * one_plus_erf(x));
    case HCONV_GELUTANH: return half(x * one_plus_tanh(x));
    case HCONV_SIGMOID: return sigmoid(x);
    case HCONV_TANH: return with_error(std::tanh(x.v), tanh_error(x));
    default: return x;
    }
}

} // namespace hconv::reference
