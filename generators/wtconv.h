// wtconv.h - the stages a schedule of wtconv and wtconv1d may touch.
// SPDX-License-Identifier: MIT
#pragma once

#include "generators/problem.h"

#include <Halide.h>

namespace hconv {

// Level i: sub-bands of the level before, their convolution, and what the levels from i on give back. Sizes are those of
// the map that came in, halved (rounded up) for across's columns, and for bands and conv. One dimension has no down, no up.
struct WtconvLevel {
    Halide::Func across;  // (c, x, y, b, n): rows filtered, b = 0 low pass, 1 high pass
    Halide::Func bands;   // (c, x, y, b, n): columns filtered as well, b = down + 2 across; 0 outside the map
    Halide::Func conv;    // (c, x, y, b, n): pure: the next level's back in band 0; update 0: the window of band b
    Halide::Func up;      // (c, x, y, b, n): columns put together again, b as in across
    Halide::Func back;    // (c, x, y, n): rows put together; of level 0 only what the stride keeps
};

struct WtconvStages {
    static constexpr const char *family = "wtconv";
    Halide::Var c{"c"}, x{"x"}, y{"y"}, b{"b"}, n{"n"};
    std::vector<WtconvLevel> levels;
    bool two_passes = false;        // across and up are worth storing; else bands and back read through them
    Halide::Func padded{"padded"};   // (c, x, y, n): the input with zeros around it
    Halide::Func base{"base"};       // pure: bias and back of level 0; update 0: the window on x
    Halide::Func total{"total"};     // wtconv1d with a stride: sums of as many pixels; else undefined
    Halide::Func out{"out"};
    std::vector<Halide::Func> outputs() const { return {out}; }
    std::vector<Halide::Func> all() const {
        std::vector<Halide::Func> list{padded};
        for (const WtconvLevel &level : levels)
            for (const Halide::Func &f : {two_passes ? level.across : Halide::Func(), level.bands, level.conv,
                                          two_passes ? level.up : Halide::Func(), level.back})
                if (f.defined()) list.push_back(f);
        for (const Halide::Func &f : {base, total, out})
            if (f.defined()) list.push_back(f);
        return list;
    }
    bool is_output(const Halide::Func &f) const { return f.name() == out.name(); }
};

}  // namespace hconv
