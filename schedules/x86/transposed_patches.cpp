// transposed_patches.cpp - transposed convolution whose windows neither overlap nor are cut: every input pixel makes a
// patch of its own, a product of its channels and the window's. A row of a patch lies together in memory (window column,
// then channel), so lanes run over it: vectors need not end where a pixel does. A block of xs pixels is stored as soon as it is
// summed, between long sums: stores that come all at once wait for the memory. Pixels stay in the first cache while the weights
// of all outputs pass, and what they become is written together; where weights are too many for that, those of a block.
// SPDX-License-Identifier: MIT
#include "generators/transposed.h"

#include "runtime/variants/transposed.h"
#include "schedules/schedule.h"
#include "schedules/x86/idioms.h"
#include "schedules/x86/map_tile.h"

namespace hconv {

using namespace Halide;

struct Patches : Schedule<TransposedStages> {
    Knob xs{this, "xs", 6, {1, 2, 3, 4, 5, 6, 7, 8, 10, 12, 14}};  // input pixels in the block
    Knob ci_u{this, "ci_u", 1, {1, 4}};                            // unroll of the channel sum
    Knob rows{this, "rows", 4, {1, 2, 4, 8, 16}};                  // input rows a task
    Knob apart{this, "apart", 0, {0, 1}};                          // 1: a block of channels is a task of its own

