// grouped.cpp - many groups of few channels, lanes = groups: xs pixels of all outputs of a vector of groups stay in
// registers for the whole sum. A task takes the vectors of groups one by one; their input is gathered, with zeros around
// it, as rows are met.
// SPDX-License-Identifier: MIT
#include "generators/conv2d.h"

#include "schedules/schedule.h"
#include "schedules/x86/idioms.h"

namespace hconv {

using namespace Halide;

struct Groups : Schedule<Conv2dStages> {
    Knob xs{this, "xs", 4, {1, 2, 3, 4, 6, 7, 8}};  // pixels in the block
    Knob rows{this, "rows", 8, {1, 2, 4, 8, 16}};   // output rows a task

    void defaults(const Problem &, const Machine &) override;
    bool feasible(const Problem &, const Machine &) const override;
    int preference(const Problem &) const override { return 2; }
    void apply(Conv2dStages &, const Problem &, const Target &) const override;
};

static int lanes_of(const Problem &p, const Machine &m) {
    int lanes = m.lanes;
    while (p.groups % lanes) lanes /= 2;
    return lanes;
}

void Groups::defaults(const Problem &p, const Machine &m) {
    const int width = x86::size_or(p.ow(), x86::open_width), outputs = p.co / p.groups;
    int most = m.lanes == 16 ? 4 : 2;
    while (x86::fits_registers({outputs, most + 1}, m) && outputs * most < 8) ++most;
    xs = x86::even_parts(width, most);
    rows = x86::rows_of(p, m, p.ci, 1);
}

bool Groups::feasible(const Problem &p, const Machine &m) const {
    return many_small_groups(p) && rows >= 1 && xs >= 1 && xs <= x86::size_or(p.ow(), x86::open_width) &&
           x86::fits_registers({p.co / p.groups, xs}, m);
}

void Groups::apply(Conv2dStages &s, const Problem &p, const Target &t) const {
    const int lanes = lanes_of(p, Machine::of(t)), in = p.ci / p.groups, outputs = p.co / p.groups;
    Var vector("gv"), lane("gl"), o("o"), xo("xo"), xi("xi"), task("task"), yi("yi");
    x86::bound_known_sizes(s.out, s.co, s.x, s.y, s.n, p);
    s.out.split(s.co, vector, lane, lanes * outputs, TailStrategy::RoundUp);
    s.out.split(lane, lane, o, outputs, TailStrategy::RoundUp);
    x86::split_rows(s.out, s.y, task, yi, rows, p.oh());
    x86::specialize_widths(s.out, s.out.output_buffer().dim(1).extent(), p.ow(), x86::widths_below(xs),
                           [&](Stage st, int width, TailStrategy tail) {
        st.split(s.x, xo, xi, width, tail).never_partition_all();
        st.reorder({lane, o, xi, xo, yi, vector, task, s.n}).vectorize(lane).unroll(o).unroll(xi);
        x86::parallel_tasks(st, task, s.n, p.n);
    });
    s.group_acc.compute_at(s.out, xo).bound_extent(s.g, lanes).bound(s.o, 0, outputs);
    s.group_acc.reorder(s.g, s.o, s.x).vectorize(s.g).unroll(s.o).unroll(s.x);
    s.group_acc.update().reorder({s.g, s.o, s.x, s.r.y, s.r.x, s.r.z}).vectorize(s.g).unroll(s.o).unroll(s.x);
    s.group_acc.update().unroll(s.r.x);
    if (in * p.kw * xs * outputs <= 256) s.group_acc.update().unroll(s.r.y);
    s.group_weight.compute_at(s.out, vector).bound_extent(s.g, lanes).bound(s.o, 0, outputs).bound(s.k, 0, in);
    s.group_weight.vectorize(s.g).unroll(s.o);
    s.gathered.store_at(s.out, vector).compute_at(s.out, yi).bound_extent(s.g, lanes).bound(s.k, 0, in);
    s.gathered.reorder(s.g, s.k, s.ix, s.iy, s.n).vectorize(s.g).unroll(s.k);
}

}  // namespace hconv

HCONV_SCHEDULE(hconv::Conv2dStages, "x86 arm", groups, hconv::Groups)
