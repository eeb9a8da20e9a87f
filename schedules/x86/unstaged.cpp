// unstaged.cpp - direct convolution that reads the input where it lies, without a copy that has zeros around it: taps of
// rows outside the map are left out by a test outside the channel loop, taps of columns outside it by constants, since
// every tile's place in a row is known when the code is made; a row's last tile is narrower. Of tiles that are a loop the first
// and last are code of their own. Maps of a few rows have all of them unrolled: then a block of registers can hold several rows;
// where the window is one pixel it can without that. Lanes = output channels, of one group, blocks as in conv2d.cpp.
// SPDX-License-Identifier: MIT
#include "schedules/x86/unstaged.h"

#include "schedules/x86/idioms.h"
#include "schedules/x86/map_tile.h"
#include "schedules/x86/planes.h"

namespace hconv {

using namespace Halide;

// The taps of a row are taken pixel by pixel, neighbours share what they broadcast, and registers hold the weights of a row: of
// a group of few inputs, whose weights stay in the first cache, of a single vector, or where a dense row is two tiles or more.
// Sixteen registers hold those of one vector and the ten sums that hide the latency; such a block would else load longer than it
// multiplies.
static bool takes_rows_of_taps(const Problem &p, const Machine &m) {
    if (m.lanes < 8 || p.kw > 7 || (p.groups > 1 && p.ci / p.groups > 32)) return false;
    const bool one_vector = p.co / p.groups <= m.lanes;
    if (m.lanes == 8) return one_vector && p.kw > 1 && p.kw <= 5 && (p.stride_w == 1 || !x86::fill_a_set(p));
    return p.groups > 1 || (p.kw > 1 && (one_vector || (p.stride_w == 1 && p.dilation_w == 1 && p.ow() >= 16)));
}

// Are the tiles of a row a loop, whose first and last are code of their own? Wide rows of equal tiles, or code grows long.
static bool is_loop(const Problem &p, int width) { return p.ow() % width == 0 && p.ow() > 10 * width; }

// Do maps come from memory far away?
static bool far(const Problem &p) { return p.n * x86::map_bytes(p) > 2 << 20; }

// Under one pixel sums are short: outputs of many images, if a block's are written a line a pixel, come too late, and if pixels are
// written whole they do not, as long as all weights stay in the second cache.
static bool many_images(const Problem &p) { return p.n > 1 && x86::one_pixel(p) && x86::weight_bytes(p) <= 2 << 20; }

// Where the window is one pixel, rows share no input, and a task of one leaves its output whole. A task of one row reads
// groups' shares of a pixel one after the other. Rows that come from far away are few, to be whole soon, where weights are near.
static int usual_rows(const Problem &p, const Machine &m) {
    if (many_images(p)) return 1;
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

void x86::Unstaged::choose_tile(const Problem &p, const Machine &m) {
    const int vectors = x86::ceil_div(p.co / p.groups, lanes_of(p, m));
    // Large weights: blocks that all their vectors fill, each a stream (layout); of four vectors such as stay in the second cache.
    auto near = [&](int v) { return v < 4 || int64_t(16) * m.lanes * p.ci / p.groups * p.kh * p.kw <= 2 << 20; };
    auto may = [&](int v) {
        return whole_blocks(p, v, m) && (m.lanes < 16 ? near(v) : !x86::large_weights(p, m) || vectors % v == 0);
    };
    // Many narrow tiles of a wide row are long code, which takes long to compile; pixels apart are not shared by taps.
    const bool order = p.stride_w == 1 && p.ow() * p.kw <= 400;
    const x86::MapTile tile = x86::best_map_tile(p, vectors, row_u ? p.kw : 1, tallest(p), m, may, order);
    co_vecs = tile.vectors, xs = tile.xs, ys = tile.ys;
    for (int w = tile.xs; 6 * w >= 5 * tile.xs && !is_loop(p, xs); --w)
        if (is_loop(p, w)) xs = w;
}

// Shall the input be copied (the knob spread)?
static int usual_spread(const Problem &p, const Machine &m) {
    // Planes lie pages apart, more than a core has at hand at once: a row's loads are many where few sums share them.
    if (p.nchw()) return p.groups == 1 && p.ci % 4 == 0 && (p.kh * p.kw == 1 ? m.lanes < 16 && p.ci >= 256 : p.ci >= 128);
    // Groups' shares of many pixels lie apart: from memory far away whole rows come sooner.
    if (p.groups > 1) return far(p) && p.stride_w == 1 && p.kh > 1 ? 2 : 0;
    return p.stride_w > 1 && x86::fill_a_set(p);
}

// Several rows of pixels that lie apart spill, planes under one pixel too, and long code, but for two channels a step.
int x86::Unstaged::unrolled_channels(const Problem &p, const Machine &m) const {
    const bool one_pixel = p.kh * p.kw == 1;
    const int tiles = is_loop(p, xs) ? 3 : x86::ceil_div(p.ow(), xs);
    const bool long_code = !one_pixel && tiles * p.kw * co_vecs * xs > (m.lanes == 16 ? 100 : 200);
    const bool spills = (ys > 1 && p.stride_w > 1 && !spread) || (long_code && p.ci < 32) || (one_pixel && p.nchw()) || row_u;
    if (m.lanes == 16) return p.ci % 4 || spills ? 1 : long_code || p.nchw() ? 2 : 4;
    if (long_code || p.nchw() || x86::takes_taps_in_turn({co_vecs, xs * ys}, p, m)) return 1;
    return x86::channels_a_step(co_vecs, p.ci, m);
}

void x86::Unstaged::choose(const Problem &p, const Machine &m) {
    row_u = takes_rows_of_taps(p, m);
    choose_tile(p, m);
    rows = usual_rows(p, m);
    if (tasks_are_blocks(p, m)) rows = block_rows(p, m);
    spread = usual_spread(p, m);
    if (spread == 2) rows = x86::rows_of(p, m);
    ci_u = unrolled_channels(p, m);
}

bool x86::Unstaged::fits(const Problem &p, const Machine &m) const {
    const bool copies = !spread || !p.nchw() || (spread == 1 && p.ci % 4 == 0);
    return !p.open() && p.oh() > 1 && rows >= 1 && ci_u >= 1 && p.ci / p.groups % ci_u == 0 && copies &&
           co_vecs >= 1 && whole_blocks(p, co_vecs, m) && xs >= 1 && xs <= p.ow() && ys >= 1 && ys <= p.oh() &&
           x86::row_is_short(p, co_vecs, xs) && (ys == 1 || x86::ceil_div(p.oh(), ys) <= 8) &&
           x86::fits_either_way({co_vecs, xs * ys}, m);
}

bool x86::Unstaged::may_be_best(const Problem &p, const Machine &m) const {
    return x86::is_busy({co_vecs, xs * ys}, x86::ceil_div(p.co / p.groups, lanes_of(p, m)), p.ow() * tallest(p)) &&
           ys <= tallest(p) && (!row_u || (takes_rows_of_taps(p, m) && ci_u == 1)) &&
           (!spread || p.stride_w > 1 || p.groups > 1 || p.nchw()) &&
           (tasks_are_blocks(p, m) ? rows >= block_rows(p, m) && rows < 2 * block_rows(p, m)
                                   : x86::is_other_task(rows, x86::ceil_div(p.oh(), ys)));
}

std::string x86::Unstaged::blocks(const hconv_tensor &t, const Problem &p, const Machine &m) const {
    return x86::map_layout(t, lanes_of(p, m), co_vecs, p, m);
}

// A task of rows reads the weights of all groups again: do they come from behind the second cache, and is the map not much larger?
static bool groups_are_far(const Problem &p, const Machine &m) {
    return m.lanes == 8 && p.n == 1 && p.groups > 1 && p.stride_w == 1 && x86::weight_bytes(p) > m.l2_bytes &&
           x86::map_bytes(p) <= 4 * m.l2_bytes;
}

// Of all images. So they are, too, where one image's rows are a single task.
bool x86::Unstaged::tasks_are_blocks(const Problem &p, const Machine &m) const {
    if (spread == 2 || (many_images(p) && !x86::unrolls_rows(p, ys))) return false;
    return x86::weights_outweigh(p, m) || groups_are_far(p, m) || (p.n == 1 && (ys > 1 || p.oh() <= rows));
}

// Rows of tiles a task of a block: all, or half of them, for two workers, where blocks are odd.
int x86::Unstaged::block_rows(const Problem &p, const Machine &m) const {
    const int all = x86::ceil_div(p.oh(), ys), blocks = x86::ceil_div(p.co, lanes_of(p, m) * co_vecs);
    return blocks % 2 && (ys > 1 || x86::weights_outweigh(p, m)) ? x86::ceil_div(all, 2) : all;
}

void x86::Unstaged::loops(Conv2dStages &s, const Problem &p, const Target &t, int phases) const {
    Var xo("xo"), xi("xi"), yo("yo"), yi("yi"), task("task"), phase("phase");
    const Machine m = Machine::of(t);
    const bool unrolled_rows = x86::unrolls_rows(p, ys), by_blocks = tasks_are_blocks(p, m);
    const x86::ChannelBlocks co(lanes_of(p, m), co_vecs);
    Problem whole = p;
    whole.co *= phases;
    x86::bound_known_sizes(s.out, s.co, s.x, s.y, s.n, whole);
    if (phases > 1) s.out.split(s.co, phase, s.co, p.co, TailStrategy::RoundUp);
    Func sums = p.nchw() ? s.acc.in(s.out) : s.out;  // nchw: a block's sums get memory, to be stored along rows
    Stage out(s.out), tiles(sums);
    tiles.split(s.y, yo, yi, int(ys), p.oh() % ys ? TailStrategy::GuardWithIf : TailStrategy::RoundUp);
    tiles.split(s.x, xo, xi, int(xs), p.ow() % xs ? TailStrategy::GuardWithIf : TailStrategy::RoundUp);
    std::vector<VarOrRVar> inner{co.lane, co.unrolled, xi, yi, xo};
    if (phases > 1) inner.push_back(phase);
    inner.push_back(yo);
    if (p.nchw()) {
        x86::split_rows(out, s.y, task, s.y, unrolled_rows ? p.oh() : int(rows), p.oh());
        sums.split(s.co, co.unrolled, co.lane, co.lanes).reorder(inner).bound(s.x, 0, p.ow()).bound_extent(s.co, co.size());
        x86::store_along_rows(s.out, s.co, s.x, co, p);
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
    tiles.never_partition_all().vectorize(co.lane).unroll(co.unrolled).unroll(xi).unroll(yi);
    if (is_loop(p, xs)) tiles.partition(xo, Partition::Auto);  // not Always, which wants zeros at an end
    else tiles.unroll(xo);
    if (unrolled_rows) tiles.unroll(yo);
    if (unrolled_rows && phases > 1) tiles.unroll(phase);  // which rows lie outside, the phase says, too
    x86::parallel_tasks(out, task, s.n, by_blocks ? 1 : p.n);
    s.acc.bound_extent(s.co, co.size());
    x86::accumulate_in_registers(s.acc, sums, xo, s.co, s.x, s.r, co.lanes, ci_u);
    s.acc.unroll(s.y).update().reorder({s.co, s.x, s.y, s.r.x, s.r.y, s.r.z}).unroll(s.y).unroll(s.r.y);
    x86::order_sum(s.acc.update(), {s.co, s.x, s.y, s.r.x, s.r.y}, {co_vecs, xs * ys}, p, m);
    if (row_u) s.acc.update().reorder({s.co, s.r.y, s.x, s.y, s.r.x, s.r.z});
    if (unrolled_rows) s.acc.update().unroll(s.r.z);
    if (spread == 2) {
        x86::stage_rows(s.copied, s.out, task, s.ci, p.ci, m);
        x86::leave_room(s.copied, s.ci, p, m);
    } else if (spread) {
        x86::stage_apart(s, p, m);
    }
}

namespace {

struct UnstagedConv2d : Schedule<Conv2dStages>, x86::Unstaged {
    UnstagedConv2d() : Unstaged(this) {}
    void defaults(const Problem &p, const Machine &m) override {
        if (!p.open()) choose(p, m);
    }
    bool feasible(const Problem &p, const Machine &m) const override { return fits(p, m); }
    bool promising(const Problem &p, const Machine &m) const override { return may_be_best(p, m); }
    // Few input channels: a tap's loop is short, and one over all taps of a staged input is better.
    int preference(const Problem &p) const override { return p.ci / p.groups >= 8 ? 3 : 0; }
    std::string layout(const hconv_tensor &t, const Problem &p, const Machine &m) const override { return blocks(t, p, m); }
    bool fetches_ahead(const Problem &p, const Machine &m) const override { return x86::outputs_are_far(p, m); }
    void formulate(Conv2dStages &s) const override { s.rows_left_out = true; }
    void apply(Conv2dStages &s, const Problem &p, const Target &t) const override { loops(s, p, t); }
};

}  // namespace

}  // namespace hconv

HCONV_SCHEDULE(hconv::Conv2dStages, "x86", unstaged, hconv::UnstagedConv2d)
