// winograd.cpp - minimal filtering, lanes = channels: the tiles of a band of rows are transformed, then for each block of
// outputs and each of the (m + 2)^2 products a block of co_vecs vectors x ts tiles stays in registers for the sum over the
// channels, and the block's results are transformed back and written. Either all weights pass by once a band, or (weights = 1)
// once a map, whose spectrum is a band's; each of `parts` tasks makes it for itself, which costs less than to fetch it from
// another core. Where a band's spectrum is larger than the second cache, `blocks` blocks of outputs share a product's part of it.
// With groups, `blocks` are a group's, whose spectrum is made for them.
// SPDX-License-Identifier: MIT
#include "generators/winograd.h"

#include "schedules/schedule.h"
#include "schedules/x86/idioms.h"

namespace hconv {

using namespace Halide;

struct WinogradTiles : Schedule<WinogradStages> {
    Knob m{this, "m", 4, {2, 4}};                                   // outputs of a tile, an axis
    Knob co_vecs{this, "co_vecs", 2, {1, 2, 3, 4}};                 // vectors of output channels in the block
    Knob ts{this, "ts", 14, {4, 6, 7, 8, 10, 12, 14, 16}};          // tiles in the block
    Knob ci_u{this, "ci_u", 4, {1, 2, 4}};                          // unroll of the channel sum
    Knob rows{this, "rows", 1, {1, 2, 3, 4, 7, 8}};                 // rows of tiles (times the dilation) a band
    Knob images{this, "images", 1, {1, 2, 4, 8}};                   // images a block's weights are used for at once
    Knob weights{this, "weights", 0, {0, 1}};                       // 1: a band is the map, tasks are blocks of outputs
    Knob blocks{this, "blocks", 1, {1, 2, 4, 8, 16}};               // blocks of outputs that a product is summed for at once
    Knob parts{this, "parts", 1, {1, 2, 4}};                        // then: tasks; 1 = each block of outputs

