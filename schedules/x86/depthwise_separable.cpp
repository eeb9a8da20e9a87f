// depthwise_separable.cpp - lanes = channels in both parts. A task is a few output rows: their depthwise rows are computed
// once, a vector of channels x dw_xs x dw_ys pixels in registers, straight from the input with loads masked at its edges,
// and stay in cache while blocks of co_vecs vectors x xs pixels of the matrix product read them. Of a small map all depthwise
// rows come first (whole); then a task is one block of outputs in half of the rows.
// SPDX-License-Identifier: MIT
#include "generators/depthwise_separable.h"

#include "runtime/variants/depthwise_separable.h"
#include "schedules/schedule.h"
#include "schedules/x86/idioms.h"
#include "schedules/x86/map_tile.h"

namespace hconv {

using namespace Halide;

struct Rows : Schedule<DepthwiseSeparableStages> {
    Knob co_vecs{this, "co_vecs", 2, {1, 2, 3, 4}};                // vectors of output channels in the block
    Knob xs{this, "xs", 6, {1, 2, 3, 4, 5, 6, 7, 8, 10, 12, 14}};  // pixels in the block
    Knob ci_u{this, "ci_u", 1, {1, 2, 4}};                         // unroll of the sum over the middle's channels
    Knob dw_xs{this, "dw_xs", 4, {1, 2, 3, 4, 6, 7, 8}};           // pixels x rows of the depthwise block
    Knob dw_ys{this, "dw_ys", 1, {1, 2}};
    Knob staged{this, "staged", 0, {0, 1}};                        // 1: input rows are copied, with zeros
    Knob rows{this, "rows", 2, {1, 2, 4, 8}};                      // output rows a task
    Knob whole{this, "whole", 0, {0, 1}};  // 1: all depthwise rows come first, then tasks are blocks of outputs too

