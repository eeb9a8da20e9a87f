// transposed.cpp - transposed convolution, lanes = output channels: the phases of a band of output rows are small dense
// convolutions, each computed as a block of co_vecs vectors x xs pixels that stays in registers for the whole sum, and
// kept in a scratch of the band from which they are interleaved (and, for nchw, transposed). Phases are loops outside the
// block, so the window rows of a phase are a loop bound, not a test. Or, of a small map whose weights come from memory (chunk), the sums
// wait in memory while some channels are summed for all pixels of all phases, and the next channels' weights are fetched meanwhile.
// SPDX-License-Identifier: MIT
#include "generators/transposed.h"

#include "runtime/variants/transposed.h"
#include "schedules/schedule.h"
#include "schedules/x86/chunks.h"
#include "schedules/x86/idioms.h"
#include "schedules/x86/map_tile.h"

namespace hconv {

using namespace Halide;

struct Phases : Schedule<TransposedStages> {
    Knob co_vecs{this, "co_vecs", 2, {1, 2, 3, 4}};                // vectors of output channels in the block
    Knob xs{this, "xs", 6, {1, 2, 3, 4, 5, 6, 7, 8, 10, 12, 14}};  // pixels of a phase in the block
    Knob ys{this, "ys", 1, {1, 2, 4}};                             // rows of a phase in the block
    Knob rows{this, "rows", 4, {1, 2, 4, 8, 16}};                  // rows of each phase a task
    Knob chunk{this, "chunk", 0, {0, 8, 16, 32}};                  // input channels summed at a time; 0: all

