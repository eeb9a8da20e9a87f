/* fake_library.c - see fake_library.h. A kernel is called as Halide's are: args[0] = &user_context, then buffers, innermost
 * dimension first.
 * SPDX-License-Identifier: MIT */
#define _POSIX_C_SOURCE 200112L /* sched_yield */
#include "fake_library.h"

#include "runtime/internal.h"

#include <sched.h>
#include <stddef.h>
#include <string.h>

int hconv1_do_par_for(void *user_context, int (*task)(void *, int, uint8_t *), int min, int count, uint8_t *closure);
void *hconv1_malloc(void *user_context, size_t bytes);
void hconv1_free(void *user_context, void *ptr);

typedef struct closure {
    const hconv_buffer *x, *weight, *bias, *y;
    const float *bias_copy;
    int fail_at;
} closure;

static ptrdiff_t at(const hconv_buffer *b, int c, int x, int y, int n) {
    const int index[4] = {c, x, y, n};
    ptrdiff_t offset = 0;
    for (int d = 0; d < b->dimensions; ++d) offset += (ptrdiff_t)index[d] * b->dim[d].stride;
    return offset;
}

static const float *floats(const hconv_buffer *b) { return (const float *)(const void *)b->host; }

/* One row of one image: gathered into scratch memory, then multiplied. In between other tasks may run: whoever shares this
 * one's memory spoils its row. */
static int row_task(void *user_context, int task, uint8_t *raw) {
    const closure *c = (const closure *)(const void *)raw;
    int rows = c->y->dimensions == 4 ? c->y->dim[2].extent : 1, y = task % rows, n = task / rows;
    int ci = c->x->dim[0].extent, width = c->x->dim[1].extent;
    float *row = (float *)hconv1_malloc(user_context, (size_t)ci * (size_t)width * sizeof *row);
    if (task == c->fail_at) {
        hconv1_free(user_context, row);
        return -1;
    }
    for (int x = 0; x < width; ++x)
        for (int i = 0; i < ci; ++i) row[x * ci + i] = floats(c->x)[at(c->x, i, x, y, n)];
    for (int i = 0; i < 4; ++i) sched_yield();
    for (int x = 0; x < width; ++x) {
        for (int o = 0; o < c->y->dim[0].extent; ++o) {
            float sum = c->bias_copy[o];
            for (int i = 0; i < ci; ++i) /* weight: "oihw", innermost first w h i o */
                sum += floats(c->weight)[(ptrdiff_t)i * c->weight->dim[2].stride + (ptrdiff_t)o * c->weight->dim[3].stride] *
                       row[x * ci + i];
            ((float *)(void *)c->y->host)[at(c->y, o, x, y, n)] = sum;
        }
    }
    hconv1_free(user_context, row);
    return 0;
}

static int compute(void **args, int fail_at, int extra_bytes) {
    void *user_context = *(void **)args[0];
    closure c;
    float *copy;
    void *extra = NULL;
    int tasks, error;
    c.x = (const hconv_buffer *)args[1], c.weight = (const hconv_buffer *)args[2];
    c.bias = (const hconv_buffer *)args[3], c.y = (const hconv_buffer *)args[4];
    c.fail_at = fail_at;
    copy = (float *)hconv1_malloc(user_context, (size_t)c.bias->dim[0].extent * sizeof *copy);
    memcpy(copy, c.bias->host, (size_t)c.bias->dim[0].extent * sizeof *copy);
    c.bias_copy = copy;
    if (extra_bytes) extra = hconv1_malloc(user_context, (size_t)extra_bytes);
    tasks = c.y->dimensions == 4 ? c.y->dim[2].extent * c.y->dim[3].extent : 1;
    error = hconv1_do_par_for(user_context, row_task, 0, tasks, (uint8_t *)&c);
    if (extra_bytes) hconv1_free(user_context, extra);
    hconv1_free(user_context, copy);
    return error;
}

static int good(void **args) { return compute(args, -1, 0); }
static int fails(void **args) { return compute(args, 2, 0); }
static int hungry(void **args) { return compute(args, -1, 1 << 20); }
static int broken(void **args) { (void)args; return -7; }

