// octave.cpp - octave convolution, lanes = output channels: each map is a direct convolution of its own loop, in whose
// block of vectors x pixels all paths to that map are summed. Pooling happens as a task's rows are staged; what the low
// map adds to the high one is computed at its own resolution, beside the block of channels that reads it. Tasks are rows,
// or, of a small map (rows = 0), blocks of channels: then weights, which are more than the map, are read by one task each.
// SPDX-License-Identifier: MIT
#include "generators/octave.h"

#include "runtime/variants/octave.h"
#include "schedules/schedule.h"
#include "schedules/x86/idioms.h"
#include "schedules/x86/octave_maps.h"
#include "schedules/x86/planes.h"

namespace hconv {

using namespace Halide;

namespace {

struct Maps : Schedule<OctaveStages> {
    Knob co_vecs{this, "co_vecs", 2, {1, 2, 3, 4}};                      // vectors of high channels in the block
    Knob xs{this, "xs", 6, {1, 2, 3, 4, 5, 6, 7, 8, 10, 12, 14}};        // high pixels in the block
    Knob rows{this, "rows", 4, {0, 2, 4, 8, 16}};                        // high rows a task
    Knob low_co_vecs{this, "low_co_vecs", 2, {1, 2, 3, 4}};              // the same of the low map
    Knob low_xs{this, "low_xs", 6, {1, 2, 3, 4, 5, 6, 7, 8, 10, 12, 14}};
    Knob low_rows{this, "low_rows", 4, {0, 1, 2, 4, 8, 16}};