    void defaults(const Problem &, const Machine &) override;
    bool feasible(const Problem &, const Machine &) const override;
    std::string layout(const hconv_tensor &, const Problem &, const Machine &) const override;
    bool fetches_ahead(const Problem &p, const Machine &m) const override { return x86::outputs_are_far(p, m); }
    void apply(DepthwiseSeparableStages &, const Problem &, const Target &) const override;
};

static int middle_channels(const Problem &p) { return p.ci * p.extra[HCONV_MULTIPLIER]; }

// Lanes that the middle channels fill: the last vector moves inwards.
static int middle_lanes(const Problem &p, const Machine &m) {
    int lanes = m.lanes;
    while (lanes > middle_channels(p)) lanes /= 2;
    return lanes;
}

// The product as a convolution of one pixel.
static Problem product_of(const Problem &p) {
    Problem product = p;
    product.ci = middle_channels(p), product.h = x86::height_of(p), product.w = x86::size_or(p.ow(), 64);
    product.groups = product.kh = product.kw = product.stride_h = product.stride_w = 1;
    product.same = product.pad_top = product.pad_bottom = product.pad_left = product.pad_right = 0;
    return product;
}

// In sixteen registers a block of one vector loads longer than it multiplies: then one that may hold its pixels.
static x86::RegisterTile product_tile(const Problem &p, int width, const Machine &m) {
    const int vectors = x86::ceil_div(p.co, x86::vector_lanes(p.co, m));
    const x86::RegisterTile tile = x86::best_tile(vectors, width, m);
    return m.lanes == 8 && tile.vectors == 1 ? x86::best_row_tile(product_of(p), vectors, m, true) : tile;
}

void Rows::defaults(const Problem &p, const Machine &m) {
    int width = x86::size_or(p.ow(), 64);
    const x86::RegisterTile tile = product_tile(p, width, m);
    co_vecs = tile.vectors, xs = p.nchw() ? x86::even_parts(width, tile.scalars) : x86::tile_width(p.ow(), width, tile.scalars);
    // A block that takes all registers spills where two steps of the sum overlap, but not where four do.
    const bool full = tile.vectors * tile.scalars + tile.vectors == m.vector_registers;
    const int unroll = full || middle_channels(p) < 128 ? 4 : 2;
    ci_u = m.lanes < 16 ? x86::channels_a_step(co_vecs, middle_channels(p), m) : middle_channels(p) % unroll ? 1 : unroll;
    dw_ys = m.lanes == 16 && p.stride_h == 1 ? 2 : 1;
    dw_xs = x86::even_parts(width, m.lanes == 4 ? 4 : 7);
    staged = p.nchw() || p.extra[HCONV_MULTIPLIER] > 1;
    // Weights that the second cache does not hold come once, and a small map has too few rows for tasks.
    const bool large = int64_t(p.co) * middle_channels(p) * 4 > m.l2_bytes, low = p.n == 1 && p.oh() <= 16;
    const int64_t middle = 4 * int64_t(middle_channels(p)) * p.oh() * p.ow();
    whole = (large || low) && middle > 0 && middle <= (low ? 2 * m.l2_bytes : m.l2_bytes / 2) && !p.nchw() && !staged;
    // Two workers' halves of the map: each reads the depthwise rows it wrote.
    rows = whole ? p.oh() % 2 ? p.oh() : p.oh() / 2 : std::min(x86::height_of(p), large ? 4 : 2);
}

bool Rows::feasible(const Problem &p, const Machine &m) const {
    return rows >= 1 && !(whole && (p.open() || p.nchw() || staged)) && co_vecs >= 1 && ci_u >= 1 &&
           middle_channels(p) % ci_u == 0 && xs >= 1 && xs <= x86::size_or(p.ow(), 1000) && dw_xs >= 1 &&
           dw_ys >= 1 && dw_xs * dw_ys + 3 <= m.vector_registers &&
           x86::fits_either_way({co_vecs, xs}, m);
}

std::string Rows::layout(const hconv_tensor &t, const Problem &p, const Machine &m) const {
    std::string letters = t.letters, name = t.name;
    std::string block = std::to_string(x86::vector_lanes(p.co, m) * co_vecs) + "o";
    bool depthwise = name == "depthwise.bias" || name == "mid_slope";
    return letters == "oi" ? "Oi" + block : letters == "o" && !depthwise ? "O" + block : "";
}

// Blocks of the product: straight to the output, or, for nchw, to a scratch of the task's rows that the output
// transposes. Returns the Func whose tiles at `xo` the accumulators belong to.
static Func product_blocks(DepthwiseSeparableStages &s, const Problem &p, const x86::ChannelBlocks &co, int xs,
                           const Var &xo, const Var &yi, const Var &task, bool whole, const Machine &m) {
    Var xi("xi"), lane("pl"), unrolled("pu");
    if (p.nchw()) {
        s.out.split(s.co, co.block, co.unrolled, co.size(), TailStrategy::GuardWithIf);
        s.out.reorder({s.x, co.unrolled, yi, co.block, task, s.n}).vectorize(s.x, m.lanes, TailStrategy::GuardWithIf);
        s.out.never_partition_all();
        x86::parallel_tasks(s.out, task, s.n, p.n);
        Func scratch = s.acc.in(s.out);
        scratch.compute_at(s.out, co.block).bound_extent(s.co, co.size());
        scratch.split(s.co, unrolled, lane, co.lanes).split(s.x, xo, xi, xs, TailStrategy::RoundUp);
        scratch.reorder({lane, unrolled, xi, xo, s.y, s.n}).vectorize(lane).unroll(unrolled).unroll(xi);
        return scratch;
    }
    x86::split_channels(s.out, s.co, co, p);
    const Expr ow = s.out.output_buffer().dim(1).extent();
    x86::specialize_widths(s.out, ow, p.ow(), x86::widths_below(xs), [&](Stage st, int width, TailStrategy tail) {
        x86::split_row(st, s.x, xo, xi, width, tail, p.ow());
        st.reorder({co.lane, co.unrolled, xi, xo, yi, co.block, task, s.n}).never_partition_all();
        st.vectorize(co.lane).unroll(co.unrolled);
        if (whole) st.fuse(co.block, task, task);
        x86::parallel_tasks(st, task, s.n, p.n);
    });
    return s.out;
}

void Rows::apply(DepthwiseSeparableStages &s, const Problem &p, const Target &t) const {
    const Machine m = Machine::of(t);
    Var xo("xo"), xi("xi"), task("task"), yi("yi"), mo("mo"), lane("ml"), yo("yo"), yu("yu");
    const x86::ChannelBlocks co(x86::vector_lanes(p.co, m), co_vecs);
    x86::bound_known_sizes(s.out, s.co, s.x, s.y, s.n, p);
    x86::split_rows(s.out, s.y, task, yi, rows, p.oh());
    Func blocks = product_blocks(s, p, co, xs, xo, yi, task, whole, m);
    s.acc.bound_extent(s.co, co.size());
    s.acc.compute_at(blocks, xo).vectorize(s.co, co.lanes).unroll(s.co).unroll(s.x);
    s.acc.update().reorder({s.co, s.x, s.r}).vectorize(s.co, co.lanes).unroll(s.co).unroll(s.x);
    if (x86::holds_pixels({co_vecs, xs}, m)) s.acc.update().reorder(s.x, s.co);
    if (ci_u > 1) s.acc.update().unroll(s.r.x, int(ci_u));
    x86::multiply_by_lanes(s.acc, 0, s.middle, s.cm, s.x, s.r, middle_channels(p), m);

    const int lanes = middle_lanes(p, m);
    s.middle.split(s.cm, mo, lane, lanes, TailStrategy::ShiftInwards);
    s.middle.split(s.x, xo, xi, int(dw_xs), TailStrategy::RoundUp).split(s.y, yo, yu, int(dw_ys), TailStrategy::RoundUp);
    s.middle.reorder({lane, xi, yu, mo, xo, yo, s.n}).vectorize(lane).unroll(xi).unroll(yu).never_partition_all();
    if (whole) x86::parallel_tasks(s.middle.compute_root().fuse(xo, yo, yo), yo, s.n, p.n);
    else s.middle.compute_at(s.out, task);
    // Pixels so many bytes apart would lie in few sets of the first cache.
    if (middle_channels(p) % 256 == 0) s.middle.align_storage(s.cm, middle_channels(p) + m.lanes);
    s.depthwise.compute_at(s.middle, mo).bound_extent(s.cm, lanes).vectorize(s.cm).unroll(s.x).unroll(s.y);
    s.depthwise.update().reorder({s.cm, s.x, s.y, s.window.x, s.window.y}).vectorize(s.cm).unroll(s.x).unroll(s.y);
    if (p.kw <= 7) s.depthwise.update().unroll(s.window.x);
    if (p.kw * p.kh <= 49) s.depthwise.update().unroll(s.window.y);
    if (staged) x86::stage_rows(s.padded, s.out, task, s.ci, p.ci, m);
}

}  // namespace hconv

HCONV_SCHEDULE(hconv::DepthwiseSeparableStages, "x86 arm", rows, hconv::Rows)
