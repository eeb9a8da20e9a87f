/* octave.c - OctaveConv (Chen et al. 2019, arXiv:1904.05049): high and low resolution maps, four paths between them.
 * SPDX-License-Identifier: MIT
 * y_h = act(conv(x_h; hh) + up2(conv(x_l; lh))),  y_l = act(conv(x_l; ll) + conv(pool2(x_h); hl))
 * Dialects: the article's (one weights tensor, lxtGH/OctaveConv_pytorch), fb (facebookresearch/OctConv), dli
 * (d-li14/octconv.pytorch); they differ in weights, biases, rounding of odd sizes, groups, and stride 2. */
#include "common.h"
#include "octave.h"

#include <stdio.h>
#include <string.h>

const char *const hconv_octave_names[4] = {"h2h", "h2l", "l2h", "l2l"};

int32_t hconv_octave_pooled(int dialect, int32_t size) {
    if (size == HCONV_OPEN) return HCONV_OPEN;
    if (dialect == HCONV_OCTAVE_FB) return size - size / 2;
    return size < 2 ? 1 : size / 2;
}

/* fb: g everywhere; dli: high and low get their share of g, rounded up; the article's code, broken for g > 1, is read as
 * g everywhere. Depthwise (g = ci): one group a channel and no cross paths, in all three. */
static int32_t path_groups(const hconv_problem *p, int path, int32_t ci) {
    int cross = path == HCONV_HL || path == HCONV_LH;
    if (p->groups == p->ci && p->ci > 1) return ci;
    if (p->extra[HCONV_DIALECT] != HCONV_OCTAVE_DLI || cross) return p->groups;
    return (int32_t)(((int64_t)p->groups * ci + p->ci - 1) / p->ci);
}

hconv_octave hconv_octave_of(const hconv_problem *p) {
    hconv_octave o;
    int depthwise = p->groups == p->ci && p->ci > 1;
    memset(&o, 0, sizeof o);
    o.dialect = p->extra[HCONV_DIALECT];
    o.ci_l = p->extra[HCONV_CIL], o.ci_h = p->ci - o.ci_l;
    o.co_l = p->extra[HCONV_COL], o.co_h = p->co - o.co_l;
    o.hl = hconv_octave_pooled(o.dialect, p->h), o.wl = hconv_octave_pooled(o.dialect, p->w);
    o.upsample = p->stride_h == 1 || o.dialect == HCONV_OCTAVE_ARTICLE;
    for (int i = 0; i < 4; ++i) {
        hconv_octave_path *q = &o.path[i];
        int to_low = i == HCONV_HL || i == HCONV_LL, from_low = i == HCONV_LH || i == HCONV_LL;
        /* How often the input is halved on the way: to the other resolution, and for stride 2. */
        int halvings = (i == HCONV_HL) + (p->stride_h == 2 && (i != HCONV_LH || o.upsample));
        int32_t h = from_low ? o.hl : p->h, w = from_low ? o.wl : p->w;
        q->ci = from_low ? o.ci_l : o.ci_h, q->co = to_low ? o.co_l : o.co_h;
        q->exists = q->ci > 0 && q->co > 0 && !(depthwise && to_low != from_low);
        if (!q->exists) continue;
        q->groups = path_groups(p, i, q->ci);
        for (; halvings; --halvings)
            h = hconv_octave_pooled(o.dialect, h), w = hconv_octave_pooled(o.dialect, w);
        q->oh = hconv_out_size(h, p->kh, 1, p->dilation_h, p->pad_top, p->pad_bottom);
        q->ow = hconv_out_size(w, p->kw, 1, p->dilation_w, p->pad_left, p->pad_right);
        /* fb: only h2* have a bias, l2* just where its h2* partner is absent; dli: each its own. */
        q->bias = !(p->flags & HCONV_NO_BIAS) && o.dialect != HCONV_OCTAVE_ARTICLE &&
                  (o.dialect == HCONV_OCTAVE_DLI || !from_low || !o.path[to_low ? HCONV_HL : HCONV_HH].exists);
    }
    {
        const hconv_octave_path *high = &o.path[o.path[HCONV_HH].exists ? HCONV_HH : HCONV_LH];
        const hconv_octave_path *low = &o.path[o.path[HCONV_HL].exists ? HCONV_HL : HCONV_LL];
        int twice = !o.path[HCONV_HH].exists && o.upsample ? 2 : 1;
        o.oh = twice * high->oh, o.ow = twice * high->ow;
        o.ohl = low->oh, o.owl = low->ow;
    }
    return o;
}

