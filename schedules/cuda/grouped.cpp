// grouped.cpp - many groups of few channels: lanes are groups, a thread has all outputs of one for its pixels, so neighbours read
// neighbouring channels. The input of a block's groups lies in shared memory with its zeros where it has any.
// SPDX-License-Identifier: MIT
#include "generators/conv2d.h"

#include "schedules/cuda/idioms.h"
#include "schedules/schedule.h"

namespace hconv {

using namespace Halide;

struct CudaGroups : Schedule<Conv2dStages> {
    Knob pixels{this, "pixels", 4, {1, 2, 4, 7, 8}};  // of a thread
    Knob gt{this, "gt", 32, {8, 16, 32, 64}};         // threads along groups
    Knob xt{this, "xt", 2, {1, 2, 4, 7, 8}};          // along tiles of pixels
    Knob yt{this, "yt", 2, {1, 2, 4, 8}};             // along rows

    void defaults(const Problem &p, const Machine &) override {
        const int ow = cuda::size_or(p.ow(), 56), rows = cuda::size_or(p.oh(), 56);
        pixels = cuda::even_parts(ow, 4), gt = cuda::even_parts(p.groups, 32);
        xt = cuda::even_parts(cuda::ceil_div(ow, pixels), std::max(1, 128 / gt)), yt = std::clamp(128 / (gt * xt), 1, std::min(rows, 8));
        while (p.has_padding() && region(p).bytes() > cuda::plain_shared && (yt > 1 || xt > 1)) yt > 1 ? yt = (yt + 1) / 2 : xt = (xt + 1) / 2;
    }
    bool feasible(const Problem &p, const Machine &) const override {
        const int in = p.ci / p.groups, out = p.co / p.groups;
        return !p.nchw() && p.oh() != 1 && p.groups % 8 == 0 && in > 1 && in <= 8 && out > 1 && out <= 4 && pixels >= 1 && gt >= 1 &&
               xt >= 1 && yt >= 1 && pixels <= cuda::size_or(p.ow(), 8) && gt * xt * yt <= 512 && out * pixels <= 64 &&
               (!p.has_padding() || region(p).bytes() <= cuda::most_shared);
    }

    int preference(const Problem &) const override { return 2; }
    void formulate(Conv2dStages &s) const override { s.by_groups = true; }
    void apply(Conv2dStages &s, const Problem &p, const Target &) const override {
        const int in = p.ci / p.groups, out = p.co / p.groups;
        const cuda::Tile t{out, pixels, gt, xt, yt};
        const cuda::Loops l;
        cuda::bound_known_sizes(s.out, s.co, s.x, s.y, s.n, p.co, p.ow(), p.oh(), p.n);
        cuda::specialize_width(s.out, s.out.output_buffer().dim(1).extent(), p.ow(), pixels, [&](Stage st, int width, TailStrategy tail) {
            Var xq("xq"), cq("cq");
            st.split(s.co, cq, l.cv, out, TailStrategy::RoundUp).split(cq, l.cb, l.ct, t.ct, TailStrategy::GuardWithIf);
            st.split(s.x, xq, l.xi, width, tail).split(xq, l.xb, l.xt, t.xt, TailStrategy::GuardWithIf);
            st.split(s.y, l.yb, l.yt, t.yt, TailStrategy::GuardWithIf);
            st.reorder({l.cv, l.xi, l.ct, l.xt, l.yt, l.cb, l.xb, l.yb, s.n}).fuse(l.yb, s.n, l.yb);
            st.unroll(l.xi).unroll(l.cv).gpu_threads(l.ct, l.xt, l.yt).gpu_blocks(l.cb, l.xb, l.yb);
        });
        s.group_acc.compute_at(s.out, l.ct).bound_extent(s.g, 1).bound_extent(s.o, out).reorder(s.o, s.x, s.g).unroll(s.o).unroll(s.x);
        s.group_acc.update().reorder({s.o, s.x, s.g, s.r.x, s.r.y, s.r.z}).unroll(s.o).unroll(s.x).unroll(s.r.x);
        s.gathered.compute_at(s.group_acc, s.r.y).bound_extent(s.g, 1).bound_extent(s.k, in).reorder_storage(s.k, s.ix, s.g);
        s.gathered.reorder(s.k, s.ix, s.g).unroll(s.ix);
        if (in == 4) s.gathered.vectorize(s.k);
        else s.gathered.unroll(s.k);
        if (p.has_padding()) cuda::stage_shared(s.padded, s.out, l.cb, s.ci, s.ix, s.iy, cuda::whole_blocks(region(p), p.ci), t, cuda::vector_of({in}));
    }

private:
    cuda::Region region(const Problem &p) const {
        return {gt * p.ci / p.groups, cuda::reach(xt * pixels, p.stride_w, p.kw, p.dilation_w), cuda::reach(yt, p.stride_h, p.kh, p.dilation_h)};
    }
};

}  // namespace hconv

HCONV_SCHEDULE(hconv::Conv2dStages, "cuda", grouped, hconv::CudaGroups)
