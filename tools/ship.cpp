// ship.cpp - see ship.h. A verdict is kept in the cache beside the kernel, so a second emit runs nothing.
// SPDX-License-Identifier: MIT
#include "tools/ship.h"

#include "tools/cases.h"

#include <nlohmann/json.hpp>

#include <algorithm>
#include <stdexcept>

namespace hconv {

namespace fs = std::filesystem;
using nlohmann::json;

namespace {

class Verifier {
public:
    Verifier(const ShipOptions &o) : options(o), cache(o.emit.compile.cache.empty() ? default_cache() : o.emit.compile.cache) {
        fs::create_directories(cache / "verdicts");
    }

    // The verdicts on what was built, by kernel_key; kernels that cannot run here have none.
    std::map<std::string, json> verdicts(const EmitResult &built) {
        std::map<std::string, std::vector<std::string>> schedules;  // of what has no verdict yet: schedule -> problems
        for (const KernelRecord &k : built.kernels)
            if (runs(k) && read(k).is_null()) schedules[k.schedule].push_back(k.problem);
        for (const auto &s : schedules) try_kernels(s.first, s.second, built);
        std::map<std::string, json> result;
        for (const KernelRecord &k : built.kernels) {
            if (!runs(k)) continue;
            json &verdict = result[kernel_key(k.problem, k.target)] = read(k);
            if (verdict.is_null())
                throw std::runtime_error("the check of " + k.problem + " for " + k.target.text + " left no verdict");
        }
        return result;
    }

private:
    bool runs(const KernelRecord &k) const { return k.target.runs_here() || !options.runner.empty(); }
    fs::path path(const KernelRecord &k) const {
        return cache / "verdicts" / (kernel_identity(k) + "-" + std::to_string(options.seed) + ".json");
    }

    // The verdict known, or null. The cache holds only those that passed: a check may fail for reasons of the day.
    json read(const KernelRecord &k) const {
        std::string text;
        const auto found = verdict_of.find(kernel_identity(k));
        if (found != verdict_of.end()) return found->second;
        const json v = read_entry(path(k), &text) ? json::parse(text, nullptr, false) : json();
        return v.is_object() && v.contains("outcome") ? v : json();
    }

    void try_kernels(const std::string &schedule, const std::vector<std::string> &texts, const EmitResult &built) {
        std::vector<ListedProblem> problems;
        KernelOptions kernels;
        kernels.target.clear();
        kernels.schedule = schedule, kernels.runner = options.runner, kernels.cc = options.emit.cc;
        kernels.compile = options.emit.compile, kernels.compile.progress = nullptr;
        std::map<std::string, json> found;
        std::vector<const KernelRecord *> tried;
        for (const KernelRecord &k : built.kernels) {
            if (k.schedule != schedule || !runs(k) || std::find(texts.begin(), texts.end(), k.problem) == texts.end()) continue;
            tried.push_back(&k);
            if (("," + kernels.target + ",").find("," + k.target.text + ",") == std::string::npos)
                kernels.target += (kernels.target.empty() ? "" : ",") + k.target.text;
        }
        for (const ListedProblem &p : options.problems)
            if (std::find(texts.begin(), texts.end(), p.text()) != texts.end()) problems.push_back(p);
        RunProgram program(problems, kernels);
        std::vector<Case> cases = cases_of(program, problems);
        try_cases(program, cases, options.seed, [&](size_t i, const CaseResult &r) {
            const ProgramRow &row = program.rows()[size_t(cases[i].row)];
            json &v = found[row.problem.text() + " " + row.isa];
            if (v.is_null()) v = {{"outcome", "passed"}, {"seed", options.seed}, {"error_over_bound", 0.0}, {"sizes", json::array()}};
            v["sizes"].push_back(cases[i].problem.text());
            v["error_over_bound"] = std::max(double(v["error_over_bound"]), r.worst_ratio);
            if (r.outcome != CaseResult::failed) return;
            v["outcome"] = "failed", v["why"] = r.sentence;
            v["repro"] = repro("check", cases[i].problem, row, kernels, options.seed);
        });
        for (const KernelRecord *k : tried) {
            const json &v = found[k->problem + " " + k->target.isa];
            if (v.is_null()) continue;
            verdict_of[kernel_identity(*k)] = v;
            if (v.at("outcome") == "passed") write_entry(path(*k), v.dump(1) + "\n");
        }
    }

    const ShipOptions &options;
    const fs::path cache;
    std::map<std::string, json> verdict_of;  // of this run, by kernel_identity
};

}  // namespace

EmitResult ship_library(const ShipOptions &o, const fs::path &directory) {
    EmitOptions emit = o.emit;
    for (const ListedProblem &p : o.problems) emit.problems.push_back(p.text());
    if (!o.verify) return emit_library(emit, directory);
    Verifier verifier(o);
    EmitResult built = compile_library(emit);
    std::map<std::string, json> verdicts = verifier.verdicts(built);
    for (const KernelRecord &k : built.kernels) {
        const auto v = verdicts.find(kernel_key(k.problem, k.target));
        if (v == verdicts.end() || v->second.at("outcome") == "passed") continue;
        std::string what = "the kernel of " + k.problem + " for " + k.target.text + " with schedule " + k.schedule +
                           " failed its check: " + v->second.value("why", "") + "\nrepro: " + v->second.value("repro", "");
        if (o.strict || k.schedule == "generic") throw std::runtime_error(what);
        if (o.warn) o.warn(what + "\nthe generic schedule takes its place");
        emit.schedules[kernel_key(k.problem, k.target)] = "generic";
    }
    if (!emit.schedules.empty()) {
        std::map<std::string, json> first = verdicts;
        verdicts = verifier.verdicts(compile_library(emit));
        for (const auto &replaced : emit.schedules) {
            if (verdicts.at(replaced.first).at("outcome") != "passed")
                throw std::runtime_error(replaced.first + ": the generic schedule failed its check too: " +
                                         verdicts.at(replaced.first).dump());
            verdicts[replaced.first]["replaces"] = first.at(replaced.first);
        }
    }
    for (const auto &v : verdicts) emit.verdicts[v.first] = v.second.dump();
    emit.compile.progress = nullptr;
    EmitResult result = emit_library(emit, directory);
    result.totals = built.totals;
    return result;
}

}  // namespace hconv
