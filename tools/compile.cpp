// compile.cpp - see compile.h. Two cache levels: (tool, problem, target, schedule) -> record with the hash of the lowered
// pipeline; (that hash, target, Halide) -> object. Editing one schedule recompiles only what it changed.
// SPDX-License-Identifier: MIT
#include "tools/compile.h"

#include "tools/autoschedule.h"
#include "tools/cuda.h"
#include "tools/fetch_ahead.h"
#include "tools/process.h"
#include "tools/workspace.h"

#include <Halide.h>
#include <algorithm>
#include <chrono>
#include <iostream>
#include <sstream>
#include <thread>

namespace hconv {

namespace fs = std::filesystem;

namespace {

Halide::Target kernel_target(const KernelRequest &r) {
    using T = Halide::Target;
    T t = T(r.target.halide).with_feature(T::NoRuntime).with_feature(T::UserContext).with_feature(T::NoBoundsQuery);
    return r.asserts ? t : t.with_feature(T::NoAsserts);
}

// LLVM for 32-bit ARM makes one instruction of the loads s0, s1, s2 and of the step of their address, and steps by 12 where the code
// says 16: it counts an operand that is not loaded. Its joining of scalar loads stays off; loops of vectors have none.
std::string llvm_arguments(const Halide::Target &t) {
    return t.arch == Halide::Target::ARM && t.bits == 32 ? "-arm-load-store-opt=0" : "";
}

// A pipeline built from the three strings, and the arguments of its function.
struct Built {
    Halide::Pipeline pipeline;
    std::vector<Halide::Argument> inputs;
    std::vector<std::string> argument_names;  // Halide's, inputs then outputs
    Halide::Target target;
    bool fetches_ahead = false;
    int chunk = 0;  // of weights, that is fetched ahead
};

Built build(const KernelRequest &r) {
    const Problem p = Problem::parse(r.problem);
    Built b;
    b.target = kernel_target(r);
    setenv("HL_LLVM_ARGS", llvm_arguments(b.target).c_str(), 1);  // Halide reads it before it first generates code
    const std::string automatic = autoscheduler_of(r.schedule);
    const Choice choice = choose_kernel(p, b.target, r.schedule);
    b.fetches_ahead = choice.fetches_ahead, b.chunk = choice.chunk;
    const std::string name = choice.generator.empty() ? p.kind().name : choice.generator;
    leave_unscheduled = !automatic.empty();
    std::vector<Halide::Parameter> parameters;
    auto generator = Halide::Internal::GeneratorRegistry::create(name, Halide::GeneratorContext(b.target));
    generator->set_generatorparam_value("problem", r.problem);
    generator->set_generatorparam_value("schedule_text", automatic.empty() ? choice.schedule : "generic");
    b.pipeline = generator->build_pipeline();
    for (const auto &info : generator->arginfos()) {
        if (info.dir != Halide::Internal::ArgInfoDirection::Input) continue;
        for (const Halide::Parameter &q : generator->input_parameter(info.name)) {
            b.inputs.emplace_back(q.name(), Halide::Argument::InputBuffer, q.type(), q.dimensions(),
                                  q.get_argument_estimates());
            b.argument_names.push_back(q.name());
            parameters.push_back(q);
        }
    }
    for (const Halide::Func &f : b.pipeline.outputs()) b.argument_names.push_back(f.name());
    if (!automatic.empty()) autoschedule(b.pipeline, parameters, choice, b.target, automatic);
    return b;
}

struct Lowered {
    Halide::Module module;
    std::vector<int64_t> root, slot;
};

Lowered lower(Built &b) {
    auto *pass = new WorkspacePass(b.argument_names);
    std::unique_ptr<WorkspacePass> owner(pass);
    FetchAheadPass fetch_ahead(b.argument_names.back());
    FetchWeightsPass fetch_weights("weight", b.chunk);
    if (b.fetches_ahead) b.pipeline.add_custom_lowering_pass(&fetch_ahead, [] {});
    if (b.chunk) b.pipeline.add_custom_lowering_pass(&fetch_weights, [] {});
    b.pipeline.add_custom_lowering_pass(pass, [] {});
    Halide::Module m = b.pipeline.compile_to_module(b.inputs, "hconv_kernel", b.target, Halide::LinkageType::ExternalPlusArgv);
    return {m, pass->root, pass->slot};
}

std::string module_text(const Halide::Module &m) {
    std::ostringstream out;
    out << m;
    std::string text = out.str();
    text.erase(std::remove(text.begin(), text.end(), '\0'), text.end());  // behind the PTX
    return text;
}

std::string request_key(const KernelRequest &r) {
    return hash_text(tool_identity() + "|" + r.problem + "|" + r.target.halide + "|" + r.schedule + (r.asserts ? "|asserts" : ""));
}

fs::path record_path(const fs::path &cache, const KernelRequest &r) { return cache / "records" / (request_key(r) + ".json"); }

KernelRecord record_of(const KernelRequest &r, Lowered &l, const std::string &hash, const std::string &object_key,
                       double seconds) {
    const Choice choice = choose_kernel(Problem::parse(r.problem), kernel_target(r), r.schedule);
    KernelRecord k;
    k.problem = r.problem, k.schedule = choice.schedule, k.rule = choice.rule, k.hash = hash, k.target = r.target;
    for (const TensorArgument &a : choice.arguments) {
        k.names.push_back(a.name());
        k.names.push_back(a.layout);
        k.arguments.push_back({nullptr, uint8_t(a.tensor.role), HCONV_F32, uint8_t(a.rank()), nullptr});
    }
    k.root = l.root, k.slot = l.slot;
    k.min_h = choice.min_h, k.min_w = choice.min_w;
    k.object_key = object_key, k.seconds = seconds;
    return k;
}

fs::path object_path(const fs::path &cache, const std::string &object_key) { return cache / "objects" / (object_key + ".o"); }

// The record in the cache with its object, or nothing.
bool cached(const KernelRequest &r, const fs::path &cache, KernelRecord *out) {
    std::string text;
    if (!read_entry(record_path(cache, r), &text) || !parse_record(text, out) || out->problem != r.problem) return false;
    out->target = r.target;
    out->object = object_path(cache, out->object_key);
    return object_intact(out->object);
}

std::string what_failed(const ProcessResult &result, const CompileOptions &options) {
    char limit[64];
    snprintf(limit, sizeof limit, "took longer than %g s", options.seconds);
    if (result.timed_out) return std::string(limit) + "; --time-limit allows it more";
    std::string what = result.output.substr(0, result.output.find_last_not_of('\n') + 1);
    // A sentence of the command's own ends with 1 or 2; a loader, a signal or an allocation that fails does not.
    if ((result.exit_code == 1 || result.exit_code == 2) && what.find("bad_alloc") == std::string::npos) return what;
    return what + (what.empty() ? "" : " - ") + "it ended with status " + std::to_string(result.exit_code) + "; it may take " +
           std::to_string(options.memory_bytes >> 20) + " MB, --memory-limit allows it more";
}

}  // namespace

const std::string &tool_identity() {
    static const std::string id = hash_text(read_file(own_path())) + halide_version();
    return id;
}

static std::string dotted(int major, int minor, int patch) {
    return std::to_string(major) + "." + std::to_string(minor) + "." + std::to_string(patch);
}

std::string tool_version() {
    return dotted(HCONV_VERSION / 1000000, HCONV_VERSION / 1000 % 1000, HCONV_VERSION % 1000);
}

std::string halide_version() { return dotted(HALIDE_VERSION_MAJOR, HALIDE_VERSION_MINOR, HALIDE_VERSION_PATCH); }

std::string llvm_version() {
    const int version = Halide::Internal::get_llvm_version();  // 211 = 21.1
    return std::to_string(version / 10) + "." + std::to_string(version % 10);
}

fs::path default_cache() {
    if (const char *c = getenv("HCONV_CACHE"); c && *c) return c;
    if (const char *c = getenv("XDG_CACHE_HOME"); c && *c) return fs::path(c) / "hconv";
    if (const char *c = getenv("HOME"); c && *c) return fs::path(c) / ".cache" / "hconv";
    return fs::temp_directory_path() / "hconv-cache";
}

std::string CompileTotals::text() const {
    char line[128];
    snprintf(line, sizeof line, "%zu kernels (%zu compiled in %.1f s of processor time, the others from the cache)", kernels,
             compiled, seconds);
    return line;
}

std::string kernel_identity(const KernelRecord &k) {
    return hash_text(tool_identity() + "|" + k.problem + "|" + k.object.filename().string());
}

int compile_command(const KernelRequest &r, const fs::path &cache) {
    auto start = std::chrono::steady_clock::now();
    Built built = build(r);
    Lowered l = lower(built);
    std::string hash = hash_text(module_text(l.module)).substr(0, 16);
    std::string object_key = hash_text(hash + "|" + built.target.to_string() + llvm_arguments(built.target) + "|" + halide_version());
    fs::path object = object_path(cache, object_key);
    if (!object_intact(object)) {
        TemporaryFolder work(object.parent_path());
        l.module.compile({{Halide::OutputFileType::object, (work.path / "kernel.o").string()}});
        keep_object(work.path / "kernel.o", object);
    }
    double seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
    write_entry(record_path(cache, r), record_text(record_of(r, l, hash, object_key, seconds)));
    return 0;
}

std::vector<Compiled> try_compile(const std::vector<KernelRequest> &requests, const CompileOptions &options,
                                  CompileTotals *totals) {
    const fs::path cache = options.cache.empty() ? default_cache() : options.cache;
    std::error_code error;
    fs::create_directories(cache / "records", error);
    fs::create_directories(cache / "objects", error);
    if (error) throw std::runtime_error("cannot make the kernel cache " + cache.string() + ": " + error.message() +
                                        "; name another with --cache");
    std::vector<Compiled> made(requests.size());
    std::vector<std::vector<std::string>> commands;
    std::vector<size_t> index;
    for (size_t i = 0; i < requests.size(); ++i) {
        const KernelRequest &r = requests[i];
        if (cached(r, cache, &made[i].kernel)) {
            made[i].kernel.seconds = 0;
            continue;
        }
        made[i].status = "timeout", made[i].why = "interrupted";
        commands.push_back({own_path(), "compile-kernel", r.problem, "--target", r.target.halide, "--cache", cache.string()});
        if (!r.schedule.empty()) commands.back().insert(commands.back().end(), {"--schedule", r.schedule});
        if (r.asserts) commands.back().push_back("--asserts");
        index.push_back(i);
    }
    CompileTotals sum{requests.size(), commands.size(), 0};
    size_t done = requests.size() - commands.size();
    if (options.progress && done) options.progress(done, requests.size(), std::to_string(done) + " from the cache");
    int jobs = options.jobs ? options.jobs : int(std::max(1u, std::thread::hardware_concurrency()));
    run_processes(commands, jobs, {options.seconds, options.memory_bytes, options.stop}, [&](size_t c, const ProcessResult &result) {
        const KernelRequest &r = requests[index[c]];
        Compiled &m = made[index[c]];
        m.status = "ok", m.why = "";
        std::string line = r.problem + " " + r.target.isa;
        if (result.exit_code || result.timed_out || !cached(r, cache, &m.kernel)) {
            m.status = result.timed_out ? "timeout" : result.exit_code == 2 ? "infeasible" : "compile";
            m.why = what_failed(result, options);
            line += " FAILED";
        } else {
            sum.seconds += m.kernel.seconds;
        }
        if (options.progress) options.progress(++done, requests.size(), line);
    });
    if (totals) *totals = sum;
    return made;
}

std::vector<KernelRecord> compile_kernels(const std::vector<KernelRequest> &requests, const CompileOptions &options,
                                          CompileTotals *totals) {
    std::vector<KernelRecord> records;
    std::vector<Compiled> made = try_compile(requests, options, totals);
    for (size_t i = 0; i < made.size(); ++i) {
        const KernelRequest &r = requests[i];
        if (made[i].status != "ok")
            throw std::runtime_error("compiling " + r.problem + " for " + r.target.text +
                                     (r.schedule.empty() ? "" : " with " + r.schedule) + " failed: " + made[i].why);
        records.push_back(std::move(made[i].kernel));
    }
    return records;
}

std::string show_code(const KernelRequest &r, const std::string &as) {
    Built built = build(r);
    if (as == "loops") {
        std::ostringstream text;
        std::streambuf *before = std::cerr.rdbuf(text.rdbuf());
        built.pipeline.print_loop_nest();
        std::cerr.rdbuf(before);
        return text.str();
    }
    Lowered l = lower(built);
    if (as == "stmt") return module_text(l.module);
    TemporaryFolder folder;
    fs::path path = folder.path / "kernel";
    if (as == "asm") {
        l.module.compile({{Halide::OutputFileType::assembly, path.string()}});
        return read_file(path);
    }
    l.module.compile({{Halide::OutputFileType::object, path.string()}});
    const std::string ptx = ptx_of(path);
    if (ptx.empty()) throw std::invalid_argument("--as ptx needs a CUDA target, such as x86-64-linux/cuda80");
    return ptx + ptxas_report(ptx, module_text(l.module));
}

}  // namespace hconv
