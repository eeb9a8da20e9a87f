// sizes.h - whole numbers that the schedules of every target divide by each other, and what stands for a size left open.
// SPDX-License-Identifier: MIT
#pragma once

#include "generators/problem.h"

#include <algorithm>

namespace hconv {

inline int ceil_div(int a, int b) { return (a + b - 1) / b; }

// `extent` in equal parts of at most `most`: the size of a part.
inline int even_parts(int extent, int most) { return ceil_div(extent, ceil_div(extent, std::max(1, most))); }

// An open size stands for a big one wherever a default has to be computed; this width most tiles divide.
constexpr int open_width = 1008;
inline int size_or(int size, int if_open) { return size == HCONV_OPEN ? if_open : size; }
// Of the output.
inline int width_of(const Problem &p) { return size_or(p.ow(), open_width); }
inline int height_of(const Problem &p) { return size_or(p.oh(), 64); }

}  // namespace hconv
