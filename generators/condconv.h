// condconv.h - the stages a schedule of condconv and dynamicconv may touch.
// SPDX-License-Identifier: MIT
#pragma once

#include "generators/per_sample.h"

namespace hconv {

// head: pooled input, one or two layers, the routing; empty where the routing is an input, or 1.
struct CondconvStages : PerSampleStages {
    static constexpr const char *family = "condconv";
};

}  // namespace hconv
