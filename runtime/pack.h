/* pack.h - the blob's header, and re-ordering by a layout string.
 * SPDX-License-Identifier: MIT */
#ifndef HCONV_PACK_H
#define HCONV_PACK_H

#include "internal.h"

#ifdef __cplusplus
extern "C" {
#endif

#define HCONV_BLOB_MAGIC UINT64_C(0x31626f6c62766368) /* "hcvblob1" */

typedef struct hconv_blob_header {
    uint64_t magic, hash, bytes;
} hconv_blob_header;

/* What becomes of a window's rows and columns (letters h and w): matrix, rows x columns, applied to either. */
typedef struct hconv_window_transform {
    const char *name;
    int rows, columns;
    const double *matrix;
} hconv_window_transform;

/* The transform that a layout names before its ':'; NULL where it names none, or one that does not exist. */
const hconv_window_transform *hconv_layout_transform(const char *layout);
/* The layout without it. */
const char *hconv_layout_letters(const char *layout);
/* Of an activation as the kernel sees it: under "2:nhwc" every pixel is two, of half the channels. */
int64_t hconv_activation_extent(const char *layout, const hconv_tensor *t, int dimension);

/* from: dense in t's order; to: in the layout's order, 0 where a block reaches past the tensor. */
void hconv_pack_layout(const char *layout, const hconv_tensor *t, const float *from, float *to);

#ifdef __cplusplus
}
#endif
#endif