    void defaults(const Problem &, const Machine &) override;
    bool feasible(const Problem &, const Machine &) const override;
    bool promising(const Problem &, const Machine &) const override;
    std::string layout(const hconv_tensor &, const Problem &, const Machine &) const override;
    int weights_ahead(const Problem &p, const Machine &m) const override {
        return x86::chunk_weights(chunk, co_vecs * x86::vector_lanes(p.co, m), p);
    }
    void formulate(TransposedStages &s) const override { s.rows_left_out = ys == 1; }
    void apply(TransposedStages &, const Problem &, const Target &) const override;

private:
    void sum(TransposedStages &, const Problem &, Func band, const x86::ChannelBlocks &co, const Machine &) const;
};

// Rows of the output that a phase has; a stand-in where they are open.
static int phase_size(int size, int stride) { return x86::ceil_div(x86::size_or(size, 64 * stride), stride); }

// Columns of a phase, if they are known.
static int phase_columns(const Problem &p) {
    return p.w == HCONV_OPEN ? HCONV_OPEN : phase_size(hconv_transposed_ow(&p), p.stride_w);
}

// The block that covers a phase in the least time. Two multiply-adds or two loads start a cycle, and nine sums hide the latency;
// the last columns may be a narrower block, but the last vectors and rows are computed whole.
static x86::MapTile best_phase_tile(int vectors, int columns, int rows, const Machine &m) {
    x86::MapTile best{1, 1, 1};
    double least = 1e30;
    auto step = [](int v, int pixels) { return std::max({1.0 * v * pixels, 1.0 * v + pixels, 8.5}) + 0.1 * (v + pixels); };
    for (int v = 1; v <= std::min(vectors, 4); ++v)
        for (int ys : {1, 2, 4})
            for (int xs = 1; xs <= columns && ys <= rows && x86::fits_registers({v, xs * ys}, m); ++xs) {
                const int rest = columns % xs, last = x86::narrower_last(columns, xs) ? rest : xs;
                const double row = columns / xs * step(v, xs * ys) + (rest ? step(v, last * ys) : 0);
                const double left_out = ys == 1 ? 0.5 : 0;  // rows of taps in the padding
                const double time = row * (x86::ceil_div(rows, ys) - left_out) * x86::ceil_div(vectors, v);
                if (time < least) least = time, best = {v, xs, ys};
            }
    return best;
}

// The block for other registers, for groups and for open sizes: of one row, unless the phase is narrow.
static x86::MapTile usual_tile(const Problem &p, int vectors, int columns, int rows, const Machine &m) {
    // Of one small image every weight is read once: for all pixels.
    if (p.n == 1 && columns * rows <= 16 && x86::fits_registers({1, columns * rows}, m)) return {1, columns, rows};
    if (p.groups > 1) return {1, std::min(columns, 8), 1};
    // Rows of a narrow map together are a block.
    const int high = 14 / columns > 1 ? x86::even_parts(rows, 14 / columns) : 1;
    const x86::RegisterTile square = x86::best_tile(vectors, columns * high, m);
    if (high > 1 && square.scalars == columns * high) return {square.vectors, columns, high};
    const x86::RegisterTile row = x86::best_exact_tile(vectors, columns, m);
    return {row.vectors, row.scalars, 1};
}

void Phases::defaults(const Problem &p, const Machine &m) {
    const int lanes = x86::vector_lanes(p.co, m), vectors = x86::ceil_div(p.co, lanes);
    const int columns = phase_size(hconv_transposed_ow(&p), p.stride_w), phase_rows = phase_size(hconv_transposed_oh(&p), p.stride_h);
    const x86::MapTile tile = m.lanes == 8 && p.groups == 1 && !p.open() ? best_phase_tile(vectors, columns, phase_rows, m)
                                                                         : usual_tile(p, vectors, columns, phase_rows, m);
    co_vecs = tile.vectors, xs = x86::tile_width(phase_columns(p), columns, tile.xs), ys = tile.ys;
    const double row_bytes = 4.0 * columns * p.stride_w * p.stride_h * lanes * tile.vectors;
    rows = x86::even_parts(phase_rows, int(std::clamp(m.l2_bytes / 2 / row_bytes, 2.0, 8.0)));
    const bool streams = m.lanes == 8 && p.n == 1 && x86::weight_bytes(p) > 4 << 20 && columns * phase_rows >= 16;
    if (!streams || p.nchw() || p.groups > 1 || p.open() || columns > 6 || phase_rows > 6 || p.ci % 16 || vectors % 2) return;
    chunk = 16, co_vecs = 2, xs = columns, ys = 1, rows = phase_rows;
}

// Has every phase the same taps, four at most?
static bool few_taps(const Problem &p) {
    const PhaseAxis x(p.kw, p.stride_w, p.dilation_w, p.pad_left), y(p.kh, p.stride_h, p.dilation_h, p.pad_top);
    return x.taps * y.taps <= 4 && !x.exists(0, 0).defined() && !y.exists(0, 0).defined();
}

static bool depthwise(const Problem &p) { return p.groups == p.ci && p.ci == p.co && p.co > 1; }

// The outputs of a block read the same inputs, or, depthwise, each its own: no block may straddle two groups, nor,
// depthwise, hang over the channels that exist.
bool Phases::feasible(const Problem &p, const Machine &m) const {
    int size = x86::vector_lanes(p.co, m) * co_vecs, per_group = p.co / p.groups;
    bool whole = p.groups == 1 || per_group % size == 0 || (depthwise(p) && p.co % size == 0);
    if (!whole || rows < 1 || co_vecs < 1 || xs < 1 || ys < 1 || !x86::fits_registers({co_vecs, xs * ys}, m)) return false;
    if (!chunk) return true;
    // All is unrolled: long code takes long to compile.
    return !p.open() && !p.nchw() && p.groups == 1 && ys == 1 && chunk >= 1 && p.ci % chunk == 0 && hconv_transposed_oh(&p) <= rows * p.stride_h &&
           p.kh * p.kw <= 16 && phase_columns(p) <= 8 && rows <= 8;
}

bool Phases::promising(const Problem &p, const Machine &m) const {
    const int width = x86::size_or(p.w, 64), height = x86::size_or(p.h, 64);
    return x86::is_busy({co_vecs, xs * ys}, x86::ceil_div(p.co / p.groups, x86::vector_lanes(p.co, m)), width * height) &&
           xs < 2 * width && ys < 2 * height && x86::is_other_task(rows, height) && (!chunk || x86::weight_bytes(p) > m.l2_bytes);
}

std::string Phases::layout(const hconv_tensor &t, const Problem &p, const Machine &m) const {
    const int block = x86::vector_lanes(p.co, m) * co_vecs;
    return chunk ? x86::chunk_layout(t, block) : x86::blocked_layout(t, block);
}

// The phases of a band: their blocks, and the sums of each in registers.
void Phases::sum(TransposedStages &s, const Problem &p, Func band, const x86::ChannelBlocks &co, const Machine &m) const {
    Var xo("xo"), xi("xi"), yo("yo"), yu("yu"), lane("pl"), unrolled("pu");
    if (x86::narrower_last(phase_columns(p), xs)) band.bound(s.xq, 0, phase_columns(p));
    band.split(s.co, unrolled, lane, co.lanes);
    x86::split_row(band, s.xq, xo, xi, xs, TailStrategy::RoundUp, phase_columns(p));
    band.split(s.yq, yo, yu, int(ys), TailStrategy::RoundUp).unroll(yu);
    band.reorder({lane, unrolled, xi, yu, xo, yo, s.px, s.py, s.n}).vectorize(lane).unroll(unrolled);
    band.reorder_storage(s.co, s.px, s.xq, s.py, s.yq, s.n);
    s.acc.bound_extent(s.co, co.size());
    const int inputs = p.ci / p.groups;
    x86::accumulate_in_registers(s.acc, band, xo, s.co, s.xq, s.r, co.lanes, x86::channels_a_step(co_vecs, inputs, m));
    s.acc.unroll(s.yq).update().reorder({s.co, s.xq, s.yq, s.r.x, s.r.y, s.r.z}).unroll(s.yq);
    // A phase's few taps a channel, where sums leave registers for their weights: as many streams from behind the caches.
    if (m.lanes == 16 && co_vecs * xs * ys <= m.vector_registers / 2 && few_taps(p))
        s.acc.update().reorder({s.co, s.xq, s.yq, s.r.y, s.r.z, s.r.x}).unroll(s.r.y).unroll(s.r.z);
    if (p.nchw() || depthwise(p) || p.dilation_h > 1 || p.dilation_w > 1) return;
    x86::multiply_by_lanes(s.acc, 0, s.padded, s.ci, s.ix, s.r.x, inputs, m);
    if (m.multiplies_by_lane && inputs % 2 == 0) {
        if (ys == 1) s.padded.in(s.acc).bound_extent(s.iy, 1);
        s.padded.in(s.acc).unroll(s.iy);
    }
}

void Phases::apply(TransposedStages &s, const Problem &p, const Target &t) const {
    const Machine m = Machine::of(t);
    const int oh = hconv_transposed_oh(&p);
    Var task("task"), yi("yi");
    const x86::ChannelBlocks co(x86::vector_lanes(p.co, m), co_vecs);
    s.out.bound(s.co, 0, p.co);
    if (p.n != HCONV_OPEN) s.out.bound(s.n, 0, p.n);
    x86::split_rows(s.out, s.y, task, yi, rows * p.stride_h, oh);
    if (p.nchw()) {
        s.out.split(s.co, co.block, co.unrolled, co.size(), TailStrategy::GuardWithIf);
        s.out.reorder({s.x, co.unrolled, yi, co.block, task, s.n}).vectorize(s.x, m.lanes, TailStrategy::GuardWithIf);
    } else {
        x86::split_channels(s.out, s.co, co, p);
        s.out.reorder({co.lane, co.unrolled, s.x, yi, co.block, task, s.n}).vectorize(co.lane).unroll(co.unrolled);
    }
    const bool small = oh != HCONV_OPEN && oh <= rows * p.stride_h;  // one task's rows: then its blocks are tasks
    if (small) s.out.fuse(task, s.n, task).fuse(task, co.block, task).parallel(task);
    else x86::parallel_tasks(s.out, task, s.n, p.n);
    if (chunk) {
        s.acc.compute_at(s.out, task).bound(s.px, 0, p.stride_w).bound(s.py, 0, p.stride_h);
        x86::sum_in_chunks({s.acc, s.co, s.xq, s.yq, s.r, phase_columns(p), phase_size(oh, p.stride_h)}, co, xs, chunk, {s.px, s.py}, m);
    } else {
        Func band = s.acc.in(s.out);
        band.compute_at(s.out, small ? task : co.block).bound_extent(s.co, co.size());
        sum(s, p, band, co, m);
    }
    if (p.nchw() && !depthwise(p)) {
        s.padded.compute_at(s.out, task).reorder(s.ix, s.ci, s.iy, s.n).reorder_storage(s.ix, s.ci, s.iy, s.n);
        s.padded.vectorize(s.ix, m.lanes, TailStrategy::RoundUp);
    } else if (small && p.groups == 1) {
        x86::stage_input(s.padded, s.ci, s.iy, p.ci, m);
        s.padded.align_storage(s.ci, p.ci + m.lanes);
    } else {
        const int read = !small ? p.ci : depthwise(p) ? std::min(p.ci, co.size()) : p.ci / p.groups;  // channels, by a task
        x86::stage_rows(s.padded, s.out, task, s.ci, read, m);
    }
}

}  // namespace hconv

HCONV_SCHEDULE(hconv::TransposedStages, "x86 arm", phases, hconv::Phases)
