// unstaged.h - knobs and loops of direct convolution that reads the input where it lies, for every family whose sum is
// conv2d's.
// SPDX-License-Identifier: MIT
#pragma once

#include "generators/conv2d.h"
#include "schedules/schedule.h"

namespace hconv::x86 {

struct Unstaged {
    Knob co_vecs, xs, ys, ci_u, rows, row_u, spread;
    explicit Unstaged(ScheduleBase *owner)
        : co_vecs{owner, "co_vecs", 2, {1, 2, 3, 4}},                // vectors of output channels in the block
          xs{owner, "xs", 6, {1, 2, 3, 4, 5, 6, 7, 8, 10, 12, 14}},  // output columns in the block
          ys{owner, "ys", 1, {1, 2, 3, 4}},                          // output rows in the block
          ci_u{owner, "ci_u", 1, {1, 2, 4}},                         // unroll of the channel sum
          rows{owner, "rows", 4, {1, 2, 4, 8, 16}},                  // rows of tiles a task
          row_u{owner, "row_u", 0, {0, 1}},                          // unroll the sum of a row's taps, pixel by pixel
          spread{owner, "spread", 0, {0, 1, 2}}  // copy the input (2: a task its own) as pixels a little farther apart
    {}

    void choose(const Problem &p, const Machine &m);
    bool fits(const Problem &p, const Machine &m) const;
    bool may_be_best(const Problem &p, const Machine &m) const;
    std::string blocks(const hconv_tensor &t, const Problem &p, const Machine &m) const;
    // phases: so many rows of p's map lie side by side in the output's channels, each of p.co, and each row of the output
    // has so many rows of p's map.
    void loops(Conv2dStages &s, const Problem &p, const Halide::Target &t, int phases = 1) const;

private:
    void choose_tile(const Problem &p, const Machine &m);
    int unrolled_channels(const Problem &p, const Machine &m) const;
    bool tasks_are_blocks(const Problem &p, const Machine &m) const;
    int block_rows(const Problem &p, const Machine &m) const;
};

}  // namespace hconv::x86
