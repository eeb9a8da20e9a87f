// wtconv.cpp - wavelet convolution: channels never mix, so a task is a vector of channels of one image, and its whole
// pyramid of sub-bands stays in the second cache, zeros around them included. Haar: a block of pixels of all sub-bands is
// convolved in registers and put together at once, in the last level with the window on the input. Longer wavelets
// overlap: their convolved sub-bands are stored.
// SPDX-License-Identifier: MIT
#include "generators/wtconv.h"

#include "runtime/variants/wtconv.h"
#include "schedules/schedule.h"
#include "schedules/x86/idioms.h"
#include "schedules/x86/planes.h"

namespace hconv {

using namespace Halide;

namespace {

constexpr int open_block = 8;  // of sub-bands of any width: small maps are not computed in vain

// Pixels of a row, of so many sub-bands at once.
struct Block {
    int w, bands;
};

struct Pyramid : Schedule<WtconvStages> {
    Knob pixels{this, "pixels", 8, {6, 8, 10, 12, 14, 16, 20, 28}};  // in registers, at most
    Knob staged{this, "staged", 1, {0, 1}};  // 1: a task's channels of the input are copied together

    void defaults(const Problem &, const Machine &) override;
    bool feasible(const Problem &, const Machine &) const override;
    std::string layout(const hconv_tensor &, const Problem &, const Machine &) const override;
    void apply(WtconvStages &, const Problem &, const Target &) const override;

private:
    void level(WtconvStages &, const hconv_wtconv &, const Problem &, int i, const Var &task, const Machine &) const;
    void tiles(WtconvStages &, Func f, const hconv_wtconv &, const Problem &, const Var &lane,
               const std::vector<Var> &outside, const Machine &) const;
    Block block_of(int w, int bands, int kw, const Machine &) const;
    Block block_of(const Problem &, const hconv_wtconv &, int level, const Machine &) const;
};

// The block that covers rows of that width in the least time: a multiply-add a pixel and tap, eight at least to hide its
// latency, and a load a tap, more where windows of 7 are read for all sub-bands at once.
Block Pyramid::block_of(int w, int bands, int kw, const Machine &m) const {
    Block best{1, 1};
    int64_t least = INT64_MAX;
    for (Block b{w, 1}; b.w >= 1; --b.w)
        for (b.bands = 1; b.bands <= bands; b.bands *= 2) {
            if (b.w * b.bands > pixels || !x86::fits_registers({b.bands, b.w}, m)) continue;
            const int tap = std::max(b.w * b.bands, 8) + std::max(1, b.bands * kw / 14);
            int64_t time = int64_t(x86::ceil_div(w, b.w)) * (bands / b.bands) * tap;
            if (time < least) least = time, best = b;
        }
    return best;
}
Block Pyramid::block_of(const Problem &p, const hconv_wtconv &o, int level, const Machine &m) const {
    return block_of(x86::size_or(hconv_wtconv_size(p.w, level + 1), open_block), o.bands, p.kw, m);
}

// Channels of a task lie ci apart: where few sets of the first cache would hold the rows of a window, they are copied.
void Pyramid::defaults(const Problem &p, const Machine &m) {
    pixels = m.lanes == 16 ? 16 : m.lanes == 8 ? 14 : 12;
    int sets = 1;
    while (sets < 64 && p.ci % (16 * 64 / sets)) sets *= 2;
    const int held = m.l1_bytes / 64 / 64 * sets, row = x86::size_or(p.w, x86::open_width);
    staged = p.nchw() || (!hconv_wtconv_of(&p).lines && (p.kh + 1) * row > 4 * held);
}

// The widest vector that divides the channels; 0: none does.
int lanes_of(const Problem &p, const Machine &m) {
    const int lanes = x86::even_lanes(p.ci, m);
    return lanes >= 4 ? lanes : 0;
}

bool Pyramid::feasible(const Problem &p, const Machine &m) const {
    return lanes_of(p, m) && pixels >= 1 && x86::fits_registers({1, pixels}, m);
}

std::string Pyramid::layout(const hconv_tensor &t, const Problem &p, const Machine &m) const {
    const std::string letters = t.letters, inside = std::to_string(lanes_of(p, m)) + "o";
    return letters == "ohw" ? "Ohw" + inside : letters == "oshw" ? "Oshw" + inside : letters == "o" ? "O" + inside : "";
}

// A window's sum over a block, in registers: taps of a row share their loads.
void accumulate(Func sum, const WtconvStages &s, Func at, const Var &block, int lanes) {
    sum.compute_at(at, block).bound_extent(s.c, lanes).vectorize(s.c, lanes).unroll(s.x).unroll(s.y);
    Stage window = sum.update();
    const std::vector<RVar> r = sum.rvars(0);
    window.reorder(s.c, s.x, s.y, r[0], r[1]).vectorize(s.c, lanes).unroll(s.x).unroll(s.y).unroll(r[0]);
}

// `bands` sub-bands of a block of pixels, some at once.
void convolve(WtconvStages &s, Func conv, int bands, Func at, const Var &tile, int lanes, Block block) {
    Var bo("bo");
    accumulate(conv, s, at, tile, lanes);
    conv.bound_extent(s.b, bands).unroll(s.b);
    const std::vector<RVar> r = conv.rvars(0);
    conv.update().split(s.b, bo, s.b, block.bands, TailStrategy::RoundUp);
    conv.update().reorder(s.c, s.x, s.y, s.b, r[0], r[1], bo).unroll(s.b);
}

// A stage of a task, a vector of channels at every place.
void stage(Func f, const WtconvStages &s, Func out, const Var &task, int lanes) {
    f.compute_at(out, task).store_in(MemoryType::Heap).bound_extent(s.c, lanes).vectorize(s.c, lanes);
    for (int u = 0; u < f.num_update_definitions(); ++u) {
        std::vector<VarOrRVar> order{s.c};
        for (const RVar &r : f.rvars(u)) order.push_back(r);
        f.update(u).reorder(order).vectorize(s.c, lanes);
    }
}

}  // namespace

// Sub-bands of a level, and what the level gives back to the one before.
void Pyramid::level(WtconvStages &s, const hconv_wtconv &o, const Problem &p, int i, const Var &task,
                    const Machine &m) const {
    WtconvLevel &level = s.levels[size_t(i)];
    const Block block = block_of(p, o, i, m);
    const int lanes = lanes_of(p, m);
    Var xo("xo"), xi("xi"), yi("yi"), bo("bo"), xp("xp");
    if (s.two_passes) {
        stage(level.across, s, s.out, task, lanes), stage(level.up, s, s.out, task, lanes);
        level.across.bound(s.b, 0, 2).reorder(s.c, s.b, s.x, s.y, s.n).unroll(s.b);
    }
    stage(level.bands, s, s.out, task, lanes);
    level.bands.bound(s.b, 0, o.bands).reorder(s.c, s.b, s.x, s.y, s.n).unroll(s.b);
    if (o.wavelet->length == 2) {
        if (i == 0) return;
        stage(level.back, s, s.out, task, lanes);
        level.back.split(s.x, xo, xi, 2 * block.w, TailStrategy::RoundUp).reorder(s.c, xi, xo, s.y, s.n).unroll(xi);
        if (!o.lines) level.back.split(s.y, s.y, yi, 2, TailStrategy::RoundUp).reorder(s.c, xi, yi, xo, s.y).unroll(yi).never_partition(s.y);
        return convolve(s, level.conv, o.bands, level.back, xo, lanes, block);
    }
    Func stored = level.conv.in();
    stage(stored, s, s.out, task, lanes);
    stored.split(s.x, xo, xi, block.w, TailStrategy::RoundUp).split(s.b, bo, s.b, block.bands, TailStrategy::RoundUp);
    stored.reorder(s.c, s.b, xi, xo, s.y, bo, s.n).unroll(xi).unroll(s.b);
    convolve(s, level.conv, block.bands, stored, xo, lanes, block);
    stage(level.back, s, s.out, task, lanes);
    level.back.split(s.x, s.x, xp, 2, TailStrategy::GuardWithIf).reorder(s.c, xp, s.x, s.y, s.n).unroll(xp);
}

// The tiles of f, which reads base; in each the sub-bands of level 0 are convolved, in each row of one the window on x.
// They go down strips of the map, whose rows stay in the first cache. Two strips are two codes, without taps beside the map.
void Pyramid::tiles(WtconvStages &s, Func f, const hconv_wtconv &o, const Problem &p, const Var &lane,
                    const std::vector<Var> &outside, const Machine &m) const {
    const Block block = block_of(p, o, 0, m);
    const int stride = o.lines ? 1 : p.stride_w, h = o.lines || stride % 2 == 0 ? 1 : 2;
    const int w = stride == 1 ? 2 * block.w : std::max(1, block.w / stride) * 2, part = w <= pixels ? w : w / 2;
    Var xo("xo"), xb("xb"), xi("xi"), yo("yo"), yi("yi");
    auto tail = [](int size, int by) { return size && size % by == 0 ? TailStrategy::RoundUp : TailStrategy::GuardWithIf; };
    f.split(s.x, xo, xi, w, tail(o.ow, w)).split(xi, xb, xi, part, TailStrategy::RoundUp);
    f.split(s.y, yo, yi, h, tail(o.lines ? 1 : o.oh, h));
    std::vector<VarOrRVar> order{lane, xi, xb, yi, yo, xo};
    order.insert(order.end(), outside.begin(), outside.end());
    f.reorder(order).vectorize(lane).unroll(xi).unroll(xb).unroll(yi).never_partition(yo);
    if (o.ow == 2 * w && !s.total.defined()) f.unroll(xo);
    s.base.bound_extent(s.x, part).bound_extent(s.y, 1);
    accumulate(s.base, s, f, xb, lanes_of(p, m));
    if (o.wavelet->length > 2) return;
    s.levels[0].conv.bound_extent(s.x, (w - 1) * stride / 2 + 1).bound_extent(s.y, (h - 1) * stride / 2 + 1);
    convolve(s, s.levels[0].conv, o.bands, f, yo, lanes_of(p, m), block);
}

void Pyramid::apply(WtconvStages &s, const Problem &p, const Target &t) const {
    const hconv_wtconv o = hconv_wtconv_of(&p);
    const Machine m = Machine::of(t);
    const int lanes = lanes_of(p, m);
    Var task("task"), lane("lane");
    s.out.bound(s.c, 0, p.ci);
    if (o.ow) s.out.bound(s.x, 0, o.ow);
    if (o.oh) s.out.bound(s.y, 0, o.oh);
    if (p.n != HCONV_OPEN) s.out.bound(s.n, 0, p.n);
    s.out.split(s.c, task, lane, lanes, TailStrategy::RoundUp);
    if (s.total.defined() || p.nchw()) {
        Func stored = s.base.in();
        stage(stored, s, s.out, task, lanes), tiles(s, stored, o, p, s.c, {s.n}, m);
        if (s.total.defined()) stage(s.total, s, s.out, task, lanes);
        if (p.nchw()) x86::transpose(s.out, s.x, lane, {s.y, task, s.n}, o.ow, m);
        else s.out.reorder(lane, s.x, s.y, task, s.n).vectorize(lane);
    } else {
        tiles(s, s.out, o, p, lane, {task, s.n}, m);
    }
    x86::parallel_tasks(s.out, task, s.n, p.n);
    if (staged) stage(s.padded, s, s.out, task, lanes);
    for (int i = 0; i < o.levels; ++i) level(s, o, p, i, task, m);
}

}  // namespace hconv

HCONV_SCHEDULE(hconv::WtconvStages, "x86 arm", pyramid, hconv::Pyramid)
