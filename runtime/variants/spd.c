/* spd.c - SPD-Conv (Sunkara and Luo 2022, arXiv:2208.03641; LabSAINT/SPD-Conv): space to depth with a convolution
 * behind it, before it (after), or alone (only).
 * SPDX-License-Identifier: MIT
 * SPD(x)[n, (dx b + dy) C + c, i, j] = x[n, c, i b + dy, j b + dx]: the row offset dy runs fastest
 * spd:   y = act(bn(conv(SPD(x))) + residual), one convolution of stride b whose weights are re-ordered when packed:
 *        W[o, c, u b + dy, v b + dx] = weight[o, (dx b + dy) ci + c, u, v] (for one group)
 * after: y = act(bn(SPD(conv(x))) + residual); bn of co channels stands before SPD, of co b^2 behind it: the former is
 *        the latter with every channel repeated. */
#include "spd.h"

#include "common.h"

#include <string.h>

static int32_t blocks_of(const hconv_problem *p) { return p->extra[HCONV_BLOCK] * p->extra[HCONV_BLOCK]; }

hconv_problem hconv_spd_inner(const hconv_problem *p) {
    hconv_problem inner = *p;
    if (p->extra[HCONV_ORDER] == HCONV_SPD_CONV) {
        inner.ci *= blocks_of(p);
        inner.h /= p->extra[HCONV_BLOCK], inner.w /= p->extra[HCONV_BLOCK];
    }
    return inner;
}

void hconv_spd_output(const hconv_problem *p, int32_t *c, int32_t *h, int32_t *w) {
    int32_t order = p->extra[HCONV_ORDER], b = p->extra[HCONV_BLOCK];
    hconv_problem inner = hconv_spd_inner(p);
    *c = order == HCONV_SPD_ONLY ? p->ci : p->co;
    *h = order == HCONV_SPD_ONLY ? p->h : hconv_oh(&inner);
    *w = order == HCONV_SPD_ONLY ? p->w : hconv_ow(&inner);
    if (order != HCONV_SPD_CONV) *c *= b * b, *h /= b, *w /= b;
}

static int divides(int32_t b, const char *what, int32_t h, int32_t w, char *why, size_t why_bytes) {
    if (h % b == 0 && w % b == 0) return 1;
    hconv_sentence(why, why_bytes, "b%d must divide %s, which is %dx%d: the blocks of SPD have %d rows and columns",
                   (int)b, what, (int)h, (int)w, (int)b);
    return 0;
}

/* only is a rearrangement: what says a convolution, or what follows one, is refused. */
static hconv_status complete_alone(hconv_problem *p, char *why, size_t why_bytes) {
    if (p->co || p->kh || p->kw || p->stride_h > 1 || p->stride_w > 1 || p->dilation_h > 1 || p->dilation_w > 1 ||
        p->pad_top || p->pad_bottom || p->pad_left || p->pad_right || p->groups > 1) {
        hconv_sentence(why, why_bytes, "spd with the word only has no convolution: leave out co, k, s, d, p and g");
        return HCONV_INVALID_ARGUMENT;
    }
    if (p->activation || p->flags) {
        hconv_sentence(why, why_bytes, "spd with the word only has no parameters: leave out nobias, bn, res, fast and "
                       "the activation");
        return HCONV_INVALID_ARGUMENT;
    }
    p->stride_h = p->stride_w = p->dilation_h = p->dilation_w = p->groups = 1;
    return divides(p->extra[HCONV_BLOCK], "the input", p->h, p->w, why, why_bytes) ? HCONV_OK : HCONV_INVALID_ARGUMENT;
}