static hconv_status complete(hconv_problem *p, char *why, size_t why_bytes) {
    hconv_status status = hconv_complete_conv(p, why, why_bytes);
    hconv_octave o;
    if (status) return status;
    if (p->extra[HCONV_CIL] > p->ci || p->extra[HCONV_COL] > p->co) {
        hconv_sentence(why, why_bytes, "cil%d and col%d are low channels of ci%d and co%d: they cannot be more",
                       (int)p->extra[HCONV_CIL], (int)p->extra[HCONV_COL], (int)p->ci, (int)p->co);
        return HCONV_INVALID_ARGUMENT;
    }
    if (p->stride_h != p->stride_w || p->stride_h > 2) {
        hconv_sentence(why, why_bytes, "octave has stride 1 or 2, the same on both axes; not sh%d and sw%d",
                       (int)p->stride_h, (int)p->stride_w);
        return HCONV_INVALID_ARGUMENT;
    }
    o = hconv_octave_of(p);
    for (int path = 0; path < 4; ++path) {
        const hconv_octave_path *q = &o.path[path];
        if (q->exists && (q->ci % q->groups || q->co % q->groups)) {
            hconv_sentence(why, why_bytes, "g%d gives path %s %d groups, which must divide its %d inputs and %d outputs: "
                           "cil%d and col%d decide those", (int)p->groups, hconv_octave_names[path], (int)q->groups,
                           (int)q->ci, (int)q->co, (int)p->extra[HCONV_CIL], (int)p->extra[HCONV_COL]);
            return HCONV_INVALID_ARGUMENT;
        }
    }
    if ((o.co_h && !o.path[HCONV_HH].exists && !o.path[HCONV_LH].exists) ||
        (o.co_l && !o.path[HCONV_LL].exists && !o.path[HCONV_HL].exists)) {
        hconv_sentence(why, why_bytes, "no path leads to the %s output: depthwise octave (g%d = ci%d) has no cross paths, "
                       "and cil%d and col%d leave no straight one", o.co_h && !o.path[HCONV_HH].exists ? "high" : "low",
                       (int)p->groups, (int)p->ci, (int)p->extra[HCONV_CIL], (int)p->extra[HCONV_COL]);
        return HCONV_INVALID_ARGUMENT;
    }
    for (int path = 0; path < 4; ++path) {
        const hconv_octave_path *q = &o.path[path];
        if (!q->exists || ((!p->h || q->oh > 0) && (!p->w || q->ow > 0))) continue;
        hconv_sentence(why, why_bytes, "path %s of an input of h%d and w%d at s%d: the window kh%d kw%d is larger than its "
                       "padded map", hconv_octave_names[path], (int)p->h, (int)p->w, (int)p->stride_h, (int)p->kh, (int)p->kw);
        return HCONV_INVALID_ARGUMENT;
    }
    return HCONV_OK;
}

