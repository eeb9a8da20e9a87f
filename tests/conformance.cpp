// conformance.cpp - every kernel of an emitted table x every check; hconv check does the same for single problems.
// SPDX-License-Identifier: MIT
// exact      small integers: number for number where every sum is exact, else within the reference's bound
// rounding   random floats within the reference's bound, and not mostly zero
// bounds, repeat, workspace: runtime/trial.h
// Kernels with open sizes are tried at each of default_sizes(). Each trial is a process of its own.
#include "conformance.h"
#include "tests/reference/judge.h"
#include "tools/problem_list.h"
#include "trial.h"

#include <gtest/gtest.h>

#include <memory>

namespace {

using hconv::Problem;
using hconv::reference::Judge;
using hconv::reference::Verdict;

constexpr uint64_t kSeed = 3;

struct Check {
    const char *name;
    hconv_fill_kind data;
    unsigned trial_checks;
};
const Check kChecks[] = {{"exact", HCONV_FILL_EXACT, 0},
                         {"rounding", HCONV_FILL_RANDOM, 0},
                         {"bounds", HCONV_FILL_RANDOM, HCONV_TRIAL_BOUNDS},
                         {"repeat", HCONV_FILL_RANDOM, HCONV_TRIAL_REPEAT},
                         {"workspace", HCONV_FILL_RANDOM, HCONV_TRIAL_WORKSPACE}};

struct Point {
    const hconv_kernel *kernel;
    const Check *check;
};

void PrintTo(const Point &p, std::ostream *out) {
    *out << p.kernel->problem << " " << p.kernel->isa << " " << p.check->name;
}

std::vector<Point> all_points() {
    std::vector<Point> points;
    for (uint32_t k = 0; k < hconv_library_conformance.kernel_count; ++k)
        for (const Check &check : kChecks) points.push_back({&hconv_library_conformance.kernels[k], &check});
    return points;
}

std::string name_of(const testing::TestParamInfo<Point> &info) {
    std::string symbol = info.param.kernel->symbol;
    return symbol.substr(symbol.find("__") + 2) + "__" + info.param.check->name;
}

class Conformance : public testing::TestWithParam<Point> {};

TEST_P(Conformance, Holds) {
    const auto [kernel, check] = GetParam();
    Problem problem = Problem::parse(kernel->problem);
    int tried = 0;
    std::string skipped;
    for (const Problem &p : problem.open() ? hconv::default_sizes(problem) : std::vector<Problem>{problem}) {
        Judge judge(p, check->data, kSeed);
        hconv_trial t{};
        t.kernel = kernel, t.problem = &p, t.data = judge.data(), t.checks = check->trial_checks, t.limit_seconds = 120;
        std::unique_ptr<hconv_trial_result, void (*)(hconv_trial_result *)> r(hconv_trial_run(&t), hconv_trial_free);
        ASSERT_TRUE(r) << "no memory for " << p.text();
        ASSERT_NE(r->outcome, HCONV_FAILED) << p.text() << ": " << r->sentence;
        if (r->outcome == HCONV_SKIPPED) skipped = r->sentence;
        if (r->outcome == HCONV_SKIPPED) continue;
        Verdict v = judge.verdict(r->output);
        EXPECT_TRUE(v.good) << p.text() << ": " << v.sentence;
        ++tried;
    }
    if (HasFailure())
        std::printf("repro: hconv check '%s' --target %s --schedule '%s' --seed %d\n", kernel->problem, kernel->target,
                    kernel->schedule, int(kSeed));
    if (!tried) GTEST_SKIP() << skipped;
}

INSTANTIATE_TEST_SUITE_P(Kernels, Conformance, testing::ValuesIn(all_points()), name_of);

} // namespace
