/* wtconv.c - WTConv (Finder et al. 2024, arXiv:2407.05848; names, shapes: BGU-CS-VIL/WTConv), in two dimensions and one.
 * SPDX-License-Identifier: MIT
 * ll_0 = x; i = 0 .. lev - 1: S_i = WT(ll_i), ll_{i+1} = low band of S_i, T_i = wavelet_scale_i conv(S_i, wavelet_convs_i)
 * r_lev = 0; r_i = IWT(T_i + r_{i+1} in the low band), cropped
 * y = act(bn(base_scale (conv(x, base_conv) + bias) + r_0) + residual)
 * all of it a channel at a time. Stride: wtconv keeps every s-th pixel, wtconv1d takes means of s pixels.
 * Everything is linear: scales and norm fold into the windows. */
#include "wtconv.h"

#include "common.h"
#include "wavelets.h"

#include <math.h>
#include <stdio.h>

int32_t hconv_wtconv_size(int32_t size, int level) {
    return (int32_t)(((int64_t)size + ((int64_t)1 << level) - 1) >> level);
}

hconv_wtconv hconv_wtconv_of(const hconv_problem *p) {
    hconv_wtconv t;
    t.lines = p->variant == HCONV_VARIANT_wtconv1d;
    t.levels = p->extra[HCONV_LEVELS];
    t.bands = t.lines ? 2 : 4;
    t.wavelet = &wavelets[p->extra[HCONV_WAVELET]];
    t.before = t.wavelet->length / 2 - 1;
    t.oh = t.lines ? 1 : hconv_out_size(p->h, 1, p->stride_h, 1, 0, 0);
    t.ow = t.lines ? p->w / p->stride_w : hconv_out_size(p->w, 1, p->stride_w, 1, 0, 0);
    return t;
}

double hconv_wavelet_tap(const hconv_wavelet *w, int which, int band, int t) {
    const double *low = which == HCONV_ANALYSIS ? w->analysis_low : w->synthesis_low;
    const double *other = which == HCONV_ANALYSIS ? w->synthesis_low : w->analysis_low;
    if (!band) return low[t];
    return t % 2 ? -other[w->length - 1 - t] : other[w->length - 1 - t];
}

/* Band s = 0, 1, 2, 3 of two dimensions filters columns (down) by s % 2 and rows (across) by s / 2. */
double hconv_wtconv_filter(const hconv_problem *p, int which, int64_t i) {
    hconv_wtconv t = hconv_wtconv_of(p);
    int32_t length = t.wavelet->length;
    int column = (int)(i % length), row = (int)(i / length % length);
    if (t.lines) return hconv_wavelet_tap(t.wavelet, which, (int)(i / length % 2), column);
    i /= (int64_t)length * length;
    return hconv_wavelet_tap(t.wavelet, which, (int)(i % 2), row) *
           hconv_wavelet_tap(t.wavelet, which, (int)(i / 2 % 2), column);
}

static hconv_status complete(hconv_problem *p, char *why, size_t why_bytes) {
    int lines = p->variant == HCONV_VARIANT_wtconv1d;
    hconv_status status = hconv_need(p, p->ci, "ci", why, why_bytes);
    if (!status) status = hconv_need(p, p->kh, "k", why, why_bytes);
    if (!status) status = hconv_need(p, p->kw, "k", why, why_bytes);
    if (status) return status;
    if (!p->stride_h) p->stride_h = 1;
    if (!p->stride_w) p->stride_w = 1;
    if (!p->extra[HCONV_LEVELS]) p->extra[HCONV_LEVELS] = 1;
    if (p->kh != p->kw || p->stride_h != p->stride_w) {
        hconv_sentence(why, why_bytes, "%s has one window size and one stride for all axes: say k and s, not kh%d kw%d sh%d "
                       "sw%d", hconv_variants[p->variant].name, (int)p->kh, (int)p->kw, (int)p->stride_h, (int)p->stride_w);
        return HCONV_INVALID_ARGUMENT;
    }
    if (lines && p->w && p->w < p->stride_w) {
        hconv_sentence(why, why_bytes, "w%d is shorter than s%d: the means of s pixels leave no output", (int)p->w,
                       (int)p->stride_w);
        return HCONV_INVALID_ARGUMENT;
    }
    if (lines) p->h = 1;
    p->co = p->groups = p->ci;
    p->dilation_h = p->dilation_w = 1;
    return HCONV_OK;
}

