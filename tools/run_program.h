// run_program.h - the emitted kernels with runtime/exec.c as a program: what it holds, and jobs it does.
// SPDX-License-Identifier: MIT
#pragma once

#include "tools/emit.h"
#include "tools/packed.h"
#include "tools/problem_list.h"
#include "tools/verbs.h"

#include <nlohmann/json_fwd.hpp>

#include <functional>
#include <string>
#include <vector>

namespace hconv {

struct Job {
    int kernel = 0; // row of the table
    Problem problem;
    std::string data; // "exact", "random", or a folder below the program's
    uint64_t seed = 0;
    std::string checks, output; // output: a file below the program's folder; empty: none
    int threads = 1, rounds = 0, limit_seconds = 60;
};

struct ProgramRow {
    Problem problem;
    std::string symbol, target, schedule, isa;
};

// Kernels, and who does jobs with them: a program made here, or one that was packed up and ran elsewhere (tools/pack_up.h).
class Jobber {
public:
    virtual ~Jobber() = default;
    const std::vector<ProgramRow> &rows() const { return table; }
    const CompileTotals &totals() const { return compiled; }
    // done(i, result) as each job ends.
    virtual void run(const std::vector<Job> &jobs, const std::function<void(size_t, const JobResult &)> &done) const = 0;
    // The floats of a job's output file; may be called once.
    virtual std::vector<float> take_output(const std::string &name) const = 0;

protected:
    std::vector<ProgramRow> table;
    CompileTotals compiled;
};

class RunProgram : public Jobber {
public:
    // Compiles and links the kernels of every listed problem.
    RunProgram(const std::vector<ListedProblem> &problems, const KernelOptions &options);
    const std::filesystem::path &folder() const { return program.folder->path; }
    // A program that dies fails the jobs it leaves.
    void run(const std::vector<Job> &jobs, const std::function<void(size_t, const JobResult &)> &done) const override;
    std::vector<float> take_output(const std::string &name) const override;

private:
    void each_line(const std::string &arguments, const std::function<void(const nlohmann::json &)> &line) const;
    Program program;
    std::string runner;
    ProcessLimits limits;
    mutable std::string ending;  // of the last run
};

EmitOptions program_options(const std::vector<ListedProblem> &problems, const KernelOptions &options);
std::string job_line(const Job &job, const std::string &id);    // as runtime/exec.c reads it
std::string failure_status(const JobResult &failed);            // of a record: timeout, crash, wrong or runner
std::vector<float> floats_of(const std::string &bytes);

// The command that repeats one case.
std::string repro(const std::string &verb, const Problem &problem, const ProgramRow &row, const KernelOptions &options,
                  uint64_t seed);

} // namespace hconv
