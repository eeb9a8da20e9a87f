// judge.h - the verdict on a kernel's outputs for data of runtime/fill.h, for hconv check and the conformance test.
// SPDX-License-Identifier: MIT
// exact data must come out number for number, random data within the reference's bound; random data must also try the
// kernel: no more than 30 % of an output may be zero or on the flat part of its activation.
#ifndef HCONV_TESTS_REFERENCE_JUDGE_H
#define HCONV_TESTS_REFERENCE_JUDGE_H

#include "fill.h"
#include "reference.h"

#include <string>
#include <vector>

namespace hconv::reference {

struct Verdict {
    bool good = true, exact = false; // exact: compared number for number
    double worst_ratio = 0;          // of the bound; 0 where exact
    std::string sentence;            // every output's comparison
};

class Judge {
public:
    // p: complete, every size known. limit: elements compared of each output, the borders first; 0 = all of them, or
    // 4,096 above 10^9 multiply-adds.
    Judge(const hconv_problem &p, hconv_fill_kind kind, uint64_t seed, int64_t limit = 0);
    // The standard tensors in order; NULL = an output, or an optional one left out.
    const float *const *data() const { return pointers.data(); }
    // outputs: all of them, one behind the other, as hconv_trial_result has them.
    Verdict verdict(const float *outputs) const;

private:
    hconv_problem problem;
    hconv_fill_kind kind;
    std::vector<std::vector<float>> storage;
    std::vector<const float *> pointers;
    std::vector<Output> want;
};

} // namespace hconv::reference
#endif
