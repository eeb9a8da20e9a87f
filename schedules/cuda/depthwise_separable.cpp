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
    Knob ct{this, "ct", 64, {8, 16, 32, 64, 128}};             // threads along channels
    Knob xt{this, "xt", 2, {1, 2, 4, 7, 8}};                   // along tiles of pixels
    Knob yt{this, "yt", 2, {1, 2, 4, 8}};                      // along rows

    void defaults(const Problem &p, const Machine &) override {
        const int images = cuda::size_or(p.n, 1), rows = cuda::size_or(p.oh(), 56), ow = cuda::size_or(p.ow(), 56);
        cuda::Tile t = cuda::best_tile(p.co, ow, rows * images, 1, 1);
        channels = t.channels, pixels = t.pixels;
        // All outputs of a pixel in one block, up to 128 threads of them: the depthwise sums are made once.
        ct = cuda::even_parts(p.co / channels, 128);
        xt = cuda::even_parts(cuda::ceil_div(ow, pixels), std::max(1, 256 / ct));
        yt = std::clamp(256 / (ct * xt), 1, std::min(rows, 4));
        while (yt > 1 && bytes(p) > cuda::plain_shared) yt = (yt + 1) / 2;
        while (xt > 1 && bytes(p) > cuda::plain_shared) xt = (xt + 1) / 2;
        while (pixels > 1 && bytes(p) > cuda::most_shared) pixels = pixels / 2;
    }

    bool feasible(const Problem &p, const Machine &) const override {
        return !p.nchw() && channels >= 1 && pixels >= 1 && p.co % channels == 0 && pixels <= cuda::size_or(p.ow(), 8) && ct >= 1 && xt >= 1 &&
               yt >= 1 && ct * xt * yt <= 512 && channels * pixels <= 64 && bytes(p) <= cuda::most_shared;
    }

    void apply(DepthwiseSeparableStages &s, const Problem &p, const Target &) const override {
        const cuda::Tile t{channels, pixels, ct, xt, yt};
        const cuda::Loops l;
        const int m = p.extra[HCONV_MULTIPLIER], vector = m == 1 ? cuda::vector_of({p.ci}) : 1;
        cuda::bound_known_sizes(s.out, s.co, s.x, s.y, s.n, p.co, p.ow(), p.oh(), p.n);
        cuda::specialize_width(s.out, s.out.output_buffer().dim(1).extent(), p.ow(), pixels,
                               [&](Stage st, int width, TailStrategy tail) { cuda::tile_output(st, s.co, s.x, s.y, s.n, l, t, width, tail); });
        cuda::Sum sum{s.out, s.acc, s.co, s.x, s.y, s.n, s.co, s.x, {term(p)}, cuda::Where::shared};
        sum.terms[0].input = s.middle, sum.terms[0].r = s.r;
        sum.terms[0].ci = s.cm, sum.terms[0].ix = s.x, sum.terms[0].iy = s.y, sum.terms[0].n = s.n;
        cuda::start_accumulating(s.acc, s.out, l.ct, s.co, s.x, channels);
        matrix_product(s, p, t);
        cuda::stage_shared(s.middle, s.out, l.cb, s.cm, s.x, s.y, sum.terms[0].region(t), t, vector);
        // A thread's depthwise sums, in registers.
        s.depthwise.compute_at(s.middle, cuda::staging_thread()).bound_extent(s.cm, vector);
        s.depthwise.update().reorder(s.cm, s.window.x, s.window.y).unroll(s.window.x);
        if (p.kh <= 3) s.depthwise.update().unroll(s.window.y);
        if (vector > 1) s.depthwise.vectorize(s.cm).update().vectorize(s.cm);
    }

private:
    static cuda::Term term(const Problem &p) {
        cuda::Term t{};
        t.channels = t.all_channels = p.ci * p.extra[HCONV_MULTIPLIER];
        t.kw = t.kh = t.stride_w = t.stride_h = t.dilation_w = t.dilation_h = 1;
        t.padding = true;
        return t;
    }
    int bytes(const Problem &p) const { return term(p).region({channels, pixels, ct, xt, yt}).bytes(); }

    static void matrix_product(const DepthwiseSeparableStages &s, const Problem &p, const cuda::Tile &t) {
        const int all = p.ci * p.extra[HCONV_MULTIPLIER];
        const cuda::SumLoops loops = cuda::sum_loops(all, 1, 1, t);
        Func acc = s.acc, middle = s.middle;
        Stage st = acc.update();
        st.split(s.r.x, loops.part, loops.inside, loops.channels).reorder({s.co, s.x, loops.inside, loops.part});
        st.unroll(s.x).unroll(loops.inside);
        cuda::along_channels(st, s.co, t.channels);
        cuda::inputs_in_registers(middle, acc, s.cm, s.x, loops, all % 4 == 0);
    }
};

}  // namespace hconv

HCONV_SCHEDULE(hconv::DepthwiseSeparableStages, "cuda", fused, hconv::CudaFused)
