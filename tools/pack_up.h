// pack_up.h - check and bench on a machine without hconv or Halide: the program and its jobs in a folder, and its results taken
// back.
// SPDX-License-Identifier: MIT
// The folder: run (a shell script), program where a C compiler for the target is here, library/ (all its sources and objects),
// jobs, outputs/, and pack.json: what was asked for and a name made of it that every result carries.
#pragma once

#include "tools/run_program.h"

#include <nlohmann/json_fwd.hpp>

#include <memory>

namespace hconv {

// Who does the jobs that --pack-up, --results or neither ask for. numbers: what the verb needs back beside the kernel options.
std::unique_ptr<Jobber> jobber_for(const std::vector<ListedProblem> &problems, const KernelOptions &options, const std::string &verb,
                                   const nlohmann::json &numbers);

// With --results: problems, target and the like from the pack; returns the numbers. Throws a sentence where the file is not one
// that a pack of this verb wrote.
nlohmann::json unpack_options(KernelOptions &options, const std::string &verb);

}  // namespace hconv
