// own_floor.h - exp without the C library's floorf, for CPUs that have no instruction for it.
// SPDX-License-Identifier: MIT
#pragma once

#include <Halide.h>

namespace hconv {

// A pass to add to a pipeline: writes Halide's polynomial for exp out, with its floor by conversion to an integer and back:
// three more vector instructions, and no call. exp's argument is at most some hundreds, which an integer holds.
class OwnFloorPass : public Halide::Internal::IRMutator {
    using Halide::Internal::IRMutator::visit;
    Halide::Expr visit(const Halide::Internal::Call *op) override;
};

// Does a target's code generator make a call of floor?
inline bool floor_is_a_call(const Halide::Target &t) { return t.arch == Halide::Target::ARM && t.bits == 32; }

}  // namespace hconv
