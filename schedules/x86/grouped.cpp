// grouped.cpp - groups of few channels: a vector holds `outs` outputs of each of so many groups as fill its lanes. What is
// broadcast to the outputs is one channel of every group, which lie side by side once they are gathered. xs pixels of all
// outputs of these groups stay in registers for the whole sum. A task takes the blocks of groups one by one; their input
// is gathered, with zeros around it, as rows are met.
// SPDX-License-Identifier: MIT
#include "generators/conv2d.h"

#include "schedules/schedule.h"
#include "schedules/x86/idioms.h"

namespace hconv {

using namespace Halide;

struct Groups : Schedule<Conv2dStages> {
    Knob outs{this, "outs", 1, {1, 2, 4, 8, 16}};          // outputs of a group in a vector
    Knob xs{this, "xs", 4, {1, 2, 3, 4, 6, 7, 8, 10, 14}};  // pixels in the block
    Knob rows{this, "rows", 8, {1, 2, 4, 8, 16}};          // output rows a task

    void defaults(const Problem &, const Machine &) override;
    bool feasible(const Problem &, const Machine &) const override;
    int preference(const Problem &) const override { return 2; }
    std::string layout(const hconv_tensor &, const Problem &, const Machine &) const override;
    void formulate(Conv2dStages &s) const override { s.by_groups = true; }
    void apply(Conv2dStages &, const Problem &, const Target &) const override;
};

// Groups of a block.
static int groups_of(const Problem &p, const Machine &m, int outs) {
    int groups = m.lanes / outs;
    while (p.groups % groups) groups /= 2;
    return groups;
}

// Two vectors of outputs at least: they share what is broadcast, and two lines of the input, which come together, are a
// block's.
void Groups::defaults(const Problem &p, const Machine &m) {
    const int width = x86::width_of(p), outputs = p.co / p.groups;
    outs = 1;
    while (m.lanes > 4 && outs < m.lanes && outputs % (2 * outs) == 0) outs = 2 * outs;
    if (outs == outputs && outs > 1) outs = outs / 2;
    const int vectors = outputs / outs;
    xs = x86::even_parts(width, x86::ceil_div(m.lanes == 16 ? 14 : 8, vectors));
    // A task's rows of one block's channels are all that must stay: nothing is shared with the next block. (Not measured elsewhere.)
    rows = x86::rows_of(p, m, m.lanes == 8 ? groups_of(p, m, outs) * (p.ci / p.groups) : p.ci, 1);
}

bool Groups::feasible(const Problem &p, const Machine &m) const {
    const int in = p.ci / p.groups, outputs = p.co / p.groups;
    return !p.nchw() && p.oh() != 1 && p.groups > 1 && rows >= 1 && xs >= 1 && xs <= x86::width_of(p) &&
           outs >= 1 && outs <= m.lanes && (outs & (outs - 1)) == 0 && outputs % outs == 0 && in > 1 && in <= 8 * outs &&
           2 * outs * groups_of(p, m, outs) >= m.lanes && outputs / outs <= 4 && x86::fits_registers({outputs / outs, xs}, m);
}

std::string Groups::layout(const hconv_tensor &t, const Problem &p, const Machine &m) const {
    return x86::blocked_layout(t, groups_of(p, m, outs) * p.co / p.groups);
}

void Groups::apply(Conv2dStages &s, const Problem &p, const Target &t) const {
    const Machine m = Machine::of(t);
    const int in = p.ci / p.groups, outputs = p.co / p.groups, groups = groups_of(p, m, outs);
    Var block("gb"), g("gl"), o("o"), ou("ou"), ol("ol"), xo("xo"), xi("xi"), task("task"), yi("yi");
    x86::bound_known_sizes(s.out, s.co, s.x, s.y, s.n, p);
    s.out.split(s.co, block, g, groups * outputs, TailStrategy::RoundUp).split(g, g, o, outputs, TailStrategy::RoundUp);
    x86::split_rows(s.out, s.y, task, yi, rows, p.oh());
    x86::specialize_widths(s.out, s.out.output_buffer().dim(1).extent(), p.ow(), x86::widths_below(xs),
                           [&](Stage st, int width, TailStrategy tail) {
        st.split(s.x, xo, xi, width, tail).never_partition_all();
        st.reorder({o, g, xi, xo, yi, block, task, s.n}).vectorize(o).vectorize(g).unroll(xi);
        x86::parallel_tasks(st, task, s.n, p.n);
    });
    auto in_vectors = [&](Stage st) {
        return st.split(s.o, ou, ol, int(outs), TailStrategy::RoundUp).vectorize(s.g).vectorize(ol).unroll(ou);
    };
    s.group_acc.compute_at(s.out, xo).bound_extent(s.g, groups).bound(s.o, 0, outputs);
    in_vectors(s.group_acc).reorder(s.g, ol, ou, s.x).unroll(s.x);
    Stage sum = in_vectors(s.group_acc.update()).unroll(s.x);
    // Taps of a row together: neighbouring pixels share what they read, and the weights of a row lie in registers.
    if (outs > 1 && p.kw <= 7) sum.reorder({s.g, ol, ou, s.r.y, s.x, s.r.x, s.r.z}).unroll(s.r.y);
    else {
        sum.reorder({s.g, ol, ou, s.x, s.r.y, s.r.x, s.r.z}).unroll(s.r.x);
        if (in * p.kw * xs * outputs <= 256) sum.unroll(s.r.y);
    }
    s.group_weight.compute_at(s.out, block).bound_extent(s.g, groups).bound(s.o, 0, outputs).bound(s.k, 0, in);
    s.group_weight.reorder_storage(s.g, s.o, s.kx, s.k, s.ky);
    in_vectors(s.group_weight).reorder(s.g, ol, ou, s.kx, s.k, s.ky);
    s.gathered.store_at(s.out, block).compute_at(s.out, yi).bound_extent(s.g, groups).bound(s.k, 0, in);
    s.gathered.reorder(s.g, s.k, s.ix, s.iy, s.n).vectorize(s.g);
    if (outs == 1) s.gathered.unroll(s.k);
    else {  // weights and pixels are loaded in whole and permuted in registers
        s.gathered.vectorize(s.k);
        s.padded.compute_at(s.gathered, s.ix).bound_extent(s.ci, groups * in).vectorize(s.ci);
        s.weight.compute_at(s.group_weight, s.kx).bound_extent(s.co, groups * outputs).vectorize(s.co);
    }
}

}  // namespace hconv

HCONV_SCHEDULE(hconv::Conv2dStages, "x86 arm", groups, hconv::Groups)
