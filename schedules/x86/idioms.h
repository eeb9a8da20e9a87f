// idioms.h - the vocabulary of the x86 schedules: tails that touch nothing outside the tensors, widths for sizes left open,
// rows staged with their zeros, tasks; tiles kept in registers are in register_tile.h.
// SPDX-License-Identifier: MIT
#pragma once

#include "generators/problem.h"
#include "schedules/machine.h"
#include "schedules/sizes.h"
#include "schedules/x86/register_tile.h"

#include <Halide.h>

#include <algorithm>
#include <functional>
#include <string>
#include <vector>

namespace hconv::x86 {

using Halide::Expr, Halide::Func, Halide::RVar, Halide::Stage, Halide::TailStrategy, Halide::Var;

using hconv::ceil_div, hconv::even_parts, hconv::height_of, hconv::open_width, hconv::size_or, hconv::width_of;

// Lanes of a vector over `count` things: the machine's, halved while half of them would do, but four at least.
inline int vector_lanes(int count, const Machine &m) {
    int lanes = m.lanes;
    while (lanes > 4 && lanes / 2 >= count) lanes /= 2;
    return lanes;
}

// Lanes of vectors that hold `count` things exactly or, the last one moved inwards, twice in part.
inline int whole_lanes(int count, const Machine &m) {
    if (count < 4) return count;
    int lanes = m.lanes;
    while (lanes > count) lanes /= 2;
    return lanes;
}

// Lanes of the widest vector whose multiple `count` is.
inline int even_lanes(int count, const Machine &m) {
    int lanes = m.lanes;
    while (count % lanes) lanes /= 2;
    return lanes;
}

// Are so many rows a task another schedule than half as many?
inline bool is_other_task(int rows, int height) { return rows == 1 || rows < 2 * height; }

// Rows that the busier of two workers takes, who share `all` in tasks of so many.
inline int busier(int rows, int all) { return rows * ceil_div(ceil_div(all, rows), 2); }

// Output rows a task: their input, of that many channels, stays in about half the second cache; at least four, or
// every task stages the window's reach again. Two workers, who share tasks, shall have as much to do as each other.
inline int rows_of(const Problem &p, const Machine &m, int channels) {
    const int64_t row = 4 * int64_t(size_or(p.w, 128) + p.pad_left + p.pad_right) * channels;
    const int held = int(m.l2_bytes / 2 / row) - (p.kh - 1) * p.dilation_h, oh = height_of(p);
    const int most = std::clamp(held / p.stride_h, 4, 16);
    if (oh <= most) return oh;
    int best = most, more = p.dilation_h == 1 ? std::max(most / 4, 3) : most / 4;
    for (int rows = most + more; rows >= std::max(4, most / 2); --rows)
        if (busier(rows, oh) < busier(best, oh)) best = rows;
    return best;
}
inline int rows_of(const Problem &p, const Machine &m) { return rows_of(p, m, p.ci); }
// The same in steps of `step` rows, two tasks at least.
inline int rows_of(const Problem &p, const Machine &m, int channels, int step) {
    int rows = std::min(rows_of(p, m, channels), ceil_div(height_of(p), 2));
    return ceil_div(rows, step) * step;
}

// Tells Halide the sizes that the problem fixes, so that loops over them are constant.
inline void bound_known_sizes(Func out, const Var &c, const Var &x, const Var &y, const Var &n, const Problem &p) {
    out.bound(c, 0, p.co);
    if (p.ow() != HCONV_OPEN) out.bound(x, 0, p.ow());
    if (p.oh() != HCONV_OPEN) out.bound(y, 0, p.oh());
    if (p.n != HCONV_OPEN) out.bound(n, 0, p.n);
}

// Parameters packed by blocks of output channels, in the order the sum reads them, padded to whole blocks.
inline std::string blocked_layout(const hconv_tensor &t, int block) {
    const std::string letters = t.letters, inside = std::to_string(block) + "o";
    return letters == "oihw" ? "Ohwi" + inside : letters == "o" ? "O" + inside : "";
}

// c = (block * vectors + unrolled) * lanes + lane. The last block may hang over the channels that exist: packed
// parameters are padded to whole blocks, so sums are computed in full and only what touches activations is masked.
struct ChannelBlocks {
    Var block{"cb"}, unrolled{"cu"}, lane{"cl"};
    int lanes, vectors;
    ChannelBlocks(int lanes, int vectors) : lanes(lanes), vectors(vectors) {}
    int size() const { return lanes * vectors; }
};
inline void split_channels(Stage out, const Var &c, const ChannelBlocks &b, const Problem &p) {
    TailStrategy tail = p.co % b.size() == 0 ? TailStrategy::RoundUp
                        : p.residual()       ? TailStrategy::Predicate
                                             : TailStrategy::PredicateStores;
    out.split(c, b.block, b.unrolled, b.size(), p.co % b.size() ? TailStrategy::GuardWithIf : TailStrategy::RoundUp);
    out.split(b.unrolled, b.unrolled, b.lane, b.lanes, tail);
}

// y = task * rows + row; a last task may have fewer rows.
inline void split_rows(Stage out, const Var &y, const Var &task, const Var &row, int rows, int oh) {
    out.split(y, task, row, rows,
              oh != HCONV_OPEN && oh % rows == 0 ? TailStrategy::RoundUp : TailStrategy::GuardWithIf);
}

// Tasks of every image in one parallel loop.
inline void parallel_tasks(Stage out, const Var &task, const Var &n, int images) {
    if (images != 1) out.fuse(task, n, task);
    out.parallel(task);
}

// Tiles a task: `tiles`, or as many more as it takes for a last tile that moves inwards not to be alone in its task: it
// writes elements of the tile before, and no two tasks write one element.
inline Expr tiles_a_task(const Expr &extent, int fixed, int width, TailStrategy tail, int tiles) {
    if (tail != TailStrategy::ShiftInwards) return tiles;
    tiles = std::max(tiles, 2);
    if (fixed != HCONV_OPEN) {
        while (ceil_div(fixed, width) % tiles == 1) ++tiles;
        return tiles;
    }
    Expr all = (extent + width - 1) / width;
    return select(all % tiles != 1, tiles, all % (tiles + 1) != 1, tiles + 1, max(all, 1));
}

// A map of one row has its tasks along it: `tiles` tiles of one block of channels each.
inline void parallel_along_row(Stage out, const Var &tile, const Var &block, const Var &task, const Var &n,
                               const Expr &tiles, int images) {
    out.split(tile, task, tile, tiles, TailStrategy::GuardWithIf).fuse(block, task, task);
    parallel_tasks(out, task, n, images);
}

// A row's tiles, each unrolled: where all of them are, too, the last one is narrower (narrower_last), else as `tail` says.
inline void split_row(Stage st, const Var &x, const Var &tile, const Var &pixel, int width, TailStrategy tail, int extent) {
    const bool exact = narrower_last(extent, width);
    st.split(x, tile, pixel, width, exact ? TailStrategy::GuardWithIf : tail).unroll(pixel);
    if (exact) st.unroll(tile);
}

// The widest tile, and narrower ones for extents it covers badly.
inline std::vector<int> widths_below(int widest) {
    std::vector<int> widths{widest};
    for (int w : {widest * 3 / 4, widest / 2, widest / 4})
        if (w > 1 && w < widths.back()) widths.push_back(w);
    return widths;
}

// The widest tile, and its halves down to `least`.
inline std::vector<int> halves(int widest, int least) {
    std::vector<int> widths{widest};
    while (widths.back() / 2 >= least) widths.push_back(widths.back() / 2);
    return widths;
}

// Tiles of constant width along a dimension that is only known to hold at least one element. Every tile is whole: the
// last one moves inwards, so a width is used where the extent holds it. Of `widths` (descending, from 2 on) an open
// extent takes, if `evenly`, the smallest that covers it in as few tiles as the widest; else the widest it holds;
// else 1.
inline void specialize_widths(Func out, const Expr &extent, int fixed, const std::vector<int> &widths,
                              const std::function<void(Stage, int, TailStrategy)> &schedule, bool evenly = true) {
    if (fixed != HCONV_OPEN) {
        int w = std::min(widths.front(), fixed);
        return schedule(Stage(out), w, fixed % w ? TailStrategy::ShiftInwards : TailStrategy::RoundUp);
    }
    Expr tiles = (extent + widths.front() - 1) / widths.front(), even = (extent + tiles - 1) / tiles;
    for (size_t i = evenly ? widths.size() : 0; i-- > 0;)
        schedule(out.specialize(even <= widths[i] && extent >= widths[i]), widths[i], TailStrategy::ShiftInwards);
    for (int w : widths) schedule(out.specialize(extent >= w), w, TailStrategy::ShiftInwards);
    schedule(Stage(out), 1, TailStrategy::RoundUp);
}

// The sum of a tile, in registers from the bias to the store: accumulators exist per tile (`at`), every loop over them
// is vectorised or unrolled, and the reduction runs outside, input channels innermost: weights stream in the order they
// are packed.
inline void accumulate_in_registers(Func acc, Func out, const Var &at, const Var &vector, const Var &scalar,
                                    const Halide::RDom &r, int lanes, int unroll_channels) {
    acc.compute_at(out, at).reorder_storage(vector, scalar).reorder(vector, scalar).unroll(scalar);
    acc.update().reorder({vector, scalar, r.x, r.y, r.z}).unroll(scalar);
    for (Stage st : {Stage(acc), acc.update()}) {
        if (lanes) st.vectorize(vector, lanes).unroll(vector);
        else st.vectorize(vector);
    }
    if (unroll_channels > 1) acc.update().unroll(r.x, unroll_channels);
}

// Where a multiply-add takes a lane of a vector: the scalars' input channels are loaded four (or two) at a time, and each
// is multiplied where it lies. source: what update `u` of acc reads; `sum` its loop over input channels.
inline void multiply_by_lanes(Func acc, int u, Func source, const Var &channel, const Var &scalar, const Halide::RVar &sum,
                              int channels, const Machine &m) {
    const int held = channels % 4 == 0 ? 4 : channels % 2 == 0 ? 2 : 1;
    if (!m.multiplies_by_lane || held == 1) return;
    Halide::RVar vector, lane;
    acc.update(u).split(sum, vector, lane, held).unroll(lane);
    Func pixels = source.in(acc);
    pixels.compute_at(acc, vector).bound_extent(channel, held).vectorize(channel, held).unroll(scalar);
}

// The input rows of a task, copied once with the zeros around them, so that the sum meets no border. copies: how often
// every channel is repeated, for depthwise convolution with several outputs a channel.
inline void stage_rows(Func padded, Func out, const Var &task, const Var &ci, int channels, const Machine &m,
                       int copies = 1) {
    const int lanes = vector_lanes(channels, m);
    const TailStrategy tail = channels >= lanes ? TailStrategy::ShiftInwards : TailStrategy::GuardWithIf;
    padded.compute_at(out, task);
    if (copies > 1) {
        Var copy("copy");
        padded.split(ci, ci, copy, copies, TailStrategy::RoundUp).reorder(copy, ci).unroll(copy);
    }
    padded.vectorize(ci, lanes, tail);
}

// The whole input instead, before all tasks: where tasks are blocks of output channels, which all read it.
inline void stage_input(Func padded, const Var &ci, const Var &iy, int channels, const Machine &m) {
    const int lanes = vector_lanes(channels, m);
    padded.compute_root().vectorize(ci, lanes, channels >= lanes ? TailStrategy::ShiftInwards : TailStrategy::GuardWithIf);
    padded.parallel(iy, 4, TailStrategy::GuardWithIf);
}

// Bytes of one image of the input.
inline int64_t map_bytes(const Problem &p) { return 4 * int64_t(p.ci) * size_or(p.w, 128) * size_or(p.h, 64); }

// Do a tile's lines of the output, and of what is added to it, come from afar, and late? (AVX-512, groups with strides: no gain.)
inline bool outputs_are_far(const Problem &p, const Machine &m) {
    int64_t bytes = 0;
    for (const hconv_tensor &t : p.tensors()) {
        if (t.role != HCONV_OUTPUT) continue;
        int64_t written = p.residual() ? 8 : 4;
        for (int d = 0; d < t.rank; ++d) written *= size_or(int(t.extent[d]), 64);
        bytes += written;
    }
    return m.lanes == 8 && !p.nchw() && (p.groups == 1 || p.stride_w == 1) && bytes > 4 * m.l2_bytes;
}

}  // namespace hconv::x86
