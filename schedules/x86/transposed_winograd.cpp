// transposed_winograd.cpp - transposed minimal filtering, lanes = channels: the tiles of a band of rows are transformed; then for
// a block of output channels, whose weights stay in the cache, each of the 64 products of all tiles is summed over
// the channels, in registers for ts tiles and the phases that read the same inputs (both phases of a column; of a row as well
// where registers allow), and the results are transformed back into a map of the block. Bands are tasks; tiles that lie across
// the border of two are computed in both. Of a small map (rows = 0) the blocks of channels are tasks instead.
// SPDX-License-Identifier: MIT
#include "generators/transposed_winograd.h"

#include "runtime/variants/transposed.h"
#include "schedules/schedule.h"
#include "schedules/x86/idioms.h"

namespace hconv {

using namespace Halide;

struct TransposedTiles : Schedule<TransposedWinogradStages> {
    Knob phases{this, "phases", 2, {1, 2, 4}};               // phases in the block
    Knob ts{this, "ts", 6, {2, 3, 4, 5, 6, 7, 9, 10, 12, 18, 25}};  // tiles in the block
    Knob rows{this, "rows", 0, {0, 3, 4, 5, 6, 8}};  // rows of tiles a band; 0: all
    Knob ci_u{this, "ci_u", 1, {1, 2, 4}};      // unroll of the channel sum

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

static int tiles_of(const Problem &p) {
    return TransposedWinogradStages::tiles(hconv_transposed_ow(&p), p.pad_left) *
           TransposedWinogradStages::tiles(hconv_transposed_oh(&p), p.pad_top);
}

// A map's products stay in the second cache; what is transformed costs six cycles a vector, what weights there are more of than
// the direct sum has comes at 14 bytes a cycle.
void TransposedTiles::defaults(const Problem &p, const Machine &m) {
    phases = m.lanes == 16 ? 4 : 2;
    ci_u = m.lanes == 16 && input_lanes(p, m) % 4 == 0 ? 4 : 1;
    if (p.open()) return;
    const double tiles = tiles_of(p), sums = double(p.ci) * p.co;
    const double direct = double(hconv_transposed_oh(&p)) * hconv_transposed_ow(&p) * 4 * sums / 2 / m.lanes;
    const double filtered = tiles * (64 * sums / 2 + 6 * (16.0 * p.ci + 64 * p.co)) / m.lanes + 4 * (64 - 16) * sums / 14 / p.n;
    pays = filtered < 0.9 * direct && tiles <= 160 && input_lanes(p, m) >= 4 && p.co >= m.lanes;
    ts = x86::even_parts(int(tiles), m.lanes == 4 ? 5 : 6);
    const int high = TransposedWinogradStages::tiles(hconv_transposed_oh(&p), p.pad_top);
    rows = tiles < 36 ? 0 : x86::ceil_div(high, 2);
}

bool TransposedTiles::feasible(const Problem &p, const Machine &m) const {
    return !p.open() && (phases == 1 || phases == 2 || phases == 4) && ts >= 1 && ci_u >= 1 && input_lanes(p, m) % ci_u == 0 && ts <= tiles_of(p) &&
           x86::fits_registers({phases, ts}, m);
}

std::string TransposedTiles::layout(const hconv_tensor &t, const Problem &p, const Machine &m) const {
    const std::string letters = t.letters, outputs = std::to_string(x86::vector_lanes(p.co, m)) + "o";
    if (letters == "o") return "O" + outputs;
    const std::string inputs = "I" + std::to_string(input_lanes(p, m)) + "i";
    return letters != "oihw" ? "" : "halves:O4h4w" + (phases == 4 ? inputs + "HW" : phases == 2 ? "H" + inputs + "W" : "HW" + inputs) + outputs;
}

void TransposedTiles::apply(TransposedWinogradStages &s, const Problem &p, const Target &target) const {
    const Machine machine = Machine::of(target);
    const int in_lanes = input_lanes(p, machine), wide = s.wide;
    std::vector<VarOrRVar> order;
    Var band("band"), sx("sx"), sy("sy"), dx("dx"), dy("dy"), to("to"), ti("ti");
    x86::ChannelBlocks co, part;
    co.lanes = x86::vector_lanes(p.co, machine), co.vectors = 1;
    s.out.bound(s.co, 0, p.co).bound(s.x, 0, hconv_transposed_ow(&p)).bound(s.y, 0, hconv_transposed_oh(&p)).bound(s.n, 0, p.n);
    if (p.nchw()) {
        s.out.split(s.co, co.block, co.unrolled, co.size(), TailStrategy::GuardWithIf);
        order = {s.x, co.unrolled, s.y};
        s.out.vectorize(s.x, machine.lanes, TailStrategy::GuardWithIf);
    } else {
        x86::split_channels(s.out, s.co, co, p);
        order = {co.lane, co.unrolled, s.x, s.y};
        s.out.vectorize(co.lane).unroll(co.unrolled);
    }
    if (rows) s.out.split(s.y, band, s.y, rows * wide, TailStrategy::GuardWithIf);
    for (const Var &outer : rows ? std::vector<Var>{co.block, band, s.n} : std::vector<Var>{s.n, co.block}) order.push_back(outer);
    s.out.reorder(order);
    if (rows) x86::parallel_tasks(s.out, band, s.n, p.n);
    else s.out.parallel(co.block);
    const Var work = rows ? co.block : s.n;

    s.map.compute_at(s.out, work).bound_extent(s.co, co.size()).align_bounds(s.x, wide).align_bounds(s.y, wide);
    s.map.split(s.co, part.unrolled, part.lane, co.lanes).split(s.x, sx, dx, wide).split(s.y, sy, dy, wide);
    s.map.reorder({part.lane, dx, dy, part.unrolled, sx, sy, s.n}).vectorize(part.lane).unroll(dx).unroll(dy);
    for (Func f : {s.half, s.result}) {
        f.compute_at(s.map, part.unrolled).bound_extent(s.co, co.lanes).vectorize(s.co, co.lanes);
        f.bound(s.j, 0, wide).bound(s.i, 0, f.name() == s.half.name() ? s.taps : wide).unroll(s.i).unroll(s.j);
    }
    s.half.bound(s.fx, 0, 2).unroll(s.fx).reorder(s.co, s.j, s.i, s.fx, s.tx, s.ty, s.n);
    s.result.reorder(s.co, s.i, s.j, s.tx, s.ty, s.n);

    Func products = s.acc.in(s.half);
    products.compute_at(s.out, work).bound_extent(s.co, co.lanes).bound(s.i, 0, s.taps).bound(s.j, 0, s.taps);
    products.bound(s.fx, 0, 2).bound(s.fy, 0, 2).split(s.t, to, ti, int(ts), TailStrategy::ShiftInwards);
    if (phases == 4) products.reorder(s.co, s.fx, s.fy, ti, to, s.i, s.j).unroll(s.fy);
    else if (phases == 2) products.reorder(s.co, s.fx, ti, to, s.fy, s.i, s.j);
    else products.reorder(s.co, ti, to, s.fx, s.fy, s.i, s.j);
    if (phases > 1) products.unroll(s.fx);
    products.vectorize(s.co, co.lanes).unroll(ti).never_partition_all();
    s.acc.compute_at(products, to).bound_extent(s.co, co.lanes);
    s.acc.update().reorder({s.co, s.fx, s.fy, s.t, s.r.x, s.r.y, s.i, s.j});
    for (Stage st : {Stage(s.acc), s.acc.update()}) st.unroll(s.t).unroll(s.fx).unroll(s.fy).vectorize(s.co, co.lanes);
    if (ci_u > 1) s.acc.update().unroll(s.r.x, int(ci_u));

    s.spectrum.bound(s.i, 0, s.taps).bound(s.j, 0, s.taps).bound(s.c, 0, in_lanes).bound(s.cb, 0, p.ci / in_lanes);
    s.spectrum.reorder(s.c, s.i, s.j, s.cb, s.t).reorder_storage(s.c, s.t, s.cb, s.i, s.j);
    s.spectrum.vectorize(s.c).unroll(s.i).unroll(s.j);
    if (rows) s.spectrum.compute_at(s.out, band);
    else s.spectrum.compute_root().parallel(s.t, 4, TailStrategy::GuardWithIf);
    s.rows.compute_at(s.spectrum, s.cb).bound(s.j, 0, s.taps).reorder(s.c, s.j, s.q, s.t, s.cb);
    s.rows.vectorize(s.c, in_lanes).unroll(s.q).unroll(s.j);
    if (p.nchw()) s.padded.compute_root().vectorize(s.ci, in_lanes).parallel(s.iy, 4, TailStrategy::GuardWithIf);
}

}  // namespace hconv

HCONV_SCHEDULE(hconv::TransposedWinogradStages, "x86", tiles, hconv::TransposedTiles)
