// map_tile.h - maps that are read where they lie: the block of sums, of columns x rows of pixels, and copies of maps that lie so
// that a block's pixels do not stay in the first cache.
// SPDX-License-Identifier: MIT
#pragma once

#include "generators/conv2d.h"
#include "schedules/x86/idioms.h"
#include "schedules/x86/planes.h"

namespace hconv::x86 {

// In sixteen registers a block of more vectors than pixels holds these and one vector of weights at a time; neighbouring taps of a
// row, taken in turn, share pixels.
inline bool holds_pixels(const RegisterTile &t, const Machine &m) {
    return m.lanes == 8 && t.vectors > t.scalars && t.vectors * t.scalars + t.scalars + 1 <= m.vector_registers;
}
inline bool takes_taps_in_turn(const RegisterTile &t, const Problem &p, const Machine &m) {
    return holds_pixels(t, m) && p.kw > 1 && p.stride_w == 1;
}

// Cycles of a tile: two multiply-adds and two loads start a cycle and ten of these hide the latency; a load takes a share of
// what is left, more where no neighbouring tap has read the pixel before; one of weights, which come from the second cache,
// more, less if one at a time. Lines of the output, which a block of few channels writes in part, come from farther away.
inline double tile_cycles(int vectors, int pixels, bool pixels_held, const Problem &p, const Machine &m) {
    const double load = m.lanes == 16 ? 0.2 : p.kh * p.kw == 1 ? 0.15 : 0.11;
    const double loads = (m.lanes == 8 ? 1.2 : 1) * (vectors + pixels);  // broadcasts cannot be a part of a multiply-add
    const double pipes = std::max({double(vectors * pixels), loads, 10.0}) / 2;
    const double step = pipes + load * (vectors + pixels) + (pixels_held ? 0.08 : 0.32) * vectors;
    const int lines = ceil_div(vectors * m.lanes, 16) * pixels * (p.residual() ? 2 : 1);
    return step * (p.ci / p.groups) * p.kh * p.kw + 8.0 * lines;
}

// Is there room for the tile, in either way?
inline bool fits_either_way(const RegisterTile &t, const Machine &m) { return fits_registers(t, m) || holds_pixels(t, m); }

// Registers hold a block's sums, its weights and a broadcast: without that one every multiply-add loads.
inline bool holds(const RegisterTile &t, const Machine &m) {
    return t.vectors * t.scalars + t.vectors + 1 <= m.vector_registers && fits_registers(t, m);
}

// The order of a tile's sum, which is unrolled but for its channels and rows of taps.
struct SumLoops {
    Var co, x, y;
    RVar ci, kx;
};
inline void order_sum(Stage sum, const SumLoops &l, const RegisterTile &t, const Problem &p, const Machine &m) {
    if (takes_taps_in_turn(t, p, m)) sum.reorder({l.x, l.y, l.co, l.kx, l.ci});
    else if (holds_pixels(t, m)) sum.reorder({l.x, l.y, l.co, l.ci, l.kx});
}

// A row's tiles are unrolled: so long is their code at most.
inline bool row_is_short(const Problem &p, int vectors, int xs) { return ceil_div(p.ow(), xs) * p.kw * vectors * xs <= 2000; }

// The rows of a small map are unrolled, which lets blocks have several.
inline int most_rows(const Problem &p) { return p.oh() <= 16 && p.ow() < 14 ? std::min(4, p.oh()) : 1; }
// But where the window is one pixel, and no tile of rows is lower: all tiles are alike.
inline bool one_pixel(const Problem &p) { return p.kh * p.kw == 1 && !p.has_padding() && !p.nchw(); }
inline bool unrolls_rows(const Problem &p, int ys) { return ys > 1 && (p.oh() % ys || !one_pixel(p)); }

inline int64_t weight_bytes(const Problem &p) { return 4 * int64_t(p.co) * (p.ci / p.groups) * p.kh * p.kw; }

// They come faster as a stream a vector, each fetched ahead, than as one; not where the first cache has eight ways, which the
// lines of four streams and the pixels, a power of two apart, push each other out of.
inline bool large_weights(const Problem &p, const Machine &m) { return m.lanes == 16 && weight_bytes(p) > 4 * m.l2_bytes; }
inline std::string map_layout(const hconv_tensor &t, int lanes, int vectors, const Problem &p, const Machine &m) {
    return blocked_layout(t, large_weights(p, m) && p.co % (lanes * vectors) == 0 ? lanes : lanes * vectors);
}

// Weights that outweigh an image that stays in the second cache are read once: then tasks are blocks of outputs.
inline bool weights_outweigh(const Problem &p, const Machine &m) {
    return weight_bytes(p) > map_bytes(p) && map_bytes(p) <= m.l2_bytes;
}

// Are pixels that neighbours in the output read whole pages apart? Then they lie in one set of the first cache, of eight ways.
inline bool fill_a_set(const Problem &p) { return !p.nchw() && 4 * p.ci * p.stride_w % 4096 == 0; }

struct MapTile {
    int vectors, xs, ys;
};

// The tile that covers p's map of so many vectors in the least time, of the counts of vectors that `may` be a block and of
// `most` rows; `row`: vectors of weights held a vector of sums; `order`: order_sum orders them.
inline MapTile best_map_tile(const Problem &p, int vectors, int row, int most, const Machine &m,
                             const std::function<bool(int)> &may, bool order = false) {
    MapTile best{1, 1, 1};
    double least = 1e30;
    auto pixels_held = [&](int v, int pixels) { return order && holds_pixels({v, pixels}, m); };
    auto cycles = [&](int v, int pixels) { return tile_cycles(v, pixels, pixels_held(v, pixels), p, m); };
    const bool few = m.lanes == 8 && p.groups > 1 && fill_a_set(p);  // and one group's of many pixels are not copied
    auto fits = [&](int v, int pixels) {
        return (holds({v, pixels + row - 1}, m) || pixels_held(v, pixels)) && !(few && pixels > 8);
    };
    for (int v = 1; v <= std::min(vectors, 4); ++v)
        for (int height = 1; height <= most; ++height)
            for (int width = 1; width <= p.ow() && may(v) && fits(v, width * height); ++width) {
                // The last rows and columns are narrower tiles.
                auto row_of = [&](int high) {
                    const int rest = p.ow() % width;
                    return p.ow() / width * cycles(v, width * high) + (rest ? cycles(v, rest * high) : 0);
                };
                double time = p.oh() / height * row_of(height) + (p.oh() % height ? row_of(p.oh() % height) : 0);
                // Two workers share tasks: blocks, two where rows are not unrolled, or rows. An odd one costs them.
                const int blocks = ceil_div(vectors, v);
                const bool by_blocks = weights_outweigh(p, m) || (p.n == 1 && height > 1);
                const int halves = unrolls_rows(p, height) ? 1 : 2;
                const int tasks = by_blocks ? p.groups * blocks * halves : p.n * ceil_div(p.oh(), height);
                time *= blocks * (1 + (one_pixel(p) ? tasks % 2 * 0.5 / tasks : 0));
                if (time < least * 0.995) least = time, best = {v, width, height};
            }
    return best;
}

// The block that covers the rows of a map, whose sizes may be open, one at a time; `order` as above.
inline RegisterTile best_row_tile(Problem p, int vectors, const Machine &m, bool order) {
    p.w = size_or(p.w, open_width), p.h = size_or(p.h, 64), p.n = size_or(p.n, 1);
    const MapTile tile = best_map_tile(p, vectors, 1, 1, m, [](int) { return true; }, order);
    return {tile.vectors, tile.xs};
}

// Columns of the input that are read, at least; of those that are copied, where the window is one pixel.
inline int columns_read(const Problem &p) {
    if (p.kw * p.kh == 1 && !p.has_padding()) return p.ow();
    const int reach = (p.kw - 1) * p.dilation_w, before = p.same == HCONV_PAD_TFSAME ? reach : p.pad_left;
    return std::clamp((p.ow() - 1) * p.stride_w + reach - before + 1, 1, int(p.w));
}

// Room behind every pixel: pixels whose channels are a power of two lie in the same few sets of the first cache, which cannot
// hold a block's.
inline void leave_room(Func copied, const Var &ci, const Problem &p, const Machine &m) { copied.align_storage(ci, p.ci + m.lanes); }

// The whole input as pixels with room behind each, before all tasks.
inline void stage_apart(Conv2dStages &s, const Problem &p, const Machine &m) {
    if (p.nchw()) return stage_transposed(s.copied.in(s.padded), s.copied, s.ci, s.ix, s.iy, s.n, p.ci, columns_read(p), m);
    stage_input(s.copied, s.ci, s.iy, p.ci, m);
    leave_room(s.copied, s.ci, p, m);
}

}  // namespace hconv::x86
