// depthwise.cpp - one input channel an output, or one output a group of inputs, lanes = output channels: xs pixels of
// one vector of channels stay in registers while the window passes; the pixels' windows overlap, so a row's loads are
// shared.
// SPDX-License-Identifier: MIT
#include "generators/conv2d.h"

#include "schedules/schedule.h"
#include "schedules/x86/idioms.h"

namespace hconv {

using namespace Halide;

struct Depthwise : Schedule<Conv2dStages> {
    Knob xs{this, "xs", 8, {1, 2, 4, 6, 7, 8, 10, 12, 14}};  // output pixels in the block
    Knob rows{this, "rows", 8, {1, 2, 4, 8, 16}};            // output rows a task
    // 1: each vector of channels goes through a task's rows alone, copied with zeros
    Knob staged{this, "staged", 0, {0, 1}};

    void defaults(const Problem &, const Machine &) override;
    bool feasible(const Problem &, const Machine &) const override;
    int preference(const Problem &) const override { return 2; }
    void apply(Conv2dStages &, const Problem &, const Target &) const override;

private:
    void unroll_window(Conv2dStages &, const Problem &) const;
};

void Depthwise::defaults(const Problem &p, const Machine &m) {
    staged = p.kh * p.kw > 36;
    // SSE multiplies into a register of its own, and loads what it adds.
    xs = x86::even_parts(x86::size_or(p.ow(), x86::open_width), m.lanes == 4 ? 4 : staged && m.lanes == 16 ? 14 : 8);
    rows = x86::rows_of(p, m, staged ? x86::whole_lanes(p.co, m) : p.ci);
}

bool Depthwise::feasible(const Problem &p, const Machine &m) const {
    return p.groups > 1 && (p.groups == p.ci || p.groups == p.co) && !p.nchw() && rows >= 1 && xs >= 1 &&
           xs <= x86::size_or(p.ow(), x86::open_width) && x86::fits_registers({1, xs}, m);
}

// The taps of a row share loads. A whole window is unrolled while its code stays small.
void Depthwise::unroll_window(Conv2dStages &s, const Problem &p) const {
    int row = p.kw * xs, window = row * p.kh;
    if (row <= 128) s.acc.update().unroll(s.r.y);
    if (!staged && window <= 256) s.acc.update().unroll(s.r.z);
    if (p.ci / p.groups <= 4) s.acc.update().unroll(s.r.x);
}

void Depthwise::apply(Conv2dStages &s, const Problem &p, const Target &t) const {
    const Machine m = Machine::of(t);
    const int lanes = x86::whole_lanes(p.co, m);
    Var cb("cb"), cl("cl"), xo("xo"), xi("xi"), task("task"), yi("yi");
    x86::bound_known_sizes(s.out, s.co, s.x, s.y, s.n, p);
    s.out.split(s.co, cb, cl, lanes, p.co % lanes ? TailStrategy::ShiftInwards : TailStrategy::RoundUp);
    x86::split_rows(s.out, s.y, task, yi, rows, p.oh());
    const Expr ow = s.out.output_buffer().dim(1).extent();
    x86::specialize_widths(
        s.out, ow, p.ow(), x86::widths_below(xs),
        [&](Stage st, int width, TailStrategy tail) {
            st.split(s.x, xo, xi, width, tail);
            if (staged) st.reorder({cl, xi, xo, yi, cb, task, s.n});
            else st.reorder({cl, xi, cb, xo, yi, task, s.n});
            st.vectorize(cl).unroll(xi);
            x86::parallel_tasks(st, task, s.n, p.n);
        },
        false);
    x86::accumulate_in_registers(s.acc, s.out, staged ? xo : cb, s.co, s.x, s.r, lanes, 1);
    unroll_window(s, p);
    const int copies = p.groups == p.ci ? p.co / p.ci : 1;
    if (copies > 1) x86::stage_rows(s.padded, s.out, task, s.ci, p.ci, m, copies);
    else if (staged) x86::stage_rows(s.padded, s.out, cb, s.ci, lanes * (p.ci / p.groups), m);
}

}  // namespace hconv

HCONV_SCHEDULE(hconv::Conv2dStages, "x86", depthwise, hconv::Depthwise)
