// octave.cpp - both maps' sums in registers, one kernel a map: paths that meet are updates of one accumulator, halving a map is
// part of staging it in shared memory; what the low map adds to the high one is summed at low resolution by a kernel of its own.
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
    Knob ct{this, "ct", 32, {8, 16, 32, 64}};                  // threads along channels
    Knob px{this, "px", 4, {1, 2, 4, 8}};                      // threads along tiles of pixels, and rows

    void defaults(const Problem &p, const Machine &) override {
        const hconv_octave o = hconv_octave_of(&p);
        const int images = cuda::size_or(p.n, 1), step = common_channels(p);
        const cuda::Tile t = cuda::best_tile(std::max(step, 1), width(o.co_h ? o.ow : o.owl), cuda::size_or(o.oh, 56) * images * (p.co / std::max(step, 1)), 1, p.kw);
        channels = t.channels, pixels = std::min(t.pixels, width(o.ow)), low_pixels = std::min({t.pixels, width(o.owl), low_width(p)});
        ct = cuda::even_parts(std::max(o.co_h, o.co_l) / channels, 64);
        px = std::clamp(128 / ct, 1, 8);
        while (px > 1 && most_bytes(p) > cuda::plain_shared) px = px / 2;
    }

    bool feasible(const Problem &p, const Machine &) const override {
        const hconv_octave o = hconv_octave_of(&p);
        return !p.nchw() && channels >= 1 && pixels >= 1 && low_pixels >= 1 && ct >= 1 && px >= 1 && common_channels(p) % channels == 0 &&
               (!o.co_h || pixels <= width(o.ow)) && low_pixels <= low_width(p) && ct * px * px <= 512 &&
               channels * std::max<int>(pixels, low_pixels) <= 64 && most_bytes(p) <= cuda::most_shared;
    }

    void apply(OctaveStages &s, const Problem &p, const Target &) const override {
        const hconv_octave o = hconv_octave_of(&p);
        if (s.high.defined()) map(s, p, s.high, s.high_sum, o.co_h, o.ow, o.oh, pixels);
        if (s.low.defined()) map(s, p, s.low, s.low_sum, o.co_l, o.owl, o.ohl, low_pixels);
        if (s.up.paths.empty()) return;
        Func up = s.up.acc.in();
        up.compute_root();
        const cuda::Loops l;
        const Expr columns = (s.high.output_buffer().dim(1).extent() + 1) / 2;
        const int wide = o.path[HCONV_LH].ow;
        cuda::specialize_width(up, columns, wide, low_pixels,
                               [&](Stage st, int width, TailStrategy tail) { cuda::tile_output(st, s.c, s.x, s.y, s.n, l, tile(low_pixels), width, tail); });
        sum(s, p, up, s.up, l, tile(low_pixels));
    }

private:
    cuda::Tile tile(int wide) const { return {channels, wide, ct, px, px > 2 ? 2 : 1}; }
    static int width(int size) { return cuda::size_or(size, 8); }
    // What a tile of the low maps may hold: of the map that leaves, and of that which is added to the high one.
    static int low_width(const Problem &p) {
        const hconv_octave o = hconv_octave_of(&p);
        int least = 8;
        if (o.co_l) least = std::min(least, width(o.owl));
        if (o.path[HCONV_LH].exists && o.upsample) least = std::min(least, width(o.path[HCONV_LH].ow));
        return least;
    }
    // A thread's channels are of one group in every path.
    static int common_channels(const Problem &p) {
        const hconv_octave o = hconv_octave_of(&p);
        int v = 4;
        for (const hconv_octave_path &q : o.path)
            if (q.exists) v = cuda::vector_of({q.co / q.groups}, v);
        return cuda::vector_of({std::max(o.co_h, v), std::max(o.co_l, v)}, v);
    }
    static cuda::Term term(const Problem &p, int path) {
        const hconv_octave_path q = hconv_octave_of(&p).path[path];
        cuda::Term t{};
        t.channels = q.ci / q.groups, t.all_channels = q.ci;
        t.kw = p.kw, t.kh = p.kh, t.stride_w = t.stride_h = 1, t.dilation_w = p.dilation_w, t.dilation_h = p.dilation_h;
        t.padding = true;
        return t;
    }
    int most_bytes(const Problem &p) const {
        const hconv_octave o = hconv_octave_of(&p);
        int most = 0;
        for (int low = 0; low < 2; ++low) {
            std::vector<cuda::Term> terms;
            for (int i = 0; i < 4; ++i)
                if (o.path[i].exists && (i == HCONV_HL || i == HCONV_LL) == (low == 1)) terms.push_back(term(p, i));
            most = std::max(most, cuda::shared_bytes(terms, tile(low ? low_pixels : pixels)));
        }
        return most;
    }

    void map(const OctaveStages &s, const Problem &p, Func out, const OctaveSum &sums, int co, int ow, int oh, int wide) const {
        const cuda::Loops l;
        cuda::bound_known_sizes(out, s.c, s.x, s.y, s.n, co, ow, oh, p.n);
        cuda::specialize_width(out, out.output_buffer().dim(1).extent(), ow, wide,
                               [&](Stage st, int width, TailStrategy tail) { cuda::tile_output(st, s.c, s.x, s.y, s.n, l, tile(wide), width, tail); });
        sum(s, p, out, sums, l, tile(wide));
    }

    static void sum(const OctaveStages &s, const Problem &p, Func out, const OctaveSum &sums, const cuda::Loops &l, const cuda::Tile &t) {
        cuda::Sum sum{out, sums.acc, s.c, s.x, s.y, s.n, s.c, s.x, {}, cuda::Where::shared};
        for (int path : sums.paths) {
            cuda::Term one = term(p, path);
            one.input = s.path[path].padded, one.r = s.path[path].r;
            one.ci = s.c, one.ix = s.x, one.iy = s.y, one.n = s.n;
            sum.terms.push_back(one);
            const std::vector<Func> &pooled = s.path[path].pooled;  // the last is part of the staging
            for (size_t i = 0; i + 1 < pooled.size(); ++i) cuda::stage_global(pooled[i], {s.c, s.x, s.y, s.n}, cuda::vector_of({one.all_channels}));
        }
        if (!sum.terms.empty()) cuda::sum_at(sum, l, t);
    }
};

}  // namespace hconv

HCONV_SCHEDULE(hconv::OctaveStages, "cuda", maps, hconv::CudaMaps)
