// judge.cpp - see judge.h.
// SPDX-License-Identifier: MIT
#include "judge.h"

#include "maps.h"

#include <limits>
#include <map>

namespace hconv::reference {

Judge::Judge(const hconv_problem &p, hconv_fill_kind kind, uint64_t seed, int64_t limit) : problem(p), kind(kind) {
    hconv_tensor_list list;
    std::map<std::string, View> views;
    hconv_variant_of(&p)->family->tensors(&p, &list);
    storage.resize(list.count), pointers.resize(list.count, nullptr);
    for (int i = 0; i < list.count; ++i) {
        const hconv_tensor &t = list.at[i];
        if (t.role == HCONV_OUTPUT || hconv_fill_absent(&t, kind, seed)) continue;
        storage[i].resize(hconv_tensor_elements(&t));
        hconv_fill(&p, &t, kind, seed, storage[i].data());
        pointers[i] = storage[i].data();
        views[t.name] = {pointers[i], public_shape(p, t)};
    }
    if (!limit && hconv_variant_of(&p)->family->multiply_adds(&p) > 1e9) limit = 4096;
    want = compute(p, views, limit);
}

// Values that many different sums give: a kernel that returns nothing else would look right.
static bool flat(int activation, float y) {
    switch (activation) {
    case HCONV_RELU6: return y == 0 || y == 6;
    case HCONV_HARDSIGMOID:
    case HCONV_SIGMOID: return y == 0 || y == 1;
    case HCONV_TANH: return y == -1 || y == 0 || y == 1;
    default: return y == 0;
    }
}

// Share of the compared elements that try nothing; few elements prove nothing either way. Without an activation an element
// that must be exactly 0 has no term: there is nothing to try (a window smaller than the stride of transposed).
static double flat_share(const hconv_problem &p, const Output &want, const float *got) {
    double count = 0, compared = 0;
    for (size_t i = 0; i < want.value.size(); ++i) {
        bool empty = p.activation == HCONV_LINEAR && want.bound[i] <= kFloor;
        if (want.bound[i] == std::numeric_limits<double>::infinity() || empty) continue;
        count += flat(p.activation, got[i]), ++compared;
    }
    return compared < 128 ? 0 : count / compared;
}

Verdict Judge::verdict(const float *outputs) const {
    Verdict v;
    v.exact =
        kind == HCONV_FILL_EXACT && !hconv_fill_inexact(&problem) && hconv_fill_exact_activation(problem.activation);
    for (const Output &w : want) {
        Comparison c = v.exact ? compare_exact(w, outputs) : compare_bound(w, outputs);
        double share = kind == HCONV_FILL_RANDOM ? flat_share(problem, w, outputs) : 0;
        v.good &= c.equal && share <= 0.3;
        if (!v.exact && c.worst_ratio > v.worst_ratio) v.worst_ratio = c.worst_ratio;
        v.sentence += (v.sentence.empty() ? "" : "; ") + c.sentence;
        if (share > 0.3)
            v.sentence += "; " + std::to_string(int(100 * share)) + " % of " + w.name +
                          " are zero or saturated: the data tries too little";
        outputs += w.value.size();
    }
    return v;
}

} // namespace hconv::reference
