// run_program.cpp - see run_program.h. Jobs and results are the lines that runtime/exec.c describes.
// SPDX-License-Identifier: MIT
#include "tools/run_program.h"

#include <nlohmann/json.hpp>

#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <stdexcept>

namespace hconv {

static std::string quoted(const std::string &text) {
    std::string q = "'";
    for (char c : text) q += c == '\'' ? "'\\''" : std::string(1, c);
    return q + "'";
}

EmitOptions program_options(const std::vector<ListedProblem> &problems, const KernelOptions &options) {
    EmitOptions emit;
    for (const ListedProblem &p : problems) emit.problems.push_back(p.text());
    emit.targets = {options.target};
    emit.schedule = options.schedule, emit.alternatives = options.alternatives;
    emit.cc = options.cc;
    emit.asserts = options.asserts;
    emit.compile = options.compile;
    return emit;
}

RunProgram::RunProgram(const std::vector<ListedProblem> &problems, const KernelOptions &options)
    : program(build_program(program_options(problems, options))), runner(options.runner),
      limits{options.run_seconds, 0, options.compile.stop} {
    compiled = program.library.totals;
    each_line("--list", [&](const nlohmann::json &row) {
        table.push_back(
            {Problem::parse(row.at("problem")), row.at("symbol"), row.at("target"), row.at("schedule"), row.at("isa")});
    });
    if (table.empty())
        throw std::runtime_error(
            "the kernels were compiled, but their program does not run here: give a --runner for " + options.target);
}

void RunProgram::each_line(const std::string &arguments,
                           const std::function<void(const nlohmann::json &)> &line) const {
    std::string command =
        "cd " + quoted(folder().string()) + " && " + runner + " " + quoted(program.path.string()) + " " + arguments;
    std::string rest;
    ProcessLimits streaming = limits;
    streaming.output = [&](const std::string &bytes) {
        rest += bytes;
        for (size_t end; (end = rest.find('\n')) != std::string::npos; rest.erase(0, end + 1)) {
            nlohmann::json parsed = nlohmann::json::parse(rest.substr(0, end), nullptr, false);
            if (parsed.is_object()) line(parsed);
            else std::fprintf(stderr, "%.*s\n", int(end), rest.c_str());
        }
    };
    const ProcessResult ended = run_process({"sh", "-c", command}, streaming);
    if (!rest.empty()) std::fprintf(stderr, "%s\n", rest.c_str());
    ending = ended.timed_out ? "it was stopped after " + std::to_string(int(limits.seconds)) + " s"
                             : "it ended with status " + std::to_string(ended.exit_code);
}

std::string job_line(const Job &j, const std::string &id) {
    std::string line = "id=" + id + " kernel=" + std::to_string(j.kernel) +
                       " problem=" + j.problem.text() + " data=" + j.data + " seed=" + std::to_string(j.seed) +
                       " threads=" + std::to_string(j.threads) + " rounds=" + std::to_string(j.rounds) +
                       " limit=" + std::to_string(j.limit_seconds);
    if (!j.checks.empty()) line += " checks=" + j.checks;
    if (!j.output.empty()) line += " output=" + j.output;
    return line + "\n";
}

static const std::string kLeft = "the run program ended before this job: ";

std::string failure_status(const JobResult &r) {
    auto says = [&](const char *words) { return r.why.find(words) != std::string::npos; };
    return r.why.compare(0, kLeft.size(), kLeft) == 0 ? "runner" : says(": not done after ") ? "timeout" : says(": killed by signal ") ? "crash" : "wrong";
}

std::vector<float> floats_of(const std::string &bytes) {
    std::vector<float> values(bytes.size() / sizeof(float));
    if (!values.empty()) std::memcpy(values.data(), bytes.data(), values.size() * sizeof(float));
    return values;
}

void RunProgram::run(const std::vector<Job> &jobs, const std::function<void(size_t, const JobResult &)> &done) const {
    std::string lines;
    size_t next = 0;
    for (size_t i = 0; i < jobs.size(); ++i) lines += job_line(jobs[i], std::to_string(i));
    write_file(folder() / "jobs", lines);
    each_line("jobs", [&](const nlohmann::json &j) {
        JobResult r;
        try {
            if (next >= jobs.size() || j.at("id") != std::to_string(next)) throw std::invalid_argument("the result of another job");
            r = job_result(j);
        } catch (const std::exception &e) {  // a runner that says something else
            std::fprintf(stderr, "the run program said %s (%s)\n", j.dump().substr(0, 200).c_str(), e.what());
            return;
        }
        done(next++, r);
    });
    while (next < jobs.size()) done(next++, {"failed", kLeft + ending});
}

std::vector<float> RunProgram::take_output(const std::string &name) const {
    std::vector<float> values = floats_of(read_file(folder() / name));
    std::filesystem::remove(folder() / name);
    return values;
}

std::string repro(const std::string &verb, const Problem &problem, const ProgramRow &row, const KernelOptions &options,
                  uint64_t seed) {
    std::string command = "hconv " + verb + " '" + row.problem.text();
    if (row.problem.open())
        command += "@n" + std::to_string(problem.n) + "h" + std::to_string(problem.h) + "w" + std::to_string(problem.w);
    command += "' --target " + row.target + " --schedule " + quoted(row.schedule);
    if (options.asserts) command += " --asserts";
    if (!options.runner.empty()) command += " --runner " + quoted(options.runner);
    return command + " --seed " + std::to_string(seed);
}

} // namespace hconv