static void add_map(hconv_tensor_list *list, int role, const char *name, const hconv_problem *p, int32_t h, int32_t w) {
    int64_t extent[3];
    extent[0] = p->n, extent[1] = p->ci, extent[2] = w;
    if (p->variant == HCONV_VARIANT_wtconv1d) hconv_tensor_add(list, role, name, "ncw", 3, extent);
    else hconv_add_activation(list, role, name, p, p->ci, h, w);
}

/* [a, 1, window, window], or [a, 1, window] in one dimension. */
static hconv_tensor *add_windows(hconv_tensor_list *list, const char *name, const hconv_wtconv *t, int64_t a,
                                 int32_t window) {
    return hconv_add_parameter(list, name, "", t->lines ? 3 : 4, a, 1, window, window);
}

static void tensors(const hconv_problem *p, hconv_tensor_list *list) {
    hconv_wtconv t = hconv_wtconv_of(p);
    char name[48];
    list->count = 0;
    add_map(list, HCONV_INPUT, "x", p, p->h, p->w);
    if (p->flags & HCONV_RESIDUAL) add_map(list, HCONV_INPUT, "residual", p, t.oh, t.ow);
    add_windows(list, "wt_filter", &t, (int64_t)t.bands * p->ci, t.wavelet->length)->optional = 1;
    add_windows(list, "iwt_filter", &t, (int64_t)t.bands * p->ci, t.wavelet->length)->optional = 1;
    add_windows(list, "base_conv.weight", &t, p->ci, p->kw);
    if (!(p->flags & HCONV_NO_BIAS)) hconv_add_parameter(list, "base_conv.bias", "", 1, p->ci, 0, 0, 0);
    hconv_add_parameter(list, "base_scale.weight", "", t.lines ? 3 : 4, 1, p->ci, 1, 1);
    for (int i = 0; i < t.levels; ++i) {
        snprintf(name, sizeof name, "wavelet_convs.%d.weight", i);
        add_windows(list, name, &t, (int64_t)t.bands * p->ci, p->kw);
    }
    for (int i = 0; i < t.levels; ++i) {
        snprintf(name, sizeof name, "wavelet_scale.%d.weight", i);
        hconv_add_parameter(list, name, "", t.lines ? 3 : 4, 1, (int64_t)t.bands * p->ci, 1, 1);
    }
    if (p->flags & HCONV_NORM) hconv_add_norm(list, "bn", p->ci);
    hconv_add_slope(list, p);
    add_map(list, HCONV_OUTPUT, "y", p, t.oh, t.ow);
}

/* analysis [b, t]: tap t of band b. synthesis [q, b, t]: tap 2 t + q, those that feed outputs of parity q. */
static void kernel_tensors(const hconv_problem *p, hconv_tensor_list *list) {
    hconv_wtconv t = hconv_wtconv_of(p);
    char name[48];
    int32_t rows = t.lines ? 1 : p->kh;
    list->count = 0;
    hconv_add_parameter(list, "base.weight", "ohw", 3, p->ci, rows, p->kw, 0);
    hconv_add_parameter(list, "bias", "o", 1, p->ci, 0, 0, 0);
    for (int i = 0; i < t.levels; ++i) {
        snprintf(name, sizeof name, "wavelet.%d.weight", i);
        hconv_add_parameter(list, name, "oshw", 4, p->ci, t.bands, rows, p->kw);
    }
    hconv_add_parameter(list, "analysis", "bt", 2, 2, t.wavelet->length, 0, 0);
    hconv_add_parameter(list, "synthesis", "qbt", 3, 2, 2, t.wavelet->length / 2, 0);
    hconv_add_slope(list, p);
}

static void fold_taps(const hconv_wavelet *w, float *analysis, float *synthesis) {
    for (int b = 0; b < 2; ++b)
        for (int t = 0; t < w->length; ++t) {
            analysis[b * w->length + t] = (float)hconv_wavelet_tap(w, HCONV_ANALYSIS, b, t);
            synthesis[(t % 2 * 2 + b) * (w->length / 2) + t / 2] = (float)hconv_wavelet_tap(w, HCONV_SYNTHESIS, b, t);
        }
}

