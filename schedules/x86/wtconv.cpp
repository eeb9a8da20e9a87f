// wtconv.cpp - wavelet convolution, nhwc: channels never mix, so a task is a vector of channels of one image, and its
// whole pyramid of sub-bands stays in the second cache, zeros around them included. Convolutions of sub-bands and of the
// input keep a block of pixels in registers.
// SPDX-License-Identifier: MIT
#include "generators/wtconv.h"

#include "runtime/variants/wtconv.h"
#include "schedules/schedule.h"
#include "schedules/x86/idioms.h"

namespace hconv {

using namespace Halide;

struct Pyramid : Schedule<WtconvStages> {
    Knob pixels{this, "pixels", 8, {6, 8, 12, 14, 20, 28}};  // in registers, at most

    void defaults(const Problem &, const Machine &m) override { pixels = m.lanes == 4 ? 12 : 14; }
    bool feasible(const Problem &, const Machine &) const override;
    std::string layout(const hconv_tensor &, const Problem &, const Machine &) const override;
    void apply(WtconvStages &, const Problem &, const Target &) const override;

private:
    void convolve(WtconvStages &, WtconvLevel &, const Var &task, int lanes, int w, int h) const;
};

struct PixelBlock {
    int w, h;
};

// The block of at most that many pixels that covers a map in the least time: a multiply-add a pixel and tap, a load a tap.
static PixelBlock block_of(int w, int h, int pixels) {
    PixelBlock best{1, 1};
    int64_t least = INT64_MAX;
    for (PixelBlock b{1, 1}; b.w <= std::min(w, pixels); ++b.w)
        for (b.h = 1; b.h <= h && b.w * b.h <= pixels; ++b.h) {
            int64_t time = int64_t(x86::ceil_div(w, b.w)) * x86::ceil_div(h, b.h) * (std::max(b.w * b.h, 8) + 1);
            if (time < least) least = time, best = b;
        }
    return best;
}

// A window's sum over a block: taps of a row share their loads.
static void accumulate(Func sum, const WtconvStages &s, Func at, const Var &tile, int lanes) {
    sum.compute_at(at, tile).bound_extent(s.c, lanes).vectorize(s.c, lanes).unroll(s.x).unroll(s.y);
    std::vector<VarOrRVar> order{s.c, s.x, s.y};
    for (const RVar &r : sum.rvars(0)) order.push_back(r);
    sum.update().reorder(order).vectorize(s.c, lanes).unroll(s.x).unroll(s.y);
}

// The widest vector that divides the channels; 0: none does.
static int lanes_of(const Problem &p, const Machine &m) {
    for (int lanes = m.lanes; lanes >= 4; lanes /= 2)
        if (p.ci % lanes == 0) return lanes;
    return 0;
}

bool Pyramid::feasible(const Problem &p, const Machine &m) const {
    return !p.nchw() && p.h != HCONV_OPEN && p.w != HCONV_OPEN && lanes_of(p, m) && pixels >= 1 &&
           x86::fits_registers({1, pixels}, m);
}

std::string Pyramid::layout(const hconv_tensor &t, const Problem &p, const Machine &m) const {
    const std::string letters = t.letters, inside = std::to_string(lanes_of(p, m)) + "o";
    return letters == "ohw" ? "Ohw" + inside : letters == "oshw" ? "Oshw" + inside : letters == "o" ? "O" + inside : "";
}

// A stage of a task, a vector of channels at every place.
static void stage(Func f, const WtconvStages &s, Func out, const Var &task, int lanes) {
    f.compute_at(out, task).store_in(MemoryType::Heap).bound_extent(s.c, lanes).vectorize(s.c, lanes);
    for (int u = 0; u < f.num_update_definitions(); ++u) {
        std::vector<VarOrRVar> order{s.c};
        for (const RVar &r : f.rvars(u)) order.push_back(r);
        f.update(u).reorder(order).vectorize(s.c, lanes);
    }
}

// The sub-bands' windows: a block of pixels of one band in registers, then stored.
void Pyramid::convolve(WtconvStages &s, WtconvLevel &level, const Var &task, int lanes, int w, int h) const {
    Var xo("xo"), xi("xi"), yo("yo"), yi("yi");
    const PixelBlock block = block_of(w, h, pixels);
    Func stored = level.conv.in();
    stage(stored, s, s.out, task, lanes);
    stored.bound(s.x, 0, w).bound(s.y, 0, h);
    stored.split(s.x, xo, xi, block.w, TailStrategy::ShiftInwards).split(s.y, yo, yi, block.h, TailStrategy::ShiftInwards);
    stored.reorder(s.c, xi, yi, xo, yo, s.b, s.n).unroll(xi).unroll(yi);
    accumulate(level.conv, s, stored, xo, lanes);
}

void Pyramid::apply(WtconvStages &s, const Problem &p, const Target &t) const {
    const hconv_wtconv o = hconv_wtconv_of(&p);
    const int lanes = lanes_of(p, Machine::of(t));
    const PixelBlock block = block_of(o.ow, o.oh, pixels);
    Var task("task"), lane("lane"), xo("xo"), xi("xi"), yo("yo"), yi("yi"), xp("xp");
    s.out.bound(s.c, 0, p.ci).bound(s.x, 0, o.ow).bound(s.y, 0, o.oh);
    if (p.n != HCONV_OPEN) s.out.bound(s.n, 0, p.n);
    s.out.split(s.c, task, lane, lanes, TailStrategy::RoundUp);
    s.out.split(s.x, xo, xi, block.w, TailStrategy::ShiftInwards).split(s.y, yo, yi, block.h, TailStrategy::ShiftInwards);
    s.out.reorder({lane, xi, yi, xo, yo, task, s.n}).vectorize(lane).unroll(xi).unroll(yi);
    x86::parallel_tasks(s.out, task, s.n, p.n);
    stage(s.padded, s, s.out, task, lanes);
    for (int i = 0; i < o.levels; ++i) {
        WtconvLevel &level = s.levels[size_t(i)];
        if (s.two_passes) stage(level.across, s, s.out, task, lanes), stage(level.up, s, s.out, task, lanes);
        stage(level.bands, s, s.out, task, lanes);
        level.bands.bound(s.b, 0, o.bands).reorder(s.c, s.b, s.x, s.y, s.n).unroll(s.b);
        convolve(s, level, task, lanes, hconv_wtconv_size(p.w, i + 1), o.lines ? 1 : hconv_wtconv_size(p.h, i + 1));
        stage(level.back, s, s.out, task, lanes);
        level.back.split(s.x, s.x, xp, 2, TailStrategy::GuardWithIf).reorder(s.c, xp, s.x, s.y, s.n).unroll(xp);
    }
    if (s.total.defined()) {
        stage(s.base, s, s.out, task, lanes), stage(s.total, s, s.out, task, lanes);
        return;
    }
    accumulate(s.base, s, s.out, xo, lanes);
}

}  // namespace hconv

HCONV_SCHEDULE(hconv::WtconvStages, "x86", pyramid, hconv::Pyramid)
