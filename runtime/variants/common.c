/* common.c - see common.h.
 * SPDX-License-Identifier: MIT */
#include "common.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

int32_t hconv_out_size(int32_t in, int32_t window, int32_t stride, int32_t dilation, int32_t before, int32_t after) {
    int64_t room = (int64_t)in + before + after - (int64_t)dilation * (window - 1) - 1;
    return in == HCONV_OPEN || room < 0 ? 0 : (int32_t)(room / stride) + 1;
}

static void tfsame_pads(int32_t in, int32_t window, int32_t stride, int32_t dilation, int32_t *before, int32_t *after) {
    int64_t out = ((int64_t)in + stride - 1) / stride;
    int64_t total = (out - 1) * stride + (int64_t)(window - 1) * dilation + 1 - in;
    if (total < 0) total = 0;
    *before = (int32_t)(total / 2);
    *after = (int32_t)(total - total / 2);
}

int32_t hconv_oh(const hconv_problem *p) {
    if (p->same == HCONV_PAD_TFSAME) return (p->h + p->stride_h - 1) / p->stride_h;
    return hconv_out_size(p->h, p->kh, p->stride_h, p->dilation_h, p->pad_top, p->pad_bottom);
}

int32_t hconv_ow(const hconv_problem *p) {
    if (p->same == HCONV_PAD_TFSAME) return (p->w + p->stride_w - 1) / p->stride_w;
    return hconv_out_size(p->w, p->kw, p->stride_w, p->dilation_w, p->pad_left, p->pad_right);
}

int hconv_minimal_filtering(const hconv_problem *p) {
    const char *family = hconv_variants[p->variant].family->name;
    if ((p->flags & HCONV_FAST) && !strcmp(family, "transposed"))
        return p->kh == 4 && p->kw == 4 && p->stride_h == 2 && p->stride_w == 2 && p->dilation_h == 1 && p->dilation_w == 1 &&
               p->groups == 1;
    return (p->flags & HCONV_FAST) && !strcmp(family, "conv2d") && p->kh == 3 && p->kw == 3 && p->stride_h == 1 &&
           p->stride_w == 1 && (p->groups == 1 || p->ci / p->groups >= 8);
}

hconv_status hconv_need(const hconv_problem *p, int32_t value, const char *key, char *why, size_t why_bytes) {
    if (value > 0) return HCONV_OK;
    hconv_sentence(why, why_bytes, "%s needs the key %s (for example %s%d)", hconv_variants[p->variant].name, key, key,
                   key[0] == 'k' ? 3 : 16);
    return HCONV_INVALID_ARGUMENT;
}

static void one_if_zero(int32_t *value) {
    if (!*value) *value = 1;
}

static hconv_status complete_same(hconv_problem *p, char *why, size_t why_bytes) {
    if (p->same && (p->pad_top || p->pad_bottom || p->pad_left || p->pad_right)) {
        hconv_sentence(why, why_bytes, "same and tfsame say the padding: leave out p, ph, pw, pt, pb, pl and pr");
        return HCONV_INVALID_ARGUMENT;
    }
    if (p->same == HCONV_PAD_SAME && (p->stride_h > 1 || p->stride_w > 1)) {
        hconv_sentence(why, why_bytes, "same needs stride 1, as in PyTorch; with a stride, say tfsame or the pads");
        return HCONV_INVALID_ARGUMENT;
    }
    /* At stride 1 the two agree: total = d (k - 1), the smaller half before. */
    if (p->same == HCONV_PAD_SAME || (p->same == HCONV_PAD_TFSAME && p->stride_h == 1 && p->stride_w == 1)) {
        int32_t total_h = p->dilation_h * (p->kh - 1), total_w = p->dilation_w * (p->kw - 1);
        p->pad_top = total_h / 2, p->pad_bottom = total_h - total_h / 2;
        p->pad_left = total_w / 2, p->pad_right = total_w - total_w / 2;
        p->same = HCONV_PAD_EXPLICIT;
    } else if (p->same == HCONV_PAD_TFSAME && p->h && p->w) {
        tfsame_pads(p->h, p->kh, p->stride_h, p->dilation_h, &p->pad_top, &p->pad_bottom);
        tfsame_pads(p->w, p->kw, p->stride_w, p->dilation_w, &p->pad_left, &p->pad_right);
        p->same = HCONV_PAD_EXPLICIT;
    }
    return HCONV_OK;
}

/* Rows or columns a window reaches over. */
static int64_t reach_of(int32_t window, int32_t dilation) { return (int64_t)dilation * (window - 1) + 1; }

static hconv_status check_reach(const hconv_problem *p, const char *axis, int32_t window, int32_t dilation, char *why,
                                size_t why_bytes) {
    int64_t most = p->same ? 2 * HCONV_PAD_MOST : HCONV_SIZE_MOST, reach = reach_of(window, dilation);
    if (reach <= most) return HCONV_OK;
    hconv_sentence(why, why_bytes, "window k%s%d at dilation d%s%d reaches over %lld, more than %lld", axis, (int)window, axis,
                   (int)dilation, (long long)reach, (long long)most);
    return HCONV_INVALID_ARGUMENT;
}

