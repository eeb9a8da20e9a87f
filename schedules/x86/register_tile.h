// register_tile.h - the block of sums that stays in registers: what fits, and which is best.
// SPDX-License-Identifier: MIT
#pragma once

#include "schedules/machine.h"
#include "schedules/sizes.h"

#include <algorithm>

namespace hconv::x86 {

// A block of vectors x scalars accumulators. One step of the sum loads `vectors` vectors, broadcasts `scalars` values
// and multiplies every one by every other.
struct RegisterTile {
    int vectors, scalars;
};

// Do the tile's accumulators, its vectors and a broadcast value fit the registers? AVX-512 broadcasts inside the
// multiply-add; SSE multiplies into one register more; NEON multiplies by a lane of a register, one a scalar, and the
// compiler wants one to spare.
inline bool fits_registers(const RegisterTile &t, const Machine &m) {
    if (m.multiplies_by_lane) return t.vectors * t.scalars + t.vectors + t.scalars + 1 < m.vector_registers;
    int extra = m.lanes == 16 ? 0 : m.lanes == 8 ? 1 : 2;
    return t.vectors * t.scalars + t.vectors + extra <= m.vector_registers;
}

// May the tile be the best one? Two multiply-adds start a cycle and take four: fewer sums than eight wait for each other.
inline bool is_busy(const RegisterTile &t, int most_vectors, int most_scalars) {
    return t.vectors <= most_vectors && t.vectors * t.scalars >= std::min(8, most_vectors * most_scalars);
}

// The tile, of `most_vectors` at most, that covers vectors x scalars in the least time. Per step of the sum two
// multiply-adds or two loads start a cycle, and ten accumulators hide the latency; what hangs over the edge is computed
// in vain. Vectors come from farther away than broadcasts and take a little longer; where multiply-adds take lanes,
// scalars are loaded like them. row: vectors held for every one of the block's.
inline RegisterTile best_tile(int vectors, int scalars, const Machine &m, int most_vectors = 8, int row = 1) {
    RegisterTile best{1, 1};
    const double far = m.multiplies_by_lane ? 0 : 0.1;
    double least = 1e30;
    for (RegisterTile t{1, 1}; t.vectors <= std::min(vectors, most_vectors); ++t.vectors)
        for (t.scalars = 1; t.scalars <= scalars && fits_registers({t.vectors, t.scalars + row - 1}, m); ++t.scalars) {
            const double step = std::max({t.vectors * t.scalars, t.vectors + t.scalars, 10}) + 1 + far * t.vectors;
            const double time = step * ceil_div(vectors, t.vectors) * ceil_div(scalars, t.scalars);
            if (time < least) least = time, best = t;
        }
    return best;
}

// Is a row's last tile narrower? Then its tiles are unrolled, each as wide as it is: few, or code grows long.
inline bool narrower_last(int extent, int width) { return extent != HCONV_OPEN && extent % width && extent <= 10 * width; }

// The width of tiles of `most` at most: that one if the last is narrower, else what leaves them alike; an open row has `width`.
inline int tile_width(int extent, int width, int most) { return narrower_last(extent, most) ? most : even_parts(width, most); }

// The best tile where a narrower last one costs nothing. In sixteen registers one of 1 x 14 loads longer than it multiplies,
// one of 2 x 6 does not.
inline RegisterTile best_exact_tile(int vectors, int scalars, const Machine &m) {
    const RegisterTile tile = best_tile(vectors, scalars, m);
    const bool loads_longer = m.lanes == 8 && tile.vectors * tile.scalars == 14;
    return loads_longer && vectors > 1 && narrower_last(scalars, 6) ? RegisterTile{2, 6} : tile;
}

// Channels a step of such a tile's sum: in sixteen registers a loop's own instructions take a share that four channels divide.
inline int channels_a_step(int vectors, int channels, const Machine &m) {
    return m.lanes == 8 && vectors > 1 && channels % 4 == 0 ? 4 : 1;
}

}  // namespace hconv::x86
