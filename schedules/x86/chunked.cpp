// chunked.cpp - direct convolution of so many input channels that the weights of a block of outputs do not stay in the second
// cache: a task is a block of outputs; `chunk` channels are summed for all its pixels, then the next ones, and the sums wait in
// memory meanwhile. The input is read where it lies, as in unstaged.cpp.
// SPDX-License-Identifier: MIT
#include "generators/conv2d.h"

#include "schedules/schedule.h"
#include "schedules/x86/idioms.h"
#include "schedules/x86/map_tile.h"
#include "schedules/x86/planes.h"

namespace hconv {

using namespace Halide;

struct Chunked : Schedule<Conv2dStages> {
    Knob co_vecs{this, "co_vecs", 2, {1, 2, 3, 4}};                // vectors of output channels in the block
    Knob xs{this, "xs", 6, {1, 2, 3, 4, 5, 6, 7, 8, 10, 12, 14}};  // output columns in the block
    Knob chunk{this, "chunk", 256, {128, 256, 512}};               // input channels summed at a time
    Knob ci_u{this, "ci_u", 1, {1, 2, 4}};                         // unroll of their sum
    Knob rows{this, "rows", 16, {8, 16, 32}};                      // output rows whose sums wait
    Knob spread{this, "spread", 0, {0, 1}};                        // copy the input as pixels a little farther apart

    void defaults(const Problem &, const Machine &) override;
    bool feasible(const Problem &, const Machine &) const override;
    int preference(const Problem &) const override { return pays ? 4 : -1; }
    std::string layout(const hconv_tensor &, const Problem &, const Machine &) const override;
    void formulate(Conv2dStages &s) const override { s.rows_left_out = true; }
    void apply(Conv2dStages &, const Problem &, const Target &) const override;

private:
    bool pays = false;
};

// As many channels as the least second cache holds the weights of; most caches hold twice that.
static int near_channels(const Problem &p, int64_t channel, const Machine &m) {
    int parts = 1;
    while (p.ci % parts || (p.ci / parts * channel > m.l2_bytes && parts < p.ci)) ++parts;
    return p.ci / parts;
}

void Chunked::defaults(const Problem &p, const Machine &m) {
    if (p.open()) return;
    const int vectors = x86::ceil_div(p.co, x86::vector_lanes(p.co, m));
    auto may = [&](int v) { return vectors % v == 0; };
    const x86::MapTile tile = x86::best_map_tile(p, vectors, 1, m.lanes == 8 ? 1 : x86::most_rows(p), m, may, true);
    co_vecs = tile.vectors, xs = tile.xs;
    rows = x86::even_parts(p.oh(), x86::ceil_div(1200, p.ow()));
    // A step's pixels lie in one set of the first cache, which does not hold them; planes lie pages apart.
    spread = p.nchw() || (x86::fill_a_set(p) && xs >= 12);
    const int64_t channel = int64_t(4) * p.kh * p.kw * co_vecs * m.lanes, weights = p.ci * channel;
    if (m.lanes != 8) {
        ci_u = m.lanes == 16 ? 2 : 1;
        pays = weights > 2 << 20 && tile.ys == 1;
        return;
    }
    chunk = near_channels(p, channel, m);
    ci_u = x86::takes_taps_in_turn({co_vecs, xs}, p, m) ? 1 : x86::channels_a_step(co_vecs, chunk, m);
    // A few channels are summed in less time than it takes to begin and to end their sum; every image reads all weights, of which
    // low maps make little use. Two workers share blocks.
    const int blocks = vectors / co_vecs;
    pays = weights > 2 * m.l2_bytes && chunk >= 32 && (p.n == 1 || p.oh() * p.ow() >= 128) && (blocks % 2 == 0 || blocks > 8) &&
           x86::holds_pixels({co_vecs, xs}, m) && p.kw > 1;
}

bool Chunked::feasible(const Problem &p, const Machine &m) const {
    return !p.open() && p.oh() > 1 && p.groups == 1 && rows >= 1 && ci_u >= 1 && chunk >= 1 && p.ci % chunk == 0 && chunk % ci_u == 0 &&
           co_vecs >= 1 && xs >= 1 && xs <= p.ow() && x86::row_is_short(p, co_vecs, xs) && x86::fits_either_way({co_vecs, xs}, m);
}

std::string Chunked::layout(const hconv_tensor &t, const Problem &p, const Machine &m) const {
    return x86::map_layout(t, x86::vector_lanes(p.co, m), co_vecs, p, m);
}

void Chunked::apply(Conv2dStages &s, const Problem &p, const Target &t) const {
    const Machine m = Machine::of(t);
    Var xo("xo"), xi("xi"), task("task"), some("some"), lane("sl"), unrolled("su");
    RVar outer("outer"), inner("inner");
    const x86::ChannelBlocks co(x86::vector_lanes(p.co, m), co_vecs);
    x86::bound_known_sizes(s.out, s.co, s.x, s.y, s.n, p);
    x86::split_rows(s.out, s.y, task, s.y, rows, p.oh());
    if (p.nchw()) {
        x86::store_along_rows(s.out, s.co, s.x, co, p);
        s.out.reorder({s.x, s.co, s.y, task, s.n, co.block});
    } else {
        x86::split_channels(s.out, s.co, co, p);
        s.out.reorder({co.lane, co.unrolled, s.x, s.y, task, s.n, co.block}).vectorize(co.lane).unroll(co.unrolled);
    }
    s.out.parallel(co.block);

    Func part = s.acc.update().split(s.r.x, outer, inner, int(chunk)).rfactor(outer, some);
    s.acc.compute_at(s.out, task).bound_extent(s.co, co.size()).bound(s.x, 0, p.ow()).vectorize(s.co, co.lanes);
    Stage sums = s.acc.update();
    sums.split(s.x, xo, xi, int(xs), p.ow() % xs ? TailStrategy::GuardWithIf : TailStrategy::RoundUp);
    sums.split(s.co, unrolled, lane, co.lanes).reorder({lane, unrolled, xi, xo, s.y, outer}).never_partition_all();
    sums.vectorize(lane).unroll(unrolled).unroll(xi).unroll(xo);
    part.compute_at(s.acc, xo).bound_extent(s.co, co.size()).reorder(s.co, s.x, s.y).unroll(s.x);
    part.update().reorder({s.co, s.x, s.y, inner, s.r.y, s.r.z}).unroll(s.x).unroll(s.r.y);
    x86::order_sum(part.update(), {s.co, s.x, s.y, inner, s.r.y}, {co_vecs, xs}, p, m);
    for (Stage st : {Stage(part), part.update()}) st.vectorize(s.co, co.lanes).unroll(s.co).unroll(s.y);
    if (ci_u > 1) part.update().unroll(inner, int(ci_u));
    if (spread) x86::stage_apart(s, p, m);
}

}  // namespace hconv

HCONV_SCHEDULE(hconv::Conv2dStages, "x86", chunked, hconv::Chunked)
