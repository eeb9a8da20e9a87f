// separable.h - a full window as a sum of column times row: what rowcol's col.weight and row.weight hold.
// SPDX-License-Identifier: MIT
#pragma once

#include <vector>

namespace hconv {

// W[c] = sum over e < pairs of column[c pairs + e] row[c pairs + e]^T, up to the rounding that float32 windows have.
struct Separated {
    int pairs = 0;                   // the greatest rank of a channel's window; windows of lower rank end with zeros
    std::vector<float> column, row;  // [channels pairs, kh], [channels pairs, kw]
};

// windows: [channels, kh, kw].
Separated separate(const float *windows, int channels, int kh, int kw);

}  // namespace hconv
