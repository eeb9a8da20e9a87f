// depthwise_planes.cpp - depthwise convolution of planes (nchw), lanes = output pixels of a row: one vector of them in ys
// rows stays in registers while the window passes; what is loaded for one row serves the rows above. A task is a few
// channels; a plane's rows are copied, with their zeros, before they are met.
// SPDX-License-Identifier: MIT
#include "generators/depthwise_planes.h"

#include "schedules/schedule.h"
#include "schedules/x86/idioms.h"

namespace hconv {

using namespace Halide;

struct PlaneRows : Schedule<DepthwisePlanesStages> {
    Knob ys{this, "ys", 7, {1, 2, 4, 7, 8, 14}};   // output rows in the block
    Knob cs{this, "cs", 4, {1, 2, 4, 8, 16}};      // channels a task
    Knob copied{this, "copied", 1, {0, 1, 2}};     // at once: the rows of a block, a plane, all planes of a task

    void defaults(const Problem &, const Machine &) override;
    bool feasible(const Problem &, const Machine &) const override;
    int preference(const Problem &) const override { return 3; }
    std::string layout(const hconv_tensor &t, const Problem &, const Machine &) const override {
        return std::string(t.letters) == "oihw" ? "ohwi" : "";
    }
    void apply(DepthwisePlanesStages &, const Problem &, const Target &) const override;

private:
    void sum(DepthwisePlanesStages &, const Problem &, int lanes) const;
};

// What is loaded soon after it is stored in other vectors waits: small planes are copied several at a time.
void PlaneRows::defaults(const Problem &p, const Machine &m) {
    ys = x86::even_parts(x86::height_of(p), m.lanes == 4 ? 4 : m.lanes == 16 && p.kh > 3 ? 14 : 8);
    const int width = x86::size_or(p.w, 512) + p.kw, lanes = x86::vector_lanes(x86::size_or(p.ow(), width), m);
    const int plane = 4 * x86::ceil_div(width, lanes) * lanes * (x86::size_or(p.h, 512) + p.kh);
    copied = plane > m.l1_bytes / 3 ? 0 : plane > m.l1_bytes / 12 ? 1 : 2;
    for (cs = std::min(p.co, copied == 2 ? std::min(16, m.l1_bytes / 2 / plane) : 8); p.co % cs;) cs = cs - 1;
}

bool PlaneRows::feasible(const Problem &p, const Machine &m) const {
    return DepthwisePlanesStages::fits(p) && p.oh() != 1 && ys >= 1 && ys <= x86::size_or(p.oh(), ys) && cs >= 1 &&
           p.co % cs == 0 && copied >= 0 && copied <= (p.open() ? 0 : 2) && x86::fits_registers({1, ys}, m);
}

// Rows of the window meet the rows of the block one behind the other: each input row is loaded once for all.
void PlaneRows::sum(DepthwisePlanesStages &s, const Problem &p, int lanes) const {
    RVar few("few"), taps("taps");
    s.acc.bound_extent(s.x, lanes).bound_extent(s.y, int(ys)).vectorize(s.x).unroll(s.y);
    s.acc.update().split(s.r.y, few, taps, p.kh <= 7 ? p.kh : 2, TailStrategy::GuardWithIf);
    s.acc.update().reorder({s.x, taps, s.y, s.r.x, few}).vectorize(s.x).unroll(taps).unroll(s.y);
    if (p.kw * p.kh * ys <= 256) s.acc.update().unroll(s.r.x);
}

void PlaneRows::apply(DepthwisePlanesStages &s, const Problem &p, const Target &t) const {
    const Machine m = Machine::of(t);
    const int lanes = x86::vector_lanes(x86::width_of(p), m);
    Var xo("xo"), xi("xi"), yo("yo"), yu("yu"), task("task");
    RVar vector("vector"), lane("lane");
    s.out.bound(s.c, 0, p.co);
    if (p.ow() != HCONV_OPEN) s.out.bound(s.x, 0, p.ow());
    if (p.oh() != HCONV_OPEN) s.out.bound(s.y, 0, p.oh());
    if (p.n != HCONV_OPEN) s.out.bound(s.n, 0, p.n);
    const bool shift = p.ow() >= lanes, masked = p.residual();
    s.out.split(s.c, task, s.c, int(cs), TailStrategy::RoundUp);
    s.out.split(s.x, xo, xi, lanes, shift    ? TailStrategy::ShiftInwards
                                    : masked ? TailStrategy::Predicate
                                             : TailStrategy::PredicateStores);
    s.out.split(s.y, yo, yu, int(ys), p.oh() != HCONV_OPEN ? TailStrategy::ShiftInwards : TailStrategy::GuardWithIf);
    s.out.reorder({xi, yu, xo, yo, s.c, task, s.n}).vectorize(xi).unroll(yu).never_partition_all();
    x86::parallel_tasks(s.out, task, s.n, p.n);
    s.acc.compute_at(s.out, xo);
    sum(s, p, lanes);
    s.rows.compute_at(s.out, copied == 2 ? task : copied == 1 ? s.c : yo);
    s.rows.reorder_storage(s.ix, s.iy, s.c, s.n).align_storage(s.ix, lanes);
    // Lanes and rows past the map's end are summed, though not stored: they, too, read zeros.
    const Expr width = p.ow() == HCONV_OPEN ? s.out.output_buffer().dim(1).extent() : Expr(p.ow());
    const Expr columns = shift ? width : (width + lanes - 1) / lanes * lanes;
    const Expr read = max((columns - 1) * p.stride_w + (p.kw - 1) * p.dilation_w + 1, s.columns);
    s.rows.bound_extent(s.ix, (read + lanes - 1) / lanes * lanes);
    if (!copied) s.rows.bound_extent(s.iy, (ys - 1) * p.stride_h + (p.kh - 1) * p.dilation_h + 1);
    s.rows.reorder(s.ix, s.iy, s.c, s.n).vectorize(s.ix, lanes, TailStrategy::RoundUp);
    s.rows.update().split(s.inside, vector, lane, lanes, TailStrategy::GuardWithIf);
    s.rows.update().reorder({lane, vector, s.iy, s.c, s.n}).vectorize(lane);
}

}  // namespace hconv

HCONV_SCHEDULE(hconv::DepthwisePlanesStages, "x86", rows, hconv::PlaneRows)
