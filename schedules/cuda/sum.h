// sum.h - the one schedule behind every variant whose work is a sum over channels and a window (or over channels alone):
// out reads acc; acc's updates each read their own input. Lanes are output channels, see conv2d.cpp.
// SPDX-License-Identifier: MIT
#pragma once

#include "schedules/cuda/idioms.h"

namespace hconv::cuda {

// One update of acc: what it reads, and over what.
struct Term {
    Func input;
    Var ci, ix, iy, n;
    RDom r;
    int channels, all_channels;                 // of the sum, and of the input
    int kw, kh, stride_w, stride_h, dilation_w, dilation_h;
    bool padding;                               // the input has zeros to be made
    Region region(const Tile &t) const {
        return {all_channels, reach(t.xt * t.pixels, stride_w, kw, dilation_w), reach(t.yt, stride_h, kh, dilation_h)};
    }
};

enum class Where { inlined, shared, global };

struct Sum {
    Func out, acc;
    Var c, x, y, n;        // of out
    Var ac, ax;            // of acc: channel and pixel
    std::vector<Term> terms;
    Where where = Where::inlined;  // the terms' inputs that have padding
};

inline int shared_bytes(const std::vector<Term> &terms, const Tile &t) {
    int bytes = 0;
    for (const Term &term : terms) bytes += term.padding ? term.region(t).bytes() : 0;
    return bytes;
}

// Fewer threads, until what they read fits the memory that they share.
inline Tile shrunk(const std::vector<Term> &terms, Tile t) {
    while (t.yt > 1 && shared_bytes(terms, t) > plain_shared) t.yt = (t.yt + 1) / 2;
    while (t.xt > 1 && shared_bytes(terms, t) > plain_shared) t.xt = (t.xt + 1) / 2;
    return t;
}

// acc and its inputs, where the thread's tile of out is computed at l.ct and a block's at l.cb.
inline void sum_at(const Sum &s, const Loops &l, const Tile &t) {
    start_accumulating(s.acc, s.out, l.ct, s.ac, s.ax, t.channels);
    for (size_t i = 0; i < s.terms.size(); ++i) {
        const Term &term = s.terms[i];
        const SumLoops loops = sum_loops(term.channels, term.kw, term.dilation_w, t);
        accumulate(s.acc, int(i), s.ac, s.ax, term.r, loops, t.channels);
        const int vector = vector_of({term.all_channels});
        inputs_in_registers(term.input, s.acc, term.ci, term.ix, loops, term.all_channels % 4 == 0 && term.channels % 4 == 0);
        if (!term.padding || s.where == Where::inlined) continue;
        all_channels(term.input, term.ci, term.all_channels);
        if (s.where == Where::shared) stage_shared(term.input, s.out, l.cb, term.ci, term.ix, term.iy, of_all_channels(term.region(t)), t, vector);
        else stage_global(term.input, {term.ci, term.ix, term.iy, term.n}, vector);
    }
}

// Where nothing but one convolution is summed: stages with out(co, x, y, n), acc and padded(ci, ix, iy, n), the output so large.
template<typename Stages>
void convolve(Stages &s, const TileKnobs &knobs, Term term, int channels, int ow, int oh, int images) {
    const Tile t = knobs.tile();
    const Loops l;
    bound_known_sizes(s.out, s.co, s.x, s.y, s.n, channels, ow, oh, images);
    specialize_width(s.out, s.out.output_buffer().dim(1).extent(), ow, t.pixels,
                     [&](Stage st, int width, TailStrategy tail) { tile_output(st, s.co, s.x, s.y, s.n, l, t, width, tail); });
    term.input = s.padded, term.r = s.r, term.ci = s.ci, term.ix = s.ix, term.iy = s.iy, term.n = s.n;
    sum_at({s.out, s.acc, s.co, s.x, s.y, s.n, s.co, s.x, {term}, knobs.shared ? Where::shared : Where::global}, l, t);
}

}  // namespace hconv::cuda
