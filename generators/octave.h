// octave.h - the stages a schedule of octave may touch.
// SPDX-License-Identifier: MIT
#pragma once

#include "generators/problem.h"

#include <Halide.h>

namespace hconv {

// One of the four paths (from, to): a stride-1 convolution of a map, which is an input or an input pooled.
struct OctavePath {
    bool exists = false;
    Halide::RDom r;                              // input channel within the group, kx, ky
    std::vector<Halide::Func> pooled;            // (c, x, y, n): halvings on the way, but what a path before has
    Halide::Func padded;                         // zeros around the map, at any distance
};

// Paths that meet at one resolution. acc: pure: where the sum starts; update i: path[paths[i]] summed over its r.
struct OctaveSum {
    Halide::Func acc;
    std::vector<int> paths;
};

struct OctaveStages {
    static constexpr const char *family = "octave";
    Halide::Var c{"c"}, x{"x"}, y{"y"}, n{"n"};
    // Asked for by a schedule: taps of rows outside a map are left out, padded has zeros beside the rows only, and paths share
    // halved maps.
    bool rows_left_out = false;
    OctavePath path[4];                          // HCONV_HH, HCONV_HL, HCONV_LH, HCONV_LL
    // up: what the low map adds to the high one, before it is upsampled; no paths where that does not exist.
    OctaveSum high_sum{Halide::Func("high_sum"), {}}, low_sum{Halide::Func("low_sum"), {}}, up{Halide::Func("up"), {}};
    Halide::Func high{"high"}, low{"low"};       // undefined where the problem has no such output
    std::vector<Halide::Func> outputs() const {
        std::vector<Halide::Func> list;
        for (const Halide::Func &f : {high, low})
            if (f.defined()) list.push_back(f);
        return list;
    }
    std::vector<Halide::Func> all() const {
        std::vector<Halide::Func> list;
        for (const OctavePath &p : path) {
            if (!p.exists) continue;
            list.insert(list.end(), p.pooled.begin(), p.pooled.end());
            list.push_back(p.padded);
        }
        for (const Halide::Func &f : {up.acc, high_sum.acc, low_sum.acc, high, low})
            if (f.defined()) list.push_back(f);
        return list;
    }
    bool is_output(const Halide::Func &f) const { return f.name() == high.name() || f.name() == low.name(); }
};

}  // namespace hconv
