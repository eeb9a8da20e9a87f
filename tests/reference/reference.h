// reference.h - every variant once more, as plain loops in double, with a bound on what float32 may add to it.
// SPDX-License-Identifier: MIT
// |float result - value| <= bound holds for every order of summation, with or without fused multiply-add (num.h derives
// it). Written from the definitions; of the runtime it knows the problem and the names and shapes of its tensors only.
#ifndef HCONV_TESTS_REFERENCE_H
#define HCONV_TESTS_REFERENCE_H

#include "hconv/hconv.h"

#include <cstdint>
#include <map>
#include <string>
#include <vector>

namespace hconv::reference {

// A dense tensor, outermost dimension first, as the plan's public tensor: activations in the problem's layout.
struct View {
    const float *data;
    std::vector<int64_t> shape;
};

// In the order and layout of the plan's output. Elements that a limit left out have value 0 and bound infinity.
struct Output {
    std::string name;
    std::vector<int64_t> shape;
    std::vector<double> value, bound;
};

// tensors: inputs and parameters by their standard names; optional ones may be absent. limit > 0: compute about that
// many elements of each output, the borders of each map first and a pseudo-random choice of the rest. A tensor that is
// missing, misshapen or not of this problem: std::runtime_error that says which and why.
std::vector<Output> compute(const hconv_problem &p, const std::map<std::string, View> &tensors, int64_t limit = 0);

struct Comparison {
    bool equal;          // every compared element fits
    int64_t bad;         // how many do not
    int64_t compared;    // how many were compared (a limit leaves some out)
    int64_t worst_index; // in the output, of the greatest ratio; -1 if nothing was compared
    double worst_ratio;  // |got - value| / bound; infinite for NaN and where the bound is 0 and the value differs
    double max_error, max_value;
    std::string sentence; // what was compared and how it came out, with the worst element's coordinates
};
// The same number (-0 equals 0); for data whose sums need no rounding.
Comparison compare_exact(const Output &want, const float *got);
Comparison compare_bound(const Output &want, const float *got);

} // namespace hconv::reference
#endif
