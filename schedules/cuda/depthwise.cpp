// depthwise.cpp - depthwise convolution, lanes = channels: a thread keeps pixels x rows sums of its channels in registers, and
// of every input row it meets loads each value once for all columns of the window. The input lies in shared memory with its
// zeros where it has any. nchw: lanes are pixels, a thread has rows of one channel.
// SPDX-License-Identifier: MIT
#include "generators/conv2d.h"

#include "schedules/cuda/idioms.h"
#include "schedules/schedule.h"

namespace hconv {

using namespace Halide;

struct CudaDepthwise : Schedule<Conv2dStages> {
    Knob channels{this, "channels", 1, {1, 2, 4}};          // of a thread
    Knob pixels{this, "pixels", 4, {1, 2, 4, 7, 8}};        // of a thread, along a row
    Knob rows{this, "rows", 2, {1, 2, 4}};                  // of a thread
    Knob ct{this, "ct", 32, {8, 16, 32, 64}};               // threads along channels; nchw: along a row
    Knob xt{this, "xt", 2, {1, 2, 4, 8}};                   // along tiles of pixels; nchw: along channels
    Knob yt{this, "yt", 2, {1, 2, 4, 8}};                   // along tiles of rows

    void defaults(const Problem &p, const Machine &) override {
        const int ow = cuda::size_or(p.ow(), 56), oh = cuda::size_or(p.oh(), 56), images = cuda::size_or(p.n, 1);
        const bool large = large_window(p), small_window = p.kh * p.kw <= 9;
        channels = p.nchw() || !small_window ? 1 : cuda::vector_of({p.co, p.co / p.groups == 1 ? 4 : 1});
        pixels = p.nchw() ? 1 : cuda::even_parts(ow, small_window ? 4 : 8);
        rows = std::min(oh, p.nchw() ? 4 : small_window ? 1 : 2);
        if (!large && !p.nchw() && double(p.co) * oh * ow * images / channels / pixels / rows > 1e5) rows = std::min(oh, 2 * rows);
        ct = p.nchw() ? cuda::row_lanes(ow) : cuda::even_parts(p.co / channels, large ? 8 : 32);
        xt = p.nchw() ? 1 : std::min(cuda::ceil_div(ow, pixels), std::max(1, 128 / ct));
        yt = std::clamp(128 / (ct * xt), 1, std::min(8, cuda::ceil_div(oh, rows)));
        const int limit = large ? cuda::most_shared : cuda::plain_shared;
        while (p.has_padding() && region(p).bytes() > limit && (yt > 1 || xt > 1)) yt > 1 ? yt = (yt + 1) / 2 : xt = (xt + 1) / 2;
        while (!p.nchw() && p.has_padding() && region(p).bytes() > cuda::most_shared && ct > 1) ct = (ct + 1) / 2;
    }

    bool feasible(const Problem &p, const Machine &) const override {
        const int sums = channels * pixels * rows;
        return p.groups > 1 && p.groups == p.ci && channels >= 1 && pixels >= 1 && rows >= 1 && ct >= 1 && xt >= 1 && yt >= 1 &&
               p.co % channels == 0 && (channels == 1 || p.co == p.ci) && (!p.nchw() || (channels == 1 && pixels == 1)) &&
               pixels <= cuda::size_or(p.ow(), 8) && rows <= cuda::size_or(p.oh(), 8) && sums <= 64 &&
               p.dilation_w <= 4 && p.stride_w <= 4 && ct * xt * yt <= 512 && (!p.has_padding() || region(p).bytes() <= cuda::most_shared);
    }
    int preference(const Problem &) const override { return 2; }

    void apply(Conv2dStages &s, const Problem &p, const Target &) const override {
        const Var cv("cv"), xi("xi"), yi("yi"), c0("c0"), x0("x0"), y0("y0"), cb("cb"), xb("xb"), yb("yb");
        cuda::bound_known_sizes(s.out, s.co, s.x, s.y, s.n, p.co, p.ow(), p.oh(), p.n);
        auto tiles = [&](Stage st, int width, TailStrategy x_tail, int height, TailStrategy y_tail) {
            Var cq("cq"), xq("xq"), yq("yq");
            st.split(s.co, cq, cv, int(channels), TailStrategy::RoundUp).split(s.x, xq, xi, width, x_tail).split(s.y, yq, yi, height, y_tail);
            st.split(yq, yb, y0, int(yt), TailStrategy::GuardWithIf);
            st.split(cq, cb, c0, p.nchw() ? int(xt) : int(ct), TailStrategy::GuardWithIf);
            st.split(xq, xb, x0, p.nchw() ? int(ct) : int(xt), TailStrategy::GuardWithIf);
            if (p.nchw()) st.reorder({cv, xi, yi, x0, c0, y0, xb, yb, cb, s.n}).fuse(cb, s.n, cb).gpu_threads(x0, c0, y0).gpu_blocks(xb, yb, cb);
            else st.reorder({cv, xi, yi, c0, x0, y0, cb, xb, yb, s.n}).fuse(yb, s.n, yb).gpu_threads(c0, x0, y0).gpu_blocks(cb, xb, yb);
            st.unroll(xi).unroll(yi);
            if (channels > 1) st.vectorize(cv);
        };
        const Expr ow = s.out.output_buffer().dim(1).extent(), oh = s.out.output_buffer().dim(2).extent();
        const bool open = p.ow() == HCONV_OPEN || p.oh() == HCONV_OPEN;
        auto tail = [](int size, int part) { return size != HCONV_OPEN && size % part == 0 ? TailStrategy::RoundUp : TailStrategy::ShiftInwards; };
        if (open) {
            tiles(s.out.specialize(ow >= int(pixels) && oh >= int(rows)), pixels, tail(p.ow(), pixels), rows, tail(p.oh(), rows));
            tiles(Stage(s.out), 1, TailStrategy::RoundUp, 1, TailStrategy::RoundUp);
        } else tiles(Stage(s.out), pixels, tail(p.ow(), pixels), rows, tail(p.oh(), rows));

        s.acc.compute_at(s.out, p.nchw() ? x0 : c0).unroll(s.x).unroll(s.y);
        s.acc.update().reorder({s.co, s.x, s.y, s.r.y, s.r.x, s.r.z}).unroll(s.x).unroll(s.y);
        const bool whole_rows = p.kw <= 32;  // of the window
        if (whole_rows) s.acc.update().unroll(s.r.y);
        Func regs = s.padded.in(s.acc);
        regs.compute_at(s.acc, whole_rows ? s.r.x : s.r.y).unroll(s.ix).unroll(s.iy);
        for (Stage st : {Stage(s.acc), s.acc.update()}) channels > 1 ? st.vectorize(s.co, int(channels)) : st;
        if (channels > 1) regs.vectorize(s.ci, int(channels));
        if (!p.has_padding()) return;
        const cuda::Region r = cuda::whole_blocks(region(p), p.co);
        cuda::stage_shared(s.padded, s.out, p.nchw() ? xb : cb, s.ci, s.ix, s.iy, r, {channels, pixels, ct, xt, yt, p.nchw()}, channels);
    }

private:
    cuda::Region region(const Problem &p) const {
        const int across = p.nchw() ? int(ct) : xt * pixels, down = yt * rows, many = p.nchw() ? int(xt) : ct * channels;
        return {many, cuda::reach(across, p.stride_w, p.kw, p.dilation_w), cuda::reach(down, p.stride_h, p.kh, p.dilation_h)};
    }
};

}  // namespace hconv

HCONV_SCHEDULE(hconv::Conv2dStages, "cuda", depthwise, hconv::CudaDepthwise)
