// fetch_ahead.h - the lines that a tile of sums is written to, fetched while it is summed.
// SPDX-License-Identifier: MIT
#pragma once

#include <Halide.h>

#include <string>

namespace hconv {

// A pass to add to a pipeline: before a tile is summed it asks for the lines of the output, and of what is added to it, that the
// tile's sums go to; they come from memory meanwhile. (Halide's own prefetch reads only inputs, past the second cache.)
class FetchAheadPass : public Halide::Internal::IRMutator {
public:
    // output: the kernel's, by Halide name.
    explicit FetchAheadPass(std::string output);

private:
    using IRMutator::visit;
    Halide::Internal::Stmt visit(const Halide::Internal::Block *op) override;
    std::string output;
};

}  // namespace hconv