static hconv_status complete(hconv_problem *p, char *why, size_t why_bytes) {
    hconv_status status = hconv_need(p, p->ci, "ci", why, why_bytes);
    int32_t block, order = p->extra[HCONV_ORDER];
    hconv_problem inner;
    if (status) return status;
    if (!p->extra[HCONV_BLOCK]) p->extra[HCONV_BLOCK] = 2;
    block = p->extra[HCONV_BLOCK];
    if ((int64_t)p->ci * blocks_of(p) > HCONV_SIZE_MOST || (int64_t)p->co * blocks_of(p) > HCONV_SIZE_MOST) {
        hconv_sentence(why, why_bytes, "b%d makes %d channels of each of ci%d and co%d: too many", (int)block,
                       (int)blocks_of(p), (int)p->ci, (int)p->co);
        return HCONV_INVALID_ARGUMENT;
    }
    if (order == HCONV_SPD_ONLY) return complete_alone(p, why, why_bytes);
    if (order == HCONV_SPD_CONV && !divides(block, "the input", p->h, p->w, why, why_bytes))
        return HCONV_INVALID_ARGUMENT;
    if (order == HCONV_SPD_CONV && p->groups && p->co && (p->ci * blocks_of(p) % p->groups || p->co % p->groups)) {
        hconv_sentence(why, why_bytes, "g%d must divide co%d and the %d channels that SPD makes of ci%d",
                       (int)p->groups, (int)p->co, (int)(p->ci * blocks_of(p)), (int)p->ci);
        return HCONV_INVALID_ARGUMENT;
    }
    inner = hconv_spd_inner(p);
    status = hconv_complete_conv(&inner, why, why_bytes);
    if (status) return status;
    inner.ci = p->ci, inner.h = p->h, inner.w = p->w;
    *p = inner;
    if (order == HCONV_CONV_SPD &&
        !divides(block, "the convolution's output", hconv_oh(p), hconv_ow(p), why, why_bytes))
        return HCONV_INVALID_ARGUMENT;
    return HCONV_OK;
}

/* slope, one a channel of the convolution. */
static void tensors(const hconv_problem *p, hconv_tensor_list *list) {
    hconv_problem inner = hconv_spd_inner(p);
    int32_t c, h, w, repeat = p->extra[HCONV_ORDER] == HCONV_CONV_SPD ? blocks_of(p) : 1;
    hconv_spd_output(p, &c, &h, &w);
    list->count = 0;
    hconv_add_activation(list, HCONV_INPUT, "x", p, p->ci, p->h, p->w);
    if (p->flags & HCONV_RESIDUAL) hconv_add_activation(list, HCONV_INPUT, "residual", p, c, h, w);
    if (p->extra[HCONV_ORDER] != HCONV_SPD_ONLY) {
        hconv_add_parameter(list, "weight", "", 4, p->co, inner.ci / p->groups, p->kh, p->kw);
        if (!(p->flags & HCONV_NO_BIAS)) hconv_add_parameter(list, "bias", "", 1, p->co, 0, 0, 0);
    }
    if (p->flags & HCONV_NORM) {
        int first = list->count;
        hconv_add_norm(list, "bn", (int64_t)p->co * repeat);
        for (int i = first; i < first + 4; ++i) list->at[i].repeat = repeat;
    }
    hconv_add_slope(list, p);
    hconv_add_activation(list, HCONV_OUTPUT, "y", p, c, h, w);
}

/* scale, shift: what follows the sum in each of after's co b^2 channels. */
static void kernel_tensors(const hconv_problem *p, hconv_tensor_list *list) {
    hconv_problem inner = hconv_spd_inner(p);
    int32_t order = p->extra[HCONV_ORDER], b = p->extra[HCONV_BLOCK];
    list->count = 0;
    if (order == HCONV_SPD_ONLY) return;
    if (order == HCONV_SPD_CONV && p->groups == 1)
        hconv_add_parameter(list, "weight", "oihw", 4, p->co, p->ci, (int64_t)p->kh * b, (int64_t)p->kw * b);
    else
        hconv_add_parameter(list, "weight", "oihw", 4, p->co, inner.ci / p->groups, p->kh, p->kw);
    if (order == HCONV_SPD_CONV) {
        hconv_add_parameter(list, "bias", "o", 1, p->co, 0, 0, 0);
    } else {
        if (p->flags & HCONV_NORM) hconv_add_parameter(list, "scale", "o", 1, p->co * blocks_of(p), 0, 0, 0);
        hconv_add_parameter(list, "shift", "o", 1, p->co * blocks_of(p), 0, 0, 0);
    }
    hconv_add_slope(list, p);
}

typedef struct standard { const float *weight, *bias, *const *norm, *slope; } standard;

static standard read_standard(const hconv_problem *p, const float *const *given) {
    standard s;
    memset(&s, 0, sizeof s);
    s.weight = *given++;
    if (!(p->flags & HCONV_NO_BIAS)) s.bias = *given++;
    if (p->flags & HCONV_NORM) s.norm = given, given += 5;
    if (p->activation == HCONV_PRELU || p->activation == HCONV_LEAKY) s.slope = *given;
    return s;
}

