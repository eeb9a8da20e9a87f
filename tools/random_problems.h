// random_problems.h - problems drawn at random: every key and word of a variant, sizes at the edges of vectors and tiles.
// SPDX-License-Identifier: MIT
// What may be drawn is read from the variant's line in variants.def and its descriptor; the one parser says what is a problem.
// The same seed gives the same problems on every machine.
#pragma once

#include "tools/problem_list.h"

#include <cstdint>
#include <string>
#include <vector>

namespace hconv {

enum class Care {
    possible,  // most texts are problems: groups divide channels, blocks divide sizes
    none,      // anything the grammar allows
};
// A text of the variant; its parse may fail. open: leaves n, h or w open.
std::string random_text(const hconv_variant &v, uint64_t seed, Care care, bool open);

// So many problems with every size known: half of the kernels have one size, the others are open and have up to 36. The
// variants take turns. Throws std::invalid_argument for a name that is no variant; "all" stands for all of them.
std::vector<ListedProblem> random_problems(const std::vector<std::string> &variants, size_t count, uint64_t seed);

}  // namespace hconv
