// transposed_winograd.cpp - transposed minimal filtering, lanes = channels: the spectrum of a band of rows is taken; then for a
// block of output channels and each row of a phase's products, one product (held = 1) or all of a block of tiles are summed over
// a part of the channels in registers, their windows made of the taps as these are loaded, and transformed along the row; the
// rest of the transform, of which more is left where single products of F(4,2) are kept, is part of the store. Bands are tasks.
// Of a small map (rows = 0) groups of channel blocks are tasks instead: each takes the spectrum for itself, which costs less than
// to fetch it from another core.
// SPDX-License-Identifier: MIT
#include "generators/transposed_winograd.h"

#include "runtime/variants/transposed.h"
#include "schedules/schedule.h"
#include "schedules/x86/idioms.h"

namespace hconv {

using namespace Halide;

struct TransposedTiles : Schedule<TransposedWinogradStages> {
    Knob m{this, "m", 2, {2, 4}};                                 // outputs of a tile, an axis and phase
    Knob co_vecs{this, "co_vecs", 2, {1, 2, 3}};                  // vectors of output channels in the block
    Knob held{this, "held", 3, {1, 3, 5}};                        // products of a row in registers at once
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
    void formulate(TransposedWinogradStages &s) const override { s.m = m, s.parts = parts; }
    void apply(TransposedWinogradStages &, const Problem &, const Target &) const override;

private:
    bool pays = false;
    double fit(const Problem &, const Machine &, int outputs);
    void choose_block(const Problem &, const Machine &);
    int rows_of_band(const Problem &, const Machine &) const;
    int parts_of(const Problem &, const Machine &) const;
    void multiply(TransposedWinogradStages &, const x86::ChannelBlocks &co, Func to, const Var &at) const;
    void transform(TransposedWinogradStages &, const Problem &, const Machine &, const Var &at) const;
};

static int tiles_wide(const Problem &p, int m) { return x86::ceil_div(hconv_transposed_ow(&p), 2 * m); }
static int tiles_high(const Problem &p, int m) { return x86::ceil_div(hconv_transposed_oh(&p), 2 * m); }
static double weight_bytes(const Problem &p) { return 64.0 * p.ci * p.co; }

// Half of what takes less time, multiply-adds or what comes from behind the caches at eight bytes a cycle, is not hidden.
static double both(double cycles, double streamed) { return std::max(cycles, streamed) + std::min(cycles, streamed) / 2; }
static double weight_cycles(const Problem &p, const Machine &machine) {
    return weight_bytes(p) > machine.l2_bytes ? weight_bytes(p) / 8 : 0;
}

// What differs between instruction sets.
struct Costs {
    int least_by_2, least_by_4;  // tiles that share a window's additions, enough of them to hold one product, of m = 2 and 4
    bool shared_by_vectors;      // do these additions weigh less where a block has two vectors?
    int products_by_2;           // multiply-adds of a tile, an input and an output channel, of m = 2
    int part;                    // channels of a part, of taps that only one block of tiles reads
    bool streams;                // do the taps of each vector of a block lie apart, as a stream?
};

// Sixteen wide registers hold the sums of few tiles. Their first caches have eight ways, which four taps of a stream share.
static Costs costs_of(const Machine &machine) {
    constexpr int all = 1 << 30;
    return machine.lanes == 8 ? Costs{all, 4, true, 48, all, false} : Costs{8, 8, false, 41, 32, true};
}

// Numbers of vectors that a block may have: two, which share their loads, leave registers for fewer tiles.
static std::vector<int> vectors_of_block(int vectors, int held, const Machine &machine) {
    if (machine.lanes == 8 && vectors % 2 == 0 && held == 1) return {2, 1};
    if (machine.lanes == 16 && vectors > 1 && held < 5) return {2};
    return {1};
}

// The block that covers the tiles in the least time.
void TransposedTiles::choose_block(const Problem &p, const Machine &machine) {
    const int wide = tiles_wide(p, m), high = tiles_high(p, m), vectors = x86::ceil_div(p.co, x86::vector_lanes(p.co, machine));
    const bool shared = costs_of(machine).shared_by_vectors;
    const int spare = m == 4 && held == 1 ? 2 : 0;  // tiles' worth of registers for a window's additions
    int least = 1 << 30;
    for (int vecs : vectors_of_block(vectors, held, machine)) {
        const int window = held > 1 ? m / 2 : shared ? m / vecs : m;  // they, in multiply-adds of a tile
        for (int ns : {1, 2, 4})
            for (int ys : {1, 2, 4})
                for (int xs = 1; x86::fits_registers({held * vecs, xs * ys * ns + spare}, machine); ++xs) {
                    const int blocks = x86::ceil_div(wide, xs) * x86::ceil_div(high, ys) * x86::ceil_div(p.n, ns);
                    const int time = blocks * (xs * ys * ns + window);
                    if (ns <= p.n && (ns == 1 || wide * high < 8) && time < least)
                        least = time, co_vecs = vecs, txs = xs, tys = ys, images = ns;
                }
    }
}

// As many rows a band as leave two workers as much to do as each other; the spectrum of F(4,2)'s stays in the second cache.
int TransposedTiles::rows_of_band(const Problem &p, const Machine &machine) const {
    const int high = tiles_high(p, m), by_2 = weight_bytes(p) > 2 * machine.l2_bytes ? 4 : 2;
    const int by_4 = 800 * p.ci * tiles_wide(p, m) > 1 << 19 ? 1 : 2;
    int best = std::max<int>(tys, m == 4 ? by_4 : by_2);
    for (int r = best; r >= tys; --r)
        if (r % tys == 0 && x86::busier(r, high) < x86::busier(best, high)) best = r;
    return best;
}

// Taps that a block reads thrice come from the second cache, but from behind it as longer streams.
int TransposedTiles::parts_of(const Problem &p, const Machine &machine) const {
    const bool once = tiles_wide(p, m) * tiles_high(p, m) * p.n <= txs * tys * images;
    int count = std::max(1, p.ci / (once ? costs_of(machine).part : 64));
    while (p.ci % count) --count;
    return count;
}

// Takes the best knobs for m. The cycles that they take: multiply-adds, among them windows' transforms; spectrum and outputs.
double TransposedTiles::fit(const Problem &p, const Machine &machine, int outputs) {
    m = outputs, rows = 0, parts = 1;
    const Costs costs = costs_of(machine);
    const int wide = tiles_wide(p, m), high = tiles_high(p, m);
    // Few tiles share a window's additions: then a row's products do.
    held = wide * high * p.n >= (m == 2 ? costs.least_by_2 : costs.least_by_4) ? 1 : m + 1;
    choose_block(p, machine);
    if (wide * high >= (m == 2 ? 36 : 16)) rows = rows_of_band(p, machine);
    else if (m == 2 || held == 5) parts = parts_of(p, machine);
    const int block = txs * tys * images, all_rows = rows && p.n == 1 ? 2 * x86::busier(rows, high) : x86::ceil_div(high, tys) * tys;
    const double tiles = double(x86::ceil_div(p.n, images)) * images * x86::ceil_div(wide, txs) * txs * all_rows;
    const int sharing = costs.shared_by_vectors ? block * co_vecs : block;
    const double products = m == 2 ? costs.products_by_2 : 100 + (held == 1 ? 260.0 : 200.0) / sharing;
    const double sums = double(p.ci) * p.co, inputs = m == 2 ? 64 : 500, results = m == 2 ? 100 : 700;
    return both(tiles * products * sums / machine.lanes / 2, weight_cycles(p, machine)) +
           tiles * (inputs * p.ci + results * p.co) / machine.lanes;
}

void TransposedTiles::defaults(const Problem &p, const Machine &machine) {
    if (p.open()) return;
    const double by2 = fit(p, machine, 2), by4 = fit(p, machine, 4);
    if (by2 <= by4) fit(p, machine, 2);
    const double outputs = double(p.n) * hconv_transposed_oh(&p) * hconv_transposed_ow(&p);
    pays = std::min(by2, by4) < 0.95 * both(outputs * 4 * p.ci * p.co / machine.lanes / 2, weight_cycles(p, machine)) &&
           x86::even_lanes(p.ci, machine) >= 4 && p.co >= machine.lanes;
}

bool TransposedTiles::feasible(const Problem &p, const Machine &machine) const {
    return !p.open() && (m == 2 || m == 4) && (held == 1 || held == m + 1) && co_vecs >= 1 && txs >= 1 && tys >= 1 &&
           images >= 1 && rows >= 0 && images <= (rows ? 1 : p.n) && parts >= 1 && p.ci % parts == 0 && tasks >= 1 && rows % tys == 0 &&
           x86::fits_registers({held * co_vecs, txs * tys * images}, machine);
}

std::string TransposedTiles::layout(const hconv_tensor &t, const Problem &p, const Machine &machine) const {
    const int lanes = x86::vector_lanes(p.co, machine), block = lanes * co_vecs;
    // Each vector a stream of its own, where that fills all blocks.
    return x86::blocked_layout(t, p.co % block == 0 && costs_of(machine).streams ? lanes : block);
}

// Products are transformed along their row as they leave registers or, of four outputs, kept until the store to `to`.
void TransposedTiles::multiply(TransposedWinogradStages &s, const x86::ChannelBlocks &co, Func to, const Var &at) const {
    Var txo("txo"), tyo("tyo"), no("no");
    const bool kept = m == 4 && held == 1;
    Func sums = kept ? s.acc.in(s.half) : s.half;
    if (kept) {
        s.half.compute_at(to, at).bound_extent(s.co, co.lanes);
        s.half.update().reorder(s.co, s.i, s.rproduct.y, s.rproduct.x, s.j, s.px, s.py, s.tx, s.ty, s.n);
        s.half.update().vectorize(s.co, co.lanes).unroll(s.i).unroll(s.rproduct.y).unroll(s.rproduct.x).unroll(s.j);
    }
    s.half.vectorize(s.co, co.lanes).bound(s.px, 0, 2).bound(s.py, 0, 2).bound(s.j, 0, s.taps()).bound(s.i, 0, int(m));
    sums.compute_at(s.out, co.block).bound_extent(s.co, co.size());
    Stage blocks = kept ? Stage(sums) : sums.update();
    blocks.split(s.tx, txo, s.tx, int(txs), TailStrategy::RoundUp).split(s.ty, tyo, s.ty, int(tys), TailStrategy::RoundUp);
    blocks.split(s.n, no, s.n, int(images), TailStrategy::RoundUp);
    const RVar product = s.rproduct.y, summed = s.rproduct.x;
    if (kept) blocks.reorder({s.co, s.tx, s.ty, s.n, txo, tyo, no, s.i, s.j, s.part, s.px, s.py});
    else if (held == 1) blocks.reorder({s.co, s.i, s.tx, s.ty, s.n, txo, tyo, no, product, s.j, summed, s.px, s.py});
    else blocks.reorder({s.co, s.i, product, s.tx, s.ty, s.n, txo, tyo, no, s.j, summed, s.px, s.py});
    if (!kept) blocks.unroll(product);
    blocks.vectorize(s.co, co.lanes).unroll(s.co).unroll(s.i).unroll(s.tx).unroll(s.ty).unroll(s.n).unroll(s.j);

    s.acc.compute_at(sums, txo).bound_extent(s.co, co.size()).bound_extent(s.i, int(held));
    s.acc.update().reorder({s.co, s.tx, s.ty, s.n, s.i, s.r.x, s.px, s.py, s.j, s.part});
    for (Stage st : {Stage(s.acc), s.acc.update()})
        st.vectorize(s.co, co.lanes).unroll(s.co).unroll(s.tx).unroll(s.ty).unroll(s.n).unroll(s.i);
}

void TransposedTiles::transform(TransposedWinogradStages &s, const Problem &p, const Machine &machine, const Var &at) const {
    Var shift("shift");
    const int in_lanes = x86::even_lanes(p.ci, machine), points = s.points(), shifts = m == 2 ? 1 : s.shifts(p.pad_left);
    s.spectrum.compute_at(s.out, at).bound(s.kx, 0, points).bound(s.ky, 0, points).bound(s.ci, 0, p.ci);
    s.spectrum.split(s.u, s.u, shift, shifts).reorder(s.kx, shift, s.ky, s.ci, s.u, s.v, s.n).vectorize(s.ci, in_lanes);
    s.spectrum.unroll(s.kx).unroll(s.ky).unroll(shift);
    if (m == 4) s.rows.compute_at(s.spectrum, s.ci).bound(s.ky, 0, points).vectorize(s.ci, in_lanes).unroll(s.ix).unroll(s.ky);
    s.spectrum.reorder_storage(s.ci, s.kx, s.ky, s.u, s.v, s.n).align_storage(s.ci, p.ci + machine.lanes);
}

void TransposedTiles::apply(TransposedWinogradStages &s, const Problem &p, const Target &target) const {
    const Machine machine = Machine::of(target);
    const int in_lanes = x86::even_lanes(p.ci, machine), wide = s.wide();
    Var task("task"), chunk("chunk"), sx("sx"), sy("sy"), dx("dx"), dy("dy");
    const x86::ChannelBlocks co(x86::vector_lanes(p.co, machine), co_vecs);
    s.out.bound(s.co, 0, p.co).bound(s.x, 0, hconv_transposed_ow(&p)).bound(s.y, 0, hconv_transposed_oh(&p)).bound(s.n, 0, p.n);
    std::vector<VarOrRVar> order;  // of the loops of an image's block
    if (p.nchw()) {
        s.out.split(s.co, co.block, co.unrolled, co.size(), TailStrategy::GuardWithIf);
        s.out.vectorize(s.x, machine.lanes, TailStrategy::GuardWithIf).split(s.y, sy, dy, wide, TailStrategy::GuardWithIf);
        order = {s.x, co.unrolled, dy, sy};
    } else {
        x86::split_channels(s.out, s.co, co, p);
        s.out.split(s.x, sx, dx, wide, TailStrategy::GuardWithIf).split(s.y, sy, dy, wide, TailStrategy::GuardWithIf);
        s.out.vectorize(co.lane).unroll(dy);
        if (m == 2) s.out.unroll(dx);
        order = {co.lane, dx, dy, co.unrolled, sx, sy};
    }
    if (rows) {
        s.out.split(sy, task, sy, int(rows), TailStrategy::GuardWithIf);
        order.insert(order.end(), {co.block, task, s.n});
        s.out.reorder(order);
        x86::parallel_tasks(s.out, task, s.n, p.n);
    } else {  // images whose spectrum stays in the second cache; a block's weights serve their tiles at once
        const int blocks = x86::ceil_div(p.co, co.size()), past = m == 2, square = s.points() * s.points();
        const int map = 4 * square * p.ci * (2 * tiles_wide(p, m) + past) * (2 * tiles_high(p, m) + past);
        const int most = std::max(1, machine.l2_bytes / map / images) * images;
        s.out.split(s.n, chunk, s.n, std::min(most, int(p.n)), TailStrategy::GuardWithIf);
        s.out.split(co.block, task, co.block, x86::ceil_div(blocks, std::min(int(tasks), blocks)), TailStrategy::GuardWithIf);
        order.insert(order.end(), {s.n, co.block, chunk, task});
        s.out.reorder(order).parallel(task);
    }
    if (p.nchw()) {
        s.map.compute_at(s.out, co.block).bound_extent(s.co, co.size()).align_bounds(s.x, wide).align_bounds(s.y, wide);
        s.map.split(s.co, co.unrolled, co.lane, co.lanes).split(s.x, sx, dx, wide).split(s.y, sy, dy, wide);
        s.map.reorder({co.lane, dx, dy, co.unrolled, sx, sy, s.n}).vectorize(co.lane).unroll(dy);
        if (m == 2) s.map.unroll(dx);
        s.padded.compute_root().vectorize(s.ci, in_lanes).parallel(s.iy, 4, TailStrategy::GuardWithIf);
        multiply(s, co, s.map, co.unrolled);
    } else multiply(s, co, s.out, co.unrolled);
    transform(s, p, machine, rows ? task : chunk);
}

}  // namespace hconv

HCONV_SCHEDULE(hconv::TransposedWinogradStages, "x86", tiles, hconv::TransposedTiles)
