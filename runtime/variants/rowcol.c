/* rowcol.c - row/column-separable convolution: a window of rank r as r pairs of a column and a row, a channel at a time.
 * SPDX-License-Identifier: MIT
 * y[n,c,i,j] = act(bn(b[c] + sum_{e<r} sum_v row[c,e,v] sum_u col[c,e,u] xpad[n, c, i sh + u, j sw + v]) + residual)
 * Parameters: col.weight, row.weight with index c r + e, as of two depthwise torch.nn.Conv2d (kh x 1, then 1 x kw). */
#include "rowcol.h"

#include "common.h"

#include <string.h>

static hconv_status complete(hconv_problem *p, char *why, size_t why_bytes) {
    if (!p->extra[HCONV_PAIRS]) p->extra[HCONV_PAIRS] = 1;
    p->co = p->groups = p->ci;
    return hconv_complete_conv(p, why, why_bytes);
}

static void tensors(const hconv_problem *p, hconv_tensor_list *list) {
    int64_t windows = (int64_t)p->ci * p->extra[HCONV_PAIRS];
    list->count = 0;
    hconv_add_activation(list, HCONV_INPUT, "x", p, p->ci, p->h, p->w);
    if (p->flags & HCONV_RESIDUAL) hconv_add_activation(list, HCONV_INPUT, "residual", p, p->ci, hconv_oh(p), hconv_ow(p));
    hconv_add_parameter(list, "col.weight", "", 4, windows, 1, p->kh, 1);
    hconv_add_parameter(list, "row.weight", "", 4, windows, 1, 1, p->kw);
    if (!(p->flags & HCONV_NO_BIAS)) hconv_add_parameter(list, "bias", "", 1, p->ci, 0, 0, 0);
    if (p->flags & HCONV_NORM) hconv_add_norm(list, "bn", p->ci);
    hconv_add_slope(list, p);
    hconv_add_activation(list, HCONV_OUTPUT, "y", p, p->ci, hconv_oh(p), hconv_ow(p));
}

static void kernel_tensors(const hconv_problem *p, hconv_tensor_list *list) {
    list->count = 0;
    hconv_add_parameter(list, "col.weight", "oeh", 3, p->ci, p->extra[HCONV_PAIRS], p->kh, 0);
    hconv_add_parameter(list, "row.weight", "oew", 3, p->ci, p->extra[HCONV_PAIRS], p->kw, 0);
    hconv_add_parameter(list, "bias", "o", 1, p->ci, 0, 0, 0);
    hconv_add_slope(list, p);
}

static void fold(const hconv_problem *p, const float *const *given, float *const *dense) {
    int64_t pairs = p->extra[HCONV_PAIRS];
    const float *column = *given++, *row = *given++;
    const float *bias = p->flags & HCONV_NO_BIAS ? NULL : *given++;
    const float *const *norm = NULL;
    if (p->flags & HCONV_NORM) norm = given, given += 5;
    memcpy(dense[0], column, (size_t)(p->ci * pairs * p->kh) * sizeof *column);
    for (int64_t c = 0; c < p->ci; ++c) {
        double scale = 1, shift = 0;
        if (norm) hconv_norm_scale(norm, c, &scale, &shift);
        for (int64_t i = c * pairs * p->kw; i < (c + 1) * pairs * p->kw; ++i) dense[1][i] = (float)(scale * (double)row[i]);
        dense[2][c] = (float)(shift + scale * (bias ? (double)bias[c] : 0.0));
    }
    if (p->activation == HCONV_PRELU || p->activation == HCONV_LEAKY) hconv_fold_slope(p, *given, dense[3]);
}

/* Columns first: oh x w of them. */
static double multiply_adds(const hconv_problem *p) {
    double columns = (double)hconv_oh(p) * p->w * p->kh, rows = (double)hconv_oh(p) * hconv_ow(p) * p->kw;
    return p->n * (double)p->ci * p->extra[HCONV_PAIRS] * (columns + rows);
}

static void receptive_field(const hconv_problem *p, int *height, int *width) {
    *height = p->kh;
    *width = p->kw;
}

static const hconv_key keys[] = {
    {"r", 1, {HCONV_FIELD(extra[HCONV_PAIRS])}, 1, 4096},
    HCONV_KEY_END,
};

static const hconv_alias aliases[] = {{"row.bias", "bias"}, {NULL, NULL}};

const hconv_family hconv_family_rowcol = {"rowcol",        complete, tensors, kernel_tensors, fold, multiply_adds,
                                          receptive_field, aliases,  keys,    NULL,           NULL};
