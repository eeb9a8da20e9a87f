// small_map.cpp - direct convolution of a small map: its pixels are taken one row behind the other, so that a tile may end in the next
// row, and no tap that lies in the padding is computed. A task is a block of outputs, whose weights come in chunks of channels small
// enough for the first cache (chunks.h): every one is read once from far away, and few pixels share it.
// SPDX-License-Identifier: MIT
#include "generators/conv2d.h"

#include "schedules/schedule.h"
#include "schedules/x86/chunks.h"
#include "schedules/x86/idioms.h"
#include "schedules/x86/map_tile.h"

namespace hconv {

using namespace Halide;

struct SmallMap : Schedule<Conv2dStages> {
    Knob co_vecs{this, "co_vecs", 4, {1, 2, 3, 4}};                // vectors of output channels in the block
    Knob xs{this, "xs", 3, {1, 2, 3, 4, 5, 6, 7, 8, 10, 12, 14}};  // pixels in the block
    Knob chunk{this, "chunk", 16, {8, 16, 32, 64}};                // input channels summed at a time
    Knob spread{this, "spread", 0, {0, 1}};                        // copy the input as pixels a little farther apart

    void defaults(const Problem &, const Machine &) override;
    bool feasible(const Problem &, const Machine &) const override;
    bool promising(const Problem &, const Machine &) const override;
    int preference(const Problem &) const override { return pays ? 5 : -1; }
    std::string layout(const hconv_tensor &, const Problem &, const Machine &) const override;
    int weights_ahead(const Problem &p, const Machine &m) const override { return x86::chunk_weights(chunk, block(p, m).size(), p); }
    void formulate(Conv2dStages &s) const override { s.rows_left_out = true; }
    void apply(Conv2dStages &, const Problem &, const Target &) const override;

private:
    bool pays = false;
    x86::ChannelBlocks block(const Problem &p, const Machine &m) const { return {x86::vector_lanes(p.co, m), co_vecs}; }
};

static int pixels_of(const Problem &p) { return p.oh() * p.ow(); }

// Tiles of four vectors by three pixels leave a row's last ones alone, whose weights take as long to come as those of three. With a
// stride taps share no pixels: then only a block's weights that the second cache does not hold make up for that.
void SmallMap::defaults(const Problem &p, const Machine &m) {
    if (p.open()) return;
    spread = x86::fill_a_set(p);
    const int outputs = block(p, m).size();
    const bool far = int64_t(4) * p.ci * p.kh * p.kw * outputs > 2 * m.l2_bytes;
    pays = m.lanes == 8 && p.n == 1 && p.kh * p.kw == 9 && pixels_of(p) >= 16 && p.ow() % xs != 0 && p.ci >= 64 && p.co % outputs == 0 &&
           (p.stride_w == 1 || far);
}

// Long code takes long to compile.
bool SmallMap::feasible(const Problem &p, const Machine &m) const {
    return !p.open() && !p.nchw() && p.groups == 1 && p.oh() > 1 && pixels_of(p) * p.kh * p.kw <= 64 * 9 && co_vecs >= 1 && xs >= 1 &&
           xs <= pixels_of(p) && chunk >= 1 && p.ci % chunk == 0 && x86::fits_either_way({co_vecs, xs}, m);
}

bool SmallMap::promising(const Problem &p, const Machine &m) const {
    return x86::is_busy({co_vecs, xs}, x86::ceil_div(p.co, x86::vector_lanes(p.co, m)), pixels_of(p));
}

std::string SmallMap::layout(const hconv_tensor &t, const Problem &p, const Machine &m) const {
    return x86::chunk_layout(t, block(p, m).size());
}

void SmallMap::apply(Conv2dStages &s, const Problem &p, const Target &t) const {
    const Machine m = Machine::of(t);
    const x86::ChannelBlocks co = block(p, m);
    x86::bound_known_sizes(s.out, s.co, s.x, s.y, s.n, p);
    x86::split_channels(s.out, s.co, co, p);
    s.out.reorder({co.lane, co.unrolled, s.x, s.y, s.n, co.block}).vectorize(co.lane).unroll(co.unrolled).parallel(co.block);
    s.acc.compute_at(s.out, s.n);
    x86::sum_in_chunks({s.acc, s.co, s.x, s.y, s.r, p.ow(), p.oh()}, co, xs, chunk, {}, m);
    if (spread) x86::stage_apart(s, p, m);
}

}  // namespace hconv

HCONV_SCHEDULE(hconv::Conv2dStages, "x86", small_map, hconv::SmallMap)
