// per_sample.cpp - a kernel a sample, lanes = output channels: kernels are mixed in the task that sums by them, so they are
// read from cache, and a block of co_vecs vectors x xs pixels stays in registers. A task is rows of a sample, or some blocks of
// outputs of some samples.
// SPDX-License-Identifier: MIT
#include "generators/condconv.h"
#include "generators/odconv.h"
#include "runtime/variants/experts.h"
#include "schedules/generic.h"
#include "schedules/schedule.h"
#include "schedules/x86/idioms.h"
#include "schedules/x86/map_tile.h"
#include "schedules/x86/planes.h"

namespace hconv {

using namespace Halide;

// Sums of each channel's map, before all tasks: of some rows each, in parallel and in registers, then theirs.
static void sum_in_parts(Func sum, const Var &c, const Var &n, int rows, const Problem &p, const Machine &m) {
    const std::vector<RVar> area = sum.rvars(0);
    RVar yo("yo"), yi("yi");
    Var part("part");
    const int height = x86::size_or(p.h, 64), parts = std::max(2, x86::ceil_div(height, rows));
    Func some = sum.update().split(area[1], yo, yi, x86::ceil_div(height, parts), TailStrategy::GuardWithIf).rfactor(yo, part);
    Func kept = some.in(sum);
    x86::parallel_tasks(kept.compute_root(), part, n, p.n);
    some.compute_at(kept, part).update().reorder(c, area[0], yi);
    sum.compute_root().update().reorder(c, yo, n);
    for (Stage st : {Stage(sum), sum.update(), Stage(kept), Stage(some), some.update()})
        st.vectorize(c, m.lanes, TailStrategy::GuardWithIf);
}

// Sums of planes, before all tasks: as many partial ones as lanes, along the rows of each.
static void sum_along_rows(Func sum, const Var &c, const Machine &m) {
    sum.compute_root();
    const std::vector<RVar> area = sum.rvars(0);
    RVar xo("xo"), xi("xi");
    Var lane("lane");
    Func parts = sum.update().split(area[0], xo, xi, m.lanes, TailStrategy::GuardWithIf).rfactor(xi, lane);
    parts.compute_at(sum, c).vectorize(lane).update().reorder(lane, xo, area[1]).vectorize(lane);
    sum.update().reorder(xi, c);
}

template<typename Stages>
struct Mixed : Schedule<Stages> {
    Knob co_vecs{this, "co_vecs", 2, {1, 2, 3, 4}};                // vectors of output channels in the block
    Knob xs{this, "xs", 6, {1, 2, 3, 4, 5, 6, 7, 8, 10, 12, 14}};  // output pixels in the block
    Knob ci_u{this, "ci_u", 1, {1, 2, 4}};                         // unroll of the channel sum
    Knob rows{this, "rows", 8, {1, 2, 4, 8, 16, 32}};              // output rows that share a staged input
    Knob row_u{this, "row_u", 0, {0, 1}};                          // unroll the sum of a row's taps, pixel by pixel

    void defaults(const Problem &p, const Machine &m) override {
        int lanes = x86::vector_lanes(p.co, m), ow = x86::size_or(p.ow(), 1000);
        row_u = takes_rows_of_taps(p, m);
        const x86::RegisterTile tile = best_tile(p, x86::ceil_div(p.co, lanes), ow, m);
        co_vecs = tile.vectors, xs = x86::tile_width(unrolled_row(p, m), ow, tile.scalars);
        // Where weights of many outputs pass, and registers are left.
        ci_u = m.lanes == 16 && p.ci % 2 == 0 && p.co >= 4 * m.lanes && co_vecs <= 2 && !(row_u && xs > 8) && !p.nchw() ? 2 : 1;
        if (x86::holds_pixels({co_vecs, xs}, m) && !takes_taps_in_turn(p, m)) ci_u = x86::channels_a_step(co_vecs, p.ci, m);
        rows = x86::rows_of(p, m);
        const Tasks in = tasks(p, channels(p, m), m);
        // Where every task mixes the kernel again: sums enough to make little of it, but two tasks, and where there are more, four.
        const int oh = x86::height_of(p), enough = x86::ceil_div(16 * p.extra[HCONV_EX], ow), half = x86::ceil_div(oh, 2);
        const int least = std::max(enough, std::min(8 * enough, x86::ceil_div(oh, 4)));
        if (!in.blocks) rows = enough <= half ? std::clamp<int>(rows, least, half) : std::min(2 * enough, oh);
        // Where blocks share rows: few, that stay near while the kernels of all blocks pass.
        else if (in.blocks > 1) rows = std::clamp<int>(m.l2_bytes / 8 / (4 * p.ci * x86::size_or(p.w, 128)), 1, rows);
    }

