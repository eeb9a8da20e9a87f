// conv2d.cpp - direct convolution for NEON, lanes = output channels: a block of co_vecs vectors x xs pixels stays in
// registers for the whole sum. A multiply-add takes one lane of a vector, so four input channels of a pixel are one load:
// loads per multiply-add = (4 co_vecs + xs) / (4 co_vecs xs). With a 1 x 1 window it is a matrix product.
// SPDX-License-Identifier: MIT
#include "generators/conv2d.h"

#include "schedules/schedule.h"
#include "schedules/x86/idioms.h"

namespace hconv {

using namespace Halide;

namespace {

struct ByLane : Schedule<Conv2dStages> {
    Knob co_vecs{this, "co_vecs", 2, {1, 2, 3, 4, 5, 6}};              // vectors of output channels in the block
    Knob xs{this, "xs", 8, {1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 12, 14}};  // output pixels in the block
    Knob rows{this, "rows", 4, {1, 2, 4, 8, 16}};                      // output rows a task; of one row, tiles

    void defaults(const Problem &, const Machine &) override;
    bool feasible(const Problem &, const Machine &) const override;
    std::string layout(const hconv_tensor &, const Problem &, const Machine &) const override;
    void apply(Conv2dStages &, const Problem &, const Target &) const override;
};

// A vector must not straddle two groups, which read other inputs: the most lanes that divide a group's outputs.
int lanes_of(const Problem &p, const Machine &m) {
    const int per_group = p.co / p.groups;
    int lanes = m.lanes;
    while (p.groups > 1 && per_group % lanes) --lanes;
    return lanes;
}

void ByLane::defaults(const Problem &given, const Machine &m) {
    const Problem p = given.as_map();
    const int vectors = x86::ceil_div(p.co / p.groups, lanes_of(p, m)), width = x86::width_of(p);
    x86::RegisterTile tile = x86::best_tile(vectors, width, m);
    while (p.groups > 1 && vectors % tile.vectors) --tile.vectors;
    co_vecs = tile.vectors, xs = x86::even_parts(width, tile.scalars);
    rows = p.oh() == 1 ? 8 : x86::rows_of(p, m);
}

bool ByLane::feasible(const Problem &given, const Machine &m) const {
    const Problem p = given.as_map();
    const int lanes = lanes_of(p, m), per_group = p.co / p.groups;
    const bool whole_vectors = p.groups == 1 || (lanes >= std::min(3, per_group) && per_group % (lanes * co_vecs) == 0);
    return whole_vectors && rows >= 1 && co_vecs >= 1 && xs >= 1 &&
           xs <= x86::width_of(p) && x86::fits_registers({co_vecs, xs}, m);
}

std::string ByLane::layout(const hconv_tensor &t, const Problem &p, const Machine &m) const {
    return x86::blocked_layout(t, lanes_of(p, m) * co_vecs);
}

void ByLane::apply(Conv2dStages &s, const Problem &p, const Target &t) const {
    const Machine m = Machine::of(t);
    const bool one_row = p.oh() == 1;
    // A small map is one task's rows: then its blocks of outputs are tasks.
    const bool small = !one_row && p.n == 1 && p.oh() != HCONV_OPEN && p.oh() <= rows;
    Var xo("xo"), xi("xi"), task("task"), yi("yi");
    const x86::ChannelBlocks co(lanes_of(p, m), co_vecs);
    x86::bound_known_sizes(s.out, s.co, s.x, s.y, s.n, p);
    x86::split_channels(s.out, s.co, co, p);
    if (!one_row) x86::split_rows(s.out, s.y, task, yi, rows, p.oh());
    const Expr ow = s.out.output_buffer().dim(1).extent();
    x86::specialize_widths(s.out, ow, p.ow(), x86::widths_below(xs), [&](Stage st, int width, TailStrategy tail) {
        st.split(s.x, xo, xi, width, tail).never_partition_all();
        if (small) st.reorder({co.lane, co.unrolled, xi, xo, yi, task, co.block});
        else st.reorder({co.lane, co.unrolled, xi, xo, one_row ? s.y : yi, co.block});
        st.vectorize(co.lane).unroll(co.unrolled).unroll(xi);
        if (one_row)
            x86::parallel_along_row(st, xo, co.block, task, s.n, x86::tiles_a_task(ow, p.ow(), width, tail, rows), p.n);
        else x86::parallel_tasks(st, small ? co.block : task, s.n, p.n);
    });
    s.acc.bound_extent(s.co, co.size());
    x86::accumulate_in_registers(s.acc, s.out, xo, s.co, s.x, s.r, co.lanes, 1);
    if (!p.nchw()) x86::multiply_by_lanes(s.acc, 0, s.padded, s.ci, s.ix, s.r.x, p.ci / p.groups, m);
    const int staged = one_row ? p.ci / p.groups : p.ci;  // a task along a row has one block of outputs
    if (p.has_padding() && small) x86::stage_input(s.padded, s.ci, s.iy, p.ci, m);
    else if (p.has_padding()) x86::stage_rows(s.padded, s.out, task, s.ci, staged, m);
}

}  // namespace

}  // namespace hconv

HCONV_SCHEDULE(hconv::Conv2dStages, "arm", direct, hconv::ByLane)