static void tensors(const hconv_problem *p, hconv_tensor_list *list) {
    hconv_octave o = hconv_octave_of(p);
    char name[48];
    list->count = 0;
    if (o.ci_h) hconv_add_activation(list, HCONV_INPUT, "x_h", p, o.ci_h, p->h, p->w);
    if (o.ci_l) hconv_add_activation(list, HCONV_INPUT, "x_l", p, o.ci_l, o.hl, o.wl);
    if (p->flags & HCONV_RESIDUAL && o.co_h)
        hconv_add_activation(list, HCONV_INPUT, o.co_l ? "residual_h" : "residual", p, o.co_h, o.oh, o.ow);
    if (p->flags & HCONV_RESIDUAL && o.co_l)
        hconv_add_activation(list, HCONV_INPUT, "residual_l", p, o.co_l, o.ohl, o.owl);
    if (o.dialect == HCONV_OCTAVE_ARTICLE) {
        hconv_add_parameter(list, "weights", "", 4, p->co, p->ci, p->kh, p->kw);
        if (!(p->flags & HCONV_NO_BIAS)) hconv_add_parameter(list, "bias", "", 1, p->co, 0, 0, 0);
    }
    for (int path = 0; path < 4 && o.dialect != HCONV_OCTAVE_ARTICLE; ++path) {
        const hconv_octave_path *q = &o.path[path];
        if (!q->exists) continue;
        snprintf(name, sizeof name, "conv_%s.weight", hconv_octave_names[path]);
        hconv_add_parameter(list, name, "", 4, q->co, q->ci / q->groups, p->kh, p->kw);
        snprintf(name, sizeof name, "conv_%s.bias", hconv_octave_names[path]);
        if (q->bias) hconv_add_parameter(list, name, "", 1, q->co, 0, 0, 0);
    }
    if (p->flags & HCONV_NORM && o.co_h) hconv_add_norm(list, "bn_h", o.co_h);
    if (p->flags & HCONV_NORM && o.co_l) hconv_add_norm(list, "bn_l", o.co_l);
    hconv_add_slope(list, p);
    if (o.co_h) hconv_add_activation(list, HCONV_OUTPUT, "y_h", p, o.co_h, o.oh, o.ow);
    if (o.co_l) hconv_add_activation(list, HCONV_OUTPUT, "y_l", p, o.co_l, o.ohl, o.owl);
}

static void kernel_tensors(const hconv_problem *p, hconv_tensor_list *list) {
    hconv_octave o = hconv_octave_of(p);
    char name[48];
    list->count = 0;
    for (int path = 0; path < 4; ++path) {
        const hconv_octave_path *q = &o.path[path];
        if (!q->exists) continue;
        snprintf(name, sizeof name, "%s.weight", hconv_octave_names[path]);
        hconv_add_parameter(list, name, "oihw", 4, q->co, q->ci / q->groups, p->kh, p->kw);
    }
    if (o.co_h) hconv_add_parameter(list, "bias_h", "o", 1, o.co_h, 0, 0, 0);
    if (o.co_l) hconv_add_parameter(list, "bias_l", "o", 1, o.co_l, 0, 0, 0);
    hconv_add_slope(list, p);
}

/* The standard tensors by name; NULL where this problem has none. */
typedef struct standard {
    const float *weight[4], *bias[4];
    const float *const *norm[2];
    const float *slope;
} standard;

static standard read_standard(const hconv_problem *p, const hconv_octave *o, const float *const *given) {
    standard s;
    memset(&s, 0, sizeof s);
    if (o->dialect == HCONV_OCTAVE_ARTICLE) {
        s.weight[0] = *given++;
        if (!(p->flags & HCONV_NO_BIAS)) s.bias[0] = *given++;
    }
    for (int path = 0; path < 4 && o->dialect != HCONV_OCTAVE_ARTICLE; ++path) {
        if (!o->path[path].exists) continue;
        s.weight[path] = *given++;
        if (o->path[path].bias) s.bias[path] = *given++;
    }
    if (p->flags & HCONV_NORM && o->co_h) s.norm[0] = given, given += 5;
    if (p->flags & HCONV_NORM && o->co_l) s.norm[1] = given, given += 5;
    if (p->activation == HCONV_PRELU || p->activation == HCONV_LEAKY) s.slope = *given;
    return s;
}

/* Weight of a path's output and input in group, in the article's one tensor [co, ci, kh, kw]: rows [0, co_h) are high
 * outputs, columns [0, ci_h) high inputs; a grouped path reads its blocks on the diagonal. */
static const float *article_weight(const hconv_problem *p, const hconv_octave_path *q, const float *weights, int32_t row,
                                   int32_t column, int32_t out, int32_t in) {
    int32_t group = out / (q->co / q->groups);
    return weights + ((int64_t)(row + out) * p->ci + column + group * (q->ci / q->groups) + in) * p->kh * p->kw;
}

