// pack_up.cpp - see pack_up.h.
// SPDX-License-Identifier: MIT
#include "tools/pack_up.h"

#include "tools/packed.h"
#include "tools/process.h"

#include <nlohmann/json.hpp>

#include <cinttypes>
#include <cstdio>
#include <map>
#include <stdexcept>

namespace hconv {

namespace fs = std::filesystem;
using nlohmann::json;

namespace {

json rows_json(const std::vector<ProgramRow> &rows) {
    json list = json::array();
    for (const ProgramRow &r : rows)
        list.push_back({{"problem", r.problem.text()}, {"symbol", r.symbol}, {"target", r.target}, {"schedule", r.schedule}, {"isa", r.isa}});
    return list;
}

json jobs_json(const std::vector<Job> &jobs) {
    json list = json::array();
    for (const Job &j : jobs) list.push_back(job_line(j, "0"));
    return list;
}

// Where a C compiler for the target was here the program lies ready; elsewhere the script makes it.
std::string run_script(const std::string &compile) {
    return "#!/bin/sh\n"
           "# Does the jobs of this folder and writes results.json. Needs a shell and, where there is no program yet, a C compiler\n"
           "# ($CC, else cc). $RUNNER: a command that starts the program. Afterwards, where hconv is, with this folder:\n"
           "#   hconv <check or bench> --results results.json\n"
           "set -e\ncase $0 in */*) cd \"${0%/*}\" ;; esac\n"
           "[ -x program ] || " + compile + "\n"
           "$RUNNER ./program jobs results.json\necho results.json\n";
}

class PackUp : public Jobber {
public:
    PackUp(const std::vector<ListedProblem> &problems, const KernelOptions &o, const std::string &verb, const json &numbers)
        : target(fs::absolute(o.pack_up).lexically_normal()), work(parent_of(target)), directory(work.path / "pack") {
        if (fs::exists(target) && !fs::is_empty(target) && !fs::exists(target / "pack.json"))
            throw std::runtime_error(o.pack_up + " is there and was not made by --pack-up: name another folder, or remove it");
        fs::create_directories(directory / "outputs");
        PackedProgram made = pack_program(program_options(problems, o), directory);
        compile = made.compile, compiled = made.library.totals;
        for (size_t i = 0; i < made.library.kernels.size(); ++i) {
            const KernelRecord &k = made.library.kernels[i];
            table.push_back({Problem::parse(k.problem), made.library.symbols[i], k.target.halide, k.schedule, k.target.isa});
        }
        json lines = json::array();
        for (const ListedProblem &p : problems) lines.push_back(line_of(p));
        pack = {{"format", kPackFormat}, {"made_by", tool_version()}, {"verb", verb}, {"problems", lines}, {"target", o.target},
                {"schedule", o.schedule}, {"asserts", o.asserts}, {"numbers", numbers}, {"rows", rows_json(table)}};
    }

    // Writes them, and puts the folder in its place: whole or not at all. None is done.
    void run(const std::vector<Job> &jobs, const std::function<void(size_t, const JobResult &)> &) const override {
        json whole = pack;
        whole["jobs"] = jobs_json(jobs);
        const std::string name = pack_name(whole);
        whole["name"] = name;
        std::string lines;
        for (size_t i = 0; i < jobs.size(); ++i) {
            Job j = jobs[i];
            if (!j.output.empty()) j.output = "outputs/" + j.output;
            lines += job_line(j, name + ":" + std::to_string(i));
        }
        write_file(directory / "jobs", lines);
        write_file(directory / "run", run_script(compile));
        fs::permissions(directory / "run", fs::perms(0755));
        write_file(directory / "pack.json", whole.dump(1) + "\n");
        put_folder(directory, target);
    }
    std::vector<float> take_output(const std::string &) const override { return {}; }

private:
    static fs::path parent_of(const fs::path &path) {
        fs::path parent = (path.has_filename() ? path : path.parent_path()).parent_path();
        fs::create_directories(parent);
        return parent;
    }

    const fs::path target;
    const TemporaryFolder work;
    const fs::path directory;
    json pack;
    std::string compile;
};

// pack.json beside a results file, if it is what --pack-up wrote.
json read_pack(const fs::path &results, const std::string &verb) {
    const fs::path path = results.parent_path() / "pack.json";
    if (!fs::exists(results)) throw std::invalid_argument(results.string() + " is not there");
    if (!fs::exists(path))
        throw std::invalid_argument("beside " + results.string() + " there is no pack.json: take back the whole folder that --pack-up made");
    return parse_pack(read_file(path), path.string(), verb);
}

class PackedResults : public Jobber {
public:
    PackedResults(const fs::path &file, const std::string &verb)
        : file(file), pack(read_pack(file, verb)), results(parse_results(read_file(file), file.string(), pack)) {
        for (const json &r : pack.at("rows"))
            table.push_back({Problem::parse(r.at("problem")), r.at("symbol"), r.at("target"), r.at("schedule"), r.at("isa")});
    }

    void run(const std::vector<Job> &jobs, const std::function<void(size_t, const JobResult &)> &done) const override {
        if (jobs_json(jobs) != pack.at("jobs"))
            refuse("answers other jobs than this hconv asks: it was packed by version " + std::string(pack.at("made_by")) + "; pack up again");
        for (size_t i = 0; i < jobs.size(); ++i)
            if (!jobs[i].output.empty()) hashes[jobs[i].output] = results[i].value("output", "");
        for (size_t i = 0; i < jobs.size(); ++i) done(i, job_result(results[i]));
    }

    std::vector<float> take_output(const std::string &name) const override {
        const fs::path path = file.parent_path() / "outputs" / name;
        if (!fs::exists(path)) refuse("speaks of " + path.string() + ", which is not there: take back the whole folder");
        const std::string bytes = read_file(path);
        if (fnv1a(bytes) != hashes.at(name)) refuse("and " + path.string() + " do not belong together, or one is damaged");
        return floats_of(bytes);
    }

private:
    [[noreturn]] void refuse(const std::string &why) const { throw std::invalid_argument(file.string() + " " + why + "; start run again"); }
    static std::string fnv1a(const std::string &bytes) {
        uint64_t hash = UINT64_C(14695981039346656037);
        for (unsigned char c : bytes) hash = (hash ^ c) * UINT64_C(1099511628211);
        char hex[17];
        std::snprintf(hex, sizeof hex, "%016" PRIx64, hash);
        return hex;
    }

    const fs::path file;
    const json pack, results;
    mutable std::map<std::string, std::string> hashes;  // by output, as its job's result says
};

}  // namespace

std::unique_ptr<Jobber> jobber_for(const std::vector<ListedProblem> &problems, const KernelOptions &o, const std::string &verb,
                                   const json &numbers) {
    if (!o.results.empty()) return std::make_unique<PackedResults>(fs::absolute(o.results), verb);
    if (!o.pack_up.empty()) return std::make_unique<PackUp>(problems, o, verb, numbers);
    return std::make_unique<RunProgram>(problems, o);
}

json unpack_options(KernelOptions &o, const std::string &verb) {
    if (!o.problems.empty() || !o.pack_up.empty())
        throw std::invalid_argument("--results says itself what it answers: give no problems with it, and no --pack-up");
    const json pack = read_pack(fs::absolute(o.results), verb);
    o.problems = pack.at("problems").get<std::vector<std::string>>();
    o.target = pack.at("target"), o.schedule = pack.at("schedule"), o.asserts = pack.at("asserts");
    return pack.at("numbers");
}

}  // namespace hconv
