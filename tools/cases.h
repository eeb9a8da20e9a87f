// cases.h - a kernel at one size, tried in every way and compared with the reference: what hconv check prints and what emit
// asks for before a kernel may ship.
// SPDX-License-Identifier: MIT
#pragma once

#include "tools/run_program.h"

#include <functional>
#include <string>
#include <vector>

namespace hconv {

struct Case {
    int row;  // of the program's table
    Problem problem;
};

struct CaseResult {
    enum Outcome { passed, failed, skipped } outcome = passed;
    std::string sentence;
    double worst_ratio = 0;  // error over the reference's bound, random data
};

// Every kernel of the program at every listed size of its problem.
std::vector<Case> cases_of(const Jobber &program, const std::vector<ListedProblem> &problems);

// Exact data; random data with guard pages, repeats and exact workspace (runtime/trial.h). done(i, result) as each case ends.
void try_cases(const Jobber &program, const std::vector<Case> &cases, uint64_t seed,
               const std::function<void(size_t, const CaseResult &)> &done);

}  // namespace hconv
