// idioms.h - the vocabulary of the CUDA schedules: a thread's tile of accumulators in registers, blocks of threads over
// channels and pixels, inputs staged with their zeros in shared memory, four channels of the input in registers.
// SPDX-License-Identifier: MIT
#pragma once

#include "generators/problem.h"
#include "schedules/machine.h"
#include "schedules/schedule.h"
#include "schedules/sizes.h"

#include <Halide.h>

#include <algorithm>
#include <functional>
#include <string>
#include <vector>

namespace hconv::cuda {

using Halide::Expr;
using Halide::Func;
using Halide::RDom;
using Halide::RVar;
using Halide::Stage;
using Halide::TailStrategy;
using Halide::Target;
using Halide::Var;
using Halide::VarOrRVar;

// The GPU the defaults think of: its multiprocessors, and the shared memory that every launch may have, or ask for.
constexpr int multiprocessors = 132, plain_shared = 48 << 10, most_shared = 96 << 10;
using hconv::ceil_div, hconv::even_parts, hconv::size_or;

// A size of the first output; 0 where open. The problem's own oh() and ow() are those of a plain convolution.
inline int output_size(const Problem &p, char letter) {
    for (const hconv_tensor &t : p.tensors())
        if (t.role == HCONV_OUTPUT)
            for (int i = 0; i < t.rank; ++i)
                if (t.letters[i] == letter) return int(t.extent[i]);
    return 1;
}

// The greatest of 4, 2, 1 that divides all.
inline int vector_of(std::initializer_list<int> sizes, int most = 4) {
    int v = most;
    for (int s : sizes)
        while (s % v) v /= 2;
    return v;
}

// A thread computes channels x pixels sums, a block is ct x xt x yt threads along channels, tiles of pixels, and rows. nchw: along
// a row, tiles of rows, and channels; a thread's pixels are of a column.
struct Tile {
    int channels, pixels, ct, xt, yt;
    bool nchw = false;
    int threads() const { return ct * xt * yt; }
};

// Lanes along a row: a warp of neighbours, or rows side by side where they are short.
inline int row_lanes(int ow) { return std::min(32, ceil_div(ow, 8) * 8); }

// Tells Halide the sizes that the problem fixes, so that loops over them are constant.
inline void bound_known_sizes(Func out, const Var &c, const Var &x, const Var &y, const Var &n, int channels, int ow, int oh, int images) {
    out.bound(c, 0, channels);
    if (ow != HCONV_OPEN) out.bound(x, 0, ow);
    if (oh != HCONV_OPEN) out.bound(y, 0, oh);
    if (images != HCONV_OPEN) out.bound(n, 0, images);
}

// Tiles of `width` pixels where the extent holds one, the last moved inwards; single pixels where it does not.
inline void specialize_width(Func out, const Expr &extent, int fixed, int width, const std::function<void(Stage, int, TailStrategy)> &schedule) {
    if (fixed != HCONV_OPEN) return schedule(Stage(out), width, fixed % width ? TailStrategy::ShiftInwards : TailStrategy::RoundUp);
    if (width > 1) schedule(out.specialize(extent >= width), width, TailStrategy::ShiftInwards);
    schedule(Stage(out), 1, TailStrategy::RoundUp);
}

// Loops of an output, innermost first: cv, xi | threads ct, xt, yt | blocks cb, xb, yb with all images. Threads beyond the
// edge do nothing; every tile that is computed is whole.
struct Loops {
    Var cv{"cv"}, xi{"xi"}, ct{"ct"}, xt{"xt"}, yt{"yt"}, cb{"cb"}, xb{"xb"}, yb{"yb"};
};
inline void tile_output(Stage out, const Var &c, const Var &x, const Var &y, const Var &n, const Loops &l, const Tile &t, int width,
                        TailStrategy tail) {
    Var cq("cq"), xq("xq");
    out.split(c, cq, l.cv, t.channels, TailStrategy::RoundUp).split(t.nchw ? y : x, xq, l.xi, width, tail);
    out.split(t.nchw ? x : cq, l.cb, l.ct, t.ct, TailStrategy::GuardWithIf).split(xq, l.xb, l.xt, t.xt, TailStrategy::GuardWithIf);
    out.split(t.nchw ? cq : y, l.yb, l.yt, t.yt, TailStrategy::GuardWithIf);
    out.reorder({l.cv, l.xi, l.ct, l.xt, l.yt, l.cb, l.xb, l.yb, n}).fuse(l.yb, n, l.yb);
    out.unroll(l.xi).gpu_threads(l.ct, l.xt, l.yt).gpu_blocks(l.cb, l.xb, l.yb);
    if (t.channels > 1 && !t.nchw) out.vectorize(l.cv, std::min(t.channels, 4));
    out.unroll(l.cv);
}

// The same for a whole output: the sizes that are fixed, and tiles where they fit.
inline void tile_outputs(Func out, const Var &c, const Var &x, const Var &y, const Var &n, const Loops &l, const Tile &t, int channels,
                         int ow, int oh, int images) {
    bound_known_sizes(out, c, x, y, n, channels, ow, oh, images);
    specialize_width(out, out.output_buffer().dim(t.nchw ? 2 : 1).extent(), t.nchw ? oh : ow, t.pixels,
                     [&](Stage st, int width, TailStrategy tail) { tile_output(st, c, x, y, n, l, t, width, tail); });
}

// The sum's order: a part of the input channels, unrolled, for all `taps` columns of the window at once.
struct SumLoops {
    RVar part{"part"}, inside{"inside"};
    int channels, taps;  // of a step; taps: 1 or the window's
};
inline SumLoops sum_loops(int ci, int kw, int dilation, const Tile &t) {
    SumLoops s;
    s.channels = ci % 4 == 0 ? 4 : ci <= 3 ? ci : ci % 3 == 0 ? 3 : ci % 2 == 0 ? 2 : 1;
    s.taps = dilation <= 2 && kw * t.channels * t.pixels * s.channels <= 512 && kw <= 7 ? kw : 1;
    return s;
}

// A thread's channels, four at a time.
inline void along_channels(Stage st, const Var &c, int channels) {
    if (channels % 4 == 0) st.vectorize(c, 4).unroll(c);
    else if (channels == 2) st.vectorize(c);
    else st.unroll(c);
}

// Accumulators in registers from the bias to the store, one thread's: every loop over them is unrolled, and the reduction runs
// outside. `update`: of several sums into one accumulator.
inline void accumulate(Func acc, int update, const Var &c, const Var &x, const RDom &r, const SumLoops &s, int channels) {
    std::vector<VarOrRVar> order{c, x, s.inside};
    Stage st = acc.update(update);
    st.split(r.x, s.part, s.inside, s.channels);
    if (r.dimensions() == 1) order.insert(order.end(), {s.part});
    else if (s.taps > 1) order.insert(order.end(), {r.y, s.part, r.z});
    else order.insert(order.end(), {s.part, r.y, r.z});
    st.reorder(order).unroll(x).unroll(s.inside);
    if (s.taps > 1) st.unroll(r.y);
    along_channels(st, c, channels);
}
inline void start_accumulating(Func acc, Func out, const Var &at, const Var &c, const Var &x, int channels) {
    acc.compute_at(out, at).bound_extent(c, channels).unroll(x);
    along_channels(Stage(acc), c, channels);
}

// What a step reads of the input, in registers: every value is loaded once, four channels at a time where they are aligned. nchw: of
// several rows, a value at a time.
inline void inputs_in_registers(Func input, Func acc, const Var &ci, const Var &ix, const Var &iy, const SumLoops &s, bool aligned, bool nchw) {
    Func regs = input.in(acc);
    regs.compute_at(acc, s.part).bound_extent(ci, s.channels).unroll(ix);
    if (nchw) regs.unroll(ci).unroll(iy);
    else if (s.channels == 4 && aligned) regs.vectorize(ci);
    else regs.unroll(ci);
}

// What a block of threads reads of the input: channels x columns x rows; 0: as many as are needed.
struct Region {
    int channels, columns, rows;
    int bytes() const { return 4 * channels * columns * rows; }
};
inline Region whole_blocks(Region r, int all_channels) {
    if (all_channels % r.channels) r.channels = 0;
    return r;
}
inline int reach(int outputs, int stride, int window, int dilation) { return (outputs - 1) * stride + (window - 1) * dilation + 1; }

// The thread loop in which an element of it is made.
inline const Var &staging_thread() {
    static const Var innermost("staged_by");
    return innermost;
}

// All channels, also for a block that begins with a later group: what it reads must not end beyond the last. To be staged with 0
// for the channels: with an extent as well, Halide would take it that every block begins with the first.
inline void all_channels(Func padded, const Var &ci, int channels) { padded.bound(ci, 0, channels); }
inline Region of_all_channels(Region r) {
    r.channels = 0;
    return r;
}

// Stored as lanes go.
inline std::vector<Var> lanes_first(Func f, bool nchw) {
    std::vector<Var> args = f.args();
    if (nchw) std::rotate(args.begin(), args.begin() + 1, args.begin() + 3), f.reorder_storage(args);
    return args;
}

// That region, with its zeros, in shared memory: the threads fill it together.
inline void stage_shared(Func padded, Func out, const Var &block, const Var &ci, const Var &ix, const Var &iy, const Region &region,
                         const Tile &t, int vector) {
    Var f("f"), fo("fo"), f0 = staging_thread(), f1("f1"), f2("f2"), v("v");
    padded.compute_at(out, block).store_in(Halide::MemoryType::GPUShared);
    if (region.channels) padded.bound_extent(ci, region.channels);
    padded.bound_extent(ix, region.columns);
    if (region.rows) padded.bound_extent(iy, region.rows);
    lanes_first(padded, t.nchw);
    if (t.nchw) vector = 1;
    if (vector > 1) padded.split(ci, ci, v, vector, TailStrategy::RoundUp).vectorize(v);
    padded.fuse(t.nchw ? ix : ci, t.nchw ? iy : ix, f).fuse(f, t.nchw ? ci : iy, f);
    padded.split(f, fo, f0, t.ct, TailStrategy::GuardWithIf).split(fo, fo, f1, t.xt, TailStrategy::GuardWithIf);
    padded.split(fo, fo, f2, t.yt, TailStrategy::GuardWithIf);
    std::vector<VarOrRVar> order{f0, f1, f2, fo};
    if (vector > 1) order.insert(order.begin(), v);
    padded.reorder(order).gpu_threads(f0, f1, f2);
}

// A stage of its own: a thread an element (or four channels), 128 a block.
inline void stage_global(Func f, const std::vector<Var> &args, int vector) {
    Var all = args[0], v("v"), block("block"), thread("thread");
    f.compute_root();
    if (vector > 1) f.split(args[0], all, v, vector, TailStrategy::RoundUp).vectorize(v);
    for (size_t i = 1; i < args.size(); ++i) f.fuse(all, args[i], all);
    f.gpu_tile(all, block, thread, 128, TailStrategy::GuardWithIf);
}

}  // namespace hconv::cuda
