// rowcol.cpp - row/column-separable convolution, lanes = channels: a block sums the columns of its region into shared memory, from
// there every thread sums the rows of its pixels in registers. nchw: lanes are pixels of a row, a thread's are of a column.
// SPDX-License-Identifier: MIT
#include "generators/rowcol.h"

#include "runtime/variants/rowcol.h"
#include "schedules/cuda/idioms.h"
#include "schedules/schedule.h"

namespace hconv {

using namespace Halide;

struct CudaColumns : Schedule<RowcolStages> {
    Knob pixels{this, "pixels", 4, {1, 2, 4, 7, 8}};  // of a thread
    Knob ct{this, "ct", 32, {8, 16, 32, 64}};         // threads along channels; nchw: along a row
    Knob xt{this, "xt", 2, {1, 2, 4, 8}};             // along tiles of pixels
    Knob yt{this, "yt", 2, {1, 2, 4, 8}};             // along rows; nchw: along channels

    void defaults(const Problem &p, const Machine &) override {
        const int ow = cuda::size_or(p.ow(), 56), oh = cuda::size_or(p.oh(), 56);
        pixels = p.nchw() ? std::min(oh, 4) : cuda::even_parts(ow, 4);
        ct = p.nchw() ? cuda::row_lanes(ow) : cuda::even_parts(p.ci, 32);
        xt = cuda::even_parts(cuda::ceil_div(p.nchw() ? oh : ow, pixels), std::max(1, 128 / ct));
        yt = std::clamp(128 / (ct * xt), 1, std::min(p.nchw() ? p.ci : oh, 8));
        while (bytes(p) > cuda::plain_shared && (yt > 1 || xt > 1)) yt > 1 ? yt = (yt + 1) / 2 : xt = (xt + 1) / 2;
        while (bytes(p) > cuda::most_shared && ct > 8) ct = ct / 2;
    }
    bool feasible(const Problem &p, const Machine &) const override {
        return pixels >= 1 && ct >= 1 && xt >= 1 && yt >= 1 && pixels <= cuda::size_or(p.nchw() ? p.oh() : p.ow(), 8) && ct * xt * yt <= 512 &&
               bytes(p) <= cuda::most_shared;
    }

    void apply(RowcolStages &s, const Problem &p, const Target &) const override {
        const cuda::Tile t = tile(p);
        const cuda::Loops l;
        const Var pixel = t.nchw ? s.y : s.x;
        cuda::tile_outputs(s.out, s.c, s.x, s.y, s.n, l, t, p.ci, p.ow(), p.oh(), p.n);
        s.acc.compute_at(s.out, l.ct).unroll(pixel);
        s.acc.update().reorder({s.c, pixel, s.across.x, s.across.y}).unroll(pixel);
        if (p.kw <= 16) s.acc.update().unroll(s.across.x);
        // The columns of all pairs in shared memory; the sum of one in a register.
        Func staged = s.columns.in(s.acc);
        staged.bound_extent(s.e, pairs(p)).reorder(s.e, s.c, s.x, s.y).unroll(s.e);
        cuda::stage_shared(staged, s.out, l.cb, s.c, s.x, s.y, cuda::whole_blocks(region(p), p.ci), t, 1);
        s.columns.compute_at(staged, cuda::staging_thread()).unroll(s.e).update().unroll(s.e);
        if (p.kh * pairs(p) <= 64) s.columns.update().unroll(s.down.x);
    }

private:
    cuda::Tile tile(const Problem &p) const { return {1, pixels, ct, xt, yt, p.nchw()}; }
    static int pairs(const Problem &p) { return p.extra[HCONV_PAIRS]; }
    cuda::Region region(const Problem &p) const {
        const int across = cuda::reach(p.nchw() ? int(ct) : xt * pixels, p.stride_w, p.kw, 1);
        return {p.nchw() ? yt : ct, across, p.nchw() ? xt * pixels : int(yt)};
    }
    int bytes(const Problem &p) const { return region(p).bytes() * pairs(p); }
};

}  // namespace hconv

HCONV_SCHEDULE(hconv::RowcolStages, "cuda", columns, hconv::CudaColumns)
