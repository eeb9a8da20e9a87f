// bench.cpp - hconv bench: warm times of every kernel of the listed problems, as it is emitted.
// SPDX-License-Identifier: MIT
// A row is a kernel at one size: median and least of the rounds, each a batch of runs long enough for the clock. The
// answer is compared with the reference once, outside the timing. Where the kernels run here, the machine's limits are measured
// before and after each row, and the row shows its share: the time that its multiply-adds or its bytes need at least.
#include "bench/roofline.h"
#include "tests/reference/judge.h"
#include "tools/pack_up.h"

#include <nlohmann/json.hpp>

#include <algorithm>
#include <cmath>
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

// 1e9 operations and bytes a second; 0 = not measured.
struct Limits {
    double gflops = 0, l2_gbytes = 0, memory_gbytes = 0;

    void measure(const std::string &isa, int threads) {
        const double seconds = 0.005;
        const size_t l2 = hconv_roofline_l2(), far = std::max<size_t>(8 * l2, 1 << 24);
        gflops = std::max(gflops, hconv_roofline_gflops(isa.c_str(), 0, threads, seconds, nullptr));
        for (int copy = 0; copy < 2; ++copy) {
            l2_gbytes = std::max(l2_gbytes, hconv_roofline_gbytes(l2 / 2, copy, threads, seconds, nullptr));
            memory_gbytes = std::max(memory_gbytes, hconv_roofline_gbytes(far, copy, threads, seconds, nullptr));
        }
    }
    // Nanoseconds that the row's multiply-adds or bytes need at least.
    double least_ns(const JobResult &r, int threads) const {
        if (gflops <= 0 || l2_gbytes <= 0 || memory_gbytes <= 0) return 0;
        const double near = std::min(r.bytes_moved, double(hconv_roofline_l2()) * threads);  // may still lie in L2
        return std::max(r.flops / gflops, near / l2_gbytes + (r.bytes_moved - near) / memory_gbytes);
    }
};

double share(const Limits &limits, const JobResult &r, int threads) {
    return r.median_ns > 0 ? limits.least_ns(r, threads) / r.median_ns : 0;
}

nlohmann::ordered_json row_of(const Entry &e, const ProgramRow &row, const JobResult &r, const Limits &limits) {
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
            {"bytes_moved", r.bytes_moved},
            {"limits", {{"gflops", limits.gflops}, {"l2_gbytes", limits.l2_gbytes}, {"memory_gbytes", limits.memory_gbytes}}},
            {"share_of_limit", share(limits, r, e.job.threads)}};
}

void print_row(const Entry &e, const ProgramRow &row, const JobResult &r, const Limits &limits, int width) {
    const double part = share(limits, r, e.job.threads);
    std::printf("%-*s %-8s %-24s ", width, (e.listed->label.empty() ? e.job.problem.text() : e.listed->label).c_str(),
                row.isa.c_str(), row.schedule.c_str());
    if (r.outcome == "passed")
        std::printf("%12.2f %12.2f %9.2f %6s\n", r.median_ns / 1e3, r.min_ns / 1e3, r.flops / r.median_ns,
                    part > 0 ? (std::to_string(std::lround(part * 100)) + " %").c_str() : "-");
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

// Job by job.
void run_between_limits(const Jobber &program, const std::vector<Job> &jobs, std::vector<Limits> &limits,
                        const std::function<void(size_t, const JobResult &)> &done) {
    for (size_t i = 0; i < jobs.size(); ++i) {
        const std::string isa = program.rows()[jobs[i].kernel].isa;
        JobResult result;
        limits[i].measure(isa, jobs[i].threads);
        program.run({jobs[i]}, [&](size_t, const JobResult &r) { result = r; });
        limits[i].measure(isa, jobs[i].threads);
        done(i, result);
    }
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
    // Emulated processors run right and tell nothing about time.
    const bool emulated = o.kernels.runner.find("qemu") != std::string::npos;
    std::printf("%d thread%s, %d rounds, warm%s\n%-*s %-8s %-24s %12s %12s %9s %6s\n", o.threads, o.threads > 1 ? "s" : "",
                o.rounds, emulated ? "; on an emulated processor: not a timing" : "", width, "problem", "isa", "schedule",
                "median us", "min us", "GFLOP/s", "limit");
    std::vector<JobResult> results(jobs.size());
    std::vector<Limits> limits(jobs.size());
    auto done = [&](size_t i, const JobResult &r) {
        results[i] = r;
        print_row(entries[i], program.rows()[jobs[i].kernel], r, limits[i], width);
        total_ns += entries[i].listed->times * r.median_ns, total_flops += entries[i].listed->times * r.flops;
    };
    if (o.kernels.results.empty() && o.kernels.runner.empty()) run_between_limits(program, jobs, limits, done);
    else program.run(jobs, done);
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
        rows.push_back(row_of(entries[i], row, results[i], limits[i]));
        if (emulated) rows.back()["emulated"] = true;
    }
    if (!o.json.empty()) write_file(o.json, rows.dump(1) + "\n");
    return failures ? 1 : 0;
}

} // namespace hconv
