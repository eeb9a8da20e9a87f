// maps.h - stages of maps whose channels never mix, (c, x, y, n) or (c, x, y, band, n): lanes are channels, or in nchw the pixels
// of a row.
// SPDX-License-Identifier: MIT
#pragma once

#include "schedules/cuda/idioms.h"

namespace hconv::cuda {

// A stage of its own, a thread an element; its sum over taps, if it is one, in a register.
inline void stage_map(Func f, bool nchw) {
    Func stored = f.num_update_definitions() ? f.in() : f;
    stage_global(stored, lanes_first(stored, nchw), 1);
    if (f.num_update_definitions()) f.compute_at(stored, Var("thread"));
}

// A thread has w x h pixels of a channel, of all bands; a block is t.ct x t.xt x t.yt threads along channels and tiles of pixels.
// The innermost loop over threads.
inline Var tile_map(Func f, bool nchw, int w, int h, const Tile &t) {
    const std::vector<Var> args = f.args();
    Var c = args[0], x = args[1], y = args[2], n = args.back();
    Var xq("xq"), yq("yq"), xi("xi"), yi("yi"), c0("c0"), x0("x0"), y0("y0"), cb("cb"), xb("xb"), yb("yb");
    f.split(x, xq, xi, w, TailStrategy::GuardWithIf).split(y, yq, yi, h, TailStrategy::GuardWithIf);
    f.split(xq, xb, x0, t.xt, TailStrategy::GuardWithIf).split(yq, yb, y0, t.yt, TailStrategy::GuardWithIf);
    f.split(c, cb, c0, t.ct, TailStrategy::GuardWithIf);
    if (args.size() == 5) f.reorder(args[3], xi).unroll(args[3]);
    if (nchw) f.reorder({xi, yi, x0, c0, y0, xb, cb, yb, n}).fuse(yb, n, yb).gpu_threads(x0, c0, y0).gpu_blocks(xb, cb, yb);
    else f.reorder({xi, yi, c0, x0, y0, cb, xb, yb, n}).fuse(yb, n, yb).gpu_threads(c0, x0, y0).gpu_blocks(cb, xb, yb);
    f.unroll(xi).unroll(yi);
    return nchw ? x0 : c0;
}

}  // namespace hconv::cuda
