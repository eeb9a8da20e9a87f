// emit.h - problems x targets to a folder an application can vendor, and to the run program that check, bench and run use.
// SPDX-License-Identifier: MIT
#pragma once

#include "tools/compile.h"
#include "tools/cuda.h"
#include "tools/process.h"

#include <map>
#include <memory>
#include <set>

namespace hconv {

struct EmitOptions {
    std::vector<std::string> problems;
    std::vector<std::string> targets{"x86-64-linux"};
    std::set<std::string> spread;  // of the problems: those compiled for one of the targets only, chosen by name
    std::string schedule;   // for every kernel; empty: looked up
    std::vector<std::string> alternatives;  // several schedules: each makes a kernel of every problem
    std::map<std::string, std::string> schedules;  // by kernel_key: where one kernel differs
    std::map<std::string, std::string> verdicts;   // by kernel_key: JSON for the manifest
    std::string name = "kernels";
    std::string cc;         // empty: the platform's default
    bool asserts = false;   // Halide's own checks compiled in
    bool images = true;     // CUDA: code for today's GPUs beside the PTX, where ptxas is here
    CompileOptions compile;
};

struct EmitResult {
    std::vector<KernelRecord> kernels;
    std::vector<std::string> symbols;  // of each kernel
    std::vector<std::vector<CudaImage>> images;  // of each kernel
    CompileTotals totals;
    bool has_archive_with_runtime = false;
    uint64_t archive_bytes = 0;
};

std::string kernel_key(const std::string &problem, const Target &target);

// Compiles the kernels, and no more.
EmitResult compile_library(const EmitOptions &options);

// Writes directory whole or not at all; an earlier emitted folder of that name is replaced.
EmitResult emit_library(const EmitOptions &options, const std::filesystem::path &directory);

// The runtime's headers and sources, as emit_library puts them beside the kernels: directory/hconv/. with_program: also those
// of the run program.
void write_runtime(const std::filesystem::path &directory, bool with_program);

// An executable made of exactly what emit writes plus runtime/exec.c; removed with the folder.
struct Program {
    std::shared_ptr<TemporaryFolder> folder;
    std::filesystem::path path;
    EmitResult library;
};
Program build_program(const EmitOptions &options);

// The same in a folder for another machine: directory/library with all sources, directory/program where a C compiler for the
// target is here (linked statically where that works), and the command that makes it of the former.
struct PackedProgram {
    EmitResult library;
    std::string compile;
};
PackedProgram pack_program(const EmitOptions &options, const std::filesystem::path &directory);

}  // namespace hconv
