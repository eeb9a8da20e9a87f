// transposed_winograd.cpp - transposed minimal filtering, lanes = channels: the differences of a band of rows are taken; then for
// a block of output channels each of the 36 products of all tiles is summed over the channels, in registers for a block of
// tiles, while the product's weights stay in the cache, and the results are transformed back into a map of the block. Bands are
// tasks. Of a small map (rows = 0) the blocks of channels are tasks instead.
// SPDX-License-Identifier: MIT
#include "generators/transposed_winograd.h"

#include "runtime/variants/transposed.h"
#include "schedules/schedule.h"
#include "schedules/x86/idioms.h"

namespace hconv {

using namespace Halide;

struct TransposedTiles : Schedule<TransposedWinogradStages> {
    Knob co_vecs{this, "co_vecs", 2, {1, 2, 3, 4}};             // vectors of output channels in the block
    Knob txs{this, "txs", 6, {1, 2, 3, 4, 5, 6, 7, 8, 10, 14}};  // tiles in the block: in a row,
    Knob tys{this, "tys", 1, {1, 2, 4}};                        // rows of them,
    Knob images{this, "images", 1, {1, 2, 4}};                  // of so many images
    Knob rows{this, "rows", 0, {0, 1, 2, 4, 7}};                // rows of tiles a band; 0: all

