// transposed.cpp - transposed convolution: a thread has pixels x phases outputs of a row, so that an input it loads serves every phase
// of the columns, and which columns of the window exist is known when the loops are unrolled. A block is of one row, so of one phase.
// nchw: lanes are tiles of pixels.
// SPDX-License-Identifier: MIT
#include "generators/transposed.h"

#include "schedules/cuda/tiles.h"
#include "schedules/schedule.h"

namespace hconv {

using namespace Halide;

struct CudaPhases : Schedule<TransposedStages> {
    Knob channels{this, "channels", 1, {1, 2, 4, 8}};          // of a thread
    Knob pixels{this, "pixels", 8, {1, 2, 3, 4, 5, 6, 7, 8}};  // of a thread, of one phase
    Knob ct{this, "ct", 32, {8, 16, 32, 64}};                  // threads along channels; nchw: along tiles of pixels
    Knob xt{this, "xt", 4, {1, 2, 4, 7, 8, 16}};               // along tiles of pixels; nchw: along channels
    Knob shared{this, "shared", 1, {0, 1}};                    // the input with its zeros in shared memory

    void defaults(const Problem &given, const Machine &) override {
        const Problem p = widest_strides(given);
        const cuda::Outputs all{p.co, p.co / p.groups, width(p), cuda::size_or(cuda::output_size(p, 'h'), 56), cuda::size_or(p.n, 1)};
        cuda::Tile t = cuda::best_tile(all, 1, p.stride_w, false, std::clamp(16 / p.stride_w, 1, 8));
        t.yt = 1;
        if (p.nchw()) {
            t = {cuda::vector_of({all.group}, 8), std::clamp(4 / p.stride_w, 1, all.ow), 1, 1, 1, true};
            t.ct = cuda::row_lanes(cuda::ceil_div(all.ow, t.pixels));
            t.xt = std::clamp(128 / t.ct, 1, cuda::ceil_div(all.group, t.channels));
        }
        while (t.channels > 1 && t.channels * t.pixels * p.stride_w > 64) t.channels = t.channels / 2;
        auto bytes = [&] { return region(p, t).bytes(); };
        while (!t.nchw && t.xt > 1 && bytes() > cuda::plain_shared) t.xt = (t.xt + 1) / 2;
        while (t.nchw && t.ct > 8 && bytes() > cuda::plain_shared) t.ct = t.ct / 2;
        while (t.nchw && t.pixels > 1 && bytes() > cuda::most_shared) t.pixels = t.pixels / 2;
        channels = t.channels, pixels = t.pixels, ct = t.ct, xt = t.xt;
        shared = bytes() <= cuda::most_shared;
    }

    bool feasible(const Problem &given, const Machine &) const override {
        const Problem p = widest_strides(given);
        return channels >= 1 && pixels >= 1 && (p.co / p.groups) % channels == 0 && ct >= 1 && xt >= 1 &&
               ct * xt <= 512 && channels * pixels * p.stride_w <= 64 && (!shared || region(p, tile(p)).bytes() <= cuda::most_shared);
    }

