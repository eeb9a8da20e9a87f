// rowcol.cpp - the column pass of one output row fills a scratch in the first cache, the row pass reads it there; both
// keep a block of pixels in registers. nhwc: lanes = channels. nchw, and few channels: lanes = pixels of a row.
// SPDX-License-Identifier: MIT
#include "generators/rowcol.h"

#include "runtime/variants/rowcol.h"
#include "schedules/schedule.h"
#include "schedules/x86/idioms.h"
#include "schedules/x86/planes.h"

namespace hconv {

using namespace Halide;

namespace {

constexpr int few_channels = 4;

// Taps of a window unrolled while the code stays small.
bool unrolled(int taps, int pixels) { return taps * pixels <= 224; }

struct Channels : Schedule<RowcolStages> {
    Knob xs{this, "xs", 8, {1, 2, 4, 6, 7, 8, 10, 12, 14}};  // pixels in the block of the row pass
    Knob column_xs{this, "column_xs", 2, {1, 2, 4}};         // pixels x rows in the block of the column pass
    Knob ys{this, "ys", 2, {1, 2, 4, 8}};
    Knob rows{this, "rows", 8, {2, 4, 8, 16}};               // output rows a task

    // Rows of a block share what they load, if the window is unrolled: long windows are, where there are few pixels.
    void defaults(const Problem &p, const Machine &m) override {
        xs = x86::even_parts(x86::width_of(p), m.lanes == 4 && !m.multiplies_by_lane ? 4 : 8);
        ys = p.kh < 7 ? 2 : 4;
        column_xs = 4 / ys;
        rows = x86::rows_of(p, m, p.ci, ys);
    }
    bool feasible(const Problem &p, const Machine &m) const override {
        return !p.nchw() && p.ci > few_channels && rows >= 1 && xs >= 1 && xs <= x86::width_of(p) && ys >= 1 &&
               column_xs >= 1 && rows % ys == 0 && x86::fits_registers({1, xs}, m) &&
               x86::fits_registers({1, column_xs * ys}, m);
    }
    void apply(RowcolStages &s, const Problem &p, const Target &t) const override {
        const int lanes = x86::whole_lanes(p.ci, Machine::of(t));
        const TailStrategy ragged = p.ci % lanes ? TailStrategy::ShiftInwards : TailStrategy::RoundUp;
        Var cb("cb"), cl("cl"), xo("xo"), xi("xi"), task("task"), yi("yi"), yu("yu");
        x86::bound_known_sizes(s.out, s.c, s.x, s.y, s.n, p);
        s.out.split(s.c, cb, cl, lanes, ragged);
        x86::split_rows(s.out, s.y, task, yi, rows, p.oh());
        s.out.split(yi, yi, yu, int(ys), TailStrategy::RoundUp);
        const Expr ow = s.out.output_buffer().dim(1).extent();
        x86::specialize_widths(
            s.out, ow, p.ow(), x86::widths_below(xs),
            [&](Stage st, int width, TailStrategy tail) {
                st.split(s.x, xo, xi, width, tail).reorder({cl, xi, cb, xo, yu, yi, task, s.n}).vectorize(cl).unroll(xi);
                x86::parallel_tasks(st, task, s.n, p.n);
            },
            false);
        s.acc.compute_at(s.out, cb).vectorize(s.c, lanes).unroll(s.x);
        s.acc.update().reorder({s.c, s.x, s.across.x, s.across.y}).vectorize(s.c, lanes).unroll(s.x);
        if (unrolled(p.kw, xs)) s.acc.update().unroll(s.across.x);

        Func band = s.columns.in(s.acc);
        band.compute_at(s.out, yi).split(s.c, cb, cl, lanes, ragged);
        band.split(s.x, xo, xi, int(column_xs), TailStrategy::RoundUp).split(s.y, yi, yu, int(ys), TailStrategy::RoundUp);
        band.reorder({cl, xi, yu, cb, xo, yi, s.e, s.n}).vectorize(cl).unroll(xi).unroll(yu);
        s.columns.compute_at(band, cb).vectorize(s.c, lanes).unroll(s.x).unroll(s.y);
        s.columns.update().reorder({s.c, s.x, s.y, s.down.x}).vectorize(s.c, lanes).unroll(s.x).unroll(s.y);
        if (unrolled(p.kh, column_xs * ys)) s.columns.update().unroll(s.down.x);
    }
};

struct Pixels : Schedule<RowcolStages> {
    Knob x_vecs{this, "x_vecs", 2, {1, 2, 3, 4, 6, 8}};  // vectors of pixels in the block
    Knob ys{this, "ys", 2, {1, 2, 4}};                   // rows in the block of the column pass
    Knob rows{this, "rows", 8, {2, 4, 8, 16}};           // output rows a task

