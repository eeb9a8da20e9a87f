// depthwise.cpp - one input channel an output, or one output a group of inputs, lanes = output channels: xs x ys pixels of
// one vector of channels stay in registers while the window passes; the pixels' windows overlap, so loads are shared.
// Where the map ends, loads are masked: loops over blocks are parted there, and the inner part has no tests. A big window's
// rows are a loop, which leaves out those beside the map; its blocks go down a strip of the map, whose rows stay in the
// first cache, with so many vectors of channels side by side.
// SPDX-License-Identifier: MIT
#include "generators/conv2d.h"

#include "schedules/schedule.h"
#include "schedules/x86/idioms.h"

namespace hconv {

using namespace Halide;

struct Depthwise : Schedule<Conv2dStages> {
    Knob xs{this, "xs", 8, {1, 2, 4, 6, 7, 8, 10, 12, 14}};  // output pixels in the block
    Knob ys{this, "ys", 1, {1, 2, 3, 4, 7}};                 // output rows in the block
    Knob rows{this, "rows", 8, {1, 2, 4, 8, 16}};            // output rows a task
    Knob vecs{this, "vecs", 0, {0, 1, 2, 3, 4, 6, 8}};       // vectors of channels a task, 0 = all
    // 1: blocks of one row go down a task's rows, and a loop over the window's rows leaves out those beside the map
    Knob strips{this, "strips", 0, {0, 1}};

