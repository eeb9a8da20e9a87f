// spd.h - the stages a schedule of spd may touch.
// SPDX-License-Identifier: MIT
#pragma once

#include "generators/conv2d.h"

namespace hconv {

// Conv2d's: SPD behind or before it is an index.
struct SpdStages : Conv2dStages {
    static constexpr const char *family = "spd";
    // r: input channel, kx, ky of the window that is b times as large (more groups: of the small one). after: as in conv2d.
    // (co, x, y, n) of acc and out: co counts y's channels, unless rows_left_out, and after: then y is seen as rows of the
    // convolution's pixels, those of b rows side by side: co = dy C + o, x counts the convolution's pixels.
    std::vector<Halide::Func> all() const {
        if (!acc.defined()) return {out};  // only
        return {padded, acc, out};
    }
};

}  // namespace hconv