    void defaults(const Problem &, const Machine &) override;
    bool feasible(const Problem &, const Machine &) const override;
    std::string layout(const hconv_tensor &, const Problem &, const Machine &) const override;
    void apply(OctaveStages &, const Problem &, const Target &) const override;

private:
    x86::ChannelBlocks high_blocks(const Problem &p, const Machine &m) const;
    x86::ChannelBlocks low_blocks(const Problem &p, const Machine &m) const;
};

x86::ChannelBlocks Maps::high_blocks(const Problem &p, const Machine &m) const {
    return {x86::vector_lanes(high_conv(p).co, m), co_vecs};
}
x86::ChannelBlocks Maps::low_blocks(const Problem &p, const Machine &m) const {
    return {x86::vector_lanes(low_conv(p).co, m), low_co_vecs};
}

void set_tile(const Problem &p, const Problem &conv, const Machine &m, Knob &vectors, Knob &pixels, Knob &lines,
              int step) {
    if (!conv.co) return;
    int available = x86::ceil_div(conv.co, x86::vector_lanes(conv.co, m));
    x86::RegisterTile tile = x86::best_tile(available, x86::width_of(conv), m, p.groups > 1 ? 1 : 8);
    if (p.groups > 1) tile.scalars = std::min(tile.scalars, 8);
    lines = x86::rows_of(conv, m, conv.ci, step);
    const int64_t image = int64_t(conv.ci) * conv.h * conv.w, weights = int64_t(conv.ci) * conv.co * conv.kh * conv.kw;
    if (!conv.open() && conv.n == 1 && available > 1 && weights > image && image <= m.l2_bytes) {
        const int most = std::min(tile.vectors, available / 2), blocks = x86::ceil_div(available, most);
        if (blocks % 2 == 0 || blocks > 6) lines = 0, tile.vectors = most;  // shared evenly by two workers
    }
    vectors = tile.vectors, pixels = x86::even_parts(x86::width_of(conv), tile.scalars);
}

void Maps::defaults(const Problem &p, const Machine &m) {
    set_tile(p, high_conv(p), m, co_vecs, xs, rows, 2);  // two rows to a low one
    set_tile(p, low_conv(p), m, low_co_vecs, low_xs, low_rows, 1);
}

// The outputs of a block read the same inputs, or, depthwise, each its own.
bool whole_groups(const hconv_octave_path &q, const x86::ChannelBlocks &co) {
    if (!q.exists || q.groups == 1) return true;
    return (q.co / q.groups) % co.size() == 0 || (q.groups == q.ci && q.ci == q.co && q.co % co.size() == 0);
}

bool Maps::feasible(const Problem &p, const Machine &m) const {
    const hconv_octave o = hconv_octave_of(&p);
    auto fits = [&](const Problem &conv, int vectors, int pixels, int lines) {
        return vectors >= 1 && pixels >= 1 && lines >= (conv.open() ? 1 : 0) && pixels <= x86::width_of(conv) &&
               x86::fits_registers({vectors, pixels}, m);
    };
    if (o.co_h && (!fits(high_conv(p), co_vecs, xs, rows) || rows % 2)) return false;
    if (o.co_l && !fits(low_conv(p), low_co_vecs, low_xs, low_rows)) return false;
    for (int i = 0; i < 4; ++i)
        if (!whole_groups(o.path[i], i == HCONV_HH || i == HCONV_LH ? high_blocks(p, m) : low_blocks(p, m))) return false;
    return true;
}

std::string Maps::layout(const hconv_tensor &t, const Problem &p, const Machine &m) const {
    return octave_layout(t, high_blocks(p, m).size(), low_blocks(p, m).size());
}

// Sums of a tile in registers: every update of acc over its path's window.
void sum_tiles(const OctaveStages &s, const OctaveSum &sum, Func at, const Var &xo, const x86::ChannelBlocks &co) {
    Func acc = sum.acc;
    acc.bound_extent(s.c, co.size());
    if (sum.paths.empty()) return;
    acc.compute_at(at, xo).reorder(s.c, s.x).vectorize(s.c, co.lanes).unroll(s.c).unroll(s.x);
    for (size_t i = 0; i < sum.paths.size(); ++i) {
        const RDom &r = s.path[sum.paths[i]].r;
        acc.update(int(i)).reorder({s.c, s.x, r.x, r.y, r.z}).vectorize(s.c, co.lanes).unroll(s.c).unroll(s.x);
    }
}

// The rows of a task of `out`, or all before the tasks (rows = 0), channels innermost; nchw: as they lie.
void stage(const OctaveStages &s, const OctaveSum &sum, Func out, const Var &task, int rows, const Problem &p, const Machine &m) {
    const hconv_octave o = hconv_octave_of(&p);
    for (int i : sum.paths) {
        Func padded = s.path[i].padded;
        const bool planes = p.nchw() && o.path[i].groups == 1;
        if (planes && rows) x86::stage_planes(padded, out, task, s.c, s.x, s.y, s.n, m);
        else if (planes) x86::stage_input_planes(padded, s.c, s.x, s.y, s.n, m);
        else if (rows) x86::stage_rows(padded, out, task, s.c, o.path[i].ci, m);
        else x86::stage_input(padded, s.c, s.y, o.path[i].ci, m);
    }
}

// One map: rows a task, blocks of channels, tiles of pixels. nchw: the sums of a block go through a scratch, from which
// the output transposes them.
void schedule_map(const OctaveStages &s, Func out, const OctaveSum &sum, const Problem &conv, const Machine &m,
                  const x86::ChannelBlocks &co, int xs, int rows, const Var &task) {
    Var xo("xo"), xi("xi"), yi("yi");
    x86::bound_known_sizes(out, s.c, s.x, s.y, s.n, conv);
    x86::split_rows(out, s.y, task, yi, rows ? rows : conv.oh(), conv.oh());
    auto parallel = [&](Stage st) {
        if (!rows) st.fuse(co.block, task, task);
        x86::parallel_tasks(st, task, s.n, conv.n);
    };
    if (conv.nchw()) {
        x86::PlaneLoops v;
        Func scratch = x86::rows_to_planes(out, sum.acc, s.c, s.x, yi, co, v, conv, m, xs);
        out.reorder({v.lane, v.plane, s.x, co.unrolled, yi, co.block, task, s.n});
        parallel(out);
        return sum_tiles(s, sum, scratch, v.xo, co);
    }
    x86::split_channels(out, s.c, co, conv);
    const Expr ow = out.output_buffer().dim(1).extent();
    x86::specialize_widths(out, ow, conv.ow(), x86::widths_below(xs), [&](Stage st, int width, TailStrategy tail) {
        st.split(s.x, xo, xi, width, tail).never_partition_all();
        st.reorder({co.lane, co.unrolled, xi, xo, yi, co.block, task, s.n});
        st.vectorize(co.lane).unroll(co.unrolled).unroll(xi);
        parallel(st);
    });
    sum_tiles(s, sum, out, xo, co);
}

// up: the rows under a task's, for one block of the high map's channels.
void schedule_up(const OctaveStages &s, const Problem &p, const Var &at, const x86::ChannelBlocks &co, int xs) {
    const hconv_octave o = hconv_octave_of(&p);
    Var xo("uxo"), xi("uxi"), lane("ul"), unrolled("uu");
    Func acc = s.up.acc, up = acc.in();
    up.compute_at(s.high, at).bound_extent(s.c, co.size()).split(s.c, unrolled, lane, co.lanes);
    const Expr width = (s.high.output_buffer().dim(1).extent() + 1) / 2;
    const int fixed = o.path[HCONV_LH].ow;
    x86::specialize_widths(up, width, fixed, x86::widths_below(xs), [&](Stage st, int w, TailStrategy) {
        st.split(s.x, xo, xi, w, TailStrategy::RoundUp).never_partition_all();
        st.reorder({lane, unrolled, xi, xo, s.y, s.n}).vectorize(lane).unroll(unrolled).unroll(xi);
    });
    sum_tiles(s, s.up, up, xo, co);
}

// Where a multiply-add takes a lane: every path's pixels are held by input channels.
void multiply_by_lanes(OctaveStages &s, const Problem &p, const Machine &m) {
    const hconv_octave o = hconv_octave_of(&p);
    for (const OctaveSum *sum : {&s.high_sum, &s.low_sum, &s.up})
        for (size_t i = 0; i < sum->paths.size() && !p.nchw(); ++i) {
            const OctavePath &path = s.path[sum->paths[i]];
            const int inputs = o.path[sum->paths[i]].ci / o.path[sum->paths[i]].groups;
            x86::multiply_by_lanes(sum->acc, int(i), path.padded, s.c, s.x, path.r.x, inputs, m);
        }
}

void Maps::apply(OctaveStages &s, const Problem &p, const Target &t) const {
    const Machine m = Machine::of(t);
    Var task("task");
    if (s.high.defined()) {
        const x86::ChannelBlocks co = high_blocks(p, m);
        schedule_map(s, s.high, s.high_sum, high_conv(p), m, co, xs, rows, task);
        stage(s, s.high_sum, s.high, task, rows, p, m);
        if (!s.up.paths.empty()) {
            const int width = x86::size_or(hconv_octave_of(&p).path[HCONV_LH].ow, x86::open_width);
            x86::RegisterTile most{co_vecs, 1};
            while (x86::fits_registers({most.vectors, most.scalars + 1}, m)) ++most.scalars;
            schedule_up(s, p, rows ? co.block : task, co, x86::even_parts(width, most.scalars));
            stage(s, s.up, s.high, task, rows, p, m);
        }
    }
    if (s.low.defined()) {
        schedule_map(s, s.low, s.low_sum, low_conv(p), m, low_blocks(p, m), low_xs, low_rows, task);
        stage(s, s.low_sum, s.low, task, low_rows, p, m);
    }
    multiply_by_lanes(s, p, m);
}

}  // namespace

}  // namespace hconv

HCONV_SCHEDULE(hconv::OctaveStages, "x86 arm", maps, hconv::Maps)
