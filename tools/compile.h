// compile.h - problem + target + schedule to an object file, through a cache addressed by content.
// SPDX-License-Identifier: MIT
#pragma once

#include "generators/problem.h"
#include "tools/cache.h"
#include "tools/targets.h"

#include <csignal>
#include <filesystem>
#include <functional>
#include <string>
#include <vector>

namespace hconv {

struct KernelRequest {
    std::string problem;  // canonical
    Target target;
    std::string schedule;  // empty: looked up
    bool asserts = false;  // Halide's own checks compiled in, for tests
};

struct CompileOptions {
    std::filesystem::path cache;  // empty: default_cache()
    int jobs = 0;                 // 0: all cores
    double seconds = 300;         // a kernel
    uint64_t memory_bytes = uint64_t(8) << 30;
    std::vector<std::string> records;  // files of tuned records beside those built in; "none": without what stands before it
    std::function<void(const std::string &)> warn;  // may be empty
    const volatile std::sig_atomic_t *stop = nullptr;  // becomes 1: compilations are given up
    // done of count, a line about the last; may be empty
    std::function<void(size_t done, size_t count, const std::string &line)> progress;
};

struct CompileTotals {
    size_t kernels = 0, compiled = 0;
    double seconds = 0;  // sum over the processes
    std::string text() const;  // "9 kernels (2 compiled in 1.5 s of processor time, the others from the cache)"
};

std::string tool_version();  // "0.1.0"
std::string halide_version();
std::string llvm_version();  // of the LLVM inside Halide

std::filesystem::path default_cache();

struct Compiled {
    KernelRecord kernel;
    std::string status = "ok", why;  // or: compile, timeout, infeasible
};
// Every request in its own process; what fails says why.
std::vector<Compiled> try_compile(const std::vector<KernelRequest> &requests, const CompileOptions &options,
                                  CompileTotals *totals = nullptr);
// The same, but the first request that fails throws.
std::vector<KernelRecord> compile_kernels(const std::vector<KernelRequest> &requests, const CompileOptions &options,
                                          CompileTotals *totals = nullptr);

// Of this command: changes with every build.
const std::string &tool_identity();

// Changes when the kernel's code or anything of the tool does: the name under which a verdict on it is kept.
std::string kernel_identity(const KernelRecord &kernel);

// The hidden verb behind compile_kernels: one kernel in this process; writes the object into the cache and prints the record.
int compile_command(const KernelRequest &request, const std::filesystem::path &cache);

// For hconv show: as = "loops", "stmt", "asm" or "ptx".
std::string show_code(const KernelRequest &request, const std::string &as);

}  // namespace hconv
