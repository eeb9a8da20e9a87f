// check.cpp - hconv check: every kernel of the listed problems, as it is emitted, against tests/reference.
// SPDX-License-Identifier: MIT
// A case is a kernel at one size: exact and random data, guard pages, repeats, workspace (runtime/trial.h says which).
#include "tests/reference/judge.h"
#include "tools/run_program.h"

#include <cstdio>
#include <stdexcept>

namespace hconv {

namespace {

using reference::Judge;
using reference::Verdict;

struct Case {
    int row;
    Problem problem;
};

std::vector<Case> cases_of(const RunProgram &program, const std::vector<ListedProblem> &problems) {
    std::vector<Case> cases;
    for (const ListedProblem &listed : problems)
        for (const Problem &sized : listed.sizes)
            for (size_t r = 0; r < program.rows().size(); ++r)
                if (program.rows()[r].problem.text() == listed.text()) cases.push_back({int(r), sized});
    return cases;
}

// The program runs ahead of the comparisons: every job has a file of its own.
std::string output_of(size_t job) { return std::to_string(job) + ".f32"; }

// The two jobs of each case: 2 i exact, 2 i + 1 random with every check that no reference is needed for.
std::vector<Job> jobs_of(const std::vector<Case> &cases, uint64_t seed) {
    std::vector<Job> jobs;
    for (const Case &c : cases) {
        Job j;
        j.kernel = c.row, j.problem = c.problem, j.seed = seed;
        j.data = "exact", j.output = output_of(jobs.size());
        jobs.push_back(j);
        j.data = "random", j.output = output_of(jobs.size()), j.checks = "bounds,repeat,workspace", j.limit_seconds = 300;
        jobs.push_back(j);
    }
    return jobs;
}

// Counts cases and prints a line for each; references are kept while the next case has the same problem.
class Tally {
public:
    Tally(const RunProgram &program, const CheckOptions &options, const std::vector<Case> &cases)
        : program(program), options(options), cases(cases) {}

    void job_done(size_t job, const JobResult &result) {
        bool random = job % 2;
        if (!random) begin(cases[job / 2]);
        if (result.outcome == "passed") compare(random, program.take_output(output_of(job)));
        else if (result.outcome == "skipped") skipped = result.why;
        else fail((random ? "random data: " : "exact data: ") + result.why);
        if (random) end(job / 2);
    }
    int close() const {
        std::printf("%d passed, %d failed, %d skipped\n", counts[0], counts[1], counts[2]);
        return counts[1] ? 1 : 0;
    }

private:
    void begin(const Case &c) {
        skipped = failure = passed = "";
        if (judged == c.problem.text()) return;
        judged = c.problem.text();
        judges.clear();
        for (hconv_fill_kind kind : {HCONV_FILL_EXACT, HCONV_FILL_RANDOM}) judges.emplace_back(c.problem, kind, options.seed);
    }
    void fail(const std::string &why) { failure += (failure.empty() ? "" : "; ") + why; }
    void compare(bool random, const std::vector<float> &got) {
        Verdict v = judges[random].verdict(got.data());
        char ratio[64];
        std::snprintf(ratio, sizeof ratio, "%.2g", v.worst_ratio);
        if (!v.good) fail(std::string(random ? "random data: " : "exact data: ") + v.sentence);
        else if (v.exact) passed += "exact, ";
        else passed += std::string(random ? "random " : "small integers ") + ratio + " of the bound, ";
    }
    void end(size_t i) {
        const Case &c = cases[i];
        const ProgramRow &row = program.rows()[c.row];
        int outcome = !failure.empty() ? 1 : !skipped.empty() ? 2 : 0;
        static const char *const names[] = {"passed", "FAILED", "skipped"};
        ++counts[outcome];
        std::printf("[%zu/%zu] %s %s %s %s: %s\n", i + 1, cases.size(), names[outcome], c.problem.text().c_str(), row.isa.c_str(),
                    row.schedule.c_str(), outcome == 1 ? failure.c_str() : outcome == 2 ? skipped.c_str()
                                                       : (passed + "bounds, repeat, workspace").c_str());
        if (outcome == 1) std::printf("repro: %s\n", repro("check", c.problem, row, options.kernels, options.seed).c_str());
        std::fflush(stdout);
    }

    const RunProgram &program;
    const CheckOptions &options;
    const std::vector<Case> &cases;
    std::vector<Judge> judges;
    std::string judged, failure, skipped, passed;
    int counts[3] = {0, 0, 0};
};

}  // namespace

int check_command(const CheckOptions &options) {
    std::vector<ListedProblem> problems = read_problems(options.kernels.problems);
    if (problems.empty()) throw std::invalid_argument("nothing to check: the lists hold no problem");
    RunProgram program(problems, options.kernels);
    std::vector<Case> cases = cases_of(program, problems);
    Tally tally(program, options, cases);
    program.run(jobs_of(cases, options.seed), [&](size_t i, const JobResult &r) { tally.job_done(i, r); });
    return tally.close();
}

}  // namespace hconv
