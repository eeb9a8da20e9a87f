// problem.cpp - see problem.h.
// SPDX-License-Identifier: MIT
#include "generators/problem.h"

#include "runtime/variants/common.h"

#include <algorithm>
#include <stdexcept>

namespace hconv {

Problem Problem::parse(const std::string &text) {
    Problem p{};
    char why[HCONV_WHY_BYTES] = "";
    if (hconv_problem_parse(text.c_str(), &p, why, sizeof why)) throw std::invalid_argument(text + ": " + why);
    return p;
}

std::string Problem::text() const {
    char buffer[HCONV_PROBLEM_BYTES];
    if (hconv_problem_format(this, buffer, sizeof buffer)) throw std::invalid_argument("a problem that cannot be formatted");
    return buffer;
}

static std::vector<hconv_tensor> to_vector(const hconv_tensor_list &list) { return {list.at, list.at + list.count}; }

std::vector<hconv_tensor> Problem::tensors() const {
    hconv_tensor_list list;
    kind().family->tensors(this, &list);
    return to_vector(list);
}

std::vector<hconv_tensor> Problem::kernel_tensors() const {
    hconv_tensor_list list;
    kind().family->kernel_tensors(this, &list);
    return to_vector(list);
}

Problem Problem::as_map() const {
    Problem p = *this;
    if (p.variant == HCONV_VARIANT_linear) p.w = p.n, p.h = 1, p.n = 1;
    return p;
}

int Problem::oh() const { return hconv_oh(this); }
int Problem::ow() const { return hconv_ow(this); }

std::string TensorArgument::identifier() const {
    std::string name = tensor.name;
    std::replace(name.begin(), name.end(), '.', '_');
    return name;
}

int TensorArgument::rank() const {
    const size_t colon = layout.find(':');
    const auto first = layout.begin() + std::ptrdiff_t(colon == std::string::npos ? 0 : colon + 1);
    return int(std::count_if(first, layout.end(), [](char c) { return c < '0' || c > '9'; }));
}

}  // namespace hconv
