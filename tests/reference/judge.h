// judge.h - the verdict on a kernel's outputs for data of runtime/fill.h, for hconv check and the conformance test.
// SPDX-License-Identifier: MIT
// exact data must come out number for number, random data within the reference's bound; random data must also try the
// kernel: of the elements that the input reaches, no more than half may be zero or on the flat part of the activation.
#ifndef HCONV_TESTS_REFERENCE_JUDGE_H
#define HCONV_TESTS_REFERENCE_JUDGE_H

#include "fill.h"
#include "reference.h"

#include <map>
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
    // The reference's answer; without_maps: for input maps of zeros.
    std::vector<Output> evaluate(const hconv_problem &p, bool without_maps) const;
    double flat_share(size_t output, const float *got) const;
    std::vector<bool> depends(size_t output) const;

    hconv_problem problem;
    hconv_fill_kind kind;
    int64_t limit;
    std::map<std::string, std::vector<float>> storage;  // of the tensors that are given, by name
    std::vector<const float *> pointers;
    std::vector<Output> want;
};

} // namespace hconv::reference
#endif
