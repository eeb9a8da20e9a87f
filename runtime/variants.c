/* variants.c - the table made of variants.def.
 * SPDX-License-Identifier: MIT */
#include "variant.h"

#define HCONV_VARIANT(name, family, keys, words, about) extern const hconv_family hconv_family_##family;
#include "variants.def"
#undef HCONV_VARIANT

const hconv_variant hconv_variants[HCONV_VARIANT_COUNT] = {
#define HCONV_VARIANT(name, family, keys, words, about) {#name, &hconv_family_##family, keys, words, about},
#include "variants.def"
#undef HCONV_VARIANT
};