static void fold(const hconv_problem *p, const float *const *given, float *const *dense) {
    hconv_wtconv t = hconv_wtconv_of(p);
    int64_t window = (int64_t)(t.lines ? 1 : p->kh) * p->kw;
    int has_bias = !(p->flags & HCONV_NO_BIAS);
    const float *weight = given[2], *bias = has_bias ? given[3] : NULL, *base_scale = given[3 + has_bias];
    const float *const *windows = given + 4 + has_bias, *const *scales = windows + t.levels;
    const float *const *rest = scales + t.levels;
    const float *const *norm = p->flags & HCONV_NORM ? rest : NULL;
    for (int64_t c = 0; c < p->ci; ++c) {
        double scale = 1, shift = 0, base;
        if (norm) hconv_norm_scale(norm, c, &scale, &shift);
        base = scale * (double)base_scale[c];
        for (int64_t i = c * window; i < (c + 1) * window; ++i) dense[0][i] = (float)(base * (double)weight[i]);
        dense[1][c] = (float)(shift + base * (bias ? (double)bias[c] : 0.0));
        for (int level = 0; level < t.levels; ++level)
            for (int64_t s = c * t.bands; s < (c + 1) * t.bands; ++s)
                for (int64_t i = s * window; i < (s + 1) * window; ++i)
                    dense[2 + level][i] = (float)(scale * (double)scales[level][s] * (double)windows[level][i]);
    }
    fold_taps(t.wavelet, dense[2 + t.levels], dense[3 + t.levels]);
    if (p->activation == HCONV_PRELU || p->activation == HCONV_LEAKY)
        hconv_fold_slope(p, norm ? rest[5] : rest[0], dense[4 + t.levels]);
}

/* The filters are in the kernel: what a parameter file holds must be the same ones, up to the rounding of products of
 * float32 taps. */
static hconv_status check_parameters(const hconv_problem *p, const float *const *given, char *why, size_t why_bytes) {
    static const char *const names[] = {"wt_filter", "iwt_filter"};
    hconv_wtconv t = hconv_wtconv_of(p);
    int64_t count = (int64_t)t.bands * p->ci * t.wavelet->length * (t.lines ? 1 : t.wavelet->length);
    for (int which = 0; which < 2; ++which)
        for (int64_t i = 0; given[which] && i < count; ++i) {
            double want = hconv_wtconv_filter(p, which, i);
            if (fabs((double)given[which][i] - want) <= 1e-6) continue;
            hconv_sentence(why, why_bytes, "%s is not that of wavelet %s: element %lld is %.7g instead of %.7g; name the "
                           "wavelet in the problem, or leave the tensor out", names[which], t.wavelet->name, (long long)i,
                           (double)given[which][i], want);
            return HCONV_INVALID_ARGUMENT;
        }
    return HCONV_OK;
}

/* The base convolution, then of each level: the windows on the sub-bands, and the two passes of each transform. */
static double multiply_adds(const hconv_problem *p) {
    hconv_wtconv t = hconv_wtconv_of(p);
    double rows = t.lines ? 1 : p->kh, sum = (double)t.oh * t.ow * rows * p->kw;
    for (int i = 0; i < t.levels; ++i) {
        double h = hconv_wtconv_size(p->h, i), h2 = hconv_wtconv_size(p->h, i + 1), w2 = hconv_wtconv_size(p->w, i + 1);
        double passes = t.lines ? 2 * w2 : 2 * h * w2 + 4 * h2 * w2;
        sum += t.bands * (t.lines ? 1 : h2) * w2 * rows * p->kw + 2 * passes * t.wavelet->length;
    }
    return sum * p->n * p->ci;
}

/* Of the deepest level: lev analyses, the window, lev syntheses. */
static void receptive_field(const hconv_problem *p, int *height, int *width) {
    hconv_wtconv t = hconv_wtconv_of(p);
    int step = 1 << t.levels, length = t.wavelet->length;
    *width = 1 + (step - 1) * (length - 1) + (p->kw - 1) * step + 2 * (step - 1) * (length / 2 - 1);
    *height = t.lines ? 1 : *width;
}

static const hconv_key keys[] = {
    {"lev", 1, {HCONV_FIELD(extra[HCONV_LEVELS])}, 1, 8},
    HCONV_KEY_END,
};

const hconv_family hconv_family_wtconv = {"wtconv",        complete, tensors, kernel_tensors, fold, multiply_adds,
                                          receptive_field, NULL,     keys,    wavelet_words,  check_parameters};