    void defaults(const Problem &, const Machine &) override;
    bool feasible(const Problem &, const Machine &) const override;
    int preference(const Problem &) const override { return pays ? 10 : -1; }
    std::string layout(const hconv_tensor &, const Problem &, const Machine &) const override;
    void apply(WinogradStages &, const Problem &, const Target &) const override;

private:
    bool pays = false;
    void multiply(WinogradStages &, Func products, const Expr &tiles, int lanes) const;
    void transform(WinogradStages &, const Problem &, int lanes) const;
    void transform_back(WinogradStages &, Func to, const Var &at, int lanes, bool interleaved) const;
};

// Input channels, of a group, in blocks of whole vectors.
static int input_lanes(const Problem &p, const Machine &m) { return x86::even_lanes(p.ci / p.groups, m); }

// Tiles of an image; an open size stands for 56.
struct Tiles {
    Tiles(const Problem &p, int m)
        : columns(count(x86::size_or(p.ow(), 56), m, p.dilation_w)), rows(count(x86::size_or(p.oh(), 56), m, p.dilation_h)),
          bands(x86::ceil_div(rows, p.dilation_h)), high(p.dilation_h) {}
    int columns, rows, bands, high;  // bands of `high` rows of tiles
    static int count(int size, int m, int apart) { return int(*Internal::as_const_int(TileGrid::count(size, m, apart))); }
    int all() const { return columns * rows; }
    bool few() const { return all() <= 128; }  // one pass over the weights serves the map
};

constexpr int big_weights = 4 << 20, big_spectrum = 1 << 20;  // more than stays in the second cache

// Cycles that the map takes: two multiply-adds a cycle; six for a vector that is transformed, eleven where a group's sums are
// short; what the second cache does not hold comes at 14 bytes a cycle, and at 3 where the third, of which CPUs of AVX2 alone have
// less, does not hold it either: the weights once a map, if it is small, or once a band, and a large spectrum once every 128 outputs.
static double cycles(const Problem &p, const Machine &machine, int m) {
    const Tiles map(p, m);
    const double all = map.all(), images = std::max(p.n, 1), ci = p.ci, co = p.co, taps = (m + 2) * (m + 2);
    const double sums = ci * co / p.groups, weights = 4 * taps * sums, spectrum = 4 * taps * all * images * ci;
    const double passes = map.few() ? 1 : all * images / (weights > big_weights ? 98 : 28);
    const bool far = p.groups == 1 && spectrum > big_spectrum && (map.few() || weights > big_weights);
    const double again = far ? spectrum * co / 128 : 0;
    const int third = (machine.lanes == 8 ? 16 : 24) << 20;
    const double streamed = weights < 1 << 20 ? 0 : weights * passes / (weights < third ? 14 : 3) + again / 14;
    return all * images * taps * (sums / 2 + (p.groups == 1 ? 6 : 11) * (ci + co)) / machine.lanes + streamed;
}

// Pairs of an output and a tap that is inside the map, along an axis: direct convolution leaves out the others.
static int pairs(int out, int in, int before, int dilation) {
    if (out == HCONV_OPEN) return 3 * 56;
    int inside = 0;
    for (int x = 0; x < out; ++x)
        for (int k = -before; k <= 2 * dilation - before; k += dilation) inside += x + k >= 0 && x + k < in;
    return inside;
}
static double direct_cycles(const Problem &p, const Machine &machine) {
    const bool same = p.same == HCONV_PAD_TFSAME;
    const double products = double(pairs(p.ow(), p.w, same ? p.dilation_w : p.pad_left, p.dilation_w)) *
                            pairs(p.oh(), p.h, same ? p.dilation_h : p.pad_top, p.dilation_h) * std::max(p.n, 1);
    return (products / 1.75 / machine.lanes + 3.6) * p.ci * p.co / p.groups;
}

void WinogradTiles::defaults(const Problem &p, const Machine &machine) {
    const double by4 = cycles(p, machine, 4), by2 = cycles(p, machine, 2);
    m = by4 <= by2 ? 4 : 2;
    pays = std::min(by4, by2) < 0.9 * direct_cycles(p, machine) && input_lanes(p, machine) >= 4;
    const Tiles map(p, m);
    const double products = 4.0 * (m + 2) * (m + 2) * p.ci / p.groups;  // bytes of a tile's, of an output's weights
    const int some = machine.lanes == 8 ? 28 : 14;  // tiles of two or three blocks at least
    const int least = products * p.co <= big_weights ? some : p.open() ? 28 : 98;
    rows = x86::even_parts(map.bands, x86::ceil_div(least, map.columns * map.high));
    weights = !p.open() && (map.few() || (p.n == 1 && rows == map.bands));
    if (weights) rows = map.bands;
    images = weights && p.groups == 1 ? std::clamp(128 / map.all(), 1, int(p.n)) : 1;
    parts = weights && p.co >= 128 ? 2 : 1;
    const int lanes = x86::vector_lanes(p.co, machine), vectors = x86::ceil_div(p.co / p.groups, lanes);
    const int tiles = std::min(rows * map.high, map.rows) * map.columns * images;
    // Few tiles are one block, so that weights, which come from afar, are read once; but no block is of few sums. A spectrum
    // that comes from afar is read once a block of outputs: of two vectors, where one is narrow. In sixteen registers two vectors and
    // six tiles load less often than they multiply, one vector and fourteen do not.
    const bool wide = machine.lanes == 16 ? tiles > 16 || tiles < 10 || p.ci <= 128 : machine.lanes == 8;
    co_vecs = wide && vectors > 1 && (p.groups == 1 || vectors % 2 == 0) ? 2 : 1;
    ts = x86::even_parts(tiles, machine.lanes == 16 ? (wide ? 14 : 16) : machine.lanes == 8 ? (co_vecs == 2 ? 6 : 14) : 12);
    const int outputs = machine.lanes == 8 && !weights ? 256 : 128;  // for which a large spectrum is read once
    blocks = products * tiles > big_spectrum ? std::max(outputs / (co_vecs * lanes), 1) : 1;
    while (x86::ceil_div(vectors, co_vecs) % (blocks * parts) && blocks > 1) blocks = blocks / 2;
    if (p.groups > 1) blocks = std::max(vectors / co_vecs, 1);
    ci_u = machine.lanes == 16 ? 4 : 1;
    while (input_lanes(p, machine) % ci_u) ci_u = ci_u / 2;
}

bool WinogradTiles::feasible(const Problem &p, const Machine &machine) const {
    if (p.groups > 1 && blocks * co_vecs * machine.lanes * p.groups != p.co) return false;  // a group at a time
    if (weights && (p.open() || rows < Tiles(p, m).bands)) return false;
    return (m == 2 || m == 4) && co_vecs >= 1 && ts >= 1 && rows >= 1 && ci_u >= 1 && images >= 1 && weights <= 1 && parts >= 1 &&
           blocks >= 1 && x86::ceil_div(p.co, co_vecs * x86::vector_lanes(p.co, machine)) % blocks == 0 &&
           input_lanes(p, machine) % ci_u == 0 && x86::fits_registers({co_vecs, ts}, machine);
}

// Each vector of outputs has its weights apart, so that those of a block come as several streams, each of which is fetched
// ahead: one alone would come too late.
std::string WinogradTiles::layout(const hconv_tensor &t, const Problem &p, const Machine &machine) const {
    const int lanes = x86::vector_lanes(p.co, machine);
    const bool whole = x86::ceil_div(p.co, lanes) % co_vecs == 0;
    const std::string letters = t.letters, outputs = std::to_string(whole ? lanes : lanes * co_vecs) + "o";
    if (letters == "o") return "O" + outputs;
    return letters == "oihw" ? "wino" + std::to_string(m) + ":OhwI" + std::to_string(input_lanes(p, machine)) + "i" + outputs : "";
}

// products(co, t, i, j) of some blocks of outputs: their weights pass by once for all tiles of the band, and the spectrum of a
// block of tiles stays in the first cache for them. Where the number of tiles is open, their block is the smallest that
// covers them in as few blocks as the widest.
void WinogradTiles::multiply(WinogradStages &s, Func products, const Expr &tiles, int lanes) const {
    Var kb("kb"), to("to"), ti("ti"), unrolled("pu"), lane("pl");
    products.bound(s.i, 0, m + 2).bound(s.j, 0, m + 2);
    auto block = [&](Stage st, int width) {
        st.split(s.co, kb, unrolled, lanes * co_vecs).split(unrolled, unrolled, lane, lanes);
        st.split(s.t, to, ti, width, TailStrategy::ShiftInwards);
        st.reorder({lane, unrolled, ti, kb, to, s.i, s.j}).vectorize(lane).unroll(unrolled).unroll(ti).never_partition_all();
    };
    if (tiles.defined()) {
        const Expr blocks = (tiles + int(ts) - 1) / int(ts), even = (tiles + blocks - 1) / blocks;
        for (int width : {1, 4, 7, 10})
            if (width < ts) block(products.specialize(even <= width), width);
    }
    block(Stage(products), ts);
    s.acc.compute_at(products, kb).reorder_storage(s.co, s.t);
    s.acc.update().reorder({s.co, s.t, s.r.x, s.r.y, s.i, s.j});
    for (Stage st : {Stage(s.acc), s.acc.update()}) st.unroll(s.t).vectorize(s.co, lanes).unroll(s.co);
    if (ci_u > 1) s.acc.update().unroll(s.r.x, int(ci_u));
}

// The tiles of a band one behind the other: their spectrum, in registers from the rows to the columns.
void WinogradTiles::transform(WinogradStages &s, const Problem &p, int lanes) const {
    const int taps = m + 2;
    s.spectrum.bound(s.i, 0, taps).bound(s.j, 0, taps).bound(s.c, 0, lanes);
    if (p.groups == 1) s.spectrum.bound(s.cb, 0, p.ci / lanes);
    s.spectrum.reorder(s.c, s.i, s.j, s.cb, s.t).reorder_storage(s.c, s.cb, s.t, s.i, s.j);
    s.spectrum.align_storage(s.cb, p.ci / p.groups / lanes + 1);  // tiles a power of two apart would share few sets of the cache
    s.spectrum.vectorize(s.c).unroll(s.i).unroll(s.j);
    s.rows.compute_at(s.spectrum, s.cb).bound(s.j, 0, taps).reorder(s.c, s.j, s.q, s.t, s.cb);
    s.rows.vectorize(s.c, lanes).unroll(s.q).unroll(s.j);
}

// Results of a tile, or of the interleaved tiles of a dilated window, one vector of outputs at a time.
void WinogradTiles::transform_back(WinogradStages &s, Func to, const Var &at, int lanes, bool interleaved) const {
    s.half.bound(s.i, 0, m + 2).bound(s.j, 0, int(m)).reorder(s.co, s.j, s.i, s.tx, s.ty, s.n);
    s.result.bound(s.i, 0, int(m)).bound(s.j, 0, int(m)).reorder(s.co, s.i, s.j, s.tx, s.ty, s.n);
    for (Func f : {s.half, s.result})
        f.compute_at(to, at).bound_extent(s.co, lanes).vectorize(s.co, lanes).unroll(s.i).unroll(s.j);
    if (interleaved) s.half.compute_at(s.result, s.tx);
}

void WinogradTiles::apply(WinogradStages &s, const Problem &p, const Target &target) const {
    const Machine machine = Machine::of(target);
    const int wide = m * p.dilation_w, high = m * p.dilation_h;
    const int works = x86::ceil_div(p.co, blocks * co_vecs * x86::vector_lanes(p.co, machine));
    Var part("part"), chunk("chunk"), group("group"), band("band"), sx("sx"), sy("sy"), dx("dx"), dy("dy");
    const x86::ChannelBlocks co(x86::vector_lanes(p.co, machine), co_vecs);
    auto tiles = [&](Func f) {
        f.split(s.x, sx, dx, wide, TailStrategy::GuardWithIf).split(s.y, sy, dy, high, TailStrategy::GuardWithIf);
        if (p.dilation_w == 1) f.unroll(dx);
        if (p.dilation_h == 1) f.unroll(dy);
    };
    std::vector<VarOrRVar> order;
    x86::bound_known_sizes(s.out, s.co, s.x, s.y, s.n, p);
    if (p.nchw()) {
        s.out.split(s.co, chunk, co.unrolled, blocks * co.size(), TailStrategy::GuardWithIf);
        s.out.split(s.y, band, dy, rows * high, TailStrategy::GuardWithIf);
        s.out.vectorize(s.x, machine.lanes, TailStrategy::GuardWithIf);
        order = {s.x, co.unrolled, dy};
    } else {
        x86::split_channels(s.out, s.co, co, p);
        s.out.split(co.block, chunk, co.block, int(blocks), TailStrategy::RoundUp);
        tiles(s.out);
        s.out.split(sy, band, sy, int(rows), TailStrategy::GuardWithIf);
        s.out.vectorize(co.lane);
        order = {co.lane, dx, dy, co.unrolled, co.block, sx, sy};
    }
    if (weights) s.out.split(s.n, group, s.n, int(images), TailStrategy::GuardWithIf);
    for (const Var &outer : weights ? std::vector<Var>{band, s.n, group, chunk} : std::vector<Var>{chunk, band, s.n})
        order.push_back(outer);
    s.out.reorder(order);
    if (weights && parts > 1)
        s.out.split(chunk, part, chunk, x86::ceil_div(works, parts), TailStrategy::GuardWithIf).parallel(part);
    else if (weights) s.out.parallel(chunk);
    else x86::parallel_tasks(s.out, band, s.n, p.n);
    const Var work = weights ? group : chunk;
    Func products = s.acc.in(s.half);
    products.compute_at(s.out, work).bound_extent(s.co, blocks * co.size());
    s.acc.bound_extent(s.co, co.size());
    const Expr columns = TileGrid::count(s.out.output_buffer().dim(1).extent(), m, p.dilation_w);
    multiply(s, products, p.ow() == HCONV_OPEN ? columns * (rows * p.dilation_h) : Expr(), co.lanes);

    if (p.nchw()) {
        tiles(s.map);
        s.map.compute_at(s.out, work).bound_extent(s.co, blocks * co.size()).split(s.co, co.unrolled, co.lane, co.lanes);
        s.map.reorder({co.lane, dx, dy, co.unrolled, sx, sy, s.n}).vectorize(co.lane);
    }
    transform_back(s, p.nchw() ? s.map : s.out, co.unrolled, co.lanes, p.dilation_w * p.dilation_h > 1);

    transform(s, p, input_lanes(p, machine));
    if (p.groups > 1) s.spectrum.compute_at(s.out, work);
    else if (weights && parts > 1) s.spectrum.compute_at(s.out, part);
    else if (weights) s.spectrum.compute_root().parallel(s.t, 4, TailStrategy::GuardWithIf);
    else s.spectrum.compute_at(s.out, band);
    if (p.nchw() && (weights || p.n != 1)) s.padded.compute_root().vectorize(s.ci, input_lanes(p, machine)).parallel(s.iy, 4, TailStrategy::GuardWithIf);
    else if (p.nchw()) s.padded.compute_at(s.out, band).vectorize(s.ci, input_lanes(p, machine));
}

}  // namespace hconv

HCONV_SCHEDULE(hconv::WinogradStages, "x86", tiles, hconv::WinogradTiles)