    // The taps of a row are taken pixel by pixel, neighbours share what they broadcast, and registers hold the weights of a row.
    // Tiles are narrower for that: where a row is more than two of the others, of inputs so few that weights come fast.
    static bool takes_rows_of_taps(const Problem &p, const Machine &m) {
        return m.lanes == 16 && !p.nchw() && p.kw > 1 && p.kw <= 7 && p.stride_w == 1 && p.dilation_w == 1 &&
               p.ow() > 28 && p.ci <= 64;
    }

    // In sixteen registers a block may hold its pixels (map_tile.h).
    x86::RegisterTile best_tile(const Problem &p, int vectors, int width, const Machine &m) const {
        return m.lanes == 8 ? x86::best_row_tile(p, vectors, m, may_hold_pixels(p))
                            : x86::best_tile(vectors, width, m, 8, row_u ? p.kw : 1);
    }

    // The taps of a row are unrolled for that.
    static bool may_hold_pixels(const Problem &p) { return p.kw <= 7; }
    bool takes_taps_in_turn(const Problem &p, const Machine &m) const {
        return may_hold_pixels(p) && x86::takes_taps_in_turn({co_vecs, xs}, p, m);
    }

    // The row whose last tile may be narrower (split_row).
    static int unrolled_row(const Problem &p, const Machine &m) { return m.lanes == 8 && !p.nchw() ? p.ow() : HCONV_OPEN; }

    bool feasible(const Problem &p, const Machine &m) const override {
        return p.groups == 1 && rows >= 1 && ci_u >= 1 && p.ci % ci_u == 0 && co_vecs >= 1 && xs >= 1 &&
               xs <= x86::size_or(p.ow(), 1000) &&
               (x86::fits_registers({co_vecs, xs}, m) || (may_hold_pixels(p) && x86::holds_pixels({co_vecs, xs}, m)));
    }

    bool promising(const Problem &p, const Machine &m) const override {
        const int width = x86::size_or(p.ow(), 1000);
        return x86::is_busy({co_vecs, xs}, x86::ceil_div(p.co, x86::vector_lanes(p.co, m)), width) &&
               x86::is_other_task(rows, x86::height_of(p)) && (!row_u || takes_rows_of_taps(p, m));
    }

    std::string layout(const hconv_tensor &t, const Problem &p, const Machine &m) const override {
        const std::string name = t.name, letters = t.letters, o = std::to_string(channels(p, m).size()) + "o";
        const bool of_outputs = name.rfind("filter_fc.", 0) == 0 || name.find('.') == std::string::npos;
        if (letters == "eoihw") return "Oehwi" + o;
        if (letters == "eo") return "Oe" + o;
        if (letters == "oi" && of_outputs) return "Oi" + o;
        return letters == "o" && of_outputs ? "O" + o : "";
    }

    bool fetches_ahead(const Problem &p, const Machine &m) const override { return x86::outputs_are_far(p, m); }

    void apply(Stages &s, const Problem &p, const Target &t) const override {
        const Machine m = Machine::of(t);
        const x86::ChannelBlocks co = channels(p, m);
        const Tasks in = tasks(p, co, m);
        Var xo("xo"), xi("xi"), task("task"), yi("yi"), lane("ml"), vector("mv");
        const Var at = in.blocks ? group : co.block;
        const bool long_sums = std::max(p.n, 1) * x86::size_or(p.w, 128) * x86::size_or(p.h, 64) >= 512;
        for (size_t i = 0; i < s.head.size(); ++i) {
            if (i == 0 && p.nchw()) sum_along_rows(s.head[i], s.ci, m);
            else if (i == 0 && long_sums) sum_in_parts(s.head[i], s.ci, s.n, rows * p.stride_h, p, m);
            else schedule_generic(s.head[i], 0, false, t);
        }
        x86::bound_known_sizes(s.out, s.co, s.x, s.y, s.n, p);
        s.blocked.compute_at(s.out, at).bound_extent(s.co, co.size()).bound_extent(s.block, std::max(in.blocks, 1));
        s.blocked.split(s.co, vector, lane, co.lanes).reorder(lane, s.n, vector, s.ci, s.kx, s.ky, s.block);
        s.blocked.vectorize(lane).unroll(vector);
        if (in.samples > 1) s.blocked.unroll(s.n);
        if (s.mixed_bias.defined())
            s.mixed_bias.compute_at(s.out, at).bound_extent(s.co, co.size() * std::max(in.blocks, 1)).vectorize(s.co, co.lanes);
        s.acc.bound_extent(s.co, co.size());
        if (p.nchw()) return planes(s, p, co, in, m);
        x86::split_channels(s.out, s.co, co, p);
        x86::split_rows(s.out, s.y, task, yi, rows, p.oh());
        x86::specialize_widths(s.out, s.out.output_buffer().dim(1).extent(), p.ow(), x86::widths_below(xs),
                               [&](Stage st, int width, TailStrategy tail) {
            x86::split_row(st, s.x, xo, xi, width, tail, unrolled_row(p, m));
            st.never_partition_all().vectorize(co.lane).unroll(co.unrolled);
            order(st, {co.lane, co.unrolled, xi, xo, yi}, s, p, co, in, task);
        });
        x86::accumulate_in_registers(s.acc, s.out, xo, s.co, s.x, s.r, co.lanes, ci_u);
        order_sum(s, p, m);
        if (row_u) s.acc.update().unroll(s.r.y).reorder({s.co, s.r.y, s.x, s.r.x, s.r.z});
        x86::multiply_by_lanes(s.acc, 0, s.padded, s.ci, s.ix, s.r.x, p.ci, m);
        if (p.has_padding() && in.blocks) x86::stage_input(s.padded, s.ci, s.iy, p.ci, m);
        else if (p.has_padding()) x86::stage_rows(s.padded, s.out, task, s.ci, p.ci, m);
    }

private:
    // What a task sums: so many blocks of outputs of so many samples; no blocks: some rows of a sample, block after block.
    struct Tasks {
        int blocks, samples;
    };
    Var group{"group"}, sample{"sample"};

