// cases.cpp - see cases.h.
// SPDX-License-Identifier: MIT
#include "tools/cases.h"

#include "tests/reference/judge.h"

#include <cstdio>

namespace hconv {

using reference::Judge;
using reference::Verdict;

std::vector<Case> cases_of(const Jobber &program, const std::vector<ListedProblem> &problems) {
    std::vector<Case> cases;
    for (const ListedProblem &listed : problems)
        for (const Problem &sized : listed.sizes)
            for (size_t r = 0; r < program.rows().size(); ++r)
                if (program.rows()[r].problem.text() == listed.text()) cases.push_back({int(r), sized});
    return cases;
}

// The program runs ahead of the comparisons: every job has a file of its own.
static std::string output_of(size_t job) { return std::to_string(job) + ".f32"; }

// The two jobs of each case: 2 i exact, 2 i + 1 random with every check that no reference is needed for.
static std::vector<Job> jobs_of(const std::vector<Case> &cases, uint64_t seed) {
    std::vector<Job> jobs;
    for (const Case &c : cases) {
        Job j;
        j.kernel = c.row, j.problem = c.problem, j.seed = seed, j.limit_seconds = 900;  // emulated processors are slow
        j.data = "exact", j.output = output_of(jobs.size());
        jobs.push_back(j);
        j.data = "random", j.output = output_of(jobs.size()), j.checks = "bounds,repeat,workspace";
        jobs.push_back(j);
    }
    return jobs;
}

namespace {

// Puts a case's two jobs together; references are kept while the next case has the same problem.
class Trial {
public:
    Trial(const Jobber &program, uint64_t seed) : program(program), seed(seed) {}

    void job_done(size_t job, const Problem &problem, const JobResult &result) {
        const bool random = job % 2;
        if (!random) begin(problem);
        if (result.outcome == "passed") compare(random, program.take_output(output_of(job)));
        else if (result.outcome == "skipped") skipped = result.why;
        else fail((random ? "random data: " : "exact data: ") + result.why);
    }
    CaseResult result() const {
        if (!failure.empty()) return {CaseResult::failed, failure, ratio};
        if (!skipped.empty()) return {CaseResult::skipped, skipped, 0};
        return {CaseResult::passed, passed + "bounds, repeat, workspace", ratio};
    }

private:
    void begin(const Problem &problem) {
        skipped = failure = passed = "";
        ratio = 0;
        if (judged == problem.text()) return;
        judged = problem.text();
        judges.clear();
        for (hconv_fill_kind kind : {HCONV_FILL_EXACT, HCONV_FILL_RANDOM}) judges.emplace_back(problem, kind, seed);
    }
    void fail(const std::string &why) { failure += (failure.empty() ? "" : "; ") + why; }
    void compare(bool random, const std::vector<float> &got) {
        Verdict v = judges[random].verdict(got.data());
        char text[64];
        std::snprintf(text, sizeof text, "%.2g", v.worst_ratio);
        if (v.worst_ratio > ratio) ratio = v.worst_ratio;
        if (!v.good) fail(std::string(random ? "random data: " : "exact data: ") + v.sentence);
        else if (v.exact) passed += "exact, ";
        else passed += std::string(random ? "random " : "small integers ") + text + " of the bound, ";
    }

    const Jobber &program;
    const uint64_t seed;
    std::vector<Judge> judges;
    std::string judged, failure, skipped, passed;
    double ratio = 0;
};

}  // namespace

void try_cases(const Jobber &program, const std::vector<Case> &cases, uint64_t seed,
               const std::function<void(size_t, const CaseResult &)> &done) {
    Trial trial(program, seed);
    program.run(jobs_of(cases, seed), [&](size_t job, const JobResult &result) {
        trial.job_done(job, cases[job / 2].problem, result);
        if (job % 2) done(job / 2, trial.result());
    });
}

}  // namespace hconv
