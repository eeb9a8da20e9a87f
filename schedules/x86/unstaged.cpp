// unstaged.cpp - direct convolution that reads the input where it lies, without a copy that has zeros around it: taps of
// rows outside the map are left out by a test outside the channel loop, taps of columns outside it by constants, since
// every tile's place in a row is known when the code is made; a row's last tile is narrower. Maps of a few rows have all
// of them unrolled: then a block of registers can hold several rows; where the window is one pixel it can without that. Lanes =
// output channels, of one group, blocks as in conv2d.cpp.
// SPDX-License-Identifier: MIT
#include "generators/conv2d.h"

#include "schedules/schedule.h"
#include "schedules/x86/idioms.h"
#include "schedules/x86/map_tile.h"
#include "schedules/x86/planes.h"

namespace hconv {

using namespace Halide;

struct Unstaged : Schedule<Conv2dStages> {
    Knob co_vecs{this, "co_vecs", 2, {1, 2, 3, 4}};                // vectors of output channels in the block
    Knob xs{this, "xs", 6, {1, 2, 3, 4, 5, 6, 7, 8, 10, 12, 14}};  // output columns in the block
    Knob ys{this, "ys", 1, {1, 2, 3, 4}};                          // output rows in the block
    Knob ci_u{this, "ci_u", 1, {1, 2, 4}};                         // unroll of the channel sum
    Knob rows{this, "rows", 4, {1, 2, 4, 8, 16}};                  // rows of tiles a task
    Knob row_u{this, "row_u", 0, {0, 1}};                          // unroll the sum of a row's taps, pixel by pixel
    Knob spread{this, "spread", 0, {0, 1, 2}};  // copy the input (2: a task its own) as pixels a little farther apart

