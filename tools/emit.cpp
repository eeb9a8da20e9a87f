// emit.cpp - see emit.h. An object of the cache has neutral names; one rename map a kernel makes them the library's own, so
// that several libraries, and Halide's own runtime, live in one program.
// SPDX-License-Identifier: MIT
#include "tools/emit.h"

#include "tools/autoschedule.h"
#include "tools/embedded.h"
#include "tools/emitted_files.h"
#include "tools/tuned.h"

#define XXH_INLINE_ALL
#include <xxhash.h>

#include <algorithm>
#include <set>
#include <sstream>

namespace hconv {

namespace fs = std::filesystem;

namespace {

const char *const cc_flags[] = {"-std=c99", "-O2", "-fPIC", "-fno-math-errno", "-ffp-contract=off"};

// Files of runtime/ that only the run program needs.
bool only_for_programs(const std::string &path) {
    static const std::set<std::string> names{"exec.c", "trial.c", "trial_cuda.c", "trial.h", "fill.c", "fill.h", "asserts.c"};
    return names.count(path) != 0;
}

std::string llvm_tool(const std::string &tool) {
    std::vector<std::string> names{"llvm-" + tool};
    for (int v = 21; v >= 14; --v) names.push_back("llvm-" + tool + "-" + std::to_string(v));
    return need_program(names, "llvm");
}

void must(const std::vector<std::string> &command, const std::string &what) {
    ProcessResult r = run_process(command);
    if (r.exit_code) throw std::runtime_error(what + " failed: " + r.output);
}

std::string symbol_of(const std::string &library, const KernelRecord &k) {
    std::string symbol = library + "__" + k.problem + "__" + k.target.isa;
    for (size_t at; (at = symbol.find('?')) != std::string::npos;) symbol.replace(at, 1, "any");
    return symbol;
}

// Global names of an object: which = "--undefined-only" or "--defined-only".
std::vector<std::string> global_symbols(const fs::path &object, const std::string &which) {
    ProcessResult r = run_process({llvm_tool("nm"), "--extern-only", which, "--just-symbol-name", object.string()});
    if (r.exit_code) throw std::runtime_error("cannot read " + object.string() + ": " + r.output);
    std::istringstream lines(r.output);
    std::vector<std::string> names;
    for (std::string name; lines >> name;) names.push_back(name);
    return names;
}

// COFF names a constant by its value, and the linker keeps one of each: they clash with nobody's.
bool is_windows_constant(const std::string &name) {
    for (const char *prefix : {"__xmm@", "__ymm@", "__zmm@", "__real@"})
        if (name.compare(0, std::string(prefix).size(), prefix) == 0) return true;
    return false;
}

// Does a kernel of a target with Halide's feature asan or tsan call this of its sanitizer? (Halide's msan reports to a runtime
// of its own.)
bool sanitizer_calls(const Target &t, const std::string &name) {
    for (const char *feature : {"asan", "tsan"})
        if (t.halide.find(std::string("-") + feature) != std::string::npos && name.rfind(std::string("__") + feature, 0) == 0)
            return true;
    return false;
}

// A division of integers on CPUs that need not have the instruction, by the ABI's name; every compiler brings it in a library of
// its own, as the runtime's divisions need it too.
bool divides_on_arm(const Target &t, const std::string &name) {
    static const std::set<std::string> divisions{"__aeabi_idiv", "__aeabi_uidiv", "__aeabi_idivmod", "__aeabi_uidivmod"};
    return t.platform == "arm-32-linux" && divisions.count(name);
}

// Copies the object with its exported names made the library's and halide_X made hconv1_X; refuses anything else left open.
void rename_symbols(const KernelRecord &k, const std::string &symbol, bool asserts, const fs::path &to) {
    const bool osx = k.target.platform.find("osx") != std::string::npos;
    const std::string underscore = osx ? "_" : "";
    std::vector<std::string> command{llvm_tool("objcopy")};
    auto rename = [&](const std::string &from, const std::string &name) {
        command.push_back("--redefine-sym=" + underscore + from + "=" + underscore + name);
    };
    const std::string neutral = "hconv_kernel";
    for (const std::string &name : global_symbols(k.object, "--defined-only")) {
        if (is_windows_constant(name)) continue;
        std::string plain = name.substr(underscore.size());
        if (plain.compare(0, neutral.size(), neutral)) throw std::runtime_error("the kernel of " + k.problem + " exports " + name);
        rename(plain, symbol + plain.substr(neutral.size()));
    }
    static const std::set<std::string> plain{"memcpy", "memmove", "memset", "_fltused", "__chkstk"};
    static const std::set<std::string> of_macos{"bzero", "__bzero", "memset_pattern16"};  // what memset becomes there
    for (std::string name : global_symbols(k.object, "--undefined-only")) {
        if (!underscore.empty() && name[0] == '_') name.erase(0, 1);
        if (asserts && name.compare(0, 13, "halide_error_") == 0) rename(name, "hconv1_assert_failed");
        else if (name.compare(0, 14, "halide_opencl_") == 0) rename(name, "hconv1_cuda_" + name.substr(14));
        else if (name.compare(0, 7, "halide_") == 0) rename(name, "hconv1_" + name.substr(7));
        else if (!plain.count(name) && !(osx && of_macos.count(name)) && !divides_on_arm(k.target, name) &&
                 !sanitizer_calls(k.target, name))
            throw std::runtime_error("the kernel of " + k.problem + " for " + k.target.text + " calls " + name +
                                     ", which no emitted library may need");
    }
    command.push_back(k.object.string());
    command.push_back(to.string());
    must(command, "renaming the symbols of " + symbol);
}

// runtime/include/hconv/x.h -> hconv/x.h, runtime/x -> hconv/src/x.
fs::path vendored_path(const std::string &path) {
    const std::string headers = "include/hconv/";
    return path.compare(0, headers.size(), headers) == 0 ? fs::path("hconv") / path.substr(headers.size())
                                                         : fs::path("hconv/src") / path;
}

// A checksum of all objects in a folder.
std::string objects_sum(const fs::path &folder) {
    std::map<std::string, std::string> sums;
    std::string all;
    std::error_code error;
    for (const auto &entry : fs::directory_iterator(folder, error))
        if (entry.path().extension() == ".o") sums[entry.path().filename().string()] = hash_text(read_file(entry.path()));
    for (const auto &[name, sum] : sums) all += name + sum;
    return hash_text(all);
}

void compile_runtime(const std::string &cc, const fs::path &folder) {
    std::vector<std::vector<std::string>> commands;
    write_runtime(folder, true);
    for (int i = 0; i < hconv_embedded_file_count; ++i) {
        std::string path = hconv_embedded_files[i].path, flat = path;
        if (path.size() < 2 || path.substr(path.size() - 2) != ".c") continue;
        std::replace(flat.begin(), flat.end(), '/', '_');
        commands.push_back({cc, "-I" + folder.string(), "-c", (folder / vendored_path(path)).string(), "-o",
                            (folder / (flat + ".o")).string()});
        commands.back().insert(commands.back().begin() + 1, std::begin(cc_flags), std::end(cc_flags));
    }
    run_processes(commands, 2, {}, [&](size_t i, const ProcessResult &r) {
        if (r.exit_code) throw std::runtime_error("compiling " + commands[i][commands[i].size() - 3] + " failed: " + r.output);
    });
    write_entry(folder / "complete", objects_sum(folder));
}

// Objects of the runtime for a compiler, made once and kept in the cache; program: those of the run program instead.
std::vector<std::string> runtime_objects(const std::string &cc, const fs::path &cache, bool program) {
    std::string key = cc, sum;
    for (const char *flag : cc_flags) key += flag;
    for (int i = 0; i < hconv_embedded_file_count; ++i)
        key += hconv_embedded_files[i].path + std::string(hconv_embedded_files[i].begin, hconv_embedded_files[i].end);
    const fs::path folder = cache / "runtime" / hash_text(key);
    if (!read_entry(folder / "complete", &sum) || objects_sum(folder) != sum) {
        fs::create_directories(cache / "runtime");
        TemporaryFolder work(cache / "runtime");
        fs::create_directory(work.path / "new");
        compile_runtime(cc, work.path / "new");
        put_folder(work.path / "new", folder);
    }
    std::vector<std::string> objects;
    for (const auto &entry : fs::directory_iterator(folder)) {
        std::string file = entry.path().filename().string();
        if (entry.path().extension() != ".o") continue;
        if (only_for_programs(file.substr(0, file.size() - 2)) == program) objects.push_back(entry.path().string());
    }
    std::sort(objects.begin(), objects.end());
    return objects;
}

void check_name(const std::string &name) {
    bool good = !name.empty() && !isdigit(static_cast<unsigned char>(name[0]));
    for (char c : name) good &= isalnum(static_cast<unsigned char>(c)) || c == '_';
    if (!good) throw std::invalid_argument("--name '" + name + "' must be a C identifier");
}

std::string one_platform(const std::vector<Target> &targets) {
    for (const Target &t : targets)
        if (t.platform != targets.front().platform)
            throw std::invalid_argument("one library is for one platform, but " + targets.front().text + " and " + t.text +
                                        " differ: emit twice");
    return targets.front().platform;
}

void archive(const fs::path &to, const std::vector<std::string> &objects) {
    std::vector<std::string> command{llvm_tool("ar"), "rcsD", to.string()};
    command.insert(command.end(), objects.begin(), objects.end());
    must(command, "making " + to.string());
}

// A file's bytes as constant data of an object, named symbol_sm_80.
fs::path image_object(const CudaImage &image, const std::string &symbol, const fs::path &folder) {
    const std::string name = symbol + "_sm_" + std::to_string(image.capability);
    fs::copy_file(image.file, folder / "image");
    must({"sh", "-c", "cd \"$1\" && \"$2\" -I binary -O elf64-x86-64 --rename-section=.data=.rodata,alloc,load,readonly,data,contents "
          "--set-section-alignment=.data=16 --redefine-sym=_binary_image_start=\"$3\" --strip-symbol=_binary_image_end "
          "--strip-symbol=_binary_image_size --add-section=.note.GNU-stack=/dev/null image \"$3.o\"", "sh", folder.string(), llvm_tool("objcopy"), name},
         "making an object of " + name);
    fs::remove(folder / "image");
    return folder / (name + ".o");
}

// Everything but the final rename.
EmitResult write_library(const EmitOptions &o, const fs::path &directory) {
    check_name(o.name);
    const std::vector<Target> targets = resolve_targets(o.targets);
    const std::string platform = one_platform(targets);
    const fs::path cache = o.compile.cache.empty() ? default_cache() : o.compile.cache;
    EmitResult result = compile_library(o);
    TemporaryFolder objects;
    std::vector<std::string> files;
    for (size_t i = 0; i < result.kernels.size(); ++i) {
        fs::path to = objects.path / (result.symbols[i] + "." + targets.front().object_suffix());
        rename_symbols(result.kernels[i], result.symbols[i], o.asserts, to);
        files.push_back(to.string());
        result.images.emplace_back();
        if (o.images && result.kernels[i].target.features & HCONV_DEVICE_CUDA) result.images[i] = assemble_images(result.kernels[i].object);
        for (const CudaImage &image : result.images[i]) files.push_back(image_object(image, result.symbols[i], objects.path).string());
    }
    write_file(directory / (o.name + ".c"), table_source(o.name, result));
    write_file(directory / (o.name + ".h"), header_source(o.name, result));
    write_runtime(directory, false);
    archive(directory / ("lib" + o.name + "_kernels.a"), files);
    const std::string cc = o.cc.empty() ? c_compiler_for(platform) : o.cc;
    if (!cc.empty()) {
        fs::path table = objects.path / "table.o";
        std::vector<std::string> command{cc, "-I" + directory.string(), "-c", (directory / (o.name + ".c")).string(), "-o",
                                         table.string()};
        command.insert(command.begin() + 1, std::begin(cc_flags), std::end(cc_flags));
        must(command, "compiling the table of kernels");
        files.push_back(table.string());
        for (const std::string &object : runtime_objects(cc, cache, false)) files.push_back(object);
        archive(directory / ("lib" + o.name + ".a"), files);
        write_file(directory / (o.name + ".pc"), pkg_config_source(o.name));
        result.has_archive_with_runtime = true;
        result.archive_bytes = fs::file_size(directory / ("lib" + o.name + ".a"));
    }
    write_file(directory / "kernels.json", manifest(o, result));
    write_file(directory / (o.name + ".spdx.json"), bill_of_materials(o.name, result));
    write_file(directory / "CMakeLists.txt", cmake_source(o.name));
    write_file(directory / "USE.txt", use_text(o.name, result));
    return result;
}

}  // namespace

void write_runtime(const fs::path &directory, bool with_program) {
    for (int i = 0; i < hconv_embedded_file_count; ++i) {
        const EmbeddedFile &f = hconv_embedded_files[i];
        if (only_for_programs(f.path) && !with_program) continue;
        fs::path path = directory / vendored_path(f.path);
        fs::create_directories(path.parent_path());
        write_file(path, std::string(f.begin, f.end));
    }
}

std::string kernel_key(const std::string &problem, const Target &target) { return problem + " " + target.halide; }

namespace {

void warn(const EmitOptions &o, const std::string &sentence) {
    if (o.compile.warn) o.compile.warn(sentence);
}

// A kernel to make, and what the records said.
struct Wanted {
    KernelRequest request;
    Selection selection;
};

// The wish with its schedule looked up among the records.
Wanted look_up(const KernelRequest &r, const TunedRecords &tuned, const EmitOptions &o) {
    const bool here = o.targets == std::vector<std::string>{"host"};
    Wanted w{r, tuned.select(Problem::parse(r.problem), r.target, here ? machine_name() : "")};
    w.request.schedule = w.selection.schedule;
    return w;
}

// The kernels; where a record's kernel is not what it was measured with, or does not compile, the record is dropped and the
// next rule decides.
std::vector<KernelRecord> compile_wanted(std::vector<Wanted> wanted, const EmitOptions &o, TunedRecords &tuned, CompileTotals *totals) {
    std::vector<KernelRecord> kernels;
    std::vector<KernelRequest> requests;
    for (const Wanted &w : wanted) requests.push_back(w.request);
    if (std::none_of(wanted.begin(), wanted.end(), [](const Wanted &w) { return !w.selection.rule.empty(); }))
        return compile_kernels(requests, o.compile, totals);
    std::vector<Compiled> made = try_compile(requests, o.compile, totals);
    for (size_t i = 0; i < wanted.size(); ++i) {
        const Wanted &w = wanted[i];
        const bool stale = !w.selection.hash.empty() && made[i].status == "ok" && made[i].kernel.hash != w.selection.hash;
        if (!w.selection.rule.empty() && (stale || made[i].status != "ok")) {
            const std::string what = stale ? "it was measured with other code (hash " + w.selection.hash + ", now " + made[i].kernel.hash + ")"
                                           : "its kernel does not compile: " + made[i].why;
            warn(o, w.selection.rule + " is stale and not used: " + what);
            tuned.drop(w.selection);
            KernelRequest again = w.request;
            again.schedule.clear();
            kernels.push_back(compile_wanted({look_up(again, tuned, o)}, o, tuned, nullptr).front());
            continue;
        }
        if (made[i].status != "ok") compile_kernels({w.request}, o.compile);  // throws
        if (!w.selection.rule.empty()) made[i].kernel.rule = w.selection.rule;
        kernels.push_back(made[i].kernel);
    }
    return kernels;
}

}  // namespace

EmitResult compile_library(const EmitOptions &o) {
    std::vector<Wanted> wanted;
    std::set<std::string> seen;
    const std::vector<Target> targets = resolve_targets(o.targets);
    const std::vector<std::string> schedules = o.alternatives.empty() ? std::vector<std::string>{o.schedule} : o.alternatives;
    TunedRecords tuned(o.compile.records, [&o](const std::string &sentence) { warn(o, sentence); });
    for (const std::string &text : o.problems) {
        std::string problem = Problem::parse(text).text();
        if (!seen.insert(problem).second) continue;
        const size_t chosen = XXH3_64bits(problem.data(), problem.size()) % targets.size();
        for (const Target &t : targets) {
            if (o.spread.count(problem) && &t != &targets[chosen]) continue;
            auto own = o.schedules.find(kernel_key(problem, t));
            for (const std::string &each : schedules) {
                const std::string &schedule = own == o.schedules.end() ? each : own->second;
                if (!schedule.empty()) choose_kernel(Problem::parse(problem), Halide::Target(t.halide), schedule);  // or a sentence
                const KernelRequest request{problem, t, schedule, o.asserts};
                wanted.push_back(schedule.empty() ? look_up(request, tuned, o) : Wanted{request, {}});
            }
        }
    }
    if (wanted.empty()) throw std::invalid_argument("no problem was given");
    EmitResult result;
    result.kernels = compile_wanted(wanted, o, tuned, &result.totals);
    for (size_t i = 0; i < result.kernels.size(); ++i)
        result.symbols.push_back(symbol_of(o.name, result.kernels[i]) + (o.alternatives.empty() ? "" : "__" + std::to_string(i)));
    return result;
}

EmitResult emit_library(const EmitOptions &o, const fs::path &given) {
    const fs::path directory = fs::absolute(given).lexically_normal();
    std::error_code error;
    fs::path parent = (directory.has_filename() ? directory : directory.parent_path()).parent_path();
    const bool folder = fs::is_directory(directory);
    if (fs::exists(directory) && (!folder || (!fs::is_empty(directory) && !fs::exists(directory / "kernels.json"))))
        throw std::runtime_error(given.string() + " is there and was not made by hconv emit: name another folder, or remove it");
    fs::create_directories(parent, error);
    if (error) throw std::runtime_error("cannot make " + parent.string() + ": " + error.message());
    TemporaryFolder work(parent);
    fs::path fresh = work.path / "new";
    fs::create_directory(fresh);
    EmitResult result = write_library(o, fresh);
    put_folder(fresh, directory);
    return result;
}

// The library of a program, and the one line of C that tells runtime/exec.c its name.
static EmitResult write_program_library(EmitOptions o, const fs::path &folder) {
    o.name = "exec";
    fs::create_directory(folder);
    EmitResult result = write_library(o, folder);
    write_file(folder / "pointer.c", "#include \"exec.h\"\n#include \"hconv/library.h\"\n"
                                     "extern const hconv_library *const hconv_exec_library;\n"
                                     "const hconv_library *const hconv_exec_library = &hconv_library_exec;\n");
    return result;
}

static void link_program(const EmitOptions &o, const std::string &cc, const fs::path &folder, const fs::path &program, bool statically) {
    std::vector<std::string> command{cc, "-I" + folder.string(), (folder / "pointer.c").string(), "-o", program.string()};
    for (const std::string &object : runtime_objects(cc, o.compile.cache.empty() ? default_cache() : o.compile.cache, true))
        command.push_back(object);
    if (statically) command.push_back("-static");
    command.insert(command.end(), {(folder / "libexec.a").string(), "-lm", "-lpthread", "-ldl"});
    must(command, "linking the run program");
}

Program build_program(const EmitOptions &o) {
    Program program;
    program.folder = std::make_shared<TemporaryFolder>();
    const fs::path folder = program.folder->path / "library";
    EmitOptions here = o;
    here.images = false;
    program.library = write_program_library(here, folder);
    const std::string platform = program.library.kernels.front().target.platform;
    const std::string cc = o.cc.empty() ? c_compiler_for(platform) : o.cc;
    if (cc.empty()) throw std::runtime_error("no C compiler for " + platform + " was found: name one with --cc");
    program.path = program.folder->path / "exec";
    link_program(o, cc, folder, program.path, platform == "arm-64-linux" || platform == "arm-32-linux");
    return program;
}

PackedProgram pack_program(const EmitOptions &o, const fs::path &directory) {
    PackedProgram packed;
    const fs::path folder = directory / "library";
    packed.library = write_program_library(o, folder);
    write_runtime(folder, true);
    const std::string platform = packed.library.kernels.front().target.platform;
    const std::string cc = o.cc.empty() ? c_compiler_for(platform) : o.cc;
    packed.compile = "${CC:-cc}";
    for (const char *flag : cc_flags) packed.compile += std::string(" ") + flag;
    packed.compile += " -Ilibrary library/*.c library/hconv/src/*.c library/hconv/src/variants/*.c library/libexec_kernels.a "
                      "-lm -lpthread -ldl -o program";
    if (cc.empty()) return packed;
    const bool device = packed.library.kernels.front().target.features & HCONV_DEVICE_CUDA;  // a driver is found at run time
    try {
        link_program(o, cc, folder, directory / "program", !device);
    } catch (const std::runtime_error &) {  // a C library without a static form
        link_program(o, cc, folder, directory / "program", false);
    }
    return packed;
}

}  // namespace hconv
