// odconv.h - the stages a schedule of odconv may touch.
// SPDX-License-Identifier: MIT
#pragma once

#include "generators/per_sample.h"

namespace hconv {

// head: pooled input, hidden layer, then for each attention a layer and its value.
struct OdconvStages : PerSampleStages {
    static constexpr const char *family = "odconv";
};

}  // namespace hconv
