// spd.cpp - direct convolution of blocks, lanes = output channels: SPD and the convolution behind it are one convolution
// of stride b with a window b times as large; after: each of the b^2 blocks of output channels is one of stride b,
// or, where sizes are known, y is seen as rows of the convolution's pixels (unstaged).
// SPDX-License-Identifier: MIT
#include "generators/spd.h"

#include "runtime/variants/spd.h"
#include "schedules/schedule.h"
#include "schedules/x86/idioms.h"
#include "schedules/x86/planes.h"
#include "schedules/x86/unstaged.h"

namespace hconv {

using namespace Halide;

namespace {

// The convolution that writes one pixel of y for every one it makes.
Problem as_conv(const Problem &p) {
    Problem conv = p;
    const int b = p.extra[HCONV_BLOCK];
    conv.stride_h *= b, conv.stride_w *= b;
    if (p.extra[HCONV_ORDER] == HCONV_CONV_SPD) return conv;
    conv.kh *= b, conv.kw *= b;
    conv.pad_top *= b, conv.pad_bottom *= b, conv.pad_left *= b, conv.pad_right *= b;
    return conv;
}

bool after(const Problem &p) { return p.extra[HCONV_ORDER] == HCONV_CONV_SPD; }

struct DirectSpd : Schedule<SpdStages> {
    Knob co_vecs{this, "co_vecs", 2, {1, 2, 3, 4}};                // vectors of output channels in the block
    Knob xs{this, "xs", 6, {1, 2, 3, 4, 5, 6, 7, 8, 10, 12, 14}};  // output pixels in the block
    Knob rows{this, "rows", 4, {1, 2, 4, 8, 16}};                  // output rows a task

    void defaults(const Problem &given, const Machine &m) override {
        const Problem p = as_conv(given);
        int vectors = x86::ceil_div(p.co, x86::vector_lanes(p.co, m)), ow = x86::size_or(p.ow(), 1000);
        x86::RegisterTile tile = p.nchw() ? x86::best_tile(vectors, ow, m) : x86::best_exact_tile(vectors, ow, m);
        while (after(p) && vectors % tile.vectors) --tile.vectors;
        co_vecs = tile.vectors, xs = p.nchw() ? x86::even_parts(ow, tile.scalars) : x86::tile_width(p.ow(), ow, tile.scalars);
        rows = x86::rows_of(p, m);
    }

    // after: a block of outputs lies in one phase. spd: taps of b x b pixels with gaps between make no window with equal
    // gaps.
    bool feasible(const Problem &given, const Machine &m) const override {
        const Problem p = as_conv(given);
        const bool fits = p.extra[HCONV_ORDER] != HCONV_SPD_ONLY && p.groups == 1 && co_vecs >= 1 &&
                          xs >= 1 && rows >= 1 && xs <= x86::size_or(p.ow(), 1000) &&
                          x86::fits_registers({co_vecs, xs}, m);
        if (!fits) return false;
        return after(p) ? p.co % channels(p, m).size() == 0 : p.dilation_h == 1 && p.dilation_w == 1;
    }

    std::string layout(const hconv_tensor &t, const Problem &p, const Machine &m) const override {
        return x86::blocked_layout(t, channels(p, m).size());
    }

