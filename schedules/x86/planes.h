// planes.h - nchw: inputs staged as they lie and, where lanes are channels, outputs transposed from a scratch.
// SPDX-License-Identifier: MIT
#pragma once

#include "schedules/x86/idioms.h"

namespace hconv::x86 {

// The rows of planes that a task reads, copied with the zeros around them: those of all channels lie together.
inline void stage_planes(Func padded, Func out, const Var &task, const Var &ci, const Var &x, const Var &y,
                         const Var &n, const Machine &m) {
    padded.compute_at(out, task).reorder_storage(x, ci, y, n).reorder(x, ci, y, n);
    padded.vectorize(x, m.lanes, TailStrategy::RoundUp);
}

// The whole input of planes, before all tasks: rows of all channels lie together there, too.
inline void stage_input_planes(Func padded, const Var &ci, const Var &x, const Var &y, const Var &n, const Machine &m) {
    padded.compute_root().reorder_storage(x, ci, y, n).reorder(x, ci, y, n);
    padded.vectorize(x, m.lanes, TailStrategy::RoundUp).parallel(y, 4, TailStrategy::GuardWithIf);
}

// The input of planes as pixels, before all tasks, with room behind each: a block of channels at a time, whose planes are read
// along rows. pixels: a wrapper of planes, of which `columns` at least are read.
inline void stage_transposed(Func pixels, Func planes, const Var &ci, const Var &x, const Var &y, const Var &n, int channels,
                             int columns, const Machine &m) {
    const int lanes = even_lanes(channels, m), wide = whole_lanes(columns, m);
    Var block("block"), channel("channel"), xo("xo"), xi("xi"), task("task");
    pixels.compute_root().align_storage(ci, channels + m.lanes).split(ci, block, channel, lanes);
    pixels.split(x, xo, xi, wide, TailStrategy::ShiftInwards);
    pixels.split(y, task, y, 16, TailStrategy::GuardWithIf).reorder({channel, xi, xo, y, block, task, n});
    pixels.vectorize(channel).unroll(xi).fuse(block, task, task).fuse(task, n, task).parallel(task);
    planes.compute_at(pixels, xo).bound_extent(ci, lanes).bound_extent(x, wide);
    planes.reorder(x, ci).vectorize(x).unroll(ci);
}

// Rows of planes written from a block's sums, which lie channel by channel at every pixel.
inline void store_along_rows(Func out, const Var &c, const Var &x, const ChannelBlocks &b, const Problem &p) {
    int lanes = 8;
    while (lanes > p.ow()) lanes /= 2;
    out.split(c, b.block, c, b.size(), p.co % b.size() ? TailStrategy::GuardWithIf : TailStrategy::RoundUp);
    out.vectorize(x, lanes, p.ow() % lanes ? TailStrategy::ShiftInwards : TailStrategy::RoundUp);
    if (p.ow() <= 8 * lanes) out.unroll(x);
}

// Planes written from what has channels innermost: vectors of pixels, the block's planes one after the other.
inline void transpose(Func out, const Var &x, const Var &plane, const std::vector<Var> &outside, int ow, const Machine &m) {
    Var lane("xl");
    const int lanes = ow ? whole_lanes(ow, m) : m.lanes;
    out.split(x, x, lane, lanes, ow ? TailStrategy::ShiftInwards : TailStrategy::GuardWithIf);
    std::vector<Halide::VarOrRVar> order{lane, plane, x};
    order.insert(order.end(), outside.begin(), outside.end());
    out.reorder(order).vectorize(lane).unroll(plane);
}

// nchw: a row's sums of one block of channels lie in a scratch, channels innermost; from there the planes are written,
// vectors of pixels, as many planes at a time as make a square of registers. Returns the scratch, in whose tiles (xo, of
// xs pixels) the sums belong. Loops over `out` from the inside: x and channels of a block, then the caller's.
struct PlaneLoops {
    Var lane{"xl"}, plane{"cp"}, xo{"xo"}, xi{"xi"};
};
inline Func rows_to_planes(Func out, Func acc, const Var &c, const Var &x, const Var &row, const ChannelBlocks &co,
                           const PlaneLoops &v, const Problem &p, const Machine &m, int xs) {
    const int ow = p.ow(), lanes = ow == HCONV_OPEN ? m.lanes : whole_lanes(ow, m), planes = std::min(lanes, co.lanes);
    Var lane("pl"), unrolled("pu");
    out.split(c, co.block, co.unrolled, co.size(), p.co % co.size() ? TailStrategy::GuardWithIf : TailStrategy::RoundUp);
    out.split(co.unrolled, co.unrolled, v.plane, planes,
              p.co % planes ? TailStrategy::GuardWithIf : TailStrategy::RoundUp);
    out.split(x, x, v.lane, lanes, ow == HCONV_OPEN ? TailStrategy::GuardWithIf : TailStrategy::ShiftInwards);
    out.vectorize(v.lane).unroll(v.plane);
    Func scratch = acc.in(out);
    scratch.compute_at(out, row).bound_extent(c, co.size()).split(c, unrolled, lane, co.lanes);
    const Expr width = out.output_buffer().dim(1).extent();
    specialize_widths(scratch, width, ow, widths_below(xs), [&](Stage st, int w, TailStrategy tail) {
        st.split(x, v.xo, v.xi, w, tail).never_partition_all();
        st.reorder({lane, unrolled, v.xi, v.xo}).vectorize(lane).unroll(unrolled).unroll(v.xi);
    });
    return scratch;
}

}  // namespace hconv::x86
