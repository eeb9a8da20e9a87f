// machine.cpp - see machine.h.
// SPDX-License-Identifier: MIT
#include "schedules/machine.h"

namespace hconv {

Machine Machine::of(const Halide::Target &t) {
    using Halide::Target;
    if (t.arch == Target::X86) {
        if (t.has_feature(Target::AVX512_Skylake)) return {16, 32, 32 << 10, 1 << 20};
        if (t.has_feature(Target::AVX2)) return {8, 16, 32 << 10, 256 << 10};
        return {4, 16, 32 << 10, 256 << 10};
    }
    if (t.arch == Target::ARM && t.bits == 64) return {4, 32, 32 << 10, 512 << 10, true};
    return {4, 16, 32 << 10, 512 << 10};
}

}  // namespace hconv
