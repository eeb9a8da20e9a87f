// hconv.cpp - the command: verbs and flags only. Exit 0 = all good, 1 = something failed, 2 = bad usage.
// SPDX-License-Identifier: MIT
#include "tools/process.h"
#include "tools/ship.h"
#include "tools/show.h"
#include "tools/tune.h"
#include "tools/verbs.h"

#include "hconv/library.h"

#include <CLI/CLI.hpp>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <exception>
#include <iostream>
#include <new>
#include <unistd.h>

namespace hconv {

namespace {

// A line that rewrites itself on a terminal, plain lines elsewhere (every tenth, and the last).
void print_progress(size_t done, size_t count, const std::string &line) {
    if (isatty(2)) std::fprintf(stderr, "\r\033[K[%zu/%zu] %s%s", done, count, line.c_str(), done == count ? "\n" : "");
    else if (done == count || done % 10 == 0) std::fprintf(stderr, "[%zu/%zu] %s\n", done, count, line.c_str());
}

void add_compile_flags(CLI::App *verb, CompileOptions &c) {
    c.progress = print_progress;
    verb->add_option("--jobs", c.jobs, "kernels compiled at once (default: all cores)")->check(CLI::Range(1, 1024));
    verb->add_option("--time-limit", c.seconds, "seconds a kernel's compilation may take (default: 300)")
        ->check(CLI::Range(0.001, 1e6));
    verb->add_option_function<uint64_t>(
            "--memory-limit", [&c](uint64_t mb) { c.memory_bytes = mb << 20; },
            "MB of address space a kernel's compilation may take (default: 8192)")
        ->check(CLI::Range(uint64_t(1), uint64_t(1) << 40));
    c.warn = [](const std::string &text) { std::fprintf(stderr, "warning: %s\n", text.c_str()); };
    verb->add_option("--records", c.records, "tuned records beside those built in, or none (also $HCONV_RECORDS)");
    verb->add_option("--cache", c.cache, "folder of compiled kernels (default: $HCONV_CACHE, ~/.cache/hconv)");
}

struct EmitVerb {
    ShipOptions options;
    std::vector<std::string> problems, spread;
    std::string directory;
    bool no_verify = false;
    int operator()() {
        options.problems = read_problems(problems);
        for (const ListedProblem &p : read_problems(spread)) {
            const std::string text = p.text();
            auto everywhere = [&](const ListedProblem &q) { return q.text() == text; };
            if (std::any_of(options.problems.begin(), options.problems.end(), everywhere)) continue;
            options.problems.push_back(p);
            options.emit.spread.insert(text);
        }
        options.verify = !no_verify && !options.emit.asserts;
        options.warn = [](const std::string &text) { std::fprintf(stderr, "warning: %s\n", text.c_str()); };
        EmitResult r = ship_library(options, directory);
        std::printf("%s: %s", directory.c_str(), r.totals.text().c_str());
        if (r.has_archive_with_runtime)
            std::printf(", lib%s.a %.1f KB", options.emit.name.c_str(), double(r.archive_bytes) / 1024);
        else std::printf("; no C compiler for this target: build with the CMakeLists.txt in it");
        std::printf("\nhow to use it: %s/USE.txt\n", directory.c_str());
        for (const KernelRecord &k : r.kernels)
            if (options.emit.spread.count(k.problem)) std::printf("%s only: %s\n", k.target.isa.c_str(), k.problem.c_str());
        return 0;
    }
};

void add_emit(CLI::App &app, std::function<int()> &chosen) {
    auto verb = app.add_subcommand("emit", "compile problems into a static library an application can vendor");
    auto e = std::make_shared<EmitVerb>();
    verb->add_option("problems", e->problems, "problem strings, or @FILE with one a line")->required();
    verb->add_option("-o,--output", e->directory, "folder to make")->required();
    verb->add_option("--name", e->options.emit.name, "name of the library, a C identifier (default: kernels)");
    verb->add_option("--target", e->options.emit.targets, "targets, as hconv list targets names them (default: x86-64-linux)")
        ->delimiter(',');
    verb->add_option("--spread", e->spread, "more problems, each for one of the targets, chosen by its name: for tests");
    verb->add_option("--schedule", e->options.emit.schedule, "schedule of every kernel (default: looked up)");
    verb->add_option("--cc", e->options.emit.cc, "C compiler for the table and the runtime");
    verb->add_option("--runner", e->options.runner, "command that runs the target's programs here, such as qemu-aarch64");
    verb->add_flag("--strict", e->options.strict, "a kernel that fails its check is an error (default: generic replaces it)");
    verb->add_flag("--no-verify", e->no_verify, "do not check the kernels against the reference first");
    verb->add_flag("--asserts", e->options.emit.asserts, "compile Halide's own checks in, for tests");
    add_compile_flags(verb, e->options.emit.compile);
    verb->footer("example: hconv emit conv2d_ci64_h56_co64_k3_p1_relu -o out/mynet --name mynet");
    verb->callback([e, &chosen] { chosen = [e] { return (*e)(); }; });
}

void add_show(CLI::App &app, std::function<int()> &chosen) {
    auto verb = app.add_subcommand("show", "tensors, parameters, multiply-adds, schedule, loops or assembly of problems");
    auto o = std::make_shared<ShowOptions>();
    verb->add_option("problems", o->problems, "problem strings")->required();
    verb->add_option("--target", o->target, "target (default: host)");
    verb->add_option("--schedule", o->schedule, "schedule (default: looked up)");
    verb->add_option("--as", o->as, "schedule, loops, stmt, asm or ptx");
    verb->add_option("--records", o->records, "tuned records beside those built in, or none (also $HCONV_RECORDS)");
    verb->add_flag("--why", o->why, "say why this schedule, and how parameters are packed");
    verb->footer("example: hconv show conv2d_ci64_h56_co64_k3_p1 --as loops");
    verb->callback([o, &chosen] { chosen = [o] { return show_command(*o); }; });
}

CLI::Option *add_kernel_flags(CLI::App *verb, KernelOptions &k, const char *about) {
    CLI::Option *problems = verb->add_option("problems", k.problems, about);
    verb->add_option("--target", k.target, "target (default: host = this CPU)");
    verb->add_option("--schedule", k.schedule, "schedule (default: looked up)");
    verb->add_option("--runner", k.runner, "command that runs the target's programs here, such as qemu-aarch64");
    verb->add_option("--cc", k.cc, "C compiler for the target");
    add_compile_flags(verb, k.compile);
    return problems;
}

void add_pack_flags(CLI::App *verb, KernelOptions &k) {
    verb->add_option("--pack-up", k.pack_up, "write a folder whose run script does this where no hconv is, and run nothing here");
    verb->add_option("--results", k.results, "results.json of such a folder, taken back with it: judge that");
}

void add_check(CLI::App &app, std::function<int()> &chosen) {
    auto verb = app.add_subcommand("check", "compile, run, and compare with the reference");
    auto o = std::make_shared<CheckOptions>();
    add_kernel_flags(verb, o->kernels, "problem strings, or @FILE; open ones may end with @h30w40,...");
    add_pack_flags(verb, o->kernels);
    verb->add_option("--seed", o->seed, "of the data, and of --random (default: 1)");
    verb->add_flag("--asserts", o->kernels.asserts, "compile Halide's own checks in");
    verb->add_option("--random", o->random, "so many problems drawn at random, instead of listed ones");
    verb->add_option("--variant", o->variants, "what --random draws from (default: all)")->delimiter(',');
    verb->add_flag("--dry-run", o->dry_run, "print the problems as a list, and check nothing");
    verb->footer("example: hconv check conv2d_ci3_h?_co16_k3_p1@h7w9,h30");
    verb->callback([o, &chosen] { chosen = [o] { return check_command(*o); }; });
}

void add_run(CLI::App &app, std::function<int()> &chosen) {
    auto verb = app.add_subcommand("run", "one problem on .npy, .npz and .safetensors files");
    auto o = std::make_shared<RunOptions>();
    add_kernel_flags(verb, o->kernels, "one problem string")->required();
    verb->add_option("-i,--input", o->inputs, "NAME=FILE.npy, for every input");
    auto random = verb->add_option("--random", o->seed, "make what is not given from this seed");
    verb->add_option("-w,--weights", o->parameters, "parameters: .safetensors, .npz or a folder of .npy");
    verb->add_option("--prefix", o->prefix, "what stands before the parameters' names in the file");
    verb->add_option("-o,--output", o->outputs, "NAME=FILE.npy, for every output wanted");
    verb->add_option("--threads", o->threads, "most threads (default: all cores)");
    verb->footer("example: hconv run conv2d_ci3_h32_co8_k3_p1 -i x=x.npy -w net.safetensors --prefix conv1. -o y=y.npy");
    verb->callback([o, random, &chosen] {
        o->random = random->count() > 0;
        chosen = [o] { return run_command(*o); };
    });
}

void add_bench(CLI::App &app, std::function<int()> &chosen) {
    auto verb = app.add_subcommand("bench", "time kernels on this machine, warm");
    auto o = std::make_shared<BenchOptions>();
    add_kernel_flags(verb, o->kernels, "problem strings, or @FILE");
    add_pack_flags(verb, o->kernels);
    verb->add_option("--threads", o->threads, "threads (default: 1)");
    verb->add_option("--rounds", o->rounds, "timed rounds (default: 21)");
    verb->add_option("--json", o->json, "file for the rows");
    verb->footer("example: hconv bench @bench/problems/resnet50.txt --threads 2");
    verb->callback([o, &chosen] { chosen = [o] { return bench_command(*o); }; });
}

void add_tune(CLI::App &app, std::function<int()> &chosen) {
    auto verb = app.add_subcommand("tune", "find faster schedules by measurement, and keep what was measured");
    auto o = std::make_shared<TuneOptions>();
    o->kernels.compile.seconds = 30;
    add_kernel_flags(verb, o->kernels, "problem strings, or @FILE; open ones may end with @h30w40,...");
    add_pack_flags(verb, o->kernels);
    verb->add_option("--seconds", o->seconds, "time a problem (default: 60)")->check(CLI::Range(0.0, 1e7));
    verb->add_option("--candidates", o->candidates, "most candidates a problem (default: 60)")->check(CLI::Range(1, 1000000));
    verb->add_option("--seed", o->seed, "of the data and of the random draws (default: 1)");
    verb->add_option("--method", o->method, "climb, random or all (default: climb)")->check(CLI::IsMember({"climb", "random", "all"}));
    verb->add_option("--threads", o->threads, "numbers of threads to be fast with (default: 1, and all cores)")->delimiter(',')->check(CLI::Range(1, 1024));
    verb->add_option("--log", o->log, "the trial log (default: trials.sqlite in the kernel cache)");
    auto keep = verb->add_option("--keep", o->keep, "write the winners to a file (default: schedules/tuned/<machine>.jsonl)")->expected(0, 1);
    verb->add_option("--machine", o->machine, "this machine's name in records");
    verb->add_flag("--dry-run", o->dry_run, "print the space and the first candidates, and run nothing");
    verb->add_option("--report", o->report, "HTML page to write");
    verb->add_option("--json", o->json, "file for all trials and the last comparison");
    verb->add_option("--compare", o->compare, "only time this schedule (or default), given several times, against the first")->take_all();
    verb->add_option("--run-limit", o->kernels.run_seconds, "seconds the run program may take for a batch (default: 600)");
    verb->add_option("--fake-clock", o->fake_clock)->group("");
    verb->footer("example: hconv tune conv2d_ci64_h56_co64_k3_p1 --seconds 60 --report tune.html");
    verb->callback([o, keep, &chosen] {
        o->keep_winners = keep->count() > 0;
        chosen = [o] { return tune_command(*o); };
    });
}

void add_records(CLI::App &app, std::function<int()> &chosen) {
    auto verb = app.add_subcommand("records", "read, check and join records of trials: trial logs and files of lines");
    auto o = std::make_shared<RecordsOptions>();
    verb->add_option("what", o->what, "best: winners; lint: what is damaged, unsorted or stale; merge: winners of all into -o; why: a problem's trials;\n"
                                      "export: a log's lines; import: lines into the log -o; verify: time records against the defaults")
        ->required()->check(CLI::IsMember({"best", "lint", "merge", "why", "export", "import", "verify"}));
    verb->add_option("files", o->files, "trial logs, or files of lines")->required();
    verb->add_option("-o,--output", o->output, "file to write");
    verb->add_option("--problem", o->problem, "whose trials why explains");
    verb->add_flag("--quick", o->quick, "lint without compiling: says nothing about stale records");
    verb->add_option("--runner", o->kernels.runner, "command that runs the target's programs here");
    add_compile_flags(verb, o->kernels.compile);
    verb->footer("example: hconv records best ~/.cache/hconv/trials.sqlite");
    verb->callback([o, &chosen] { chosen = [o] { return records_command(*o); }; });
}

void add_runtime(CLI::App &app, std::function<int()> &chosen) {
    auto verb = app.add_subcommand("runtime", "write the runtime's headers and sources, for a build that compiles them once for several libraries");
    auto directory = std::make_shared<std::string>();
    verb->add_option("-o,--output", *directory, "folder; they go to hconv/ in it")->required();
    verb->footer("example: hconv runtime -o third_party");
    verb->callback([directory, &chosen] {
        chosen = [directory] { return write_runtime(*directory, false), 0; };
    });
}

// Hidden: one kernel in a process of its own.
void add_compile_kernel(CLI::App &app, std::function<int()> &chosen) {
    auto verb = app.add_subcommand("compile-kernel", "")->group("");
    struct Arguments {
        KernelRequest request;
        std::string target, cache;
    };
    auto a = std::make_shared<Arguments>();
    verb->add_option("problem", a->request.problem)->required();
    verb->add_option("--target", a->target)->required();
    verb->add_option("--schedule", a->request.schedule);
    verb->add_option("--cache", a->cache)->required();
    verb->add_flag("--asserts", a->request.asserts);
    verb->callback([a, &chosen] {
        chosen = [a] {
            a->request.target = resolve_targets(a->target).front();
            return compile_command(a->request, a->cache);
        };
    });
}

std::string version_text() {
    return "hconv " + tool_version() + "\nlibrary ABI " + std::to_string(HCONV_LIBRARY_ABI) + "\nHalide " + halide_version() +
           "\nLLVM " + llvm_version();
}

int main_command(int argc, char **argv) {
    CLI::App app{"hconv: convolution variants compiled ahead of time\n"
                 "  1. hconv list                                          what exists\n"
                 "  2. hconv show conv2d_ci64_h56_co64_k3_p1 --why         one problem, looked at\n"
                 "  3. hconv check conv2d_ci64_h56_co64_k3_p1              compile, run, compare with the reference\n"
                 "  4. hconv emit conv2d_ci64_h56_co64_k3_p1 -o out/net    a library to link\n"
                 "  5. hconv bench conv2d_ci64_h56_co64_k3_p1              how fast it is here\n"
                 "  6. hconv tune conv2d_ci64_h56_co64_k3_p1 --seconds 60  faster schedules, found by measurement"};
    std::function<int()> chosen;
    app.set_version_flag("--version", version_text);
    app.require_subcommand(0, 1);
    auto list = app.add_subcommand("list", "variants, targets and schedules that exist");
    auto what = std::make_shared<std::string>();
    list->add_option("what", *what, "variants, targets or schedules (default: all)")
        ->check(CLI::IsMember({"variants", "targets", "schedules"}));
    list->callback([what, &chosen] { chosen = [what] { return list_command(*what); }; });
    add_show(app, chosen);
    add_emit(app, chosen);
    add_check(app, chosen);
    add_run(app, chosen);
    add_bench(app, chosen);
    add_tune(app, chosen);
    add_records(app, chosen);
    add_runtime(app, chosen);
    app.add_subcommand("doctor", "what was found on this machine, and what to install")->callback([&chosen] {
        chosen = doctor_command;
    });
    add_compile_kernel(app, chosen);
    try {
        app.parse(argc, argv);
    } catch (const CLI::ParseError &e) {
        return app.exit(e) ? 2 : 0;
    }
    if (!chosen) {
        std::cout << app.help();
        return 0;
    }
    return chosen();
}

void say_out_of_memory() { std::fputs("hconv: out of memory\n", stderr); }

bool memory_ran_out = false;

[[noreturn]] void note_out_of_memory() {
    memory_ran_out = true;
    throw std::bad_alloc();
}

// An allocation that fails inside a destructor ends here.
[[noreturn]] void at_terminate() {
    if (!memory_ran_out) std::abort();
    say_out_of_memory();
    _exit(1);
}

}  // namespace

}  // namespace hconv

int main(int argc, char **argv) {
    std::set_new_handler(hconv::note_out_of_memory);
    std::set_terminate(hconv::at_terminate);
    try {
        hconv::clean_up_at_signals();
        return hconv::main_command(argc, argv);
    } catch (const std::bad_alloc &) {
        hconv::say_out_of_memory();
        return 1;
    } catch (const std::invalid_argument &e) {
        std::fprintf(stderr, "hconv: %s\n", e.what());
        return 2;
    } catch (const std::exception &e) {
        std::fprintf(stderr, "hconv: %s\n", e.what());
        return 1;
    }
}