    // Rows mix the kernels again in every task: where outputs are few, or the experts weigh less than the input that blocks
    // would read again, much less where no border is copied for that. Else experts are read once for several samples, and
    // where they are many, the input for several blocks.
    static Tasks tasks(const Problem &p, const x86::ChannelBlocks &co, const Machine &m) {
        const int blocks = x86::ceil_div(p.co, co.size());
        const int64_t kernels = 4 * int64_t(p.ci) * p.kh * p.kw * co.size(), experts = p.extra[HCONV_EX] * kernels * blocks;
        if (blocks < 4 || experts * (p.has_padding() ? 1 : 8) <= x86::map_bytes(p)) return {0, 1};
        Tasks in{1, p.n == HCONV_OPEN ? 1 : p.n % 4 == 0 ? 4 : p.n % 2 == 0 ? 2 : 1};
        if (in.samples == 1 || experts <= 4 * m.l2_bytes) return in;
        auto held = [&](int more) { return more * in.blocks * in.samples * kernels <= 2 * m.l2_bytes; };
        if (p.n % 8 == 0 && held(2)) in.samples = 8;
        while (in.blocks < 4 && blocks % (2 * in.blocks) == 0 && held(2)) in.blocks *= 2;
        return in;
    }

    void order(Stage st, std::vector<VarOrRVar> loops, const Stages &s, const Problem &p, const x86::ChannelBlocks &co,
               const Tasks &in, const Var &task) const {
        if (!in.blocks) {
            loops.insert(loops.end(), {co.block, task, s.n});
            st.reorder(loops);
            return x86::parallel_tasks(st, task, s.n, p.n);
        }
        st.split(co.block, group, co.block, in.blocks, TailStrategy::RoundUp);
        st.split(s.n, s.n, sample, in.samples, TailStrategy::RoundUp);
        loops.insert(loops.end(), {co.block, task, sample, s.n, group});
        st.reorder(loops);
        if (p.n != 1) st.fuse(s.n, group, group);
        st.parallel(group);
    }

    void order_sum(Stages &s, const Problem &p, const Machine &m) const {
        if (!may_hold_pixels(p)) return;
        if (takes_taps_in_turn(p, m)) s.acc.update().reorder({s.co, s.x, s.y, s.r.x, s.r.y, s.r.z}).unroll(s.r.y);
        x86::order_sum(s.acc.update(), {s.co, s.x, s.y, s.r.x, s.r.y}, {co_vecs, xs}, p, m);
    }

    void planes(Stages &s, const Problem &p, const x86::ChannelBlocks &co, const Tasks &in, const Machine &m) const {
        Var task("task"), yi("yi");
        x86::PlaneLoops v;
        x86::split_rows(s.out, s.y, task, yi, rows, p.oh());
        Func scratch = x86::rows_to_planes(s.out, s.acc, s.co, s.x, yi, co, v, p, m, xs);
        order(s.out, {v.lane, v.plane, s.x, co.unrolled, yi}, s, p, co, in, task);
        x86::accumulate_in_registers(s.acc, scratch, v.xo, s.co, s.x, s.r, co.lanes, ci_u);
        order_sum(s, p, m);
        if (p.has_padding() && in.blocks) x86::stage_input_planes(s.padded, s.ci, s.ix, s.iy, s.n, m);
        else if (p.has_padding()) x86::stage_planes(s.padded, s.out, task, s.ci, s.ix, s.iy, s.n, m);
    }
    x86::ChannelBlocks channels(const Problem &p, const Machine &m) const {
        return {x86::vector_lanes(p.co, m), co_vecs};
    }
};

}  // namespace hconv

namespace hconv::odconv_schedules {
HCONV_SCHEDULE(hconv::OdconvStages, "x86 arm", mixed, hconv::Mixed<hconv::OdconvStages>)
}
namespace hconv::condconv_schedules {
HCONV_SCHEDULE(hconv::CondconvStages, "x86 arm", mixed, hconv::Mixed<hconv::CondconvStages>)
}
