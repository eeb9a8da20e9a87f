// wtconv.cpp - wavelet convolution, a kernel a level and way: going down, a level's low pass is stored; coming back, a block
// of threads makes the sub-bands of its region in shared memory, where they are convolved in registers. Haar: put together in
// registers too, in level 0 with the window on the input. Longer wavelets overlap: their convolved sub-bands are stored.
// SPDX-License-Identifier: MIT
#include "generators/wtconv.h"

#include "runtime/variants/wtconv.h"
#include "schedules/cuda/maps.h"
#include "schedules/schedule.h"

namespace hconv {

using namespace Halide;

struct CudaLevels : Schedule<WtconvStages> {
    Knob pixels{this, "pixels", 4, {1, 2, 3, 4, 5, 7, 8}};  // of a sub-band, of a thread, along a row
    Knob ct{this, "ct", 16, {8, 16, 32, 64}};               // threads along channels
    Knob xt{this, "xt", 2, {1, 2, 4, 8}};                   // along tiles of pixels
    Knob yt{this, "yt", 4, {1, 2, 4, 8, 16}};               // along rows
    Knob shared{this, "shared", 1, {0, 1}};                 // 0: sub-bands are stages of their own

    void defaults(const Problem &, const Machine &) override;
    bool feasible(const Problem &p, const Machine &) const override {
        return pixels >= 1 && ct >= 1 && xt >= 1 && yt >= 1 && pixels <= 16 && ct * xt * yt <= 512 &&
               (!shared || (bytes(p) <= cuda::most_shared && short_filters(p)));
    }
    void apply(WtconvStages &, const Problem &, const Target &) const override;

private:
    // Filters that the algorithm writes out; longer ones are loops, and every stage of theirs is stored.
    static bool short_filters(const Problem &p) { return hconv_wtconv_of(&p).wavelet->length <= 8; }
    cuda::Region region(const Problem &p) const {
        return {ct, cuda::reach(xt * pixels, 1, p.kw, 1), cuda::reach(yt, 1, hconv_wtconv_of(&p).lines ? 1 : p.kh, 1)};
    }
    int bytes(const Problem &p) const { return region(p).bytes() * hconv_wtconv_of(&p).bands; }
    // Pixels of a level, along an axis, that one pixel of the sub-bands alone gives back; 0: others too, or a stride skips some.
    static int unit(const Problem &p, int level) {
        const int stride = level || hconv_wtconv_of(&p).lines ? 1 : p.stride_w;
        return hconv_wtconv_of(&p).wavelet->length > 2 || stride > 2 ? 0 : 2 / stride;
    }
    Var tiles(Func f, const Problem &p, int w, int h) const { return cuda::tile_map(f, p.nchw(), w, h, {1, pixels, ct, xt, yt}); }
    void convolve(const WtconvStages &, const Problem &, int level, Func at, const Var &thread) const;
    Var level(const WtconvStages &, const Problem &, int level, Func f) const;
};

// The block whose region has the least around it that others make too; half sectors of memory cost.
void CudaLevels::defaults(const Problem &p, const Machine &) {
    const hconv_wtconv o = hconv_wtconv_of(&p);
    const int w = cuda::size_or(hconv_wtconv_size(p.w, 1), 28), h = o.lines ? 1 : cuda::size_or(hconv_wtconv_size(p.h, 1), 28);
    pixels = cuda::even_parts(w, double(w) * h * p.ci * cuda::size_or(p.n, 1) > 1e5 ? 5 : 2);
    double least = 1e30;
    int best[] = {1, 1, 1};
    for (int c : {8, 16, 32})
        for (int x : {1, 2, 4, 8})
            for (int y : {1, 2, 4, 8, 16}) {
                ct = cuda::even_parts(p.ci, c), xt = x, yt = y;
                if (c * x * y > 256 || (x > 1 && (x - 1) * pixels >= w) || (y > 1 && y - 1 >= h) || bytes(p) > cuda::plain_shared) continue;
                double cost = double(bytes(p)) / (ct * x * y * pixels) * (p.nchw() ? 1 : c < 16 ? 1.5 : 1) + 512.0 / (c * x * y);
                if (cost < least) least = cost, best[0] = ct, best[1] = x, best[2] = y;
            }
    ct = best[0], xt = best[1], yt = best[2];
    shared = short_filters(p) && least < 1e30;
    if (!shared) ct = cuda::even_parts(p.ci, 32), xt = 1, yt = std::min(h, 4);
}

// A thread's sums of all sub-bands, from what its block made of them.
void CudaLevels::convolve(const WtconvStages &s, const Problem &p, int i, Func at, const Var &thread) const {
    const int bands = hconv_wtconv_of(&p).bands;
    Func conv = s.levels[size_t(i)].conv;
    conv.compute_at(at, thread).bound_extent(s.c, 1).bound_extent(s.x, int(pixels)).bound_extent(s.y, 1).bound_extent(s.b, bands);
    conv.unroll(s.x).unroll(s.b);
    const std::vector<RVar> r = conv.rvars(0);
    conv.update().reorder({s.c, s.x, s.b, r[0], r[1], s.y, s.n}).unroll(s.x).unroll(s.b);
    if (p.kw * pixels * bands <= 256) conv.update().unroll(r[0]);
    if (!shared) return;
    const cuda::Region a = region(p);
    Func made = Func(s.levels[size_t(i)].bands).in(conv);
    made.bound_extent(s.b, bands).reorder(s.b, s.c, s.x, s.y).unroll(s.b);
    const cuda::Tile threads{1, pixels, p.nchw() ? xt : ct, p.nchw() ? ct : xt, yt, p.nchw()};
    cuda::stage_shared(made, at, Var(p.nchw() ? "xb" : "cb"), s.c, s.x, s.y, cuda::whole_blocks(a, p.ci), threads, 1);
}

// f reads what level i gives back. The innermost loop over f's threads, where its tile is made.
Var CudaLevels::level(const WtconvStages &s, const Problem &p, int i, Func f) const {
    const hconv_wtconv o = hconv_wtconv_of(&p);
    WtconvLevel level = s.levels[size_t(i)];
    if (!short_filters(p))
        for (const Func &g : {level.back, level.across, level.up})
            if (g.defined()) cuda::stage_map(g, p.nchw());
    if (!shared) cuda::stage_map(level.bands, p.nchw());
    else if (i + 1 < o.levels) cuda::stage_map(level.bands.in(o.lines ? s.levels[size_t(i) + 1].bands : s.levels[size_t(i) + 1].across), p.nchw());
    const int u = unit(p, i), w = u ? u * pixels : 2, h = o.lines ? 1 : u ? u : 2;
    const Var thread = i && !short_filters(p) ? Var() : tiles(f, p, w, h);
    if (u) return convolve(s, p, i, f, thread), thread;
    Func stored = level.conv.in();
    cuda::lanes_first(stored.compute_root().bound(s.b, 0, o.bands), p.nchw());
    convolve(s, p, i, stored, tiles(stored, p, pixels, 1));
    return thread;
}

void CudaLevels::apply(WtconvStages &s, const Problem &p, const Target &) const {
    const hconv_wtconv o = hconv_wtconv_of(&p);
    cuda::bound_known_sizes(s.out, s.c, s.x, s.y, s.n, p.ci, o.ow ? o.ow : HCONV_OPEN, o.oh ? o.oh : HCONV_OPEN, p.n);
    for (int i = o.levels - 1; i > 0; --i) {
        Func back = s.levels[size_t(i)].back;
        if (short_filters(p)) cuda::lanes_first(back.compute_root().align_bounds(s.x, 2 * pixels).align_bounds(s.y, 2), p.nchw());
        level(s, p, i, back);
    }
    Func f = s.out;
    if (s.total.defined()) s.total.compute_at(f, tiles(f, p, 1, 1)), f = s.base.in(), cuda::lanes_first(f.compute_root(), p.nchw());
    const std::vector<RVar> r = s.base.rvars(0);
    s.base.compute_at(f, level(s, p, 0, f)).unroll(s.x).unroll(s.y);
    s.base.update().reorder({s.x, s.y, r[0], r[1]}).unroll(s.x).unroll(s.y);
    if (p.kw * pixels * 4 <= 256) s.base.update().unroll(r[0]);
}

}  // namespace hconv

HCONV_SCHEDULE(hconv::WtconvStages, "cuda", levels, hconv::CudaLevels)
