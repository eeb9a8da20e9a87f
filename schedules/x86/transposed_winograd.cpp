// transposed_winograd.cpp - transposed minimal filtering, lanes = channels: the differences of a band of rows are taken; then for
// a block of output channels and each row of a phase's products, one product (held = 1) or all three of a block of tiles are
// summed over a part of the channels in registers, their windows made of the taps as these are loaded, and transformed along
// the row; the rest of the transform is part of the store. Bands are tasks. Of a small map (rows = 0) groups of channel blocks
// are tasks instead: each takes the differences for itself, which costs less than to fetch them from another core.
// SPDX-License-Identifier: MIT
#include "generators/transposed_winograd.h"

#include "runtime/variants/transposed.h"
#include "schedules/schedule.h"
#include "schedules/x86/idioms.h"

namespace hconv {

using namespace Halide;

struct TransposedTiles : Schedule<TransposedWinogradStages> {
    Knob co_vecs{this, "co_vecs", 2, {1, 2, 3}};                  // vectors of output channels in the block
    Knob held{this, "held", 3, {1, 3}};                           // products of a row in registers at once
    Knob txs{this, "txs", 4, {1, 2, 3, 4, 5, 6, 7, 8, 10, 14}};  // tiles in the block: in a row,
    Knob tys{this, "tys", 1, {1, 2, 4}};                          // rows of them,
    Knob images{this, "images", 1, {1, 2, 4}};                    // of so many images
    Knob parts{this, "parts", 1, {1, 2, 4, 8, 16}};               // of the channels: a part's taps stay in the first cache
    Knob rows{this, "rows", 0, {0, 1, 2, 4, 8}};                  // rows of tiles a band; 0: all
    Knob tasks{this, "tasks", 2, {1, 2, 4, 8}};                   // then: groups of blocks of output channels