    void defaults(const Problem &p, const Machine &m) override {
        for (int least = 1 << 30, v = 1; v <= 4; ++v) {
            int vectors = x86::ceil_div(x86::width_of(p), v * m.lanes) * v;
            if (vectors <= least && (v == 1 || v * m.lanes <= x86::width_of(p))) least = vectors, x_vecs = v;
        }
        rows = x86::rows_of(p, m, p.nchw() ? 1 : p.ci, ys);
    }
    bool feasible(const Problem &p, const Machine &m) const override {
        return (p.nchw() || p.ci <= few_channels) && rows >= 1 && x_vecs >= 1 && ys >= 1 && rows % ys == 0 &&
               x86::fits_registers({1, x_vecs * ys}, m);
    }
    void apply(RowcolStages &s, const Problem &p, const Target &t) const override {
        const Machine m = Machine::of(t);
        const int width = m.lanes * x_vecs;
        Var xo("xo"), xi("xi"), task("task"), yi("yi"), yu("yu");
        x86::bound_known_sizes(s.out, s.c, s.x, s.y, s.n, p);
        x86::split_rows(s.out, s.y, task, yi, rows, p.oh());
        s.out.split(yi, yi, yu, int(ys), TailStrategy::RoundUp);
        const Expr ow = s.out.output_buffer().dim(1).extent();
        x86::specialize_widths(
            s.out, ow, p.ow(), x86::halves(width, 4),
            [&](Stage st, int w, TailStrategy tail) {
                st.split(s.x, xo, xi, w, tail).never_partition_all().vectorize(xi);
                if (p.nchw()) st.reorder({xi, xo, yu, yi, s.c, task, s.n});
                else st.reorder({s.c, xi, xo, yu, yi, task, s.n}).unroll(s.c);
                x86::parallel_tasks(st, task, s.n, p.n);
            },
            false);
        s.acc.compute_at(s.out, xo).reorder_storage(s.x, s.c).reorder(s.x, s.c).vectorize(s.x).unroll(s.c);
        s.acc.update().reorder({s.x, s.c, s.across.x, s.across.y}).vectorize(s.x).unroll(s.c);

        Func row = s.columns.in(s.acc);
        row.compute_at(s.out, yi).reorder_storage(s.x, s.c, s.y, s.e, s.n);
        row.split(s.x, xo, xi, width, TailStrategy::RoundUp).split(s.y, yi, yu, int(ys), TailStrategy::RoundUp);
        row.reorder({xi, yu, xo, s.c, yi, s.e, s.n}).vectorize(xi).unroll(yu);
        s.columns.compute_at(row, xo).vectorize(s.x).unroll(s.y);
        s.columns.update().reorder(s.x, s.y, s.down.x).vectorize(s.x).unroll(s.y);
        if (unrolled(p.kh, x_vecs * ys)) s.columns.update().unroll(s.down.x);
        if (unrolled(p.kw, x_vecs)) s.acc.update().unroll(s.across.x);
        x86::stage_planes(s.padded, s.out, p.nchw() ? s.c : task, s.c, s.x, s.y, s.n, m);
        if (!p.nchw()) s.padded.reorder(s.c, s.x, s.y, s.n).unroll(s.c);
    }
};

}  // namespace

}  // namespace hconv

HCONV_SCHEDULE(hconv::RowcolStages, "x86 arm", channels, hconv::Channels)
HCONV_SCHEDULE(hconv::RowcolStages, "x86 arm", pixels, hconv::Pixels)
