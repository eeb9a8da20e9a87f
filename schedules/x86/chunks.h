// chunks.h - small maps whose weights come from far away: all tiles are unrolled, one row behind the other, and some input channels are
// summed for all of them, then the next ones, whose weights, in one piece, are fetched meanwhile (ScheduleBase::weights_ahead).
// SPDX-License-Identifier: MIT
#pragma once

#include "schedules/x86/idioms.h"
#include "schedules/x86/map_tile.h"

namespace hconv::x86 {

// Numbers of the weights of so many input channels, for a block of outputs.
inline int chunk_weights(int channels, int block, const Problem &p) { return channels * p.kh * p.kw * block; }

// Packed so that they are one piece.
inline std::string chunk_layout(const hconv_tensor &t, int block) {
    return std::string(t.letters) == "oihw" ? "Oihw" + std::to_string(block) + "o" : blocked_layout(t, block);
}

// A sum over (channels, taps of a row, of a column) for a map of columns x rows.
struct ChunkedSum {
    Func acc;
    Var co, x, y;
    Halide::RDom r;
    int columns, rows;
};

// Its loops, but for where it is computed. phases: further dimensions that are unrolled.
inline void sum_in_chunks(ChunkedSum s, const ChannelBlocks &co, int pixels, int channels, const std::vector<Var> &phases, const Machine &m) {
    Var pixel("pixel"), po("po"), pi("pi"), lane("sl"), unrolled("su");
    RVar outer("outer"), inner("inner");
    s.acc.bound_extent(s.co, co.size()).bound(s.x, 0, s.columns).bound(s.y, 0, s.rows).vectorize(s.co, co.lanes);
    Stage sums = s.acc.update();
    sums.split(s.r.x, outer, inner, channels).fuse(s.x, s.y, pixel);
    sums.split(pixel, po, pi, pixels, s.columns * s.rows % pixels ? TailStrategy::GuardWithIf : TailStrategy::RoundUp);
    sums.split(s.co, unrolled, lane, co.lanes).never_partition_all();
    const bool held = holds_pixels({co.vectors, pixels}, m);
    std::vector<Halide::VarOrRVar> order{lane, held ? pi : unrolled, held ? unrolled : pi, s.r.y, s.r.z, inner, po};
    order.insert(order.end(), phases.begin(), phases.end());
    order.push_back(outer);
    sums.reorder(order).vectorize(lane).unroll(pi).unroll(unrolled).unroll(s.r.y).unroll(s.r.z).unroll(po);
    for (const Var &phase : phases) sums.unroll(phase);
}

}  // namespace hconv::x86
