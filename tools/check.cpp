// check.cpp - hconv check: every kernel of the listed or drawn problems, as it is emitted, against tests/reference.
// SPDX-License-Identifier: MIT
#include "tools/cases.h"
#include "tools/pack_up.h"
#include "tools/random_problems.h"

#include <nlohmann/json.hpp>

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <map>
#include <stdexcept>

namespace hconv {

namespace {

constexpr size_t kBatch = 48;  // kernels of drawn problems that are linked into one program

struct Counts {
    size_t of[3] = {0, 0, 0};  // by CaseResult::Outcome
    size_t all() const { return of[0] + of[1] + of[2]; }
};

void print_repro(const Case &c, const ProgramRow &row, const KernelOptions &kernels, uint64_t seed) {
    std::printf("repro: %s\n", repro("check", c.problem, row, kernels, seed).c_str());
}

int check_listed(const CheckOptions &options, std::vector<ListedProblem> problems) {
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
    Counts counts;
    try_cases(program, cases, options.seed, [&](size_t i, const CaseResult &r) {
        static const char *const names[] = {"passed", "FAILED", "skipped"};
        const ProgramRow &row = program.rows()[size_t(cases[i].row)];
        ++counts.of[r.outcome];
        std::printf("[%zu/%zu] %s %s %s %s: %s\n", i + 1, cases.size(), names[r.outcome], cases[i].problem.text().c_str(),
                    row.isa.c_str(), row.schedule.c_str(), r.sentence.c_str());
        if (r.outcome == CaseResult::failed) print_repro(cases[i], row, options.kernels, options.seed);
        std::fflush(stdout);
    });
    if (options.kernels.results.empty()) std::printf("check: %s\n", program.totals().text().c_str());
    std::printf("%zu passed, %zu failed, %zu skipped\n", counts.of[CaseResult::passed], counts.of[CaseResult::failed],
                counts.of[CaseResult::skipped]);
    return counts.of[CaseResult::failed] ? 1 : 0;
}

// Many kernels, few words: what fails or is skipped is printed, the rest counted by variant.
class RandomCheck {
public:
    explicit RandomCheck(const CheckOptions &o) : options(o) { options.kernels.compile.progress = nullptr; }

    int run(const std::vector<ListedProblem> &problems) {
        for (size_t at = 0; at < problems.size(); at += kBatch) {
            const size_t end = std::min(at + kBatch, problems.size());
            check({problems.begin() + long(at), problems.begin() + long(end)});
            std::printf("%zu of %zu kernels: %zu instances, %zu mismatches, %zu skipped, %.0f s\n", end, problems.size(),
                        total.all(), total.of[CaseResult::failed], total.of[CaseResult::skipped], seconds());
            std::fflush(stdout);
        }
        for (const auto &[variant, count] : variants)
            std::printf("%-20s %6zu instances, %5zu kernels, %zu mismatches, %zu skipped\n", variant.c_str(), count.cases.all(),
                        count.kernels, count.cases.of[CaseResult::failed], count.cases.of[CaseResult::skipped]);
        std::printf("check: %s\n", sum.text().c_str());
        std::printf("%zu instances, %zu kernels, %zu variants, %zu mismatches, %zu skipped, %.0f s\n", total.all(), sum.kernels,
                    variants.size(), total.of[CaseResult::failed], total.of[CaseResult::skipped], seconds());
        return total.of[CaseResult::failed] ? 1 : 0;
    }

private:
    struct VariantCounts {
        Counts cases;
        size_t kernels = 0;
    };

    double seconds() const { return std::chrono::duration<double>(std::chrono::steady_clock::now() - started).count(); }

    void count(const Problem &p, CaseResult::Outcome outcome) { ++total.of[outcome], ++variants[p.kind().name].cases.of[outcome]; }

    // A kernel that does not compile fails with all its sizes; the others of its batch are checked without it.
    void check(const std::vector<ListedProblem> &batch) {
        try {
            check(RunProgram(batch, options.kernels), batch);
        } catch (const std::runtime_error &e) {
            if (batch.size() > 1) {
                for (const ListedProblem &p : batch) check(std::vector<ListedProblem>{p});
                return;
            }
            std::printf("FAILED %s: %s\nrepro: hconv check '%s' --target %s\n", batch[0].text().c_str(), e.what(),
                        line_of(batch[0]).c_str(), options.kernels.target.c_str());
            for (const Problem &p : batch[0].sizes) count(p, CaseResult::failed);
        }
    }

    void check(const RunProgram &program, const std::vector<ListedProblem> &batch) {
        const std::vector<Case> cases = cases_of(program, batch);
        for (const ProgramRow &row : program.rows()) ++variants[row.problem.kind().name].kernels;
        sum.kernels += program.totals().kernels, sum.compiled += program.totals().compiled;
        sum.seconds += program.totals().seconds;
        try_cases(program, cases, options.seed, [&](size_t i, const CaseResult &r) {
            const ProgramRow &row = program.rows()[size_t(cases[i].row)];
            count(cases[i].problem, r.outcome);
            if (r.outcome == CaseResult::passed) return;
            std::printf("%s %s %s %s: %s\n", r.outcome == CaseResult::failed ? "FAILED" : "skipped", cases[i].problem.text().c_str(),
                        row.isa.c_str(), row.schedule.c_str(), r.sentence.c_str());
            print_repro(cases[i], row, options.kernels, options.seed);
        });
        ++options.seed;  // optional tensors are there for every other seed
    }

    CheckOptions options;
    const std::chrono::steady_clock::time_point started = std::chrono::steady_clock::now();
    std::map<std::string, VariantCounts> variants;
    Counts total;
    CompileTotals sum;
};

}  // namespace

int check_command(const CheckOptions &given) {
    CheckOptions options = given;
    if (!options.kernels.results.empty()) options.seed = unpack_options(options.kernels, "check").at("seed");
    if (options.kernels.problems.empty() == !options.random)
        throw std::invalid_argument("check needs either problems, or --random N: how many to draw");
    if (!options.random && !options.variants.empty()) throw std::invalid_argument("--variant says what --random draws from: say how many, --random N");
    const std::vector<std::string> all{"all"};
    const std::vector<ListedProblem> problems =
        options.random ? random_problems(options.variants.empty() ? all : options.variants, options.random, options.seed)
                       : read_problems(options.kernels.problems);
    if (problems.empty()) throw std::invalid_argument("nothing to check: the lists hold no problem");
    for (const ListedProblem &p : problems)
        if (options.dry_run) std::printf("%s\n", line_of(p).c_str());
    if (options.dry_run) return 0;
    return options.random && options.kernels.pack_up.empty() ? RandomCheck(options).run(problems) : check_listed(options, problems);
}

}  // namespace hconv
