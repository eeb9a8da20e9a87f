// check.cpp - hconv check: every kernel of the listed problems, as it is emitted, against tests/reference.
// SPDX-License-Identifier: MIT
#include "tools/cases.h"
#include "tools/pack_up.h"

#include <nlohmann/json.hpp>

#include <cstdio>
#include <stdexcept>

namespace hconv {

int check_command(const CheckOptions &given) {
    CheckOptions options = given;
    if (!options.kernels.results.empty()) options.seed = unpack_options(options.kernels, "check").at("seed");
    std::vector<ListedProblem> problems = read_problems(options.kernels.problems);
    if (problems.empty()) throw std::invalid_argument("nothing to check: the lists hold no problem");
    // Halide's own checks see sizes: kernels that have them are tried at many.
    for (ListedProblem &p : problems)
        if (options.kernels.asserts && p.problem.open()) p.sizes = sweep_sizes(p.problem);
    std::unique_ptr<Jobber> jobber = jobber_for(problems, options.kernels, "check", nlohmann::json::object({{"seed", options.seed}}));
    const Jobber &program = *jobber;
    std::vector<Case> cases = cases_of(program, problems);
    if (!options.kernels.pack_up.empty()) {
        try_cases(program, cases, options.seed, [](size_t, const CaseResult &) {});
        std::printf("%zu cases are packed: start %s/run where they shall run\n", cases.size(), options.kernels.pack_up.c_str());
        return 0;
    }
    int counts[3] = {0, 0, 0};
    try_cases(program, cases, options.seed, [&](size_t i, const CaseResult &r) {
        static const char *const names[] = {"passed", "FAILED", "skipped"};
        const ProgramRow &row = program.rows()[size_t(cases[i].row)];
        ++counts[r.outcome];
        std::printf("[%zu/%zu] %s %s %s %s: %s\n", i + 1, cases.size(), names[r.outcome], cases[i].problem.text().c_str(),
                    row.isa.c_str(), row.schedule.c_str(), r.sentence.c_str());
        if (r.outcome == CaseResult::failed)
            std::printf("repro: %s\n", repro("check", cases[i].problem, row, options.kernels, options.seed).c_str());
        std::fflush(stdout);
    });
    if (options.kernels.results.empty()) std::printf("check: %s\n", program.totals().text().c_str());
    std::printf("%d passed, %d failed, %d skipped\n", counts[CaseResult::passed], counts[CaseResult::failed],
                counts[CaseResult::skipped]);
    return counts[CaseResult::failed] ? 1 : 0;
}

}  // namespace hconv
