/* rowcol.h - where a rowcol problem keeps its own key.
 * SPDX-License-Identifier: MIT */
#ifndef HCONV_VARIANTS_ROWCOL_H
#define HCONV_VARIANTS_ROWCOL_H

enum { HCONV_PAIRS = 0 }; /* extra[]: r, pairs of a column and a row */

#endif