    void defaults(const Problem &, const Machine &) override;
    bool feasible(const Problem &, const Machine &) const override;
    int preference(const Problem &) const override { return 2; }
    std::string layout(const hconv_tensor &, const Problem &, const Machine &) const override;
    bool fetches_ahead(const Problem &p, const Machine &m) const override { return x86::outputs_are_far(p, m); }
    void apply(TransposedStages &, const Problem &, const Target &) const override;
};

// What lanes run over: `channels` vectors of the output channels in `columns` columns of the window, or, where no whole
// vectors fill the channels, all of a row of a patch. stored: lanes of what is stored, a power of two that divides the channels.
struct PatchRow {
    bool whole;
    int channels, columns, stored;
    int vectors() const { return channels * columns; }
};

// Of the weights of a block of so many vectors.
static int64_t block_bytes(const Problem &p, int vectors, const Machine &m) { return int64_t(4) * p.ci * p.kh * vectors * m.lanes; }

static PatchRow row_of(const Problem &p, const Machine &m) {
    PatchRow row{p.co % m.lanes != 0, 0, 1, m.lanes};
    while (p.co % row.stored) row.stored /= 2;
    const int all = row.whole ? x86::ceil_div(p.co * p.stride_w, m.lanes) : p.co / m.lanes;
    if (!row.whole && p.stride_w <= 4) row.columns = p.stride_w;
    // Blocks of four vectors fill whole lines of an output that comes from afar, if their weights stay in the second cache.
    const bool lines = x86::outputs_are_far(p, m) && block_bytes(p, 4, m) <= m.l2_bytes / 2;
    const int most = p.w == 1 || lines ? m.vector_registers / 4 : 2;
    row.channels = row.whole ? all : std::max(1, most / row.columns);
    while (all % row.channels) --row.channels;
    return row;
}

static bool fits(const PatchRow &row, int pixels, const Machine &m) {
    const x86::RegisterTile tile{row.vectors(), pixels};
    return row.whole ? x86::fits_registers(tile, m) : x86::fits_either_way(tile, m);
}

void Patches::defaults(const Problem &given, const Machine &m) {
    const Problem p = widest_strides(given);
    const PatchRow row = row_of(p, m);
    const int width = x86::size_or(p.w, x86::open_width), vectors = row.vectors();
    // Pixels take half of the first cache: the weights that pass need the rest.
    const int most = std::clamp(m.l1_bytes / 2 / (4 * p.ci), 8, 14);
    int held = 1;
    while (held < std::min(width, most) && fits(row, held + 1, m)) ++held;
    xs = x86::even_parts(width, held);
    // Or a row's last block is narrower. Ten sums hide the latency.
    auto step = [&](int block) { return block ? std::max(vectors * block, 10) : 0; };
    auto time = [&](int block) { return width / block * step(block) + step(width % block); };
    if (x86::narrower_last(p.w, held) && time(held) < time(xs)) xs = held;
    ci_u = p.ci % 4 == 0 && !m.multiplies_by_lane ? 4 : 1;
    // Weights of all outputs stream past every block of pixels: a block's stay where pixels pass them, in half the first cache.
    const int64_t block = block_bytes(p, vectors, m), weights = 4 * int64_t(p.ci) * p.co * p.kh * p.kw;
    const bool many = weights > m.l2_bytes / 2, stay = block <= m.l1_bytes / 2 && weights > m.l1_bytes;
    apart = !row.whole && (many || stay);
    rows = x86::even_parts(x86::size_or(p.h, 64), apart && many ? 16 : 4);
}

bool Patches::feasible(const Problem &given, const Machine &m) const {
    const Problem p = widest_strides(given);
    const PatchRow row = row_of(p, m);
    const bool whole_vectors = !row.whole || (row.channels <= 4 && p.co * p.stride_w % m.lanes == 0 && !apart);
    return patches(p) && p.groups == 1 && !p.nchw() && row.stored >= 4 && whole_vectors && rows >= 1 && ci_u >= 1 &&
           p.ci % ci_u == 0 && xs >= 1 && xs <= x86::size_or(p.w, x86::open_width) && fits(row, xs, m);
}

std::string Patches::layout(const hconv_tensor &t, const Problem &given, const Machine &m) const {
    const Problem p = widest_strides(given);
    const PatchRow row = row_of(p, m);
    const std::string blocks = row.columns > 1 ? "Ohiw" : "Ohwi";
    return t.letters != std::string("oihw") ? "" : row.whole ? "hiwo" : blocks + std::to_string(row.channels * m.lanes) + "o";
}

void Patches::apply(TransposedStages &s, const Problem &given, const Target &t) const {
    const Problem p = widest_strides(given);
    const Machine m = Machine::of(t);
    const PatchRow row = row_of(p, m);
    const int channels = row.whole ? p.co : row.channels * m.lanes;
    Var xo("xo"), xi("xi"), task("task"), yi("yi"), fused("row"), cb("cb"), lane("lane"), unrolled("unrolled");
    s.out.bound(s.co, 0, p.co);
    if (p.n != HCONV_OPEN) s.out.bound(s.n, 0, p.n);
    if (p.w != HCONV_OPEN) s.out.bound(s.x, 0, hconv_transposed_ow(&p));
    if (p.h != HCONV_OPEN) s.out.bound(s.y, 0, hconv_transposed_oh(&p));
    s.out.split(s.y, s.yq, s.py, p.stride_h, TailStrategy::RoundUp);
    x86::split_rows(s.out, s.yq, task, yi, rows, p.h);
    s.out.split(s.co, cb, unrolled, channels, TailStrategy::RoundUp);
    s.out.split(unrolled, unrolled, lane, row.stored, TailStrategy::RoundUp);
    const Expr width = s.out.output_buffer().dim(1).extent() / p.stride_w;
    x86::specialize_widths(s.out, width, p.w, x86::widths_below(xs), [&](Stage st, int pixels, TailStrategy tail) {
        st.split(s.x, s.xq, s.px, p.stride_w, TailStrategy::RoundUp);
        x86::split_row(st, s.xq, xo, xi, pixels, tail, p.w);
        if (apart) st.reorder({lane, unrolled, s.px, xi, s.py, xo, yi, cb, task, s.n});
        else st.reorder({lane, unrolled, s.px, xi, cb, s.py, xo, yi, task, s.n});
        if (apart) st.fuse(cb, task, task);
        st.vectorize(lane).unroll(unrolled).unroll(s.px);
        x86::parallel_tasks(st, task, s.n, p.n);
    });
    s.acc.bound_extent(s.co, channels).bound_extent(s.px, p.stride_w);
    s.acc.compute_at(s.out, apart ? s.py : cb).reorder_storage(s.co, s.px, s.xq);
    // Known sizes prove that no zeros are read.
    if (p.h == HCONV_OPEN || p.w == HCONV_OPEN) x86::stage_rows(s.padded, s.out, task, s.ci, p.ci, m);
    for (Stage st : {Stage(s.acc), s.acc.update()}) {
        Var lanes = s.co;
        if (row.whole) st.fuse(s.co, s.px, lanes = fused);
        std::vector<VarOrRVar> order{lanes, s.xq};
        if (row.columns > 1) order = {lanes, s.px, s.xq}, st.unroll(s.px);
        if (st.name() != Stage(s.acc).name()) order.insert(order.end(), {s.r.x, s.r.y, s.r.z});
        st.reorder(order).vectorize(lanes, m.lanes).unroll(lanes).unroll(s.xq);
    }
    if (!row.whole && x86::holds_pixels({row.vectors(), xs}, m)) s.acc.update().reorder({s.xq, s.co, s.px});
    if (ci_u > 1) s.acc.update().unroll(s.r.x, int(ci_u));
    x86::multiply_by_lanes(s.acc, 0, s.padded, s.ci, s.ix, s.r.x, p.ci, m);
}

}  // namespace hconv

HCONV_SCHEDULE(hconv::TransposedStages, "x86 arm", patches, hconv::Patches)
