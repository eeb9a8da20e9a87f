// bench.cpp - hconv bench: warm times of every kernel of the listed problems, as it is emitted.
// SPDX-License-Identifier: MIT
// A row is a kernel at one size: median and least of the rounds, each a batch of runs long enough for the clock. The
// answer is compared with the reference once, outside the timing.
#include "tests/reference/judge.h"
#include "tools/pack_up.h"

#include <nlohmann/json.hpp>

#include <algorithm>
#include <cstdio>
#include <stdexcept>

namespace hconv {

namespace {

struct Entry {
    const ListedProblem *listed;
    Job job;
};

std::vector<Entry> entries_of(const Jobber &program, const std::vector<ListedProblem> &problems,
                              const BenchOptions &o) {
    std::vector<Entry> entries;
    for (const ListedProblem &listed : problems)
        for (const Problem &sized : listed.sizes)
            for (size_t r = 0; r < program.rows().size(); ++r) {
                if (program.rows()[r].problem.text() != listed.text()) continue;
                Job j;
                j.kernel = int(r), j.problem = sized, j.data = "random", j.seed = 2;
                j.threads = o.threads, j.rounds = o.rounds, j.limit_seconds = 600;
                j.output = std::to_string(entries.size()) + ".f32";
                entries.push_back({&listed, j});
            }
    return entries;
}

nlohmann::ordered_json row_of(const Entry &e, const ProgramRow &row, const JobResult &r) {
    return {{"problem", e.job.problem.text()},
            {"label", e.listed->label},
            {"times", e.listed->times},
            {"target", row.target},
            {"schedule", row.schedule},
            {"outcome", r.outcome},
            {"why", r.why},
            {"threads", e.job.threads},
            {"ns", {{"median", r.median_ns}, {"min", r.min_ns}, {"rounds", e.job.rounds}}},
            {"gflops", r.median_ns > 0 ? r.flops / r.median_ns : 0},
            {"bytes_moved", r.bytes_moved}};
}

void print_row(const Entry &e, const ProgramRow &row, const JobResult &r, int width) {
    std::printf("%-*s %-8s %-24s ", width, (e.listed->label.empty() ? e.job.problem.text() : e.listed->label).c_str(),
                row.isa.c_str(), row.schedule.c_str());
    if (r.outcome == "passed")
        std::printf("%12.2f %12.2f %9.2f\n", r.median_ns / 1e3, r.min_ns / 1e3, r.flops / r.median_ns);
    else std::printf("%s: %s\n", r.outcome.c_str(), r.why.c_str());
    std::fflush(stdout);
}

// After all timing, so that it disturbs none.
void check_answer(const Jobber &program, const Job &job, JobResult &r) {
    if (r.outcome != "passed") return;
    reference::Verdict v = reference::Judge(job.problem, HCONV_FILL_RANDOM, job.seed, 4096)
                               .verdict(program.take_output(job.output).data());
    if (!v.good) r.outcome = "failed", r.why = v.sentence;
}

} // namespace

int bench_command(const BenchOptions &given) {
    BenchOptions o = given;
    if (!o.kernels.results.empty()) {
        const nlohmann::json numbers = unpack_options(o.kernels, "bench");
        o.threads = numbers.at("threads"), o.rounds = numbers.at("rounds");
    }
    std::vector<ListedProblem> problems = read_problems(o.kernels.problems);
    if (problems.empty() || o.rounds < 1 || o.threads < 1)
        throw std::invalid_argument("hconv bench needs a problem, at least one round and at least one thread");
    std::unique_ptr<Jobber> jobber = jobber_for(problems, o.kernels, "bench",
                                                nlohmann::json::object({{"threads", o.threads}, {"rounds", o.rounds}}));
    const Jobber &program = *jobber;
    std::vector<Entry> entries = entries_of(program, problems, o);
    std::vector<Job> jobs;
    nlohmann::ordered_json rows = nlohmann::ordered_json::array();
    int width = 8, failures = 0;
    double total_ns = 0, total_flops = 0;
    for (const Entry &e : entries) {
        jobs.push_back(e.job);
        width = std::max(width, int(e.listed->label.empty() ? e.job.problem.text().size() : e.listed->label.size()));
    }
    if (!o.kernels.pack_up.empty()) {
        program.run(jobs, {});
        std::printf("%zu rows are packed: start %s/run where they shall be timed\n", jobs.size(), o.kernels.pack_up.c_str());
        return 0;
    }
    std::printf("%d thread%s, %d rounds, warm\n%-*s %-8s %-24s %12s %12s %9s\n", o.threads, o.threads > 1 ? "s" : "",
                o.rounds, width, "problem", "isa", "schedule", "median us", "min us", "GFLOP/s");
    std::vector<JobResult> results(jobs.size());
    program.run(jobs, [&](size_t i, const JobResult &r) {
        results[i] = r;
        print_row(entries[i], program.rows()[jobs[i].kernel], r, width);
        total_ns += entries[i].listed->times * r.median_ns, total_flops += entries[i].listed->times * r.flops;
    });
    if (entries.size() > 1)
        std::printf("all, each as often as its *times: %.3f ms, %.2f GFLOP/s\n", total_ns / 1e6,
                    total_ns > 0 ? total_flops / total_ns : 0);
    for (size_t i = 0; i < jobs.size(); ++i) {
        const ProgramRow &row = program.rows()[jobs[i].kernel];
        check_answer(program, jobs[i], results[i]);
        if (results[i].outcome == "failed") {
            ++failures;
            std::printf("wrong: %s: %s\nrepro: %s\n", jobs[i].problem.text().c_str(), results[i].why.c_str(),
                        repro("check", jobs[i].problem, row, o.kernels, jobs[i].seed).c_str());
        }
        rows.push_back(row_of(entries[i], row, results[i]));
    }
    if (!o.json.empty()) write_file(o.json, rows.dump(1) + "\n");
    return failures ? 1 : 0;
}

} // namespace hconv
