// fetch_ahead.h - what is needed next, fetched while tiles are summed: the lines that a tile is written to, the next chunk's weights.
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

// The same for weights that are packed chunk by chunk, each of `chunk` numbers: a loop over chunks, whose tiles are loops one behind the
// other, fetches the next chunk while these are summed: each of their steps asks for its share.
class FetchWeightsPass : public Halide::Internal::IRMutator {
public:
    // weights: their tensor, by Halide name.
    FetchWeightsPass(std::string weights, int chunk);

private:
    using IRMutator::visit;
    Halide::Internal::Stmt visit(const Halide::Internal::For *op) override;
    std::string weights;
    int chunk;
};

}  // namespace hconv
