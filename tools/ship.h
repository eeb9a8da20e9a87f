// ship.h - hconv emit: nothing unverified ships.
// SPDX-License-Identifier: MIT
#pragma once

#include "tools/emit.h"
#include "tools/problem_list.h"

#include <functional>

namespace hconv {

struct ShipOptions {
    EmitOptions emit;                     // its problems are filled in
    std::vector<ListedProblem> problems;
    std::string runner;   // runs the target's programs here; empty: kernels this CPU has not are not run
    bool verify = true;
    bool strict = false;  // a kernel that fails its check is an error, not a fallback
    uint64_t seed = 1;
    std::function<void(const std::string &)> warn;
};

// Checks every kernel that can run here against the reference before it lands in the archive; one that fails is replaced by
// the generic schedule, with a warning and a note in the manifest.
EmitResult ship_library(const ShipOptions &options, const std::filesystem::path &directory);

}  // namespace hconv
