// planar.cpp - direct convolution of planes (nchw), lanes = output pixels of a row: a block of x_vecs vectors of pixels
// x cos outputs (x ys rows, where a group has few outputs) stays in registers for the whole sum. Inputs are loaded and
// results stored as they lie; weights are broadcast.
// SPDX-License-Identifier: MIT
#include "generators/conv2d.h"

#include "schedules/schedule.h"
#include "schedules/x86/idioms.h"
#include "schedules/x86/planes.h"

namespace hconv {

using namespace Halide;

struct Planar : Schedule<Conv2dStages> {
    Knob x_vecs{this, "x_vecs", 2, {1, 2, 3, 4}};                    // vectors of pixels in the block
    Knob cos{this, "cos", 6, {1, 2, 3, 4, 5, 6, 7, 8, 10, 12, 14}};  // output channels in the block
    Knob ys{this, "ys", 1, {1, 2, 4}};                               // output rows in the block
    Knob ci_u{this, "ci_u", 1, {1, 2, 4}};                           // unroll of the channel sum
    Knob rows{this, "rows", 4, {1, 2, 4, 8, 16}};                    // output rows a task; of one row, tiles

    void defaults(const Problem &, const Machine &) override;
    bool feasible(const Problem &, const Machine &) const override;
    int preference(const Problem &) const override { return 2; }
    std::string layout(const hconv_tensor &, const Problem &, const Machine &) const override;
    void apply(Conv2dStages &, const Problem &, const Target &) const override;
};

// Whole vectors only: as many lanes as a row holds.
static int lanes_of(const Problem &p, const Machine &m) {
    int lanes = m.lanes;
    while (lanes > x86::size_or(p.ow(), lanes)) lanes /= 2;
    return lanes;
}

void Planar::defaults(const Problem &given, const Machine &m) {
    const Problem p = given.as_map();
    int lanes = lanes_of(p, m), per_group = p.co / p.groups, width = x86::width_of(p);
    x86::RegisterTile tile = x86::best_tile(x86::ceil_div(width, lanes), per_group, m, std::min(width / lanes, 8));
    x_vecs = tile.vectors, cos = x86::even_parts(per_group, tile.scalars);
    while (p.groups > 1 && per_group % cos) cos = cos - 1;
    ys = std::clamp(p.oh(), 1, std::max(1, std::min(4, 10 / (x_vecs * cos))));
    while (p.oh() % ys) ys = ys - 1;
    rows = p.oh() == 1 ? 8 : x86::rows_of(p, m);
}

// Blocks of outputs hang over the last channel, but over no group: the next reads other inputs, or none that exist. Blocks
// of rows divide them: one that moved inwards would write rows of another task.
bool Planar::feasible(const Problem &p, const Machine &m) const {
    int lanes = lanes_of(p, m), per_group = p.co / p.groups;
    bool whole_blocks = p.groups == 1 || (cos >= 1 && per_group % cos == 0);
    return p.nchw() && (p.groups > 1 || lanes == m.lanes) && x_vecs >= 1 && cos >= 1 && cos <= per_group &&
           whole_blocks && ci_u >= 1 && (p.ci / p.groups) % ci_u == 0 && rows >= 1 &&
           x_vecs * lanes <= x86::width_of(p) && ys >= 1 && ys <= std::max(1, p.oh()) &&
           p.oh() % ys == 0 && x86::fits_registers({x_vecs, cos * ys}, m);
}

std::string Planar::layout(const hconv_tensor &t, const Problem &, const Machine &) const {
    return x86::blocked_layout(t, cos);
}

void Planar::apply(Conv2dStages &s, const Problem &p, const Target &t) const {
    const Machine m = Machine::of(t);
    const bool one_row = p.oh() == 1;
    Var xo("xo"), xi("xi"), cb("cb"), cu("cu"), task("task"), yi("yi"), yu("yu");
    x86::bound_known_sizes(s.out, s.co, s.x, s.y, s.n, p);
    s.out.split(s.co, cb, cu, int(cos), p.co % cos ? TailStrategy::GuardWithIf : TailStrategy::RoundUp);
    Stage(s.out).split(s.y, yi, yu, int(ys), TailStrategy::RoundUp);
    if (!one_row)
        x86::split_rows(s.out, yi, task, yi, x86::ceil_div(rows, ys), p.oh() / ys);
    std::vector<int> widths = x86::halves(lanes_of(p, m) * x_vecs, 4);
    const Expr ow = s.out.output_buffer().dim(1).extent();
    x86::specialize_widths(
        s.out, ow, p.ow(), widths,
        [&](Stage st, int width, TailStrategy tail) {
            st.split(s.x, xo, xi, width, tail).never_partition_all();
            st.reorder({xi, cu, yu, xo, yi, cb}).vectorize(xi).unroll(cu).unroll(yu);
            if (one_row)
                x86::parallel_along_row(st, xo, cb, task, s.n, x86::tiles_a_task(ow, p.ow(), width, tail, rows), p.n);
            else x86::parallel_tasks(st, task, s.n, p.n);
        },
        false);
    s.acc.bound_extent(s.co, int(cos));
    x86::accumulate_in_registers(s.acc, s.out, xo, s.x, s.co, s.r, 0, ci_u);
    s.acc.unroll(s.y).update().reorder({s.x, s.co, s.y, s.r.x, s.r.y, s.r.z}).unroll(s.y);
    if (ys > 1 && p.kh * p.kw * ys * x_vecs * cos <= 128) s.acc.update().unroll(s.r.y).unroll(s.r.z);
    if (p.has_padding())
        x86::stage_planes(s.padded, s.out, p.groups > 1 && !one_row ? cb : task, s.ci, s.ix, s.iy, s.n, m);
}

}  // namespace hconv

HCONV_SCHEDULE(hconv::Conv2dStages, "x86 arm", planar, hconv::Planar)
