// sum.h - the one schedule behind every variant whose work is a sum over channels and a window (or over channels alone):
// out reads acc; acc's updates each read their own input. Lanes are output channels, in nchw pixels of a row: see conv2d.cpp.
// SPDX-License-Identifier: MIT
#pragma once

#include "schedules/cuda/tiles.h"

namespace hconv::cuda {

// One update of acc: what it reads, and over what.
struct Term {
    Func input;
    Var ci, ix, iy;
    RDom r;
    int channels, all_channels;                 // of the sum, and of the input
    int kw, kh, stride_w, stride_h, dilation_w, dilation_h;
    bool padding;                               // the input has zeros to be made
    bool whole_block = true;                    // what a block reads of it is the region: it may lie in shared memory
    bool whole_step = true;                     // what a thread's step reads of it is a box: it may lie in registers
    static Term of(const Problem &p) {
        return {{}, {}, {}, {}, {}, p.ci / p.groups, p.ci, p.kw, p.kh, p.stride_w, p.stride_h, p.dilation_w, p.dilation_h, p.has_padding()};
    }
    Region region(const Tile &t) const {
        const int across = t.nchw ? t.ct : t.xt * t.pixels, down = t.nchw ? t.xt * t.pixels : t.yt;
        return {all_channels, reach(across, stride_w, kw, dilation_w), reach(down, stride_h, kh, dilation_h)};
    }
};

enum class Where { shared, global };

struct Sum {
    Func out, acc;
    Var c, x, y;           // of both
    std::vector<Term> terms;
    Where where = Where::shared;  // the terms' inputs that have padding
};

inline int shared_bytes(const std::vector<Term> &terms, const Tile &t) {
    int bytes = 0;
    for (const Term &term : terms) bytes += term.padding ? term.region(t).bytes() : 0;
    return bytes;
}

// The knobs' defaults: fewer threads, until what they read fits the memory that they share. nchw: it is the same for all channels,
// so many threads along these.
inline void set_defaults(TileKnobs &knobs, const Problem &p, const Term &term, const Outputs &o) {
    Tile t = best_tile(o, term.stride_w, term.kw <= 7 && term.dilation_w <= 2 ? term.kw : 1, p.nchw());
    while (!t.nchw && t.yt > 1 && shared_bytes({term}, t) > plain_shared) t.yt = (t.yt + 1) / 2;
    while (t.xt > 1 && shared_bytes({term}, t) > plain_shared) t.xt = (t.xt + 1) / 2;
    while (t.nchw && t.pixels > 1 && shared_bytes({term}, t) > plain_shared) t.pixels = t.pixels / 2;
    while (t.nchw && t.ct > 8 && shared_bytes({term}, t) > most_shared) t.ct = t.ct / 2;
    const double threads = double(o.channels / t.channels) * o.images * o.ow * ceil_div(o.oh, t.pixels);
    if (t.nchw) t.yt = std::clamp((threads > 1 << 17 ? 256 : 128) / (t.ct * t.xt), 1, ceil_div(o.group, t.channels));
    knobs.set(t);
    knobs.shared = term.padding && term.whole_block && shared_bytes({term}, t) <= most_shared;
}

inline bool fits(const TileKnobs &k, const Problem &p, const Term &term, int group, int ow, int oh) {
    const Tile t = k.tile(p);
    return t.channels >= 1 && t.pixels >= 1 && group % t.channels == 0 && t.ct >= 1 && t.xt >= 1 && t.yt >= 1 && t.threads() <= 512 &&
           t.pixels <= size_or(t.nchw ? oh : ow, 8) && t.channels * t.pixels <= 64 &&
           (!k.shared || (term.padding && term.whole_block && shared_bytes({term}, t) <= most_shared));
}

// acc and its inputs, where the thread's tile of out is computed at l.ct and a block's at l.cb.
inline void sum_at(const Sum &s, const Loops &l, const Tile &t) {
    const Var pixel = t.nchw ? s.y : s.x;
    start_accumulating(s.acc, s.out, l.ct, s.c, pixel, t.channels);
    for (size_t i = 0; i < s.terms.size(); ++i) {
        const Term &term = s.terms[i];
        const SumLoops loops = sum_loops(term.channels, term.kw, term.dilation_w, t);
        accumulate(s.acc, int(i), s.c, pixel, term.r, loops, t.channels);
        const int vector = t.nchw ? 1 : vector_of({term.all_channels});
        const bool aligned = term.all_channels % 4 == 0 && term.channels % 4 == 0;
        if (term.whole_step) inputs_in_registers(term.input, s.acc, term.ci, term.ix, term.iy, loops, aligned, t.nchw);
        if (!term.padding) continue;
        all_channels(term.input, term.ci, term.all_channels);
        if (s.where == Where::shared) stage_shared(term.input, s.out, l.cb, term.ci, term.ix, term.iy, of_all_channels(term.region(t)), t, vector);
        else stage_global(term.input, lanes_first(term.input, t.nchw), vector);
    }
}

// Where nothing but one convolution is summed: stages with out(co, x, y, n), acc and padded(ci, ix, iy, n), the output so large.
template<typename Stages>
void convolve(Stages &s, const TileKnobs &knobs, const Problem &p, Term term, int channels, int ow, int oh) {
    const Tile t = knobs.tile(p);
    const Loops l;
    tile_outputs(s.out, s.co, s.x, s.y, s.n, l, t, channels, ow, oh, p.n);
    term.input = s.padded, term.r = s.r, term.ci = s.ci, term.ix = s.ix, term.iy = s.iy;
    sum_at({s.out, s.acc, s.co, s.x, s.y, {term}, knobs.shared ? Where::shared : Where::global}, l, t);
}

}  // namespace hconv::cuda