    void apply(TransposedStages &s, const Problem &given, const Target &) const override {
        const Problem p = widest_strides(given);
        const cuda::Tile t = tile(p);
        const cuda::Loops l;
        const PhaseAxis ax(p.kw, p.stride_w, p.dilation_w, p.pad_left);
        const int ow = cuda::output_size(p, 'w'), wide = pixels * p.stride_w;
        cuda::bound_known_sizes(s.out, s.co, s.x, s.y, s.n, p.co, ow, cuda::output_size(p, 'h'), p.n);
        Var cq("cq"), xq("xq"), row("row");
        const TailStrategy tail = ow != HCONV_OPEN && ow % wide == 0 ? TailStrategy::RoundUp : TailStrategy::GuardWithIf;
        s.out.split(s.co, cq, l.cv, t.channels, TailStrategy::RoundUp).split(s.x, xq, l.xi, wide, tail);
        s.out.split(t.nchw ? xq : cq, l.cb, l.ct, t.ct, TailStrategy::GuardWithIf).split(t.nchw ? cq : xq, l.xb, l.xt, t.xt, TailStrategy::GuardWithIf);
        s.out.reorder({l.cv, l.xi, l.ct, l.xt, l.cb, l.xb, s.y, s.n}).fuse(s.y, s.n, row);
        s.out.unroll(l.xi).gpu_threads(l.ct, l.xt).gpu_blocks(l.cb, l.xb, row);
        if (t.channels > 1 && !t.nchw) s.out.vectorize(l.cv, std::min(t.channels, 4));
        s.out.unroll(l.cv);
        cuda::Tile sums = t;
        sums.pixels = wide;
        cuda::SumLoops loops = cuda::sum_loops(p.ci / p.groups, ax.taps, 1, sums);
        s.acc.bound_extent(s.xq, t.pixels).bound_extent(s.px, p.stride_w);
        s.acc.reorder(s.co, s.xq, s.px).unroll(s.px);
        cuda::start_accumulating(s.acc, s.out, l.ct, s.co, s.xq, channels);
        Stage st = s.acc.update();
        st.split(s.r.x, loops.part, loops.inside, loops.channels);
        if (loops.taps > 1) st.reorder({s.co, s.xq, s.px, loops.inside, s.r.y, loops.part, s.r.z}).unroll(s.r.y);
        else st.reorder({s.co, s.xq, s.px, loops.inside, loops.part, s.r.y, s.r.z});
        st.unroll(s.xq).unroll(s.px).unroll(loops.inside);
        cuda::along_channels(st, s.co, channels);
        cuda::inputs_in_registers(s.padded, s.acc, s.ci, s.ix, s.iy, loops, p.ci % 4 == 0 && p.ci / p.groups % 4 == 0, t.nchw);
        s.padded.in(s.acc).bound_extent(s.ix, t.pixels + slack(ax) + (loops.taps > 1 ? (ax.taps - 1) * ax.step : 0));
        cuda::all_channels(s.padded, s.ci, p.ci);
        if (shared) cuda::stage_shared(s.padded, s.out, l.cb, s.ci, s.ix, s.iy, cuda::of_all_channels(region(p, t)), t, cuda::vector_of({p.ci}));
        else cuda::stage_global(s.padded, cuda::lanes_first(s.padded, t.nchw), t.nchw ? 1 : cuda::vector_of({p.ci}));
    }

private:
    cuda::Tile tile(const Problem &p) const { return {channels, pixels, ct, xt, 1, p.nchw()}; }
    static int width(const Problem &p) { return cuda::ceil_div(cuda::size_or(cuda::output_size(p, 'w'), 56), p.stride_w); }
    static int floor_div(int a, int b) { return a >= 0 ? a / b : -((-a + b - 1) / b); }
    // How far apart the first inputs of phases may be, as bounds are told: first(phase) is anything below every.
    static int slack(const PhaseAxis &a) {
        const int least = a.dilation == 1 ? a.pad : a.pad - (a.every - 1) * a.dilation;
        return floor_div(a.stride - 1 + a.pad, a.stride) - floor_div(least, a.stride);
    }
    static cuda::Region region(const Problem &p, const cuda::Tile &t) {
        const PhaseAxis ax(p.kw, p.stride_w, p.dilation_w, p.pad_left), ay(p.kh, p.stride_h, p.dilation_h, p.pad_top);
        return {p.ci, (t.nchw ? t.ct : t.xt) * t.pixels + slack(ax) + (ax.taps - 1) * ax.step, 1 + slack(ay) + (ay.taps - 1) * ay.step};
    }
};

}  // namespace hconv

HCONV_SCHEDULE(hconv::TransposedStages, "cuda", phases, hconv::CudaPhases)
