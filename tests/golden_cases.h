// golden_cases.h - a folder of golden cases (tests/goldens/README.md) as problems to run and outputs to expect.
// SPDX-License-Identifier: MIT
// A case is one step, or several where the module was a composition; steps pass named values on. All activations are
// kept in the layout asked for.
#ifndef HCONV_TESTS_GOLDEN_CASES_H
#define HCONV_TESTS_GOLDEN_CASES_H

#include "hconv/hconv.h"
#include "tools/tensor_file.h"

#include <functional>
#include <map>
#include <string>
#include <vector>

namespace hconv::goldens {

using Tensors = std::map<std::string, Tensor>;

struct Step {
    hconv_problem problem;
    std::string text;                           // the canonical problem string
    std::map<std::string, std::string> inputs;  // the problem's tensor -> the value that feeds it
    Tensors parameters;                         // standard names and shapes
    std::map<std::string, std::string> outputs; // the problem's tensor -> the value it makes
};

struct Case {
    std::string name, kind;
    std::string broken; // why the folder cannot be read; such a case fails
    std::string skip;   // why this build cannot run it
    Tensors inputs;     // values before the first step
    std::vector<Step> steps;
    bool rounded = false; // a recipe computed parameters and rounded them
    Tensors outputs; // values expected after the last
};

// Every folder below that holds a case.json, by name. No such folder: std::runtime_error.
std::vector<Case> read_cases(const std::string &folder, hconv_layout layout);

// Runs the steps: run gets a problem and all its tensors by standard name, and returns the problem's outputs by name.
Tensors run_case(const Case &c, const std::function<Tensors(const Step &, const Tensors &)> &run);

} // namespace hconv::goldens
#endif
