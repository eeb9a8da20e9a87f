// num.h - a number with what float32 may have done to it: first-order forward error analysis, any order of summation.
// SPDX-License-Identifier: MIT
// |float - v| <= ops u mag (1 + 1 %), u = 2^-24. mag bounds the sum of the magnitudes that went in. A product takes
// mag_a mag_b and ops_a + ops_b + 1 roundings; a sum of N terms, in any order, takes sum mag and max ops + N - 1 (Higham,
// Accuracy and Stability, section 4.2). The 1 % covers products of error terms while ops u < 0.01.
#ifndef HCONV_TESTS_REFERENCE_NUM_H
#define HCONV_TESTS_REFERENCE_NUM_H

#include <algorithm>
#include <cmath>

namespace hconv::reference {

constexpr double kUnit = 0x1p-24; // half the distance from 1 to the next float
// Products that fall under the smallest normal float may become 0: far below anything that matters, far above 2^-126.
constexpr double kFloor = 0x1p-100;

// What a float implementation of a function may lose, in units of u. Each is what the kernels' polynomials (exp, tanh:
// generators/algebra.cpp, erf: Halide 21's) were found to lose over the floats of the range named, rounded up; an
// implementation that loses more has to be argued for.
constexpr double kExpOps = 8;    // exp: relative, [-87, 87]: 6.7, multiply-adds fused; it grows with |x|, 3.6 in [-20, 20]
constexpr double kErfError = 16; // erf: absolute, [-6, 6]: 6.7; relative the same
constexpr double kTanhError = 8; // tanh as (1 - e) / (1 + e), e = exp(-2 |x|): absolute: 3.9; relative is unbounded at 0

struct Num {
    double v = 0, mag = 0, ops = 0;

    double error() const { return 1.01 * ops * kUnit * mag; }
    double bound() const { return error() + kFloor; }
};

inline Num exactly(double v) { return {v, std::fabs(v), 0}; }
inline Num rounded(double v) { return {v, std::fabs(v), 1}; } // made in double, stored as float

inline Num operator*(const Num &a, const Num &b) { return {a.v * b.v, a.mag * b.mag, a.ops + b.ops + 1}; }

// v, known to be wrong by at most error.
inline Num with_error(double v, double error) {
    Num r{v, std::fabs(v) + error + kFloor, 0};
    r.ops = error / (kUnit * r.mag);
    return r;
}

// A sum of terms that may be added in any order, also one by one into a running total that holds the others.
struct Sum {
    double v = 0, mag = 0, ops = 0, terms = 0;

    void add(const Num &a) { v += a.v, mag += a.mag, ops = std::max(ops, a.ops), terms += 1; }
    Num total() const {
        double additions = terms > 1 ? terms - 1 : 0;
        return {v, mag, ops + additions / (1 - std::min(additions * kUnit, 0.5))};
    }
};

Num sigmoid(const Num &x);
// softmax over count numbers, in place.
void softmax(Num *x, int count);
// hconv_activation; slope: of leaky and prelu.
Num activate(int activation, const Num &x, const Num &slope);

} // namespace hconv::reference
#endif
