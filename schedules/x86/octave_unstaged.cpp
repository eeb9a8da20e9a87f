// octave_unstaged.cpp - octave convolution that reads its maps where they lie: as in unstaged.cpp, taps of rows outside a
// map are left out by a test outside the channel loop, taps of columns by constants. All paths to a map are summed in its
// block of vectors x columns x rows; what the low map adds to the high one is computed at its own resolution, in the task
// that reads it. A task is some rows of one block of channels. Pooled maps come before the tasks.
// SPDX-License-Identifier: MIT
#include "generators/octave.h"

#include "schedules/schedule.h"
#include "schedules/x86/idioms.h"
#include "schedules/x86/map_tile.h"
#include "schedules/x86/octave_maps.h"

namespace hconv {

using namespace Halide;

namespace {

struct UnstagedMaps : Schedule<OctaveStages> {
    Knob co_vecs{this, "co_vecs", 2, {1, 2, 3, 4}};                // vectors of high channels in the block
    Knob xs{this, "xs", 6, {1, 2, 3, 4, 5, 6, 7, 8, 10, 12, 14}};  // high columns in the block
    Knob ys{this, "ys", 1, {1, 2, 3, 4}};                          // high rows in the block
    Knob ci_u{this, "ci_u", 1, {1, 2, 4}};                         // unroll of the channel sum
    Knob rows{this, "rows", 4, {2, 4, 8, 14, 16}};                 // high rows a task
    Knob low_co_vecs{this, "low_co_vecs", 2, {1, 2, 3, 4}};        // the same of the low map
    Knob low_xs{this, "low_xs", 6, {1, 2, 3, 4, 5, 6, 7, 8, 10, 12, 14}};
    Knob low_ys{this, "low_ys", 1, {1, 2, 3, 4}};
    Knob low_ci_u{this, "low_ci_u", 1, {1, 2, 4}};
    Knob low_rows{this, "low_rows", 4, {1, 2, 4, 7, 8, 14, 16}};

