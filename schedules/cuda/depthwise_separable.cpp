// depthwise_separable.cpp - one kernel: a block computes the depthwise sums of all channels for its pixels into shared memory, and
// then the matrix product over channels from there, so that they never go to memory.
// SPDX-License-Identifier: MIT
#include "generators/depthwise_separable.h"

#include "runtime/variants/depthwise_separable.h"
#include "schedules/cuda/sum.h"
#include "schedules/schedule.h"

namespace hconv {

using namespace Halide;

struct CudaFused : Schedule<DepthwiseSeparableStages> {
    Knob channels{this, "channels", 2, {1, 2, 4, 8}};          // of a thread
    Knob pixels{this, "pixels", 8, {1, 2, 3, 4, 5, 6, 7, 8}};  // of a thread
    Knob ct{this, "ct", 64, {8, 16, 32, 64, 128}};             // threads along channels; nchw: along a row
    Knob xt{this, "xt", 2, {1, 2, 4, 7, 8}};                   // along tiles of pixels
    Knob yt{this, "yt", 2, {1, 2, 4, 8}};                      // along rows; nchw: along channels

    void defaults(const Problem &p, const Machine &) override {
        const cuda::Outputs all = cuda::Outputs::of(p, p.co, p.co, p.ow(), p.oh());
        cuda::Tile t = cuda::best_tile(all, 1, 1, p.nchw());
        // All outputs of a pixel in one block, up to 256 threads of them: the depthwise sums are made once.
        if (p.nchw()) {
            t.yt = cuda::even_parts(p.co / t.channels, 256 / t.ct);
            t.xt = std::clamp(256 / (t.ct * t.yt), 1, cuda::ceil_div(all.oh, t.pixels));
        } else {
            t.ct = cuda::even_parts(p.co / t.channels, 128), t.xt = cuda::even_parts(cuda::ceil_div(all.ow, t.pixels), std::max(1, 256 / t.ct));
            t.yt = std::clamp(256 / (t.ct * t.xt), 1, std::min(all.oh, 4));
        }
        auto bytes = [&] { return term(p).region(t).bytes(); };
        while (!t.nchw && t.yt > 1 && bytes() > cuda::plain_shared) t.yt = (t.yt + 1) / 2;
        while (t.xt > 1 && bytes() > cuda::plain_shared) t.xt = (t.xt + 1) / 2;
        while (t.pixels > 1 && bytes() > (t.nchw ? cuda::plain_shared : cuda::most_shared)) t.pixels = t.pixels / 2;
        while (t.nchw && t.ct > 8 && bytes() > cuda::most_shared) t.ct = t.ct / 2;
        channels = t.channels, pixels = t.pixels, ct = t.ct, xt = t.xt, yt = t.yt;
    }

    bool feasible(const Problem &p, const Machine &) const override {
        const cuda::Tile t = tile(p);
        return channels >= 1 && pixels >= 1 && p.co % channels == 0 && pixels <= cuda::size_or(p.nchw() ? p.oh() : p.ow(), 8) && ct >= 1 && xt >= 1 &&
               yt >= 1 && t.threads() <= 512 && channels * pixels <= 64 && term(p).region(t).bytes() <= cuda::most_shared;
    }

    void apply(DepthwiseSeparableStages &s, const Problem &p, const Target &) const override {
        const cuda::Tile t = tile(p);
        const cuda::Loops l;
        const cuda::Term middle = term(p);
        const cuda::SumLoops loops = cuda::sum_loops(middle.channels, 1, 1, t);
        const Var pixel = t.nchw ? s.y : s.x;
        const int vector = t.nchw || p.extra[HCONV_MULTIPLIER] > 1 ? 1 : cuda::vector_of({p.ci});
        cuda::tile_outputs(s.out, s.co, s.x, s.y, s.n, l, t, p.co, p.ow(), p.oh(), p.n);
        cuda::start_accumulating(s.acc, s.out, l.ct, s.co, pixel, t.channels);
        cuda::accumulate(s.acc, 0, s.co, pixel, s.r, loops, t.channels);
        cuda::inputs_in_registers(s.middle, s.acc, s.cm, s.x, s.y, loops, middle.channels % 4 == 0, t.nchw);
        cuda::stage_shared(s.middle, s.out, l.cb, s.cm, s.x, s.y, middle.region(t), t, vector);
        // A thread's depthwise sums, in registers.
        s.depthwise.compute_at(s.middle, cuda::staging_thread()).bound_extent(s.cm, vector);
        s.depthwise.update().reorder(s.cm, s.window.x, s.window.y).unroll(s.window.x);
        if (p.kh <= 3) s.depthwise.update().unroll(s.window.y);
        if (vector > 1) s.depthwise.vectorize(s.cm).update().vectorize(s.cm);
    }

private:
    cuda::Tile tile(const Problem &p) const { return {channels, pixels, ct, xt, yt, p.nchw()}; }
    // The matrix product, of what the window leaves.
    static cuda::Term term(const Problem &p) {
        cuda::Term t{};
        t.channels = t.all_channels = p.ci * p.extra[HCONV_MULTIPLIER];
        t.kw = t.kh = t.stride_w = t.stride_h = t.dilation_w = t.dilation_h = 1;
        t.padding = true;
        return t;
    }
};

}  // namespace hconv

HCONV_SCHEDULE(hconv::DepthwiseSeparableStages, "cuda", fused, hconv::CudaFused)