static void fold(const hconv_problem *p, const float *const *given, float *const *dense) {
    hconv_octave o = hconv_octave_of(p);
    standard s = read_standard(p, &o, given);
    int64_t window = (int64_t)p->kh * p->kw;
    int article = o.dialect == HCONV_OCTAVE_ARTICLE, at = 0;
    for (int path = 0; path < 4; ++path) {
        const hconv_octave_path *q = &o.path[path];
        int low = path == HCONV_HL || path == HCONV_LL, from_low = path == HCONV_LH || path == HCONV_LL;
        float *to = dense[at];
        if (!q->exists) continue;
        ++at;
        for (int32_t out = 0; out < q->co; ++out) {
            double scale = 1, shift = 0;
            if (s.norm[low]) hconv_norm_scale(s.norm[low], out, &scale, &shift);
            for (int32_t in = 0; in < q->ci / q->groups; ++in, to += window) {
                const float *from = article ? article_weight(p, q, s.weight[0], low ? o.co_h : 0,
                                                             from_low ? o.ci_h : 0, out, in)
                                            : s.weight[path] + ((int64_t)out * (q->ci / q->groups) + in) * window;
                for (int64_t i = 0; i < window; ++i) to[i] = (float)(scale * (double)from[i]);
            }
        }
    }
    for (int low = 0; low < 2; ++low) {
        int paths[2];
        int32_t channels = low ? o.co_l : o.co_h;
        if (!channels) continue;
        paths[0] = low ? HCONV_HL : HCONV_HH, paths[1] = low ? HCONV_LL : HCONV_LH;
        for (int32_t out = 0; out < channels; ++out) {
            double scale = 1, shift = 0, bias = 0;
            if (s.norm[low]) hconv_norm_scale(s.norm[low], out, &scale, &shift);
            for (int i = 0; i < 2; ++i) {
                if (!o.path[paths[i]].exists) continue;
                if (article && s.bias[0]) bias += (double)s.bias[0][out + (low ? o.co_h : 0)];
                if (!article && s.bias[paths[i]]) bias += (double)s.bias[paths[i]][out];
            }
            dense[at][out] = (float)(shift + scale * bias);
        }
        ++at;
    }
    if (s.slope || p->activation == HCONV_LEAKY) hconv_fold_slope(p, s.slope, dense[at]);
}

static double multiply_adds(const hconv_problem *p) {
    hconv_octave o = hconv_octave_of(p);
    double sum = 0;
    for (int path = 0; path < 4; ++path) {
        const hconv_octave_path *q = &o.path[path];
        if (q->exists) sum += (double)q->co * (q->ci / q->groups) * q->oh * q->ow;
    }
    return sum * p->n * p->kh * p->kw;
}

static void receptive_field(const hconv_problem *p, int *height, int *width) {
    hconv_octave o = hconv_octave_of(p);
    int reach = o.path[HCONV_HL].exists || o.path[HCONV_LH].exists || o.path[HCONV_LL].exists ? 2 : 1;
    *height = (p->dilation_h * (p->kh - 1) + 1) * reach * p->stride_h;
    *width = (p->dilation_w * (p->kw - 1) + 1) * reach * p->stride_w;
}

static const hconv_key keys[] = {
    {"cil", 1, {HCONV_FIELD(extra[HCONV_CIL])}, 0, HCONV_SIZE_MOST},
    {"col", 1, {HCONV_FIELD(extra[HCONV_COL])}, 0, HCONV_SIZE_MOST},
    HCONV_KEY_END,
};
static const hconv_word words[] = {
    {"fb", HCONV_FIELD(extra[HCONV_DIALECT]), HCONV_OCTAVE_FB},
    {"dli", HCONV_FIELD(extra[HCONV_DIALECT]), HCONV_OCTAVE_DLI},
    HCONV_WORD_END,
};

const hconv_family hconv_family_octave = {"octave",        complete, tensors, kernel_tensors, fold, multiply_adds,
                                          receptive_field, NULL,     keys,    words, NULL};