#define ARGUMENTS(x_layout, y_layout, bias_name) \
    {{"x", HCONV_INPUT, HCONV_F32, sizeof x_layout - 1, x_layout}, \
     {"weight", HCONV_PARAMETER, HCONV_F32, 4, "oihw"}, \
     {bias_name, HCONV_PARAMETER, HCONV_F32, 1, "o"}, \
     {"y", HCONV_OUTPUT, HCONV_F32, sizeof y_layout - 1, y_layout}}
static const hconv_argument nhwc[] = ARGUMENTS("nhwc", "nhwc", "bias");
static const hconv_argument nchw[] = ARGUMENTS("nchw", "nchw", "bias");
static const hconv_argument matrix[] = ARGUMENTS("wc", "wc", "bias");
static const hconv_argument misfit[] = ARGUMENTS("nhwc", "nhwc", "scale");

/* A block of the stack is 64 bytes longer than what it holds, rounded up to 64. */
static const int64_t root[] = {HCONV_SIZE_CONST, 128, HCONV_SIZE_END};
static const int64_t slot[] = { /* 64 + 64 * ceil(4 * ci * width / 64) */
    HCONV_SIZE_CONST, 64, HCONV_SIZE_EXTENT, 0, HCONV_SIZE_EXTENT, 1, HCONV_SIZE_MUL, 0, HCONV_SIZE_CONST, 4,
    HCONV_SIZE_MUL, 0, HCONV_SIZE_CONST, 63, HCONV_SIZE_ADD, 0, HCONV_SIZE_CONST, 64, HCONV_SIZE_DIV, 0,
    HCONV_SIZE_CONST, 64, HCONV_SIZE_MUL, 0, HCONV_SIZE_ADD, 0, HCONV_SIZE_END};

#define NO_CPU ((uint64_t)1 << 60)
#define ROW(symbol, problem, call, arguments, level, isa, min_h, features, hash) \
    {symbol, problem, "any", "by-hand", call, arguments, 4, level, isa, root, slot, min_h, 1, features, hash, NULL, 0}

static const hconv_kernel fake_kernels[] = {
    ROW("fake__open", "pointwise_n?_ci3_h?_w?_co2", good, nhwc, 1, "low", 2, 0, 11),
    ROW("fake__fixed", FAKE_FIXED, good, nhwc, 1, "low", 1, 0, 12),
    ROW("fake__fixed_high", FAKE_FIXED, good, nhwc, 2, "high", 1, 0, 13),
    ROW("fake__fixed_later", FAKE_FIXED, good, nhwc, 2, "high", 1, 0, 14),
    ROW("fake__fixed_no_cpu", FAKE_FIXED, good, nhwc, 3, "never", 1, NO_CPU, 15),
    ROW("fake__linear", "linear_n?_ci4_co3", good, matrix, 1, "low", 1, 0, 16),
};
static const hconv_kernel other_kernels[] = {
    ROW("other__fixed", FAKE_FIXED, good, nhwc, 1, "low", 1, 0, 21),
    ROW("other__nchw", FAKE_FIXED "_nchw", good, nchw, 1, "low", 1, 0, 22),
    ROW("other__fails", FAKE_FAILS, fails, nhwc, 1, "low", 1, 0, 23),
    ROW("other__broken", FAKE_BROKEN, broken, nhwc, 1, "low", 1, 0, 24),
    ROW("other__hungry", FAKE_HUNGRY, hungry, nhwc, 1, "low", 1, 0, 25),
    ROW("other__cuda", FAKE_CUDA, good, nhwc, 1, "cuda", 1, HCONV_DEVICE_CUDA, 26),
    ROW("other__misfit", FAKE_MISFIT, good, misfit, 1, "low", 1, 0, 27),
};

#define COUNT(array) (sizeof array / sizeof *array)
const hconv_library fake_library = {HCONV_LIBRARY_ABI, COUNT(fake_kernels), "fake", "by hand", fake_kernels};
const hconv_library other_library = {HCONV_LIBRARY_ABI, COUNT(other_kernels), "other", "by hand", other_kernels};
const hconv_library old_library = {HCONV_LIBRARY_ABI + 1, COUNT(other_kernels), "old", "by hand", other_kernels};