static hconv_status check_window(const hconv_problem *p, const char *axis, int32_t in, int32_t window, int32_t dilation,
                                 int32_t before, int32_t after, char *why, size_t why_bytes) {
    int64_t reach = reach_of(window, dilation), padded = (int64_t)in + before + after;
    if (in == HCONV_OPEN || p->same || reach <= padded) return HCONV_OK;
    hconv_sentence(why, why_bytes, "the window k%s%d reaches over %lld rows of %s, but the padded input has %lld: no output",
                   axis, (int)window, (long long)reach, axis, (long long)padded);
    return HCONV_INVALID_ARGUMENT;
}

hconv_status hconv_complete_window(hconv_problem *p, char *why, size_t why_bytes) {
    hconv_status status = hconv_need(p, p->ci, "ci", why, why_bytes);
    if (!status) status = hconv_need(p, p->co, "co", why, why_bytes);
    if (!status) status = hconv_need(p, p->kh, p->kw > 0 ? "kh" : "k", why, why_bytes);
    if (!status) status = hconv_need(p, p->kw, "kw", why, why_bytes);
    if (status) return status;
    one_if_zero(&p->stride_h), one_if_zero(&p->stride_w);
    one_if_zero(&p->dilation_h), one_if_zero(&p->dilation_w);
    one_if_zero(&p->groups);
    if (p->kh == 1) p->dilation_h = 1;
    if (p->kw == 1) p->dilation_w = 1;
    if (p->ci % p->groups || p->co % p->groups) {
        hconv_sentence(why, why_bytes, "g%d must divide ci%d and co%d", (int)p->groups, (int)p->ci, (int)p->co);
        return HCONV_INVALID_ARGUMENT;
    }
    status = check_reach(p, "h", p->kh, p->dilation_h, why, why_bytes);
    return status ? status : check_reach(p, "w", p->kw, p->dilation_w, why, why_bytes);
}

hconv_status hconv_complete_conv(hconv_problem *p, char *why, size_t why_bytes) {
    hconv_status status = hconv_complete_window(p, why, why_bytes);
    if (!status) status = complete_same(p, why, why_bytes);
    if (!status)
        status = check_window(p, "h", p->h, p->kh, p->dilation_h, p->pad_top, p->pad_bottom, why, why_bytes);
    if (!status)
        status = check_window(p, "w", p->w, p->kw, p->dilation_w, p->pad_left, p->pad_right, why, why_bytes);
    return status;
}

void hconv_add_activation(hconv_tensor_list *list, int role, const char *name, const hconv_problem *p, int32_t c, int32_t h,
                          int32_t w) {
    int64_t extent[4];
    extent[0] = p->n, extent[1] = c, extent[2] = h, extent[3] = w;
    hconv_tensor_add(list, role, name, "nchw", 4, extent);
}

hconv_tensor *hconv_add_parameter(hconv_tensor_list *list, const char *name, const char *letters, int rank, int64_t a,
                                  int64_t b, int64_t c, int64_t d) {
    int64_t extent[HCONV_MAX_RANK] = {0}; /* a caller of rank 5 or 6 sets the rest itself */
    extent[0] = a, extent[1] = b, extent[2] = c, extent[3] = d;
    return hconv_tensor_add(list, HCONV_PARAMETER, name, letters, rank, extent);
}

void hconv_add_norm(hconv_tensor_list *list, const char *prefix, int64_t channels) {
    static const char *const names[] = {"weight", "bias", "running_mean", "running_var"};
    char name[48];
    hconv_tensor *eps;
    for (int i = 0; i < 4; ++i) {
        snprintf(name, sizeof name, "%s.%s", prefix, names[i]);
        hconv_add_parameter(list, name, "", 1, channels, 0, 0, 0);
    }
    snprintf(name, sizeof name, "%s.eps", prefix);
    eps = hconv_add_parameter(list, name, "", 1, 1, 0, 0, 0);
    eps->optional = 1;
    eps->default_value = HCONV_NORM_EPS;
}

void hconv_add_slope(hconv_tensor_list *list, const hconv_problem *p) {
    if (p->activation == HCONV_PRELU) hconv_add_parameter(list, "slope", "o", 1, p->co, 0, 0, 0);
    if (p->activation == HCONV_LEAKY) {
        hconv_tensor *slope = hconv_add_parameter(list, "slope", "s", 1, 1, 0, 0, 0);
        slope->optional = 1;
        slope->default_value = HCONV_LEAKY_SLOPE;
    }
}

void hconv_norm_scale(const float *const *norm, int64_t c, double *scale, double *shift) {
    double eps = norm[4] ? (double)norm[4][0] : HCONV_NORM_EPS;
    *scale = (double)norm[0][c] / sqrt((double)norm[3][c] + eps);
    *shift = (double)norm[1][c] - (double)norm[2][c] * *scale;
}

void hconv_fold_slope(const hconv_problem *p, const float *given, float *dense) {
    if (p->activation == HCONV_PRELU) memcpy(dense, given, (size_t)p->co * sizeof *dense);
    if (p->activation == HCONV_LEAKY) *dense = given ? *given : (float)HCONV_LEAKY_SLOPE;
}
