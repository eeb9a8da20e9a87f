/* fill.c - see fill.h. exact: |sum| <= terms * 4 * 4 * units < 2^24, terms thinned to the budget that leaves.
 * SPDX-License-Identifier: MIT
 * random: weights of deviation 1/2 / sqrt(terms) and mean 1 / terms, inputs and biases of mean 1 and 1/2 give outputs
 * of mean 1.5 and deviation under 1, so that an activation is tried on both sides and few outputs are cut off. */
#include "fill.h"

#include "variants/common.h"
#include "variants/depthwise_separable.h"
#include "variants/experts.h"
#include "variants/octave.h"
#include "variants/rowcol.h"
#include "variants/wtconv.h"

#include <string.h>

#define ONE (1 << 19) /* noise is in units of 2^-19: 22 bits and a sign, exact in float32 */

static uint64_t mix(uint64_t z) { /* splitmix64 */
    z += 0x9e3779b97f4a7c15u;
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
    return z ^ (z >> 31);
}

static uint64_t stream_of(const char *name, uint64_t seed) {
    uint64_t h = 0xcbf29ce484222325u;
    for (; *name; ++name) h = (h ^ (unsigned char)*name) * 0x100000001b3u;
    return mix(h ^ mix(seed));
}

static float power_of_two(int exponent) {
    float value = 1;
    for (; exponent > 0; --exponent) value *= 2;
    for (; exponent < 0; ++exponent) value *= 0.5f;
    return value;
}

/* Uniform in low..high. */
static int64_t whole(uint64_t random, int64_t low, int64_t high) {
    return low + (int64_t)((random >> 11) % (uint64_t)(high - low + 1));
}

/* Sum of four uniforms: mean 0, deviation 1.15 ONE, within 4 ONE. */
static int64_t noise(uint64_t stream, uint64_t index) {
    uint64_t a = mix(stream ^ (2 * index)), b = mix(stream ^ (2 * index + 1));
    uint64_t mask = (1u << 20) - 1;
    return (int64_t)((a & mask) + ((a >> 32) & mask) + (b & mask) + ((b >> 32) & mask)) - 4 * ONE;
}

static int ends_with(const char *name, const char *end) {
    size_t a = strlen(name), b = strlen(end);
    return a >= b && !strcmp(name + a - b, end);
}

static int begins_with(const char *name, const char *start) { return !strncmp(name, start, strlen(start)); }

size_t hconv_tensor_elements(const hconv_tensor *t) {
    size_t count = 1;
    for (int i = 0; i < t->rank; ++i) count *= (size_t)t->extent[i];
    return count;
}

static int is(const hconv_problem *p, const char *variant) { return !strcmp(hconv_variant_of(p)->name, variant); }

/* Rows of a transposed window that meet in one output: those whose dilated distances the stride divides. */
static int64_t rows_met(int32_t window, int32_t stride, int32_t dilation) {
    int32_t apart = 1;
    while ((int64_t)apart * dilation % stride) ++apart;
    return (window - 1) / apart + 1;
}

/* Terms of one output that a weight tensor [(experts,) outputs, inputs, rows, columns] feeds; transposed: [inputs,
 * outputs, rows, columns], and a phase has its share of the window. */
static int64_t terms_of(const hconv_problem *p, const hconv_tensor *t) {
    int64_t terms = 1;
    if (p->variant == HCONV_VARIANT_transposed && t->rank == 4)
        return (int64_t)(p->ci / p->groups) * rows_met(p->kh, p->stride_h, p->dilation_h) *
               rows_met(p->kw, p->stride_w, p->dilation_w);
    for (int i = t->rank == 5 ? 2 : 1; i < t->rank; ++i) terms *= t->extent[i];
    return terms;
}

const char *hconv_fill_inexact(const hconv_problem *p) {
    if (p->variant == HCONV_VARIANT_octave && p->extra[HCONV_DIALECT] == HCONV_OCTAVE_FB && p->stride_h == 2 &&
        (p->h % 4 || p->w % 4))
        return "fb at stride 2 takes means over clipped 4 x 4 windows, of 3 rows or columns where 4 does not divide "
               "the size";
    if (hconv_minimal_filtering(p)) return "the transformed windows of minimal filtering are no small integers";
    if (!strcmp(hconv_variant_of(p)->family->name, "wtconv")) return "the taps of wavelets are no integers";
    if (!hconv_fill_exact_activation(p->mid_activation))
        return "the activation between the two convolutions is no exact function of small integers";
    return NULL;
}

int hconv_fill_exact_activation(int32_t activation) { return activation <= HCONV_PRELU; }

