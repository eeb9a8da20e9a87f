// targets.h - the targets people type, as Halide target strings with a level each.
// SPDX-License-Identifier: MIT
#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace hconv {

struct Target {
    std::string text;    // what people type: "x86-64-linux/avx2"
    std::string halide;  // what rows and records hold
    std::string isa;     // "sse41", "avx2", "avx512", "neon", "cuda"
    std::string platform;  // "x86-64-linux"
    int level = 0;       // preference among rows of one problem
    uint64_t features = 0;  // HCONV_CPU_*
    bool runs_here() const;  // on this machine, without a runner
    std::string object_suffix() const { return platform.find("windows") == std::string::npos ? "o" : "obj"; }
};

// "x86-64-linux" = its three levels; "x86-64-linux/avx2"; "host" = this CPU's best level; a full Halide string. Throws with a
// sentence.
std::vector<Target> resolve_targets(const std::string &text);
std::vector<Target> resolve_targets(const std::vector<std::string> &texts);
// Every target that can be typed.
const std::vector<Target> &known_targets();
// Default C compiler for a platform; empty if none is known or found.
std::string c_compiler_for(const std::string &platform);

}  // namespace hconv
