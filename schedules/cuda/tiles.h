// tiles.h - the tile of a sum over channels: its knobs, and which one to take.
// SPDX-License-Identifier: MIT
#pragma once

#include "schedules/cuda/idioms.h"

namespace hconv::cuda {

// The tile as knobs of a schedule, and where the input with its zeros lies.
struct TileKnobs {
    explicit TileKnobs(ScheduleBase *of)
        : channels{of, "channels", 1, {1, 2, 4, 8}}, pixels{of, "pixels", 8, {1, 2, 3, 4, 5, 6, 7, 8}}, ct{of, "ct", 32, {8, 16, 32, 64}},
          xt{of, "xt", 4, {1, 2, 4, 7, 8, 16}}, yt{of, "yt", 1, {1, 2, 4, 8}}, shared{of, "shared", 1, {0, 1}} {}
    Knob channels, pixels;  // of a thread
    Knob ct, xt, yt;        // threads, as in Tile
    Knob shared;            // 1: the input in shared memory
    Tile tile(const Problem &p) const { return {channels, pixels, ct, xt, yt, p.nchw()}; }
    void set(const Tile &t) { channels = t.channels, pixels = t.pixels, ct = t.ct, xt = t.xt, yt = t.yt; }
};

// What one warp's step of the sum costs: four input channels of `taps` window columns. A multiprocessor multiplies for four
// warps a cycle, and loads 128 bytes: of the weights every lane reads its own, of the inputs all the same; in nchw all the same
// weights, four at once, and each its own inputs.
struct StepCost {
    int multiply, load;
    static StepCost of(int channels, int pixels, int stride, int taps, bool nchw) {
        const int weights = nchw ? ceil_div(channels, 4) : channels, read = (pixels - 1) * stride;
        return {channels * pixels * taps, 4 * taps * weights + (nchw ? 4 * taps * (read + 1) : read + taps)};
    }
};

// What a tile is chosen for: channels, of which so many have one group's inputs, and the size; open: that of a typical map.
struct Outputs {
    int channels, group, ow, oh, images;
    static Outputs of(const Problem &p, int channels, int group, int ow, int oh) {
        return {channels, group, size_or(ow, 56), size_or(oh, 56), size_or(p.n, 1)};
    }
};

// The thread's tile that takes the least time: warps share a multiprocessor, or, where they are few, wait for themselves.
inline Tile best_tile(const Outputs &o, int stride, int taps, bool nchw, int most_pixels = 8) {
    Tile best{1, 1, 1, 1, 1, nchw};
    double least = 1e30;
    const int along = nchw ? o.oh : o.ow, across = nchw ? ceil_div(o.ow, 8) * 8 : o.oh;
    for (int channels = vector_of({o.group}, nchw ? 8 : 4); channels >= 1; channels /= 2)
        for (int pixels = std::min({along, most_pixels, nchw ? 4 : 8}); pixels >= 1; --pixels) {
            StepCost s = StepCost::of(channels, pixels, stride, taps, nchw);
            double warps = double(o.channels / channels) * ceil_div(along, pixels) * across * o.images / 32 / multiprocessors;
            double time = std::max(warps * std::max(s.multiply, s.load), 4.0 * s.multiply + 60);
            if (time < least * 0.97) least = time, best.channels = channels, best.pixels = pixels;
        }
    if (nchw) {
        best.ct = row_lanes(o.ow), best.yt = std::min(2, ceil_div(o.group, best.channels));
        best.xt = std::clamp(128 / (best.ct * best.yt), 1, ceil_div(o.oh, best.pixels));
        return best;
    }
    best.ct = even_parts(o.channels / best.channels, 64);
    best.xt = even_parts(ceil_div(o.ow, best.pixels), std::max(1, 128 / best.ct));
    best.yt = std::clamp(128 / (best.ct * best.xt), 1, std::min(o.oh, 8));
    return best;
}

}  // namespace hconv::cuda