    void defaults(const Problem &, const Machine &) override;
    bool feasible(const Problem &, const Machine &) const override;
    bool promising(const Problem &, const Machine &) const override;
    int preference(const Problem &) const override { return 2; }
    std::string layout(const hconv_tensor &, const Problem &, const Machine &) const override;
    void formulate(Conv2dStages &s) const override { s.rows_left_out = strips; }
    void apply(Conv2dStages &, const Problem &, const Target &) const override;

private:
    bool splits_channels(const Problem &, const Machine &) const;
    void unroll_window(Conv2dStages &, const Problem &, const Machine &) const;
};

// Outputs a channel.
static int copies_of(const Problem &p) { return p.groups == p.ci ? p.co / p.ci : 1; }

// Blocks of one row, or of two rows half as wide, which share what they load. A small map's tasks are vectors of channels, of all
// rows or of half of them: work of even halves, each of which stays in the cache of its core.
void Depthwise::defaults(const Problem &p, const Machine &m) {
    const int width = x86::width_of(p), height = x86::height_of(p);
    const int lanes = x86::whole_lanes(p.co, m), all = x86::ceil_div(p.co, lanes);
    strips = p.kh * p.kw > (copies_of(p) == 1 || p.open() ? 36 : 49);
    // SSE multiplies into a register of its own, and loads what it adds.
    int most = m.lanes == 4 && m.vector_registers == 16 ? 4 : 8;
    if (m.vector_registers == 32 && p.stride_w == 1 && (strips || !p.open())) most = 14;
    if (most == 14 && !strips && width > 14 && p.stride_h == 1 && height % 2 == 0) most = 7, ys = 2;
    xs = x86::even_parts(width, most);
    if (strips) {
        rows = x86::even_parts(height, std::min(28 / std::min(p.stride_h, 4), p.n == 1 ? x86::ceil_div(height, 2) : height));
        for (vecs = std::max(1, 32 / lanes); all % vecs;) vecs = vecs - 1;
        return;
    }
    rows = ys * x86::even_parts(height / ys, 14 / ys);
    // Vectors that overlap stay in one task: no two tasks write one element.
    if (p.open() || height > 14 || p.co % lanes) return;
    const bool small = p.kh * p.kw <= 9;
    if (small) rows = ys * x86::even_parts(height / ys, 7);
    for (vecs = std::max(1, small ? std::min(10, all / 2) : all / 2); vecs && (all % vecs || lanes * vecs % copies_of(p));) vecs = vecs - 1;
}

// A vector's taps lie side by side, where no vector overlaps another.
std::string Depthwise::layout(const hconv_tensor &t, const Problem &p, const Machine &m) const {
    const int lanes = x86::whole_lanes(p.co, m);
    return !strips || p.co % lanes ? "" : x86::blocked_layout(t, lanes);
}

// Groups of whole vectors; where each is a task, they share neither outputs nor a copied input.
bool Depthwise::splits_channels(const Problem &p, const Machine &m) const {
    const int lanes = x86::whole_lanes(p.co, m);
    return strips ? x86::ceil_div(p.co, lanes) % vecs == 0 : p.co % (lanes * vecs) == 0 && lanes * vecs % copies_of(p) == 0;
}

bool Depthwise::feasible(const Problem &p, const Machine &m) const {
    return p.groups > 1 && (p.groups == p.ci || p.groups == p.co) && !p.nchw() && rows >= 1 && xs >= 1 &&
           ys >= 1 && rows % ys == 0 && (ys == 1 || (!strips && p.oh() != HCONV_OPEN && p.oh() % ys == 0)) && vecs >= 0 &&
           (vecs == 0 || splits_channels(p, m)) &&
           xs <= x86::width_of(p) && x86::fits_registers({1, xs * ys}, m);
}

bool Depthwise::promising(const Problem &p, const Machine &) const {
    const int width = x86::width_of(p), height = x86::height_of(p);
    return xs * ys >= std::min(4, width * height) && x86::is_other_task(rows, height);
}

// The taps of a row share loads. A whole window is unrolled while its code stays small, and, where operands of a multiply-add
// are registers, few.
void Depthwise::unroll_window(Conv2dStages &s, const Problem &p, const Machine &m) const {
    int row = p.kw * xs * ys, window = row * p.kh;
    if (row <= 140) s.acc.update().unroll(s.r.y);
    if (!strips && window <= (m.multiplies_by_lane ? 128 : 700)) s.acc.update().unroll(s.r.z);
    if (p.ci / p.groups <= 4) s.acc.update().unroll(s.r.x);
}

void Depthwise::apply(Conv2dStages &s, const Problem &p, const Target &t) const {
    const Machine m = Machine::of(t);
    const int lanes = x86::whole_lanes(p.co, m), all = x86::ceil_div(p.co, lanes), vectors = vecs ? int(vecs) : all;
    Var cg("cg"), cb("cb"), cl("cl"), xo("xo"), xi("xi"), task("task"), yi("yi"), yu("yu");
    x86::bound_known_sizes(s.out, s.co, s.x, s.y, s.n, p);
    s.out.split(s.co, cb, cl, lanes, p.co % lanes ? TailStrategy::ShiftInwards : TailStrategy::RoundUp);
    s.out.split(cb, cg, cb, vectors, TailStrategy::RoundUp);
    Stage(s.out).split(s.y, yi, yu, int(ys), TailStrategy::RoundUp);
    x86::split_rows(s.out, yi, task, yi, rows / ys, p.oh() / ys);
    const Expr ow = s.out.output_buffer().dim(1).extent();
    x86::specialize_widths(
        s.out, ow, p.ow(), x86::widths_below(xs),
        [&](Stage st, int width, TailStrategy tail) {
            st.split(s.x, xo, xi, width, tail);
            if (strips) st.reorder({cl, xi, yu, cb, yi, cg, xo, task, s.n});
            else st.reorder({cl, xi, yu, cb, xo, yi, cg, task, s.n});
            st.vectorize(cl).unroll(xi).unroll(yu);
            if (!strips) st.fuse(cg, task, task);
            x86::parallel_tasks(st, task, s.n, p.n);
            st.never_partition({task});
        },
        false);
    x86::accumulate_in_registers(s.acc, s.out, cb, s.co, s.x, s.r, lanes, 1);
    s.acc.unroll(s.y).update().reorder({s.co, s.x, s.y, s.r.x, s.r.y, s.r.z}).unroll(s.y);
    unroll_window(s, p, m);
    const int copies = copies_of(p), read = vecs && !strips ? lanes * vectors / copies : p.ci;  // channels that a task reads
    if (copies > 1) x86::stage_rows(s.padded, s.out, task, s.ci, read, m, copies);
}

}  // namespace hconv

HCONV_SCHEDULE(hconv::Conv2dStages, "x86 arm", depthwise, hconv::Depthwise)