int hconv_fill_absent(const hconv_tensor *t, hconv_fill_kind kind, uint64_t seed) {
    return t->optional && kind == HCONV_FILL_RANDOM && seed % 2;
}

/* Weights and biases of the last sum come in units of this: sums of whole numbers would mostly be cut off at 6. */
static float grain_of(const hconv_problem *p, const char *name) {
    int early = begins_with(name, "depthwise") || begins_with(name, "mid") || begins_with(name, "col.");
    return p->activation == HCONV_RELU6 && !early ? 0.125f : 1;
}

/* Nonzero weights an output may have: products are up to 16 in units that the grain, the norm's scale (1/2 .. 4), the
 * means of octave's pooling (1/16), odconv's three sigmoids (1/2 each) and its softmax (1/16) divide.
 * depthwise_separable: 32 depthwise products and a bias are up to 520, the norm between multiplies by 4 in halves,
 * a slope by 2 in units of 1/4.
 * condconv: every expert's routing multiplies by up to 4, or is in units of 1/2; dynamicconv: a softmax, 1/16. */
static int64_t exact_budget(const hconv_problem *p, const hconv_tensor *t) {
    int64_t budget = 1 << 19;
    if (p->variant == HCONV_VARIANT_depthwise_separable) {
        if (begins_with(t->name, "depthwise")) return 32;
        budget = 1 << 12;
        if (p->extra[HCONV_MID_NORM]) budget /= 8;
        if (p->mid_activation == HCONV_LEAKY || p->mid_activation == HCONV_PRELU) budget /= 8;
    }
    if (p->activation == HCONV_RELU6) budget /= 8;
    if (p->flags & HCONV_NORM) budget /= 8;
    if (p->variant == HCONV_VARIANT_octave) budget /= 16;
    if (p->variant == HCONV_VARIANT_odconv) budget /= 128;
    if (is(p, "dynamicconv")) budget /= 16;
    if (is(p, "condconv")) budget /= 4 * (int64_t)p->extra[HCONV_EX];
    if (p->variant == HCONV_VARIANT_rowcol) { /* a term has two weights: their counts multiply, and the pairs' */
        int64_t each = 1;
        while ((each + 1) * (each + 1) * p->extra[HCONV_PAIRS] <= budget / 4) ++each;
        budget = each;
    }
    return budget;
}

/* Experts with equal weight, the others with none: a power of two of at most 16, from a random place on. */
static int is_hot(const hconv_problem *p, uint64_t seed, uint64_t expert) {
    uint64_t stream = stream_of("hot", seed), experts = (uint64_t)p->extra[HCONV_EX], count = 1, start;
    for (uint64_t more = stream % 5; more && 2 * count <= experts; --more) count *= 2;
    start = mix(stream) % experts;
    return (expert + experts - start) % experts < count;
}

/* A weight or bias of a layer that an attention or a routing is made by. */
static int is_layer(const char *name) {
    return strstr(name, "_fc.") || strstr(name, ".fc.") || begins_with(name, "attention.fc");
}

/* An element of an expert that a softmax leaves no weight. */
static int is_cold(const hconv_problem *p, const hconv_tensor *t, uint64_t seed, uint64_t index) {
    if (!is(p, "odconv") && !is(p, "dynamicconv")) return 0;
    if (strcmp(t->name, "weight") && strcmp(t->name, "bias")) return 0;
    return !is_hot(p, seed, index * (uint64_t)t->extent[0] / hconv_tensor_elements(t));
}

/* One exact value; r: its random bits. Attention: fc and head weights are 0, so the logits are the head biases, 0 or 64
 * (sigmoid = 1/2 or 1 in both float32 and double) and 0 or -1000 (softmax), doubled because the temperature is 2. An
 * expert that softmax leaves no weight has zero weights itself: what is left may be 2^-126 instead of 0. */
