// conv2d.cpp - direct convolution: a warp's lanes are output channels, so weights are read side by side and inputs by all
// lanes at once; a thread keeps channels x pixels sums in registers for the whole sum. The input of a block lies in shared
// memory with its zeros; without padding it is read in place. nchw: lanes are pixels, a thread has channels x rows.
// SPDX-License-Identifier: MIT
#include "generators/conv2d.h"

#include "schedules/cuda/idioms.h"
#include "schedules/schedule.h"

namespace hconv {

using namespace Halide;

// nchw: ct threads along a row, xt along tiles of rows, yt along channels.
struct CudaDirect : Schedule<Conv2dStages>, cuda::TileKnobs {
    CudaDirect() : TileKnobs(this) {}

    void defaults(const Problem &given, const Machine &) override {
        const Problem p = given.as_map();
        const int ow = cuda::size_or(p.ow(), 56), oh = cuda::size_or(p.oh(), 56), per_group = p.co / p.groups;
        const int images = cuda::size_or(p.n, 1);
        cuda::Tile t;
        if (p.nchw()) {
            t.channels = cuda::vector_of({per_group}, 8), t.pixels = std::min(oh, per_group / t.channels * oh * ow * images > 1 << 20 ? 4 : 2);
            t.ct = std::min(32, cuda::ceil_div(ow, 8) * 8), t.yt = std::min(2, cuda::ceil_div(p.co, t.channels));
            t.xt = std::clamp(128 / (t.ct * t.yt), 1, std::max(1, oh / t.pixels));
        } else {
            t = cuda::best_tile(per_group, ow, oh * images * p.groups, p.stride_w, p.kw <= 7 && p.dilation_w <= 2 ? p.kw : 1);
            if (p.groups > 1) t.ct = cuda::even_parts(p.co / t.channels, 64);
            if (p.groups > 1) t.yt = std::clamp(128 / (t.ct * t.xt), 1, std::min(oh, 8));
        }
        // Smaller blocks where their input does not fit; nchw: it is that of all channels.
        while (p.has_padding() && !p.nchw() && t.yt > 1 && shared_bytes(p, t) > cuda::plain_shared) t.yt = (t.yt + 1) / 2;
        while (p.has_padding() && t.xt > 1 && shared_bytes(p, t) > cuda::plain_shared) t.xt = (t.xt + 1) / 2;
        if (p.nchw()) t.yt = std::clamp(128 / (t.ct * t.xt), 1, cuda::ceil_div(per_group, t.channels));
        set(t);
        shared = p.has_padding() && shared_bytes(p, t) <= cuda::most_shared;
    }

    bool feasible(const Problem &given, const Machine &) const override {
        const Problem p = given.as_map();
        const cuda::Tile t = tile();
        const int along = p.nchw() ? p.oh() : p.ow();
        return channels >= 1 && pixels >= 1 && (p.co / p.groups) % channels == 0 && ct >= 1 && xt >= 1 && yt >= 1 &&
               pixels <= cuda::size_or(along, 8) && t.threads() <= 512 && channels * pixels <= 64 &&
               (!shared || (p.has_padding() && shared_bytes(p, t) <= cuda::most_shared));
    }

