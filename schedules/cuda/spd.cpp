// spd.cpp - space to depth is an index: the convolution behind it has a window and a stride that are b times as large; behind a
// convolution it says where a block of channels lies. Schedules are conv2d's.
// SPDX-License-Identifier: MIT
#include "generators/spd.h"

#include "runtime/variants/spd.h"
#include "schedules/cuda/sum.h"
#include "schedules/schedule.h"

namespace hconv {

using namespace Halide;

struct CudaReindexed : Schedule<SpdStages>, cuda::TileKnobs {
    CudaReindexed() : TileKnobs(this) {}

    void defaults(const Problem &p, const Machine &) override {
        if (only(p)) return;
        const int images = cuda::size_or(p.n, 1), rows = cuda::size_or(cuda::output_size(p, 'h'), 28), group = p.co / p.groups;
        cuda::Tile t = cuda::best_tile(group, cuda::size_or(cuda::output_size(p, 'w'), 28), rows * images * (outputs(p) / group), p.stride_w * block(p), 1);
        t.ct = cuda::even_parts(outputs(p) / t.channels, 64), t.yt = std::clamp(128 / (t.ct * t.xt), 1, std::min(rows, 8));
        t = cuda::shrunk(terms(p), t);
        set(t);
        shared = p.has_padding() && !after(p) && cuda::shared_bytes(terms(p), t) <= cuda::most_shared;
    }

    bool feasible(const Problem &p, const Machine &) const override {
        // Groups take SPD's channels in an order that no range of the input's is.
        return !p.nchw() && !only(p) && p.groups == 1 && channels >= 1 && pixels >= 1 && (p.co / p.groups) % channels == 0 && ct >= 1 && xt >= 1 && yt >= 1 &&
               pixels <= cuda::size_or(cuda::output_size(p, 'w'), 8) && ct * xt * yt <= 512 && channels * pixels <= 64 &&
               (!shared || (!after(p) && cuda::shared_bytes(terms(p), tile()) <= cuda::most_shared));
    }

    void apply(SpdStages &s, const Problem &p, const Target &) const override {
        cuda::convolve(s, *this, terms(p).front(), outputs(p), cuda::output_size(p, 'w'), cuda::output_size(p, 'h'), p.n);
    }

private:
    static int block(const Problem &p) { return p.extra[HCONV_BLOCK]; }
    static bool only(const Problem &p) { return p.extra[HCONV_ORDER] == HCONV_SPD_ONLY; }
    static bool after(const Problem &p) { return p.extra[HCONV_ORDER] == HCONV_CONV_SPD; }
    static int outputs(const Problem &p) { return after(p) ? p.co * block(p) * block(p) : p.co; }
    static std::vector<cuda::Term> terms(const Problem &p) {
        const int b = block(p);
        const bool large = !after(p);  // the window, b times as large
        cuda::Term t{};
        t.channels = p.ci / p.groups, t.all_channels = p.ci;
        t.kw = large ? p.kw * b : p.kw, t.kh = large ? p.kh * b : p.kh;
        t.stride_w = p.stride_w * b, t.stride_h = p.stride_h * b;
        t.dilation_w = large ? 1 : p.dilation_w, t.dilation_h = large ? 1 : p.dilation_h;
        if (large && p.dilation_w > 1) t.kw = ((p.kw - 1) * p.dilation_w + 1) * b;
        if (large && p.dilation_h > 1) t.kh = ((p.kh - 1) * p.dilation_h + 1) * b;
        t.padding = p.has_padding();
        return {t};
    }
};

}  // namespace hconv

HCONV_SCHEDULE(hconv::SpdStages, "cuda", reindexed, hconv::CudaReindexed)
