// machine.h - the few numbers a schedule's defaults are computed from, by target: any build machine gives the same.
// SPDX-License-Identifier: MIT
#pragma once

#include <Halide.h>

namespace hconv {

struct Machine {
    int lanes;             // float32 in a vector register
    int vector_registers;
    int l1_bytes, l2_bytes;
    bool multiplies_by_lane = false;  // one operand of a multiply-add may be a lane of a vector
    static Machine of(const Halide::Target &target);
};

}  // namespace hconv
