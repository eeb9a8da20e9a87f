// families.h - every family of variants.def; one that has no file here does not link.
// SPDX-License-Identifier: MIT
#ifndef HCONV_TESTS_REFERENCE_FAMILIES_H
#define HCONV_TESTS_REFERENCE_FAMILIES_H

#include "maps.h"

namespace hconv::reference::families {
#define HCONV_VARIANT(name, family, keys, words, about) std::vector<Output> family(const Request &r);
#include "variants.def"
#undef HCONV_VARIANT
} // namespace hconv::reference::families
#endif
