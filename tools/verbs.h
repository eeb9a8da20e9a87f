// verbs.h - the verbs that run kernels: check, run, bench (tune has a header of its own), and what reads records. Exit status: 0 all good, 1 a check failed, 2 bad usage.
// SPDX-License-Identifier: MIT
#pragma once

#include "tools/compile.h"

#include <cstdint>
#include <string>
#include <vector>

namespace hconv {

// Which kernels, and how their program is started.
struct KernelOptions {
    std::vector<std::string> problems; // lines of a problem list, or "@FILE"
    std::string target = "host";
    std::string schedule; // empty: looked up
    std::vector<std::string> alternatives; // several schedules: each makes a kernel of every problem
    std::string runner;   // command prefix that runs the target's programs here
    std::string cc;       // empty: the platform's default
    bool asserts = false; // Halide's own checks compiled in
    std::string pack_up;  // folder to write the program and its jobs to, instead of running them
    std::string results;  // what such a folder's run wrote; then the rest comes from there
    double run_seconds = 0; // that the run program may take for a list of jobs; 0: as long as it likes
    CompileOptions compile;
};

struct CheckOptions {
    KernelOptions kernels;
    uint64_t seed = 1;
    size_t random = 0;  // problems drawn at random instead of listed ones
    std::vector<std::string> variants;  // to draw from; empty: all
    bool dry_run = false;  // only print what would be checked
};

struct RunOptions {
    KernelOptions kernels;           // one problem
    std::vector<std::string> inputs; // "x=x.npy"; of the others, if random, is made
    bool random = false;
    uint64_t seed = 1;
    std::string parameters, prefix;   // a .safetensors, .npz, .npy, or a folder of .npy; "" with random: made
    std::vector<std::string> outputs; // "y=y.npy"
    int threads = 0;                  // 0: all cores
};

struct BenchOptions {
    KernelOptions kernels;
    int threads = 1, rounds = 21;
    std::string json; // file for the rows; empty: none
};

// Each throws std::invalid_argument (2) or std::runtime_error (1) with a sentence for what is no verdict on a kernel.
int check_command(const CheckOptions &options);
int run_command(const RunOptions &options);
// what: best, lint, merge, why, export, import or verify.
struct RecordsOptions {
    KernelOptions kernels;
    std::string what, output, problem;
    std::vector<std::string> files;
    bool quick = false;  // lint: without compiling, so without a look at what is stale
};
int records_command(const RecordsOptions &options);

int bench_command(const BenchOptions &options);

} // namespace hconv