/* One output's weights [ci b^2, kh, kw] as [ci, kh b, kw b]. */
static void reorder(const hconv_problem *p, const float *from, double scale, float *to) {
    int64_t b = p->extra[HCONV_BLOCK], row = p->kw * b;
    for (int64_t block = 0; block < b * b; ++block)
        for (int64_t c = 0; c < p->ci; ++c)
            for (int64_t u = 0; u < p->kh; ++u)
                for (int64_t v = 0; v < p->kw; ++v)
                    to[(c * p->kh * b + u * b + block % b) * row + v * b + block / b] =
                        (float)(scale * (double)*from++);
}

static void fold_spd_conv(const hconv_problem *p, const standard *s, float *weights, float *biases) {
    int64_t per_output = (int64_t)(p->ci * blocks_of(p) / p->groups) * p->kh * p->kw;
    for (int64_t o = 0; o < p->co; ++o) {
        double scale = 1, shift = 0;
        const float *from = s->weight + o * per_output;
        float *to = weights + o * per_output;
        if (s->norm) hconv_norm_scale(s->norm, o, &scale, &shift);
        if (p->groups == 1) reorder(p, from, scale, to);
        else
            for (int64_t i = 0; i < per_output; ++i) to[i] = (float)(scale * (double)from[i]);
        biases[o] = (float)(shift + scale * (s->bias ? (double)s->bias[o] : 0.0));
    }
}

static void fold_conv_spd(const hconv_problem *p, const standard *s, float *weights, float *scales, float *shifts) {
    int64_t per_output = (int64_t)(p->ci / p->groups) * p->kh * p->kw;
    memcpy(weights, s->weight, (size_t)(p->co * per_output) * sizeof *weights);
    for (int64_t c = 0; c < (int64_t)p->co * blocks_of(p); ++c) {
        double scale = 1, shift = 0;
        if (s->norm) hconv_norm_scale(s->norm, c, &scale, &shift);
        if (s->norm) scales[c] = (float)scale;
        shifts[c] = (float)(shift + scale * (s->bias ? (double)s->bias[c % p->co] : 0.0));
    }
}

static void fold(const hconv_problem *p, const float *const *given, float *const *dense) {
    standard s;
    float *scales = NULL, *weights;
    if (p->extra[HCONV_ORDER] == HCONV_SPD_ONLY) return;
    s = read_standard(p, given);
    weights = *dense++;
    if (p->extra[HCONV_ORDER] == HCONV_SPD_CONV) {
        fold_spd_conv(p, &s, weights, *dense++);
    } else {
        if (s.norm) scales = *dense++;
        fold_conv_spd(p, &s, weights, scales, *dense++);
    }
    if (p->activation == HCONV_PRELU || p->activation == HCONV_LEAKY) hconv_fold_slope(p, s.slope, *dense);
}

static double multiply_adds(const hconv_problem *p) {
    hconv_problem inner = hconv_spd_inner(p);
    if (p->extra[HCONV_ORDER] == HCONV_SPD_ONLY) return 0;
    return (double)p->n * p->co * hconv_oh(&inner) * hconv_ow(&inner) * (inner.ci / p->groups) * p->kh * p->kw;
}

static void receptive_field(const hconv_problem *p, int *height, int *width) {
    int b = p->extra[HCONV_ORDER] == HCONV_SPD_CONV ? p->extra[HCONV_BLOCK] : 1;
    *height = *width = p->extra[HCONV_ORDER] == HCONV_SPD_ONLY;
    if (p->extra[HCONV_ORDER] == HCONV_SPD_ONLY) return;
    *height = b * (p->dilation_h * (p->kh - 1) + 1);
    *width = b * (p->dilation_w * (p->kw - 1) + 1);
}

static const hconv_alias aliases[] = {{"conv.conv.", ""}, {"0.conv.", ""}, {"conv.bn.", "bn."}, {"0.bn.", "bn."},
                                      {"conv.", ""},      {NULL, NULL}};

static const hconv_key keys[] = {{"b", 1, {HCONV_FIELD(extra[HCONV_BLOCK])}, 1, 1024}, HCONV_KEY_END};

static const hconv_word words[] = {
    {"after", HCONV_FIELD(extra[HCONV_ORDER]), HCONV_CONV_SPD},
    {"only", HCONV_FIELD(extra[HCONV_ORDER]), HCONV_SPD_ONLY},
    HCONV_WORD_END,
};

const hconv_family hconv_family_spd = {"spd",           complete, tensors, kernel_tensors, fold, multiply_adds,
                                       receptive_field, aliases,  keys,    words,          NULL};