static float exact_value(const hconv_problem *p, const hconv_tensor *t, uint64_t seed, uint64_t index, uint64_t r,
                         int64_t budget) {
    static const float eps = 1.0f / 1024, variance[] = {0.25f, 1, 4}, slopes[] = {0.25f, 0.5f, 2, -1};
    const char *name = t->name;
    if (t->role == HCONV_INPUT) return (float)whole(r, -4, 4);
    if (ends_with(name, ".eps")) return eps;
    if (ends_with(name, ".running_var")) return variance[r % 3] - eps;
    if (ends_with(name, ".running_mean")) return (float)whole(r, -4, 4);
    if (!strcmp(name, "temperature")) return 2;
    if (ends_with(name, "slope")) return t->optional ? 0.25f : slopes[r % 4];
    if (is_layer(name) && ends_with(name, ".weight")) return 0;
    if (ends_with(name, "kernel_fc.bias") || ends_with(name, ".fc2.bias"))
        return is_hot(p, seed, index) ? 0.0f : -2000.0f;
    if (is_layer(name)) return r % 2 ? 128.0f : 0.0f;
    if (is_cold(p, t, seed, index)) return 0;
    if (t->rank > 1 && strcmp(name, "bias"))
        return whole(mix(r), 1, terms_of(p, t)) <= budget ? grain_of(p, name) * (float)whole(r, -4, 4) : 0.0f;
    if (strstr(name, "bn") && ends_with(name, ".weight")) return (float)((r & 1) + 1) * (r & 2 ? 1.0f : -1.0f);
    return grain_of(p, name) * (float)whole(r, -8, 8);
}

/* The exponent e with 2^e nearest to 1 / sqrt(terms). */
static int spread_of(int64_t terms) {
    int e = 0;
    for (int64_t square = 1; 2 * square < terms; square *= 4) --e;
    return e;
}

static float random_value(const hconv_problem *p, const hconv_tensor *t, uint64_t stream, uint64_t index,
                          uint64_t row) {
    const char *name = t->name;
    int64_t value = noise(stream, index), terms = terms_of(p, t);
    uint64_t r = mix(stream ^ index);
    int exponent = -19;
    /* condconv's routing sums to half as many as there are experts. */
    if (is(p, "condconv") && (!strcmp(name, "weight") || !strcmp(name, "bias")))
        for (int32_t experts = p->extra[HCONV_EX]; experts > 2; experts /= 2) --exponent;
    if (begins_with(name, "residual")) value = value / 2 + ONE / 2;
    else if (!strcmp(name, "routing")) value = whole(r, 0, ONE);
    else if (t->role == HCONV_INPUT) value = value / 2 + noise(~stream, row) / 4 + ONE;
    else if (ends_with(name, ".eps")) value = ONE / 1000;
    else if (ends_with(name, ".running_var")) value = whole(r, ONE / 2, 2 * ONE);
    else if (ends_with(name, ".running_mean")) value /= 4;
    else if (!strcmp(name, "temperature")) value = whole(r, ONE, 3 * ONE);
    else if (ends_with(name, "slope")) value = whole(r, ONE / 16, ONE / 2);
    else if (is_layer(name)) exponent += t->rank > 1 ? spread_of(terms) : 0;
    else if (begins_with(name, "wavelet_scale.")) value = whole(r, ONE / 16, ONE / 4);
    else if (t->rank > 1 && strcmp(name, "bias")) {
        int spread = spread_of(terms);
        value = value / 2 + (int64_t)ONE * ((int64_t)1 << -spread) / terms;
        exponent += spread;
    } else if (strstr(name, "bn") && ends_with(name, ".weight")) value = whole(r, ONE / 2, 3 * ONE / 2);
    else value = value / 4 + ONE / 2;
    return (float)value * power_of_two(exponent);
}

/* Logical index (n c h w) of the element at place i of memory; row: its sample and channel. */
static uint64_t logical(const hconv_problem *p, const hconv_tensor *t, uint64_t i, uint64_t *row) {
    uint64_t channels = (uint64_t)t->extent[1], area = 1, n, c, at;
    if (t->role != HCONV_INPUT) return i;
    for (int d = 2; d < t->rank; ++d) area *= (uint64_t)t->extent[d];
    n = i / (channels * area), c = i / area % channels, at = i % area;
    if (t->rank > 2 && p->layout == HCONV_NHWC) c = i % channels, at = i / channels % area;
    *row = n * channels + c;
    return *row * area + at;
}

void hconv_fill(const hconv_problem *p, const hconv_tensor *t, hconv_fill_kind kind, uint64_t seed, float *to) {
    uint64_t stream = stream_of(t->name, seed), row = 0;
    size_t count = hconv_tensor_elements(t);
    int64_t budget = exact_budget(p, t);
    if (ends_with(t->name, "wt_filter")) { /* must be the wavelet's own */
        for (size_t i = 0; i < count; ++i)
            to[i] = (float)hconv_wtconv_filter(p, *t->name == 'i' ? HCONV_SYNTHESIS : HCONV_ANALYSIS, (int64_t)i);
        return;
    }
    for (size_t i = 0; i < count; ++i) {
        uint64_t index = logical(p, t, i, &row);
        to[i] = kind == HCONV_FILL_EXACT ? exact_value(p, t, seed, index, mix(stream ^ index), budget)
                                         : random_value(p, t, stream, index, row);
    }
}