    void defaults(const Problem &, const Machine &) override;
    bool feasible(const Problem &, const Machine &) const override;
    // Few input channels: a tap's loop is short, and one over all taps of a staged input is better.
    int preference(const Problem &p) const override { return least_inputs(p) >= 8 ? 3 : 0; }
    std::string layout(const hconv_tensor &, const Problem &, const Machine &) const override;
    void formulate(OctaveStages &s) const override { s.rows_left_out = true; }
    void apply(OctaveStages &, const Problem &, const Target &) const override;

private:
    static int least_inputs(const Problem &p);
};

int UnstagedMaps::least_inputs(const Problem &p) {
    const hconv_octave o = hconv_octave_of(&p);
    int least = p.ci;
    for (const hconv_octave_path &q : o.path)
        if (q.exists) least = std::min(least, q.ci);
    return least;
}

// How one map is computed.
struct Map {
    Problem conv;
    x86::MapTile tile;
    int ci_u, rows;
    x86::ChannelBlocks co;
    Map(const Problem &conv, const Machine &m, int vectors, int xs, int ys, int ci_u, int rows)
        : conv(conv), tile{vectors, xs, ys}, ci_u(ci_u), rows(rows), co(x86::vector_lanes(conv.co, m), vectors) {}
};

// Rows in as many steps as two workers share evenly, up to 16.
int even_rows(int oh, int step) {
    int best = step;
    for (int rows = step; rows <= std::min(oh, 16); rows += step)
        if (x86::busier(rows, oh) <= x86::busier(best, oh)) best = rows;
    return best;
}

void set_tile(const Problem &conv, const Machine &m, Knob &vectors, Knob &xs, Knob &ys, Knob &ci_u, Knob &rows, int step) {
    if (!conv.co) return;
    const int available = x86::ceil_div(conv.co, x86::vector_lanes(conv.co, m));
    auto evenly = [&](int v) { return x86::ceil_div(available, v) % 2 == 0 || 6 * v < available; };
    const int most = x86::most_rows(conv);
    const bool unrolled_rows = most > 1 && available > 1;
    auto may = [&](int v) { return !unrolled_rows || evenly(v); };
    const x86::MapTile tile = x86::best_map_tile(conv, available, 1, most, m, may, true);
    vectors = tile.vectors, xs = tile.xs, ys = unrolled_rows ? tile.ys : 1;
    const bool heavy = x86::weights_outweigh(conv, m), whole = unrolled_rows || (heavy && evenly(vectors));
    rows = whole ? conv.oh() : conv.kh * conv.kw == 1 && !heavy ? 2 : even_rows(conv.oh(), step);
    const bool in_turn = x86::takes_taps_in_turn({vectors, xs * ys}, conv, m);
    ci_u = m.lanes == 16 || (m.lanes == 8 && vectors > 1 && !in_turn) ? 4 : 1;
}

void UnstagedMaps::defaults(const Problem &p, const Machine &m) {
    if (p.open()) return;
    set_tile(high_conv(p), m, co_vecs, xs, ys, ci_u, rows, 2);  // two rows to a low one
    set_tile(low_conv(p), m, low_co_vecs, low_xs, low_ys, low_ci_u, low_rows, 1);
    while (least_inputs(p) % ci_u) ci_u = ci_u / 2;
    while (least_inputs(p) % low_ci_u) low_ci_u = low_ci_u / 2;
}

bool UnstagedMaps::feasible(const Problem &p, const Machine &m) const {
    if (p.open() || p.nchw()) return false;
    const hconv_octave o = hconv_octave_of(&p);
    for (int i = 0; i < 4; ++i) {
        const int unroll = i == HCONV_HH || i == HCONV_LH ? ci_u : low_ci_u;
        if (o.path[i].exists && (o.path[i].groups > 1 || unroll < 1 || o.path[i].ci % unroll)) return false;
    }
    auto fits = [&](const Problem &conv, int vectors, int xs, int ys, int rows) {
        return vectors >= 1 && xs >= 1 && ys >= 1 && rows >= 1 && xs <= conv.ow() && ys <= conv.oh() &&
               (ys == 1 || (conv.oh() <= rows && conv.oh() <= 8 * ys)) &&
               x86::row_is_short(conv, vectors, xs) && x86::fits_either_way({vectors, xs * ys}, m);
    };
    return (!o.co_h || fits(high_conv(p), co_vecs, xs, ys, rows)) &&
           (!o.co_l || fits(low_conv(p), low_co_vecs, low_xs, low_ys, low_rows));
}

std::string UnstagedMaps::layout(const hconv_tensor &t, const Problem &p, const Machine &m) const {
    return octave_layout(t, x86::vector_lanes(high_conv(p).co, m) * co_vecs, x86::vector_lanes(low_conv(p).co, m) * low_co_vecs);
}

// Tiles of `out`, whose place in the map is known, and their sums in registers.
void sum_tiles(const OctaveStages &s, const OctaveSum &sum, Func out, const Map &map, const Var &xi, const Var &xo, const Var &yi,
               const Var &yo, const Machine &m) {
    const x86::ChannelBlocks &co = map.co;
    out.never_partition_all().vectorize(co.lane).unroll(co.unrolled).unroll(xi).unroll(yi).unroll(xo);
    if (map.tile.ys > 1) out.unroll(yo);
    Func acc = sum.acc;
    acc.compute_at(out, xo).bound_extent(s.c, co.size()).vectorize(s.c, co.lanes).unroll(s.c).unroll(s.x).unroll(s.y);
    for (size_t i = 0; i < sum.paths.size(); ++i) {
        const RDom &r = s.path[sum.paths[i]].r;
        Stage st = acc.update(int(i));
        st.reorder({s.c, s.x, s.y, r.x, r.y, r.z}).vectorize(s.c, co.lanes).unroll(s.c).unroll(s.x).unroll(s.y).unroll(r.y);
        x86::order_sum(st, {s.c, s.x, s.y, r.x, r.y}, {co.vectors, map.tile.xs * map.tile.ys}, map.conv, m);
        if (map.ci_u > 1) st.unroll(r.x, map.ci_u);
        if (map.tile.ys > 1) st.unroll(r.z);
    }
}

// Halved maps, all before the tasks.
void pool(const OctaveStages &s, const OctaveSum &sum, const Problem &p, const Machine &m) {
    for (int i : sum.paths) {
        if (s.path[i].pooled.empty()) continue;
        const int ci = hconv_octave_of(&p).path[i].ci, lanes = x86::vector_lanes(ci, m);
        Func pooled = s.path[i].pooled.back();
        pooled.compute_root().vectorize(s.c, lanes, ci >= lanes ? TailStrategy::ShiftInwards : TailStrategy::GuardWithIf);
        x86::parallel_tasks(pooled, s.y, s.n, p.n);
    }
}

void schedule_map(const OctaveStages &s, const OctaveSum &sum, Func out, const Map &map, const Var &task, const Machine &m) {
    Var xo("xo"), xi("xi"), yo("yo"), yi("yi");
    const int oh = map.conv.oh(), ow = map.conv.ow(), ys = map.tile.ys, xs = map.tile.xs, tiles = x86::ceil_div(oh, ys);
    const x86::ChannelBlocks &co = map.co;
    x86::bound_known_sizes(out, s.c, s.x, s.y, s.n, map.conv);
    out.split(s.y, yo, yi, ys, oh % ys ? TailStrategy::GuardWithIf : TailStrategy::RoundUp);
    out.split(s.x, xo, xi, xs, ow % xs ? TailStrategy::GuardWithIf : TailStrategy::RoundUp);
    x86::split_channels(out, s.c, co, map.conv);
    x86::split_rows(out, yo, task, yo, x86::ceil_div(map.rows, ys), tiles);
    std::vector<VarOrRVar> order{co.lane, co.unrolled, xi, yi, xo, yo};
    if (x86::weights_outweigh(map.conv, m)) {
        order.insert(order.end(), {task, s.n, co.block});
        out.reorder(order).fuse(task, s.n, task).fuse(task, co.block, task).parallel(task);
    } else {
        order.insert(order.end(), {co.block, task, s.n});
        out.reorder(order).fuse(co.block, task, task);
        x86::parallel_tasks(out, task, s.n, map.conv.n);
    }
    sum_tiles(s, sum, out, map, xi, xo, yi, yo, m);
}

// up: the rows under a task's; whole: all of the map's.
void schedule_up(const OctaveStages &s, const Var &task, Map map, bool whole, const Machine &m) {
    Var xo("uxo"), xi("uxi"), yo("uyo"), yi("uyi");
    Func up = Func(s.up.acc).in();
    up.compute_at(s.high, task).bound_extent(s.c, map.co.size()).bound(s.x, 0, map.conv.ow());
    if (whole) up.bound(s.y, 0, map.conv.oh());
    up.split(s.c, map.co.unrolled, map.co.lane, map.co.lanes).split(s.y, yo, yi, map.tile.ys, TailStrategy::GuardWithIf);
    up.split(s.x, xo, xi, map.tile.xs, map.conv.ow() % map.tile.xs ? TailStrategy::GuardWithIf : TailStrategy::RoundUp);
    up.reorder({map.co.lane, map.co.unrolled, xi, yi, xo, yo, s.n});
    sum_tiles(s, s.up, up, map, xi, xo, yi, yo, m);
}

void UnstagedMaps::apply(OctaveStages &s, const Problem &p, const Target &t) const {
    const Machine m = Machine::of(t);
    Var task("task");
    if (s.high.defined()) {
        const Map map(high_conv(p), m, co_vecs, xs, ys, ci_u, rows);
        schedule_map(s, s.high_sum, s.high, map, task, m);
        if (!s.up.paths.empty()) {
            const hconv_octave_path q = hconv_octave_of(&p).path[HCONV_LH];
            const Problem conv = as_conv(p, {HCONV_LH}, q.co, q.oh, q.ow);
            auto may = [&](int v) { return v == co_vecs; };
            const x86::MapTile tile = x86::best_map_tile(conv, co_vecs, 1, x86::most_rows(conv), m, may, true);
            const bool whole = map.conv.oh() <= rows;
            schedule_up(s, task, Map(conv, m, co_vecs, tile.xs, whole ? tile.ys : 1, ci_u, rows), whole, m);
        }
    }
    if (s.low.defined())
        schedule_map(s, s.low_sum, s.low, Map(low_conv(p), m, low_co_vecs, low_xs, low_ys, low_ci_u, low_rows), task, m);
    for (const OctaveSum *sum : {&s.high_sum, &s.up, &s.low_sum}) pool(s, *sum, p, m);
}

}  // namespace

}  // namespace hconv

HCONV_SCHEDULE(hconv::OctaveStages, "x86", unstaged, hconv::UnstagedMaps)