    void defaults(const Problem &, const Machine &) override;
    bool feasible(const Problem &, const Machine &) const override;
    int preference(const Problem &) const override { return pays ? 10 : -1; }
    std::string layout(const hconv_tensor &, const Problem &, const Machine &) const override;
    void formulate(TransposedWinogradStages &s) const override { s.parts = parts; }
    void apply(TransposedWinogradStages &, const Problem &, const Target &) const override;

private:
    bool pays = false;
};

static int tiles_wide(const Problem &p) { return TransposedWinogradStages::tiles(hconv_transposed_ow(&p)); }
static int tiles_high(const Problem &p) { return TransposedWinogradStages::tiles(hconv_transposed_oh(&p)); }

void TransposedTiles::defaults(const Problem &p, const Machine &m) {
    if (p.open()) return;
    const int wide = tiles_wide(p), high = tiles_high(p), vectors = x86::ceil_div(p.co, x86::vector_lanes(p.co, m));
    co_vecs = m.lanes == 16 && vectors > 1 ? 2 : 1;
    // Few tiles share a window's additions: then a row's products do. Sixteen wide registers never hold sums of many tiles.
    held = m.lanes != 8 && wide * high * p.n >= 8 ? 1 : 3;
    int least = 1 << 30;
    for (int ns : {1, 2, 4})
        for (int ys : {1, 2, 4})
            for (int xs = 1; x86::fits_registers({held * co_vecs, xs * ys * ns}, m); ++xs) {
                const int blocks = x86::ceil_div(wide, xs) * x86::ceil_div(high, ys) * x86::ceil_div(p.n, ns);
                const int time = blocks * (xs * ys * ns + (held == 1 ? 2 : 1));
                if (ns <= p.n && (ns == 1 || wide * high < 8) && time < least) least = time, txs = xs, tys = ys, images = ns;
            }
    const double sums = double(p.ci) * p.co;
    if (wide * high >= 36) {  // as many rows a band as leave two workers as much to do as each other
        auto busier = [&](int r) { return r * x86::ceil_div(x86::ceil_div(high, r), 2); };
        rows = std::max(int(tys), 64 * sums > 2 * m.l2_bytes ? 4 : 2);
        for (int r = rows; r >= tys; --r)
            if (r % tys == 0 && busier(r) < busier(rows)) rows = r;
    } else {
        parts = std::max(1, p.ci / (wide * high * p.n > txs * tys * images ? 64 : 32));
        while (p.ci % parts) parts = parts - 1;
    }

    // Cycles: multiply-adds; differences and what becomes of a product; half of what takes less time, the sums or weights that
    // come from behind the caches at eight bytes a cycle, is not hidden.
    const double tiles = double(p.n) * x86::ceil_div(wide, txs) * txs * x86::ceil_div(high, tys) * tys, step = 2.0 * m.lanes;
    const double outputs = double(p.n) * hconv_transposed_oh(&p) * hconv_transposed_ow(&p);
    const double streamed = 64 * sums > m.l2_bytes ? 64 * sums / 8 : 0;
    auto time = [&](double cycles) { return std::max(cycles, streamed) + std::min(cycles, streamed) / 2; };
    pays = time(tiles * 41 * sums / step) + tiles * (64.0 * p.ci + 100.0 * p.co) / m.lanes <
               0.95 * time(outputs * 4 * sums / step) && x86::even_lanes(p.ci, m) >= 4 && p.co >= m.lanes;
}

bool TransposedTiles::feasible(const Problem &p, const Machine &m) const {
    return !p.open() && co_vecs >= 1 && (held == 1 || held == 3) && txs >= 1 && tys >= 1 && images >= 1 && rows >= 0 &&
           images <= (rows ? 1 : p.n) && parts >= 1 && p.ci % parts == 0 && tasks >= 1 && rows % tys == 0 &&
           x86::fits_registers({held * co_vecs, txs * tys * images}, m);
}

std::string TransposedTiles::layout(const hconv_tensor &t, const Problem &p, const Machine &m) const {
    const int lanes = x86::vector_lanes(p.co, m), block = lanes * co_vecs;
    return x86::blocked_layout(t, p.co % block ? block : lanes);  // each vector a stream of its own, where that fills all blocks
}

void TransposedTiles::apply(TransposedWinogradStages &s, const Problem &p, const Target &target) const {
    const Machine m = Machine::of(target);
    const int in_lanes = x86::even_lanes(p.ci, m), wide = s.wide;
    Var task("task"), chunk("chunk"), sx("sx"), sy("sy"), dx("dx"), dy("dy"), txo("txo"), tyo("tyo"), no("no");
    x86::ChannelBlocks co, part;
    co.lanes = x86::vector_lanes(p.co, m), co.vectors = co_vecs;
    s.out.bound(s.co, 0, p.co).bound(s.x, 0, hconv_transposed_ow(&p)).bound(s.y, 0, hconv_transposed_oh(&p)).bound(s.n, 0, p.n);
    std::vector<VarOrRVar> order;  // of the loops of an image's block
    if (p.nchw()) {
        s.out.split(s.co, co.block, co.unrolled, co.size(), TailStrategy::GuardWithIf);
        s.out.vectorize(s.x, m.lanes, TailStrategy::GuardWithIf).split(s.y, sy, dy, wide, TailStrategy::GuardWithIf);
        order = {s.x, co.unrolled, dy, sy};
    } else {
        x86::split_channels(s.out, s.co, co, p);
        s.out.split(s.x, sx, dx, wide, TailStrategy::GuardWithIf).split(s.y, sy, dy, wide, TailStrategy::GuardWithIf);
        s.out.vectorize(co.lane).unroll(dx).unroll(dy);
        order = {co.lane, dx, dy, co.unrolled, sx, sy};
    }
    if (rows) {
        s.out.split(sy, task, sy, int(rows), TailStrategy::GuardWithIf);
        order.insert(order.end(), {co.block, task, s.n});
        s.out.reorder(order);
        x86::parallel_tasks(s.out, task, s.n, p.n);
    } else {  // images whose differences stay in the second cache; a block's weights serve their tiles at once
        const int blocks = x86::ceil_div(p.co, co.size()), map = 16 * p.ci * (2 * tiles_wide(p) + 1) * (2 * tiles_high(p) + 1);
        const int most = std::max(1, m.l2_bytes / map / images) * images;
        s.out.split(s.n, chunk, s.n, std::min(most, int(p.n)), TailStrategy::GuardWithIf);
        s.out.split(co.block, task, co.block, x86::ceil_div(blocks, std::min(int(tasks), blocks)), TailStrategy::GuardWithIf);
        order.insert(order.end(), {s.n, co.block, chunk, task});
        s.out.reorder(order).parallel(task);
    }
    if (p.nchw()) {
        s.map.compute_at(s.out, co.block).bound_extent(s.co, co.size()).align_bounds(s.x, wide).align_bounds(s.y, wide);
        s.map.split(s.co, part.unrolled, part.lane, co.lanes).split(s.x, sx, dx, wide).split(s.y, sy, dy, wide);
        s.map.reorder({part.lane, dx, dy, part.unrolled, sx, sy, s.n}).vectorize(part.lane).unroll(dx).unroll(dy);
        s.padded.compute_root().vectorize(s.ci, in_lanes).parallel(s.iy, 4, TailStrategy::GuardWithIf);
    }

    s.half.compute_at(s.out, co.block).bound_extent(s.co, co.size()).vectorize(s.co, co.lanes);
    s.half.bound(s.px, 0, 2).bound(s.py, 0, 2).bound(s.j, 0, s.taps).bound(s.i, 0, 2);
    Stage sums = s.half.update().vectorize(s.co, co.lanes);
    sums.split(s.tx, txo, s.tx, int(txs), TailStrategy::RoundUp).split(s.ty, tyo, s.ty, int(tys), TailStrategy::RoundUp);
    sums.split(s.n, no, s.n, int(images), TailStrategy::RoundUp);
    const RVar product = s.rproduct.y;
    if (held == 1) sums.reorder({s.co, s.i, s.tx, s.ty, s.n, txo, tyo, no, product, s.j, s.rproduct.x, s.px, s.py});
    else sums.reorder({s.co, s.i, product, s.tx, s.ty, s.n, txo, tyo, no, s.j, s.rproduct.x, s.px, s.py});
    sums.unroll(s.co).unroll(s.i).unroll(product).unroll(s.tx).unroll(s.ty).unroll(s.n).unroll(s.j);

    s.acc.compute_at(s.half, txo).bound_extent(s.co, co.size()).bound_extent(s.i, int(held));
    s.acc.update().reorder({s.co, s.tx, s.ty, s.n, s.i, s.r.x, s.px, s.py, s.j, s.part});
    for (Stage st : {Stage(s.acc), s.acc.update()})
        st.vectorize(s.co, co.lanes).unroll(s.co).unroll(s.tx).unroll(s.ty).unroll(s.n).unroll(s.i);

    s.spectrum.compute_at(s.out, rows ? task : chunk).bound(s.kx, 0, 2).bound(s.ky, 0, 2).bound(s.ci, 0, p.ci);
    s.spectrum.reorder(s.kx, s.ky, s.ci, s.ix, s.iy, s.n).vectorize(s.ci, in_lanes).unroll(s.kx).unroll(s.ky);
    s.spectrum.align_storage(s.ci, p.ci + m.lanes);
}

}  // namespace hconv

HCONV_SCHEDULE(hconv::TransposedWinogradStages, "x86", tiles, hconv::TransposedTiles)