    void defaults(const Problem &, const Machine &) override;
    bool feasible(const Problem &, const Machine &) const override;
    bool promising(const Problem &, const Machine &) const override;
    // Few input channels: a tap's loop is short, and one over all taps of a staged input is better.
    int preference(const Problem &p) const override { return p.ci / p.groups >= 8 ? 3 : 0; }
    std::string layout(const hconv_tensor &, const Problem &, const Machine &) const override;
    void formulate(Conv2dStages &s) const override { s.rows_left_out = true; }
    void apply(Conv2dStages &, const Problem &, const Target &) const override;

private:
    bool tasks_are_blocks(const Problem &, const Machine &) const;
    int block_rows(const Problem &, const Machine &) const;
};

// Where the weights of a few inputs stay in the first cache, the taps of a row are taken pixel by pixel: neighbours share
// what they broadcast, and the weights of a row lie in registers.
static bool has_short_sum(const Problem &p, const Machine &m) {
    return m.lanes == 16 && p.groups > 1 && p.ci / p.groups <= 32 && p.kw <= 7;
}

// Do maps come from memory far away?
static bool far(const Problem &p) { return p.n * x86::map_bytes(p) > 2 << 20; }

// Where the window is one pixel, rows share no input, and a task of one leaves its output whole. A task of one row reads
// groups' shares of a pixel one after the other. Rows that come from far away are few, to be whole soon, where weights are near.
static int usual_rows(const Problem &p, const Machine &m) {
    if (p.groups == 1 && x86::weight_bytes(p) > m.l2_bytes) return x86::rows_of(p, m);
    return p.groups > 1 || p.kh * p.kw == 1 ? 1 : far(p) ? 2 : x86::rows_of(p, m);
}

// Most rows of a block: where a low map's row is too short for whole blocks, two of a pixel's window make some.
static int tallest(const Problem &p) {
    return x86::one_pixel(p) && p.oh() <= 16 && p.oh() % 2 == 0 ? std::max(2, x86::most_rows(p)) : x86::most_rows(p);
}

// Channels of a vector: within a group.
static int lanes_of(const Problem &p, const Machine &m) { return x86::vector_lanes(p.co / p.groups, m); }

// No block of so many vectors straddles two groups, which read other inputs.
static bool whole_blocks(const Problem &p, int vectors, const Machine &m) {
    return p.groups == 1 || (p.ci > p.groups && p.co / p.groups % (m.lanes * vectors) == 0);
}

// They come faster as a stream a vector, each fetched ahead, than as one.
static bool large_weights(const Problem &p, const Machine &m) { return x86::weight_bytes(p) > 4 * m.l2_bytes; }

void Unstaged::defaults(const Problem &p, const Machine &m) {
    if (p.open()) return;
    const int vectors = x86::ceil_div(p.co / p.groups, lanes_of(p, m));
    row_u = has_short_sum(p, m);
    // Large weights: blocks that all their vectors fill, each a stream (layout).
    auto may = [&](int v) { return whole_blocks(p, v, m) && (m.lanes < 16 || !large_weights(p, m) || vectors % v == 0); };
    const x86::MapTile tile = x86::best_map_tile(p, vectors, row_u ? p.kw : 1, tallest(p), m, may);
    co_vecs = tile.vectors, xs = tile.xs, ys = tile.ys;
    rows = usual_rows(p, m);
    if (tasks_are_blocks(p, m)) rows = block_rows(p, m);
    // Groups' shares of many pixels lie apart: from memory far away whole rows come sooner.
    const bool same_sets = p.stride_w > 1 && 4 * p.ci * p.stride_w % 4096 == 0;
    // Planes lie pages apart, more than a core has at hand at once: a row's loads are many where few sums share them.
    const bool one_pixel = p.kh * p.kw == 1;
    const bool far_planes = p.groups == 1 && p.ci % 4 == 0 && (one_pixel ? m.lanes < 16 && p.ci >= 256 : p.ci >= 128);
    spread = p.nchw() ? far_planes : p.groups > 1 ? 2 * (far(p) && p.stride_w == 1 && p.kh > 1) : same_sets;
    if (spread == 2) rows = x86::rows_of(p, m);
    // Several rows of pixels that lie apart spill, planes under one pixel too, and long code, but for two channels a step.
    const bool long_code = !one_pixel && x86::ceil_div(p.ow(), xs) * p.kw * co_vecs * xs > (m.lanes == 16 ? 100 : 200);
    const bool spills = (ys > 1 && p.stride_w > 1 && !spread) || (long_code && p.ci < 32) || (one_pixel && p.nchw()) || row_u;
    if (m.lanes == 16) ci_u = p.ci % 4 || spills ? 1 : long_code || p.nchw() ? 2 : 4;
    else ci_u = long_code || p.nchw() ? 1 : x86::channels_a_step(co_vecs, p.ci, m);
}

bool Unstaged::feasible(const Problem &p, const Machine &m) const {
    const bool copies = !spread || !p.nchw() || (spread == 1 && p.ci % 4 == 0);
    return !p.open() && p.oh() > 1 && rows >= 1 && ci_u >= 1 && p.ci / p.groups % ci_u == 0 && copies &&
           co_vecs >= 1 && whole_blocks(p, co_vecs, m) && xs >= 1 && xs <= p.ow() && ys >= 1 && ys <= p.oh() &&
           x86::ceil_div(p.ow(), std::max<int>(xs, 1)) * p.kw * co_vecs * xs <= 2000 &&
           (ys == 1 || x86::ceil_div(p.oh(), ys) <= 8) && x86::fits_registers({co_vecs, xs * ys}, m);
}

bool Unstaged::promising(const Problem &p, const Machine &m) const {
    return x86::is_busy({co_vecs, xs * ys}, x86::ceil_div(p.co / p.groups, lanes_of(p, m)), p.ow() * tallest(p)) &&
           ys <= tallest(p) && (!row_u || (has_short_sum(p, m) && ci_u == 1)) &&
           (!spread || p.stride_w > 1 || p.groups > 1 || p.nchw()) &&
           (tasks_are_blocks(p, m) ? rows >= block_rows(p, m) && rows < 2 * block_rows(p, m)
                                   : x86::is_other_task(rows, x86::ceil_div(p.oh(), ys)));
}

std::string Unstaged::layout(const hconv_tensor &t, const Problem &p, const Machine &m) const {
    const int lanes = lanes_of(p, m), block = lanes * co_vecs;
    return x86::blocked_layout(t, large_weights(p, m) && p.co % block == 0 ? lanes : block);
}

// Of all images. So they are, too, where one image's rows are a single task.
bool Unstaged::tasks_are_blocks(const Problem &p, const Machine &m) const {
    if (spread == 2) return false;
    return x86::weights_outweigh(p, m) || (p.n == 1 && (ys > 1 || p.oh() <= rows));
}

// Rows of tiles a task of a block: all, or half of them, for two workers, where blocks are odd.
int Unstaged::block_rows(const Problem &p, const Machine &m) const {
    const int all = x86::ceil_div(p.oh(), ys), blocks = x86::ceil_div(p.co, lanes_of(p, m) * co_vecs);
    return blocks % 2 && (ys > 1 || x86::weights_outweigh(p, m)) ? x86::ceil_div(all, 2) : all;
}

// nchw: rows of planes written from a block's sums, which lie channel by channel at every pixel.
static void store_along_rows(Func out, const Var &c, const Var &x, const x86::ChannelBlocks &b, const Problem &p) {
    int lanes = 8;
    while (lanes > p.ow()) lanes /= 2;
    out.split(c, b.block, c, b.size(), p.co % b.size() ? TailStrategy::GuardWithIf : TailStrategy::RoundUp);
    out.vectorize(x, lanes, p.ow() % lanes ? TailStrategy::ShiftInwards : TailStrategy::RoundUp);
    if (p.ow() <= 8 * lanes) out.unroll(x);
}

// Columns of the input that are read, at least; of those that are copied, where the window is one pixel.
static int columns_read(const Problem &p) {
    if (p.kw * p.kh == 1 && !p.has_padding()) return p.ow();
    const int reach = (p.kw - 1) * p.dilation_w, before = p.same == HCONV_PAD_TFSAME ? reach : p.pad_left;
    return std::clamp((p.ow() - 1) * p.stride_w + reach - before + 1, 1, int(p.w));
}

void Unstaged::apply(Conv2dStages &s, const Problem &p, const Target &t) const {
    Var xo("xo"), xi("xi"), yo("yo"), yi("yi"), task("task");
    const Machine m = Machine::of(t);
    const bool unrolled_rows = x86::unrolls_rows(p, ys), by_blocks = tasks_are_blocks(p, m);
    x86::ChannelBlocks co;
    co.lanes = lanes_of(p, m), co.vectors = co_vecs;
    x86::bound_known_sizes(s.out, s.co, s.x, s.y, s.n, p);
    Func sums = p.nchw() ? s.acc.in(s.out) : s.out;  // nchw: a block's sums get memory, to be stored along rows
    Stage out(s.out), tiles(sums);
    tiles.split(s.y, yo, yi, int(ys), p.oh() % ys ? TailStrategy::GuardWithIf : TailStrategy::RoundUp);
    tiles.split(s.x, xo, xi, int(xs), p.ow() % xs ? TailStrategy::GuardWithIf : TailStrategy::RoundUp);
    std::vector<VarOrRVar> inner{co.lane, co.unrolled, xi, yi, xo, yo};
    if (p.nchw()) {
        x86::split_rows(out, s.y, task, s.y, unrolled_rows ? p.oh() : int(rows), p.oh());
        sums.split(s.co, co.unrolled, co.lane, co.lanes).reorder(inner).bound(s.x, 0, p.ow()).bound_extent(s.co, co.size());
        store_along_rows(s.out, s.co, s.x, co, p);
        inner = {s.x, s.co, s.y};
        sums.compute_at(s.out, !unrolled_rows ? s.y : by_blocks ? s.n : co.block);
        if (unrolled_rows) sums.bound(s.y, 0, p.oh());
    } else {
        x86::split_channels(out, s.co, co, p);
        x86::split_rows(out, yo, task, yo, unrolled_rows ? x86::ceil_div(p.oh(), ys) : int(rows), x86::ceil_div(p.oh(), ys));
    }
    if (by_blocks) inner.insert(inner.end(), {s.n, task, co.block});
    else inner.insert(inner.end(), {co.block, task});
    out.never_partition_all().reorder(inner);
    if (by_blocks) out.fuse(task, co.block, task);
    tiles.never_partition_all().vectorize(co.lane).unroll(co.unrolled).unroll(xi).unroll(yi).unroll(xo);
    if (unrolled_rows) tiles.unroll(yo);
    x86::parallel_tasks(out, task, s.n, by_blocks ? 1 : p.n);
    s.acc.bound_extent(s.co, co.size());
    x86::accumulate_in_registers(s.acc, sums, xo, s.co, s.x, s.r, co.lanes, ci_u);
    s.acc.unroll(s.y).update().reorder({s.co, s.x, s.y, s.r.x, s.r.y, s.r.z}).unroll(s.y).unroll(s.r.y);
    if (row_u) s.acc.update().reorder({s.co, s.r.y, s.x, s.y, s.r.x, s.r.z});
    if (unrolled_rows) s.acc.update().unroll(s.r.z);
    if (spread && p.nchw())
        return x86::stage_transposed(s.copied.in(s.padded), s.copied, s.ci, s.ix, s.iy, s.n, p.ci, columns_read(p), m);
    if (spread == 2) x86::stage_rows(s.copied, s.out, task, s.ci, p.ci, m);
    else if (spread) x86::stage_input(s.copied, s.ci, s.iy, p.ci, m);
    // Room behind every pixel: pixels whose channels are a power of two lie in the same few sets of the first cache, which cannot
    // hold a block's.
    if (spread) s.copied.align_storage(s.ci, p.ci + m.lanes);
}

}  // namespace hconv

HCONV_SCHEDULE(hconv::Conv2dStages, "x86", unstaged, hconv::Unstaged)
