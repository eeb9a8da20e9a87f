// conv2d.cpp - direct convolution, lanes = output channels: a block of co_vecs vectors x xs pixels stays in registers
// for the whole sum. Loads per multiply-add = (co_vecs + xs) / (co_vecs xs): a squarish block; weights are packed by
// block of outputs in the order the sum reads them. With a 1 x 1 window it is a matrix product of pixels and channels.
// SPDX-License-Identifier: MIT
#include "generators/conv2d.h"

#include "schedules/schedule.h"
#include "schedules/x86/idioms.h"

namespace hconv {

using namespace Halide;

struct Direct : Schedule<Conv2dStages> {
    Knob co_vecs{this, "co_vecs", 2, {1, 2, 3, 4}};                // vectors of output channels in the block
    Knob xs{this, "xs", 6, {1, 2, 3, 4, 5, 6, 7, 8, 10, 12, 14}};  // output pixels in the block
    Knob ci_u{this, "ci_u", 1, {1, 2, 4}};                         // unroll of the channel sum
    Knob rows{this, "rows", 4, {1, 2, 4, 8, 16}};                  // output rows a task; of one row, tiles

    void defaults(const Problem &, const Machine &) override;
    bool feasible(const Problem &, const Machine &) const override;
    bool promising(const Problem &, const Machine &) const override;
    std::string layout(const hconv_tensor &, const Problem &, const Machine &) const override;
    void apply(Conv2dStages &, const Problem &, const Target &) const override;
};

// A vector must not straddle two groups, which read other inputs: of the divisors of a group's outputs the one that
// leaves the fewest lanes of its registers empty.
static int lanes_of(const Problem &p, const Machine &m) {
    int per_group = p.co / p.groups, best = 1;
    if (p.groups == 1) return x86::vector_lanes(per_group, m);
    auto filled = [&](int lanes) { return double(lanes) / (x86::ceil_div(lanes, m.lanes) * m.lanes); };
    for (int lanes = 2; lanes <= 16; ++lanes)
        if (per_group % lanes == 0 &&
            (filled(lanes) > filled(best) || (lanes <= m.lanes && filled(lanes) == filled(best))))
            best = lanes;
    return best;
}

// The registers, counted in vectors of that many lanes.
static Machine in_vectors(Machine m, int lanes) {
    m.vector_registers /= x86::ceil_div(lanes, m.lanes);
    return m;
}

void Direct::defaults(const Problem &given, const Machine &m) {
    const Problem p = given.as_map();
    int lanes = lanes_of(p, m), vectors = x86::ceil_div(p.co / p.groups, lanes);
    x86::RegisterTile tile = x86::best_tile(vectors, x86::width_of(p), in_vectors(m, lanes));
    while (p.groups > 1 && vectors % tile.vectors) --tile.vectors;
    co_vecs = tile.vectors, xs = x86::even_parts(x86::width_of(p), tile.scalars);
    rows = p.oh() == 1 ? 8 : x86::rows_of(p, m);
    const int inputs = p.ci / p.groups;
    ci_u = m.lanes == 16 && inputs % 4 == 0 && (p.kh * p.kw == 1 || (p.groups > 1 && inputs >= 16 && inputs <= 32)) ? 4 : 1;
}

bool Direct::feasible(const Problem &given, const Machine &m) const {
    const Problem p = given.as_map();
    int lanes = lanes_of(p, m), per_group = p.co / p.groups;
    bool whole_vectors = p.groups == 1 || (lanes >= std::min(3, per_group) && per_group % (lanes * co_vecs) == 0);
    return whole_vectors && rows >= 1 && ci_u >= 1 && (p.ci / p.groups) % ci_u == 0 && co_vecs >= 1 && xs >= 1 &&
           xs <= x86::width_of(p) && x86::fits_registers({co_vecs, xs}, in_vectors(m, lanes));
}

bool Direct::promising(const Problem &given, const Machine &m) const {
    const Problem p = given.as_map();
    return x86::is_busy({co_vecs, xs}, x86::ceil_div(p.co / p.groups, lanes_of(p, m)), x86::width_of(p)) &&
           x86::is_other_task(rows, p.oh() == 1 ? x86::ceil_div(x86::width_of(p), xs) : x86::height_of(p));
}

std::string Direct::layout(const hconv_tensor &t, const Problem &p, const Machine &m) const {
    return x86::blocked_layout(t, lanes_of(p, m) * co_vecs);
}

void Direct::apply(Conv2dStages &s, const Problem &p, const Target &t) const {
    const Machine m = Machine::of(t);
    Var xo("xo"), xi("xi"), task("task"), yi("yi");
    const bool one_row = p.oh() == 1;
    // A small map is one task's rows: then its blocks of outputs are tasks.
    const bool small = !one_row && p.n == 1 && p.oh() != HCONV_OPEN && p.oh() <= rows;
    const x86::ChannelBlocks co(lanes_of(p, m), co_vecs);
    x86::bound_known_sizes(s.out, s.co, s.x, s.y, s.n, p);
    x86::split_channels(s.out, s.co, co, p);
    if (!one_row) x86::split_rows(s.out, s.y, task, yi, rows, p.oh());
    std::vector<int> widths = x86::widths_below(xs);
    const Expr ow = s.out.output_buffer().dim(1).extent();
    x86::specialize_widths(s.out, ow, p.ow(), widths, [&](Stage st, int width, TailStrategy tail) {
        st.split(s.x, xo, xi, width, tail).never_partition_all();
        if (small) st.reorder({co.lane, co.unrolled, xi, xo, yi, task, co.block});
        else st.reorder({co.lane, co.unrolled, xi, xo, one_row ? s.y : yi, co.block});
        st.vectorize(co.lane).unroll(co.unrolled).unroll(xi);
        if (one_row)
            x86::parallel_along_row(st, xo, co.block, task, s.n, x86::tiles_a_task(ow, p.ow(), width, tail, rows), p.n);
        else x86::parallel_tasks(st, small ? co.block : task, s.n, p.n);
    });
    s.acc.bound_extent(s.co, co.size());
    x86::accumulate_in_registers(s.acc, s.out, xo, s.co, s.x, s.r, co.lanes, ci_u);
    const int inputs = p.ci / p.groups, staged = one_row ? inputs : p.ci;  // a task along a row has one block of outputs
    // Groups' channels are copied for their blocks alone, side by side, unless that reads parts of lines from far away.
    const bool near = !p.open() && x86::map_bytes(p) <= m.l2_bytes;
    if (p.has_padding() && p.groups > 1 && !one_row && inputs >= (near ? co.lanes : 16)) {
        x86::stage_rows(s.padded, s.out, co.block, s.ci, inputs, m);
        s.padded.bound_extent(s.ci, inputs);
    } else if (p.has_padding() && small) x86::stage_input(s.padded, s.ci, s.iy, p.ci, m);
    else if (p.has_padding()) x86::stage_rows(s.padded, s.out, task, s.ci, staged, m);
}

}  // namespace hconv

HCONV_SCHEDULE(hconv::Conv2dStages, "x86", direct, hconv::Direct)
