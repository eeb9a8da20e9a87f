// octave.cpp - both maps' sums in registers, one kernel a map: paths that meet are updates of one accumulator, halving a map is
// part of staging it in shared memory; what the low map adds to the high one is summed at low resolution by a kernel of its own.
// nchw: lanes are pixels of a row, and a thread's pixels are of a column.
// SPDX-License-Identifier: MIT
#include "generators/octave.h"

#include "runtime/variants/octave.h"
#include "schedules/cuda/sum.h"
#include "schedules/schedule.h"

namespace hconv {

using namespace Halide;

struct CudaMaps : Schedule<OctaveStages> {
    Knob channels{this, "channels", 1, {1, 2, 4, 8}};          // of a thread
    Knob pixels{this, "pixels", 8, {1, 2, 3, 4, 5, 6, 7, 8}};  // of a thread, in the high map
    Knob low_pixels{this, "low_pixels", 4, {1, 2, 3, 4, 5, 6, 7, 8}};
    Knob ct{this, "ct", 32, {8, 16, 32, 64}};                  // threads along channels; nchw: along a row
    Knob px{this, "px", 4, {1, 2, 4, 8}};                      // threads along tiles of pixels, and rows

    void defaults(const Problem &p, const Machine &) override {
        const hconv_octave o = hconv_octave_of(&p);
        const bool low = !o.co_h || (p.nchw() && o.co_l);  // a warp has a row of the smaller map, or a part of one
        const cuda::Outputs all = cuda::Outputs::of(p, p.co, common_channels(p), low ? o.owl : o.ow, low ? o.ohl : o.oh);
        const cuda::Tile t = cuda::best_tile(all, 1, p.kw, p.nchw());
        channels = t.channels, pixels = std::min(t.pixels, extent(p, false)), low_pixels = std::min(t.pixels, extent(p, true));
        ct = p.nchw() ? t.ct : cuda::even_parts(std::max(o.co_h, o.co_l) / channels, 64);
        px = p.nchw() ? t.xt : std::clamp(128 / ct, 1, 8);
        while (px > 1 && most_bytes(p) > cuda::plain_shared) px = px / 2;
        while (p.nchw() && ct > 8 && most_bytes(p) > cuda::most_shared) ct = ct / 2;
    }

    bool feasible(const Problem &p, const Machine &) const override {
        return channels >= 1 && pixels >= 1 && low_pixels >= 1 && ct >= 1 && px >= 1 && common_channels(p) % channels == 0 &&
               pixels <= extent(p, false) && low_pixels <= extent(p, true) && tile(p, 1).threads() <= 512 &&
               channels * std::max<int>(pixels, low_pixels) <= 64;
    }

    void apply(OctaveStages &s, const Problem &p, const Target &) const override {
        const hconv_octave o = hconv_octave_of(&p);
        if (s.high.defined()) map(s, p, s.high, s.high_sum, o.co_h, o.ow, o.oh, pixels);
        if (s.low.defined()) map(s, p, s.low, s.low_sum, o.co_l, o.owl, o.ohl, low_pixels);
        if (s.up.paths.empty()) return;
        Func up = s.up.acc.in();
        up.compute_root();
        const cuda::Loops l;
        const cuda::Tile t = tile(p, low_pixels);
        const Expr half = (s.high.output_buffer().dim(t.nchw ? 2 : 1).extent() + 1) / 2;
        const hconv_octave_path &q = o.path[HCONV_LH];
        cuda::lanes_first(up, t.nchw);
        cuda::specialize_width(up, half, t.nchw ? q.oh : q.ow, t.pixels,
                               [&](Stage st, int width, TailStrategy tail) { cuda::tile_output(st, s.c, s.x, s.y, s.n, l, t, width, tail); });
        sum(s, p, up, s.up, l, t);
    }

private:
    cuda::Tile tile(const Problem &p, int wide) const {
        return {channels, wide, ct, px, p.nchw() ? std::clamp(128 / (ct * px), 1, 8) : px > 2 ? 2 : 1, p.nchw()};
    }
    // What a tile may hold of a map; of the low ones: that which leaves, and that which is added to the high one.
    static int extent(const Problem &p, bool low) {
        const hconv_octave o = hconv_octave_of(&p);
        const hconv_octave_path &up = o.path[HCONV_LH];
        auto of = [&](bool exists, int w, int h) { return exists ? cuda::size_or(p.nchw() ? h : w, 8) : 8; };
        return low ? std::min(of(o.co_l, o.owl, o.ohl), of(up.exists && o.upsample, up.ow, up.oh)) : of(o.co_h, o.ow, o.oh);
    }
    // A thread's channels are of one group in every path.
    static int common_channels(const Problem &p) {
        const hconv_octave o = hconv_octave_of(&p);
        int v = p.nchw() ? 8 : 4;
        for (const hconv_octave_path &q : o.path)
            if (q.exists) v = cuda::vector_of({q.co / q.groups}, v);
        return cuda::vector_of({std::max(o.co_h, v), std::max(o.co_l, v)}, v);
    }
    static cuda::Term term(const Problem &p, int path) {
        const hconv_octave_path q = hconv_octave_of(&p).path[path];
        cuda::Term t = cuda::Term::of(p);
        t.channels = q.ci / q.groups, t.all_channels = q.ci, t.stride_w = t.stride_h = 1, t.padding = true;
        return t;
    }
    int most_bytes(const Problem &p) const {
        const hconv_octave o = hconv_octave_of(&p);
        int most = 0;
        for (int low = 0; low < 2; ++low) {
            std::vector<cuda::Term> terms;
            for (int i = 0; i < 4; ++i)
                if (o.path[i].exists && (i == HCONV_HL || i == HCONV_LL) == (low == 1)) terms.push_back(term(p, i));
            most = std::max(most, cuda::shared_bytes(terms, tile(p, low ? low_pixels : pixels)));
        }
        return most;
    }

    void map(const OctaveStages &s, const Problem &p, Func out, const OctaveSum &sums, int co, int ow, int oh, int wide) const {
        const cuda::Loops l;
        cuda::tile_outputs(out, s.c, s.x, s.y, s.n, l, tile(p, wide), co, ow, oh, p.n);
        sum(s, p, out, sums, l, tile(p, wide));
    }

    void sum(const OctaveStages &s, const Problem &p, Func out, const OctaveSum &sums, const cuda::Loops &l, const cuda::Tile &t) const {
        cuda::Sum sum{out, sums.acc, s.c, s.x, s.y, {}, most_bytes(p) <= cuda::most_shared ? cuda::Where::shared : cuda::Where::global};
        for (int path : sums.paths) {
            cuda::Term one = term(p, path);
            one.input = s.path[path].padded, one.r = s.path[path].r;
            one.ci = s.c, one.ix = s.x, one.iy = s.y;
            sum.terms.push_back(one);
            const std::vector<Func> &pooled = s.path[path].pooled;  // the last is part of the staging
            for (size_t i = 0; i + 1 < pooled.size(); ++i)
                cuda::stage_global(pooled[i], cuda::lanes_first(pooled[i], t.nchw), t.nchw ? 1 : cuda::vector_of({one.all_channels}));
        }
        if (!sum.terms.empty()) cuda::sum_at(sum, l, t);
    }
};

}  // namespace hconv

HCONV_SCHEDULE(hconv::OctaveStages, "cuda", maps, hconv::CudaMaps)