    void apply(SpdStages &s, const Problem &given, const Target &t) const override {
        const Machine m = Machine::of(t);
        Problem p = as_conv(given);
        const x86::ChannelBlocks co = channels(p, m);
        Var xo("xo"), xi("xi"), task("task"), yi("yi");
        if (after(p)) p.co *= p.extra[HCONV_BLOCK] * p.extra[HCONV_BLOCK];
        x86::bound_known_sizes(s.out, s.co, s.x, s.y, s.n, p);
        s.acc.bound_extent(s.co, co.size());
        if (p.nchw()) return planes(s, p, co, m);
        x86::split_channels(s.out, s.co, co, p);
        x86::split_rows(s.out, s.y, task, yi, rows, p.oh());
        const Expr ow = s.out.output_buffer().dim(1).extent();
        x86::specialize_widths(s.out, ow, p.ow(), x86::widths_below(xs), [&](Stage st, int width, TailStrategy tail) {
            x86::split_row(st, s.x, xo, xi, width, tail, p.ow());
            st.reorder({co.lane, co.unrolled, xi, xo, yi, co.block, task, s.n}).never_partition_all();
            st.vectorize(co.lane).unroll(co.unrolled);
            x86::parallel_tasks(st, task, s.n, p.n);
        });
        x86::accumulate_in_registers(s.acc, s.out, xo, s.co, s.x, s.r, co.lanes, x86::channels_a_step(co_vecs, p.ci, m));
        x86::multiply_by_lanes(s.acc, 0, s.padded, s.ci, s.ix, s.r.x, p.ci, m);
        if (p.has_padding()) x86::stage_rows(s.padded, s.out, task, s.ci, p.ci, m);
    }

private:
    void planes(SpdStages &s, const Problem &p, const x86::ChannelBlocks &co, const Machine &m) const {
        Var task("task"), yi("yi");
        x86::PlaneLoops v;
        x86::split_rows(s.out, s.y, task, yi, rows, p.oh());
        Func scratch = x86::rows_to_planes(s.out, s.acc, s.co, s.x, yi, co, v, p, m, xs);
        s.out.reorder({v.lane, v.plane, s.x, co.unrolled, yi, co.block, task, s.n});
        x86::parallel_tasks(s.out, task, s.n, p.n);
        x86::accumulate_in_registers(s.acc, scratch, v.xo, s.co, s.x, s.r, co.lanes, 1);
        if (p.has_padding()) x86::stage_planes(s.padded, s.out, task, s.ci, s.ix, s.iy, s.n, m);
    }
    x86::ChannelBlocks channels(const Problem &p, const Machine &m) const {
        return {x86::vector_lanes(p.co, m), co_vecs};
    }
};

// The input where it lies. after: a row of y has b rows of the convolution, side by side in its channels.
struct UnstagedSpd : Schedule<SpdStages>, x86::Unstaged {
    UnstagedSpd() : Unstaged(this) {}
    void defaults(const Problem &p, const Machine &m) override {
        if (may(p)) choose(conv(p), m);
    }
    bool feasible(const Problem &p, const Machine &m) const override {
        return may(p) && fits(conv(p), m) && (!after(p) || p.co % (x86::vector_lanes(p.co, m) * co_vecs) == 0);
    }
    bool promising(const Problem &p, const Machine &m) const override { return may_be_best(conv(p), m); }
    // Behind SPD a window of one pixel overlaps no other.
    int preference(const Problem &p) const override { return p.ci >= 8 && (after(p) || p.kh * p.kw > 1) ? 3 : 0; }
    std::string layout(const hconv_tensor &t, const Problem &p, const Machine &m) const override {
        const bool y = t.role == HCONV_OUTPUT || t.name == std::string("residual");
        return y && after(p) ? std::to_string(p.extra[HCONV_BLOCK]) + ":nhwc" : blocks(t, conv(p), m);
    }
    bool fetches_ahead(const Problem &p, const Machine &m) const override { return x86::outputs_are_far(p, m); }
    void formulate(SpdStages &s) const override { s.rows_left_out = true; }
    void apply(SpdStages &s, const Problem &p, const Target &t) const override {
        loops(s, conv(p), t, after(p) ? p.extra[HCONV_BLOCK] : 1);
    }

private:
    static bool may(const Problem &p) {
        return !p.open() && !p.nchw() && p.groups == 1 && p.extra[HCONV_ORDER] != HCONV_SPD_ONLY &&
               (after(p) || (p.dilation_h == 1 && p.dilation_w == 1));
    }
    static Problem conv(const Problem &p) {
        Problem conv = as_conv(p);
        if (after(p)) conv.stride_w = p.stride_w;
        return conv;
    }
};

// only: runs of ci channels are copied.
struct CopySpd : Schedule<SpdStages> {
    bool feasible(const Problem &p, const Machine &) const override {
        return p.extra[HCONV_ORDER] == HCONV_SPD_ONLY && !p.nchw();
    }
    void apply(SpdStages &s, const Problem &p, const Target &t) const override {
        const int lanes = x86::vector_lanes(p.ci, Machine::of(t)), b = p.extra[HCONV_BLOCK];
        Var c("c"), block("block");
        s.out.bound(s.co, 0, p.ci * b * b).split(s.co, block, c, p.ci, TailStrategy::RoundUp);
        s.out.reorder(c, s.x, block, s.y, s.n).parallel(s.y);
        s.out.vectorize(c, lanes, p.ci % lanes ? TailStrategy::GuardWithIf : TailStrategy::RoundUp);
    }
};

}  // namespace

}  // namespace hconv

HCONV_SCHEDULE(hconv::SpdStages, "x86 arm", direct, hconv::DirectSpd)
HCONV_SCHEDULE(hconv::SpdStages, "x86", unstaged, hconv::UnstagedSpd)
HCONV_SCHEDULE(hconv::SpdStages, "x86 arm", copy, hconv::CopySpd)
