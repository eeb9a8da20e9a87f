// workspace.h - the scratch memory a lowered kernel needs, as expressions over its tensors' extents.
// SPDX-License-Identifier: MIT
#pragma once

#include <Halide.h>

#include <cstdint>
#include <map>
#include <string>
#include <vector>

namespace hconv {

// Heap allocations outside parallel loops (root) and inside them, for one worker (slot), in bytes, as the postfix programs of
// hconv/library.h. A pass to add to a pipeline: it sees the lowered code and changes nothing.
class WorkspacePass : public Halide::Internal::IRMutator {
public:
    // arguments: the kernel's buffers in order, by Halide name.
    explicit WorkspacePass(std::vector<std::string> arguments);
    Halide::Internal::Stmt mutate(const Halide::Internal::Stmt &s) override;
    std::vector<int64_t> root, slot;

private:
    std::vector<std::string> arguments;
    bool done = false;
};

}  // namespace hconv
