// depthwise_large.cpp - depthwise convolution with a large window: each vector of channels goes alone through the rows of a
// task, which are copied first, and keeps xs pixels of a row in registers while those rows of the window pass that lie in
// the map. A row of taps is unrolled, and shares what it loads. Where the width is known, so are the blocks of a row: taps
// beside the map are left out by constants, and the copy has no zeros. It also turns nchw's planes to vectors of channels.
// SPDX-License-Identifier: MIT
#include "generators/conv2d.h"

#include "schedules/schedule.h"
#include "schedules/x86/idioms.h"

namespace hconv {

using namespace Halide;

struct LargeWindow : Schedule<Conv2dStages> {
    Knob xs{this, "xs", 14, {5, 7, 8, 10, 12, 14}};      // output pixels in the block
    Knob vecs{this, "vecs", 1, {1, 2, 4}};               // vectors of channels a task, one after another
    Knob rows{this, "rows", 8, {4, 8, 14, 16, 28, 56}};  // output rows a task
    Knob exact{this, "exact", 1, {0, 1}};                // 1: a row's blocks are unrolled
    static constexpr int most_taps = 4000;               // of a row, unrolled

    void defaults(const Problem &, const Machine &) override;
    bool feasible(const Problem &, const Machine &) const override;
    int preference(const Problem &) const override { return 4; }
    std::string layout(const hconv_tensor &, const Problem &, const Machine &) const override;
    void formulate(Conv2dStages &s) const override { s.rows_left_out = true; }
    void apply(Conv2dStages &, const Problem &, const Target &) const override;
};

// The widest block of those that take a row the least time: sums fewer than eight wait for their own multiply-adds.
static int best_width(int width, int most) {
    auto time = [&](int xs) { return width / xs * std::max(xs, 8) + (width % xs ? std::max(width % xs, 8) : 0); };
    int best = std::min(width, most);
    for (int xs = best; xs > 1; --xs)
        if (time(xs) < time(best)) best = xs;
    return best;
}

// A task's channels fill lines of the cache.
void LargeWindow::defaults(const Problem &p, const Machine &m) {
    const int lanes = x86::vector_lanes(p.co, m);
    exact = p.ow() != HCONV_OPEN && p.ow() * p.kw <= most_taps;
    xs = best_width(x86::width_of(p), m.vector_registers == 32 ? 14 : m.lanes == 4 ? 7 : exact ? 10 : 8);
    vecs = p.co % 16 ? 1 : 16 / lanes;
    const int held = m.l2_bytes / 2 / (4 * lanes * (x86::size_or(p.w, 128) + p.kw));
    rows = x86::even_parts(x86::height_of(p), std::max(8, held - p.kh * p.dilation_h));
}

bool LargeWindow::feasible(const Problem &p, const Machine &m) const {
    return p.groups > 1 && p.groups == p.ci && p.ci == p.co && large_window(p) && vecs >= 1 &&
           (vecs == 1 || p.co % (x86::vector_lanes(p.co, m) * vecs) == 0) && rows >= 1 && xs >= 1 &&
           x86::fits_registers({1, xs}, m) && (!exact || (p.ow() != HCONV_OPEN && p.ow() * p.kw <= most_taps));
}

std::string LargeWindow::layout(const hconv_tensor &t, const Problem &p, const Machine &m) const {
    return x86::blocked_layout(t, x86::vector_lanes(p.co, m));
}

void LargeWindow::apply(Conv2dStages &s, const Problem &p, const Target &t) const {
    const Machine m = Machine::of(t);
    Var xo("xo"), xi("xi"), task("task"), yi("yi");
    const x86::ChannelBlocks co(x86::vector_lanes(p.co, m), vecs);
    x86::bound_known_sizes(s.out, s.co, s.x, s.y, s.n, p);
    x86::split_channels(s.out, s.co, co, p);
    s.out.split(s.x, xo, xi, int(xs), p.ow() != HCONV_OPEN && p.ow() % xs == 0 ? TailStrategy::RoundUp : TailStrategy::GuardWithIf);
    x86::split_rows(s.out, s.y, task, yi, rows, p.oh());
    // Images are innermost: they share weights.
    s.out.reorder({co.lane, xi, xo, yi, co.unrolled, s.n, co.block, task}).fuse(co.block, task, task);
    if (p.n != 1) s.out.fuse(s.n, task, task);
    s.out.parallel(task).vectorize(co.lane).unroll(xi).never_partition_all();
    s.acc.bound_extent(s.co, co.lanes);
    if (exact) s.out.unroll(xo);
    else s.acc.bound_extent(s.x, int(xs));
    x86::accumulate_in_registers(s.acc, s.out, xo, s.co, s.x, s.r, co.lanes, 1);
    s.acc.update().reorder({s.co, s.x, s.r.x, s.r.y, s.r.z}).unroll(s.r.y, exact || p.kw <= 32 ? p.kw : 8);
    // The last vector may hang over the channels: it is loaded in part, and lies as far apart as the others.
    Func staged = exact ? s.copied : s.padded;
    staged.compute_at(s.out, co.unrolled).vectorize(s.ci, co.lanes, TailStrategy::GuardWithIf).bound_storage(s.ci, co.lanes);
}

}  // namespace hconv

HCONV_SCHEDULE(hconv::Conv2dStages, "x86 arm", large_window, hconv::LargeWindow)
