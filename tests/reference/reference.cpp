// reference.cpp - checks a request, hands it to its family, and compares what kernels return.
// SPDX-License-Identifier: MIT
#include "reference.h"

#include "families.h"

#include <limits>
#include <sstream>
#include <stdexcept>

namespace hconv::reference {

using Compute = std::vector<Output> (*)(const Request &);
static const Compute kFamilies[HCONV_VARIANT_COUNT] = {
#define HCONV_VARIANT(name, family, keys, words, about) families::family,
#include "variants.def"
#undef HCONV_VARIANT
};

template <class Shape> static std::string text_of(const Shape &shape) {
    std::string s = "[";
    for (size_t k = 0; k < shape.size(); ++k) s += (k ? ", " : "") + std::to_string(shape[k]);
    return s + "]";
}

static void check_tensors(const Request &r) {
    size_t known = 0;
    for (int k = 0; k < r.list.count; ++k) {
        const hconv_tensor &t = r.list.at[k];
        auto found = r.tensors.find(t.name);
        if (t.role == HCONV_OUTPUT) continue;
        if (found == r.tensors.end()) {
            if (t.optional) continue;
            throw std::runtime_error(std::string("tensor ") + t.name + " is missing: the reference needs it");
        }
        ++known;
        std::vector<int64_t> shape = public_shape(r.p, t);
        if (t.repeat > 1 && found->second.shape.size() == 1 && found->second.shape[0] * t.repeat == shape[0])
            shape = found->second.shape;
        if (found->second.shape != shape || !found->second.data)
            throw std::runtime_error(std::string("tensor ") + t.name + " has shape " + text_of(found->second.shape) +
                                     "; the problem wants " + text_of(shape));
    }
    if (known == r.tensors.size()) return;
    for (const auto &[name, view] : r.tensors) {
        bool listed = false;
        for (int k = 0; k < r.list.count; ++k) listed |= r.list.at[k].role != HCONV_OUTPUT && name == r.list.at[k].name;
        if (!listed) throw std::runtime_error("tensor " + name + " is given, but the problem has no such tensor");
    }
}

std::vector<Output> compute(const hconv_problem &p, const std::map<std::string, View> &tensors, int64_t limit) {
    Request r{p, tensors, {}, limit};
    char why[HCONV_WHY_BYTES] = "";
    if (hconv_problem_complete(&r.p, why, sizeof why)) throw std::runtime_error(why);
    if (r.p.n == HCONV_OPEN || r.p.h == HCONV_OPEN || r.p.w == HCONV_OPEN)
        throw std::runtime_error("the reference needs n, h and w: give the problem the sizes of the data");
    hconv_variant_of(&r.p)->family->tensors(&r.p, &r.list);
    check_tensors(r);
    return kFamilies[r.p.variant](r);
}

static std::string place(const Output &want, int64_t index) {
    std::vector<int64_t> at(want.shape.size());
    for (size_t k = at.size(); k-- > 0; index /= want.shape[k]) at[k] = index % want.shape[k];
    return want.name + text_of(at);
}

// value(i): what element i should be; allowed(i): how far it may be off.
template <class Value, class Allowed>
static Comparison compare(const Output &want, const float *got, const char *rule, Value value, Allowed allowed) {
    Comparison c{true, 0, 0, -1, -1, 0, 0, ""};
    for (size_t i = 0; i < want.value.size(); ++i) {
        if (want.bound[i] == std::numeric_limits<double>::infinity()) continue;
        double error = std::fabs(got[i] - value(i)), limit = allowed(i);
        double ratio = error == 0 ? 0 : std::isfinite(error) && limit > 0 ? error / limit : HUGE_VAL;
        if (!(error <= limit)) ++c.bad;
        if (ratio > c.worst_ratio) c.worst_ratio = ratio, c.worst_index = int64_t(i);
        if (!(error <= c.max_error)) c.max_error = std::isfinite(error) ? error : HUGE_VAL;
        c.max_value = std::max(c.max_value, std::fabs(value(i)));
        ++c.compared;
    }
    c.equal = c.bad == 0;
    std::ostringstream s;
    s.precision(9);
    s << want.name << ": " << c.compared - c.bad << " of " << c.compared << " elements " << rule;
    if (c.worst_index >= 0) {
        s << "; worst " << place(want, c.worst_index) << " = " << got[c.worst_index] << ", reference "
          << value(c.worst_index);
        s.precision(3);
        if (allowed(c.worst_index) > 0) s << " +- " << allowed(c.worst_index) << " (" << c.worst_ratio << " of it)";
    }
    c.sentence = s.str();
    return c;
}

// Values below the smallest float (a softmax weight of exp(-200)) are 0 in float; all others are floats already.
Comparison compare_exact(const Output &want, const float *got) {
    return compare(
        want, got, "equal", [&](size_t i) { return double(float(want.value[i])); }, [](size_t) { return 0.0; });
}

Comparison compare_bound(const Output &want, const float *got) {
    return compare(
        want, got, "within the rounding bound", [&](size_t i) { return want.value[i]; },
        [&](size_t i) { return want.bound[i]; });
}

} // namespace hconv::reference
