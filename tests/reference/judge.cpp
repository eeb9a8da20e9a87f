// judge.cpp - see judge.h.
// SPDX-License-Identifier: MIT
#include "judge.h"

#include "maps.h"

#include <cstring>
#include <limits>
#include <map>

namespace hconv::reference {

Judge::Judge(const hconv_problem &p, hconv_fill_kind kind, uint64_t seed, int64_t limit)
    : problem(p), kind(kind), limit(limit) {
    hconv_tensor_list list;
    hconv_variant_of(&p)->family->tensors(&p, &list);
    pointers.resize(list.count, nullptr);
    for (int i = 0; i < list.count; ++i) {
        const hconv_tensor &t = list.at[i];
        if (t.role == HCONV_OUTPUT || hconv_fill_absent(&t, kind, seed)) continue;
        std::vector<float> &to = storage[t.name];
        to.resize(hconv_tensor_elements(&t));
        hconv_fill(&p, &t, kind, seed, to.data());
        pointers[i] = to.data();
    }
    if (!limit && hconv_variant_of(&p)->family->multiply_adds(&p) > 1e9) this->limit = 4096;
    want = evaluate(problem, false);
}

std::vector<Output> Judge::evaluate(const hconv_problem &p, bool without_maps) const {
    hconv_tensor_list list;
    std::map<std::string, View> views;
    std::vector<std::vector<float>> zeros;
    hconv_variant_of(&p)->family->tensors(&p, &list);
    zeros.reserve(size_t(list.count));
    for (int i = 0; i < list.count; ++i) {
        const hconv_tensor &t = list.at[i];
        const auto given = storage.find(t.name);
        if (given == storage.end()) continue;
        views[t.name] = {given->second.data(), public_shape(p, t)};
        if (!without_maps || t.role != HCONV_INPUT || !std::strcmp(t.name, "routing")) continue;
        zeros.emplace_back(given->second.size());
        views[t.name].data = zeros.back().data();
    }
    return compute(p, views, limit);
}

// A window that lies mostly in the padding has few taps, whose sum is negative as often as positive: half is chance.
constexpr double kMostFlat = 0.3, kMostFlatReached = 0.5;

static int64_t channels(const hconv_problem &p, const Output &w) {
    return w.shape.size() > 2 && p.layout == HCONV_NCHW ? w.shape[1] : w.shape.back();
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

// Share of the elements that try nothing, 0 where it is too small to matter; few elements, or few channels, prove nothing
// either way: a channel's window may well have a negative sum.
double Judge::flat_share(size_t output, const float *got) const {
    const Output &w = want[output];
    auto share = [&](const std::vector<bool> *reached) {
        double count = 0, compared = 0;
        for (size_t i = 0; i < w.value.size(); ++i) {
            if (w.bound[i] == std::numeric_limits<double>::infinity() || (reached && !(*reached)[i])) continue;
            count += flat(problem.activation, got[i]), ++compared;
        }
        return compared < 128 || channels(problem, w) < 8 ? 0 : count / compared;
    };
    if (share(nullptr) <= kMostFlat) return 0;
    std::vector<bool> reached = depends(output);
    const double left = share(&reached);
    return left <= kMostFlatReached ? 0 : left;
}

// Which elements the input maps reach, before the activation: not those whose windows lie in the padding.
std::vector<bool> Judge::depends(size_t output) const {
    hconv_problem sum = problem;
    sum.activation = HCONV_LINEAR;
    const Output with = evaluate(sum, false)[output], without = evaluate(sum, true)[output];
    std::vector<bool> reached(with.value.size());
    for (size_t i = 0; i < reached.size(); ++i) reached[i] = with.value[i] != without.value[i];
    return reached;
}

Verdict Judge::verdict(const float *outputs) const {
    Verdict v;
    v.exact =
        kind == HCONV_FILL_EXACT && !hconv_fill_inexact(&problem) && hconv_fill_exact_activation(problem.activation);
    for (const Output &w : want) {
        Comparison c = v.exact ? compare_exact(w, outputs) : compare_bound(w, outputs);
        double share = kind == HCONV_FILL_RANDOM ? flat_share(size_t(&w - want.data()), outputs) : 0;
        v.good &= c.equal && share == 0;
        if (!v.exact && c.worst_ratio > v.worst_ratio) v.worst_ratio = c.worst_ratio;
        v.sentence += (v.sentence.empty() ? "" : "; ") + c.sentence;
        if (share > 0)
            v.sentence += "; " + std::to_string(int(100 * share)) + " % of " + w.name +
                          " are zero or saturated: the data tries too little";
        outputs += w.value.size();
    }
    return v;
}

} // namespace hconv::reference
