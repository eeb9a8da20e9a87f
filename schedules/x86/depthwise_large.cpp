// depthwise_large.cpp - depthwise convolution with a large window: a task takes one vector of channels alone, copies its
// rows with their zeros, and keeps a block of xs x ys pixels in registers while the window passes. Taps that meet only
// zeros for the whole block are skipped, so blocks lie where the algorithm's do.
// SPDX-License-Identifier: MIT
#include "generators/conv2d.h"

#include "schedules/schedule.h"
#include "schedules/x86/idioms.h"

namespace hconv {

using namespace Halide;

struct LargeWindow : Schedule<Conv2dStages> {
    Knob ys{this, "ys", 4, {1, 2, 4}};            // output rows in the block
    Knob rows{this, "rows", 8, {4, 8, 16, 28, 56}};  // output rows a task

    void defaults(const Problem &, const Machine &) override;
    bool feasible(const Problem &, const Machine &) const override;
    int preference(const Problem &) const override { return 3; }
    std::string layout(const hconv_tensor &, const Problem &, const Machine &) const override;
    void apply(Conv2dStages &, const Problem &, const Target &) const override;
};

void LargeWindow::defaults(const Problem &p, const Machine &m) {
    const SkippedBlock block(p);
    ys = block.h;
    while (ys > 1 && (block.h % ys || !x86::fits_registers({1, block.w * ys}, m))) ys = ys - 1;
    int64_t row_bytes = 4 * int64_t(x86::size_or(p.w, 128) + p.kw) * m.lanes;
    int held = int(m.l2_bytes / 2 / row_bytes) - p.kh * p.dilation_h;
    rows = block.h * x86::even_parts(x86::ceil_div(x86::size_or(p.oh(), 64), block.h), std::max(held / block.h, 2));
}

bool LargeWindow::feasible(const Problem &p, const Machine &m) const {
    const SkippedBlock block(p);
    return p.groups > 1 && p.groups == p.ci && p.ci == p.co && p.co % m.lanes == 0 && !p.nchw() && SkippedBlock::large(p) &&
           ys >= 1 && rows >= 1 && block.h % ys == 0 && rows % block.h == 0 &&
           x86::fits_registers({1, block.w * ys}, m);
}

std::string LargeWindow::layout(const hconv_tensor &t, const Problem &, const Machine &m) const {
    return x86::blocked_layout(t, m.lanes);
}

void LargeWindow::apply(Conv2dStages &s, const Problem &p, const Target &t) const {
    const Machine m = Machine::of(t);
    const int xs = SkippedBlock(p).w;
    Var cb("cb"), cl("cl"), xo("xo"), xi("xi"), task("task"), yo("yo"), yi("yi");
    auto tail = [](int size, int part) {
        return size != HCONV_OPEN && size % part == 0 ? TailStrategy::RoundUp : TailStrategy::GuardWithIf;
    };
    x86::bound_known_sizes(s.out, s.co, s.x, s.y, s.n, p);
    s.out.split(s.co, cb, cl, m.lanes, TailStrategy::RoundUp).split(s.x, xo, xi, xs, tail(p.ow(), xs));
    x86::split_rows(s.out, s.y, task, yo, rows, p.oh());
    s.out.split(yo, yo, yi, int(ys), TailStrategy::RoundUp);
    s.out.reorder(cl, xi, yi, xo, yo, cb, task, s.n).vectorize(cl).unroll(xi).unroll(yi).never_partition_all();
    s.out.fuse(cb, task, task);
    x86::parallel_tasks(s.out, task, s.n, p.n);
    s.acc.bound_extent(s.x, xs).bound_extent(s.y, int(ys)).unroll(s.y);
    x86::accumulate_in_registers(s.acc, s.out, xo, s.co, s.x, s.r, m.lanes, 1);
    // Two taps of a row share a register for what they load, where there are registers for both of their weights.
    RVar pair("pair"), tap("tap");
    s.acc.update().split(s.r.y, pair, tap, xs * ys + 3 <= m.vector_registers ? 2 : 1, TailStrategy::GuardWithIf);
    s.acc.update().reorder({s.co, tap, s.x, s.y, s.r.x, pair, s.r.z}).unroll(tap).unroll(s.y).unroll(s.r.x);
    x86::stage_rows(s.padded, s.out, task, s.ci, m.lanes, m);
}

}  // namespace hconv

HCONV_SCHEDULE(hconv::Conv2dStages, "x86 arm", large_window, hconv::LargeWindow)