    void apply(Conv2dStages &s, const Problem &p, const Target &) const override {
        if (p.nchw()) return planes(s, p);
        const cuda::Tile t = tile();
        const cuda::Loops l;
        const cuda::SumLoops sum = cuda::sum_loops(p.ci / p.groups, p.kw, p.dilation_w, t);
        cuda::bound_known_sizes(s.out, s.co, s.x, s.y, s.n, p.co, p.ow(), p.oh(), p.n);
        cuda::specialize_width(s.out, s.out.output_buffer().dim(1).extent(), p.ow(), pixels,
                               [&](Stage st, int width, TailStrategy tail) { cuda::tile_output(st, s.co, s.x, s.y, s.n, l, t, width, tail); });
        cuda::start_accumulating(s.acc, s.out, l.ct, s.co, s.x, channels);
        cuda::accumulate(s.acc, 0, s.co, s.x, s.r, sum, channels);
        cuda::inputs_in_registers(s.padded, s.acc, s.ci, s.ix, sum, p.ci % 4 == 0);
        cuda::all_channels(s.padded, s.ci, p.ci);
        if (shared) cuda::stage_shared(s.padded, s.out, l.cb, s.ci, s.ix, s.iy, cuda::of_all_channels(region(p, t)), t, cuda::vector_of({p.ci}));
        else if (p.has_padding()) cuda::stage_global(s.padded, {s.ci, s.ix, s.iy, s.n}, cuda::vector_of({p.ci}));
    }

private:
    static cuda::Region region(const Problem &p, const cuda::Tile &t) {
        const int across = p.nchw() ? t.ct : t.xt * t.pixels, down = p.nchw() ? t.xt * t.pixels : t.yt;
        return {p.ci, cuda::reach(across, p.stride_w, p.kw, p.dilation_w), cuda::reach(down, p.stride_h, p.kh, p.dilation_h)};
    }
    static int shared_bytes(const Problem &p, const cuda::Tile &t) { return region(p, t).bytes(); }

    // Rows take the place of pixels: lanes run along a row.
    void planes(Conv2dStages &s, const Problem &p) const {
        const cuda::Tile t = tile();
        const cuda::Loops l;
        const cuda::SumLoops sum = cuda::sum_loops(p.ci / p.groups, p.kw, p.dilation_w, t);
        cuda::bound_known_sizes(s.out, s.co, s.x, s.y, s.n, p.co, p.ow(), p.oh(), p.n);
        cuda::specialize_width(s.out, s.out.output_buffer().dim(2).extent(), p.oh(), pixels, [&](Stage st, int width, TailStrategy tail) {
            Var cq("cq"), yq("yq");
            st.split(s.co, cq, l.cv, t.channels, TailStrategy::RoundUp).split(cq, l.cb, l.yt, t.yt, TailStrategy::GuardWithIf);
            st.split(s.y, yq, l.xi, width, tail).split(yq, l.yb, l.xt, t.xt, TailStrategy::GuardWithIf);
            st.split(s.x, l.xb, l.ct, t.ct, TailStrategy::GuardWithIf);
            st.reorder({l.cv, l.xi, l.ct, l.xt, l.yt, l.xb, l.yb, l.cb, s.n}).fuse(l.cb, s.n, l.cb);
            st.unroll(l.cv).unroll(l.xi).gpu_threads(l.ct, l.xt, l.yt).gpu_blocks(l.xb, l.yb, l.cb);
        });
        cuda::start_accumulating(s.acc, s.out, l.ct, s.co, s.y, channels);
        cuda::accumulate(s.acc, 0, s.co, s.y, s.r, sum, channels);
        Func regs = s.padded.in(s.acc);
        cuda::all_channels(s.padded, s.ci, p.ci);
        regs.compute_at(s.acc, sum.part).bound_extent(s.ci, sum.channels).unroll(s.ci).unroll(s.ix).unroll(s.iy);
        if (shared) {
            s.padded.reorder_storage(s.ix, s.iy, s.ci, s.n);
            const cuda::Region r = region(p, t);
            cuda::stage_shared(s.padded, s.out, l.xb, s.ix, s.iy, s.ci, {r.columns, r.rows, 0}, t, 1);
        } else if (p.has_padding()) {
            s.padded.reorder_storage(s.ix, s.iy, s.ci, s.n);
            cuda::stage_global(s.padded, {s.ix, s.iy, s.ci, s.n}, 1);
        }
    }
};

}  // namespace hconv

HCONV_SCHEDULE(hconv::Conv2dStages, "cuda", direct, hconv::CudaDirect)
