// rowcol.cpp - row/column-separable convolution, lanes = channels: a block sums the columns of its region into shared memory, from
// there every thread sums the rows of its pixels in registers.
// SPDX-License-Identifier: MIT
#include "generators/rowcol.h"

#include "runtime/variants/rowcol.h"
#include "schedules/cuda/idioms.h"
#include "schedules/schedule.h"

namespace hconv {

using namespace Halide;

struct CudaColumns : Schedule<RowcolStages> {
    Knob pixels{this, "pixels", 4, {1, 2, 4, 7, 8}};  // of a thread
    Knob ct{this, "ct", 32, {8, 16, 32, 64}};         // threads along channels
    Knob xt{this, "xt", 2, {1, 2, 4, 8}};             // along tiles of pixels
    Knob yt{this, "yt", 2, {1, 2, 4, 8}};             // along rows

    void defaults(const Problem &p, const Machine &) override {
        const int ow = cuda::size_or(p.ow(), 56), rows = cuda::size_or(p.oh(), 56);
        pixels = cuda::even_parts(ow, 4), ct = cuda::even_parts(p.ci, 32);
        xt = cuda::even_parts(cuda::ceil_div(ow, pixels), std::max(1, 128 / ct)), yt = std::clamp(128 / (ct * xt), 1, std::min(rows, 8));
        while (bytes(p) > cuda::plain_shared && (yt > 1 || xt > 1)) yt > 1 ? yt = (yt + 1) / 2 : xt = (xt + 1) / 2;
    }
    bool feasible(const Problem &p, const Machine &) const override {
        return !p.nchw() && pixels >= 1 && ct >= 1 && xt >= 1 && yt >= 1 && pixels <= cuda::size_or(p.ow(), 8) && ct * xt * yt <= 512 &&
               bytes(p) <= cuda::most_shared;
    }

    void apply(RowcolStages &s, const Problem &p, const Target &) const override {
        const cuda::Tile t{1, pixels, ct, xt, yt};
        const cuda::Loops l;
        cuda::bound_known_sizes(s.out, s.c, s.x, s.y, s.n, p.ci, p.ow(), p.oh(), p.n);
        cuda::specialize_width(s.out, s.out.output_buffer().dim(1).extent(), p.ow(), pixels,
                               [&](Stage st, int width, TailStrategy tail) { cuda::tile_output(st, s.c, s.x, s.y, s.n, l, t, width, tail); });
        s.acc.compute_at(s.out, l.ct).unroll(s.x);
        s.acc.update().reorder({s.c, s.x, s.across.x, s.across.y}).unroll(s.x);
        if (p.kw <= 16) s.acc.update().unroll(s.across.x);
        // The columns in shared memory; the sum of one in a register.
        Func staged = s.columns.in(s.acc);
        Var cx("cx");
        staged.compute_at(s.out, l.cb).store_in(MemoryType::GPUShared).fuse(s.x, s.e, cx);
        if (p.ci % t.ct == 0) staged.bound_extent(s.c, t.ct);
        staged.bound_extent(s.e, pairs(p)).bound_extent(s.x, width(p)).bound_extent(s.y, t.yt);
        Var xo("xo"), x0("x0"), y0("y0"), yo("yo");
        staged.split(cx, xo, x0, t.xt, TailStrategy::GuardWithIf).split(s.y, yo, y0, t.yt, TailStrategy::GuardWithIf);
        staged.reorder({s.c, x0, y0, xo, yo, s.n}).gpu_threads(s.c, x0, y0);
        s.columns.compute_at(staged, s.c).update().unroll(s.down.x);
    }

private:
    static int pairs(const Problem &p) { return p.extra[HCONV_PAIRS]; }
    int width(const Problem &p) const { return cuda::reach(xt * pixels, p.stride_w, p.kw, 1); }
    int bytes(const Problem &p) const { return 4 * ct * width(p) * yt * pairs(p); }
};

}  // namespace hconv

HCONV_SCHEDULE(hconv::RowcolStages, "cuda", columns, hconv::CudaColumns)