    void defaults(const Problem &, const Machine &) override;
    bool feasible(const Problem &, const Machine &) const override;
    int preference(const Problem &) const override { return pays ? 10 : -1; }
    std::string layout(const hconv_tensor &, const Problem &, const Machine &) const override;
    void apply(TransposedWinogradStages &, const Problem &, const Target &) const override;

private:
    bool pays = false;
};

static int input_lanes(const Problem &p, const Machine &m) {
    int lanes = m.lanes;
    while (p.ci % lanes) lanes /= 2;
    return lanes;
}

static int tiles_wide(const Problem &p) { return TransposedWinogradStages::tiles(hconv_transposed_ow(&p)); }
static int tiles_high(const Problem &p) { return TransposedWinogradStages::tiles(hconv_transposed_oh(&p)); }

// Differences take four cycles a vector and what becomes of a product two; weights come from behind the caches at eight bytes a
// cycle, beside the sums.
void TransposedTiles::defaults(const Problem &p, const Machine &m) {
    if (p.open()) return;
    const int wide = tiles_wide(p), high = tiles_high(p), vectors = x86::ceil_div(p.co, x86::vector_lanes(p.co, m));
    const double tiles = double(p.n) * wide * high, sums = double(p.ci) * p.co, step = 2.0 * m.lanes, bytes = 4.0 / 8;
    const double outputs = double(p.n) * hconv_transposed_oh(&p) * hconv_transposed_ow(&p);
    auto time = [&](double products, int weights) { return std::max(products * sums / step, weights * sums * bytes); };
    pays = time(tiles * 36, 36) + tiles * (64.0 * p.ci + 136.0 * p.co) / m.lanes < 0.9 * time(outputs * 4, 16) &&
           input_lanes(p, m) >= 4 && p.co >= m.lanes;
    const int all = wide * high < 36 ? wide * high * p.n : wide;
    const bool once = wide * high <= 16 && p.n == 1;  // every weight is read once: for all tiles
    x86::RegisterTile tile = x86::best_tile(once ? 1 : std::min(vectors, 2), all, m);
    co_vecs = tile.vectors, txs = x86::even_parts(wide, tile.scalars);
    if (wide * high >= 36) rows = 36 * sums * 4 > 2 * m.l2_bytes ? 4 : 1;
    const int most = m.lanes == 16 && !once ? 8 : tile.scalars;
    if (!rows && txs == wide) tys = std::clamp(most / wide, 1, high);
    if (!rows && txs == wide && tys == high) images = std::clamp(most / (wide * high), 1, int(p.n));
}

bool TransposedTiles::feasible(const Problem &p, const Machine &m) const {
    return !p.open() && co_vecs >= 1 && txs >= 1 && tys >= 1 && images >= 1 && rows >= 0 && images <= (rows ? 1 : p.n) &&
           x86::fits_registers({co_vecs, txs * tys * images}, m);
}

std::string TransposedTiles::layout(const hconv_tensor &t, const Problem &p, const Machine &m) const {
    const std::string letters = t.letters, outputs = std::to_string(x86::vector_lanes(p.co, m) * co_vecs) + "o";
    return letters == "o" ? "O" + outputs : letters == "oihw" ? "halves:Ohwi" + outputs : "";
}

void TransposedTiles::apply(TransposedWinogradStages &s, const Problem &p, const Target &target) const {
    const Machine m = Machine::of(target);
    const int in_lanes = input_lanes(p, m), wide = s.wide;
    Var band("band"), chunk("chunk"), sx("sx"), sy("sy"), dx("dx"), dy("dy"), txo("txo"), tyo("tyo"), no("no");
    x86::ChannelBlocks co, part;
    co.lanes = x86::vector_lanes(p.co, m), co.vectors = co_vecs;
    s.out.bound(s.co, 0, p.co).bound(s.x, 0, hconv_transposed_ow(&p)).bound(s.y, 0, hconv_transposed_oh(&p)).bound(s.n, 0, p.n);
    if (p.nchw()) {
        s.out.split(s.co, co.block, co.unrolled, co.size(), TailStrategy::GuardWithIf);
        s.out.reorder(s.x, co.unrolled, s.y).vectorize(s.x, m.lanes, TailStrategy::GuardWithIf);
    } else {
        x86::split_channels(s.out, s.co, co, p);
        s.out.reorder(co.lane, co.unrolled, s.x, s.y).vectorize(co.lane).unroll(co.unrolled);
    }
    if (rows) {
        s.out.split(s.y, band, s.y, rows * wide, TailStrategy::GuardWithIf).reorder(s.y, co.block, band, s.n);
        x86::parallel_tasks(s.out, band, s.n, p.n);
    } else {  // images whose tiles a product's weights serve at once
        const int most = std::max(1, 128 / (tiles_wide(p) * tiles_high(p)) / images) * images;
        s.out.split(s.n, chunk, s.n, std::min(most, int(p.n)), TailStrategy::GuardWithIf);
        s.out.reorder(s.y, s.n, chunk, co.block).parallel(co.block);
    }
    const Var work = rows ? co.block : chunk;

    s.map.compute_at(s.out, work).bound_extent(s.co, co.size()).align_bounds(s.x, wide).align_bounds(s.y, wide);
    s.map.split(s.co, part.unrolled, part.lane, co.lanes).split(s.x, sx, dx, wide).split(s.y, sy, dy, wide);
    s.map.reorder({part.lane, dx, dy, part.unrolled, sx, sy, s.n}).vectorize(part.lane).unroll(dx).unroll(dy);
    for (Func f : {s.half, s.result}) {
        f.compute_at(s.map, part.unrolled).bound_extent(s.co, co.lanes).vectorize(s.co, co.lanes);
        f.bound(s.px, 0, 2).bound(s.py, 0, 2).bound(s.j, 0, 2).bound(s.i, 0, f.name() == s.half.name() ? s.taps : 2);
        f.reorder(s.co, s.j, s.i, s.px, s.py, s.tx, s.ty, s.n).unroll(s.i).unroll(s.j).unroll(s.px).unroll(s.py);
    }

    Func products = s.acc.in(s.half);
    products.compute_at(s.out, work).bound_extent(s.co, co.size()).bound(s.i, 0, s.taps).bound(s.j, 0, s.taps);
    products.bound(s.px, 0, 2).bound(s.py, 0, 2).split(s.co, part.unrolled, part.lane, co.lanes);
    products.split(s.tx, txo, s.tx, int(txs)).split(s.ty, tyo, s.ty, int(tys)).split(s.n, no, s.n, int(images));
    products.reorder({part.lane, part.unrolled, s.tx, s.ty, s.n, txo, tyo, no, s.i, s.px, s.j, s.py});
    products.vectorize(part.lane).unroll(part.unrolled).unroll(s.tx).unroll(s.ty).unroll(s.n).never_partition_all();
    s.acc.compute_at(products, txo).bound_extent(s.co, co.size());
    s.acc.update().reorder({s.co, s.tx, s.ty, s.n, s.r.x, s.px, s.py, s.i, s.j});
    for (Stage st : {Stage(s.acc), s.acc.update()})
        st.vectorize(s.co, co.lanes).unroll(s.co).unroll(s.tx).unroll(s.ty).unroll(s.n);

    s.spectrum.bound(s.kx, 0, 2).bound(s.ky, 0, 2).bound(s.ci, 0, p.ci).reorder(s.kx, s.ky, s.ci, s.ix, s.iy, s.n);
    s.spectrum.vectorize(s.ci, in_lanes).unroll(s.kx).unroll(s.ky);
    s.spectrum.align_storage(s.ci, p.ci + m.lanes);
    if (rows) s.spectrum.compute_at(s.out, band);
    else s.spectrum.compute_root().parallel(s.iy);
    if (p.nchw()) s.padded.compute_root().vectorize(s.ci, in_lanes).parallel(s.iy, 4, TailStrategy::GuardWithIf);
}

}  // namespace hconv

HCONV_SCHEDULE(hconv::TransposedWinogradStages, "x86", tiles, hconv::TransposedTiles)
