/* hconv.h - run convolution kernels that the hconv compiler made ahead of time. C99, no dependencies.
 * SPDX-License-Identifier: MIT
 *
 * In order: parse a problem, create a context, add the generated libraries, create a plan, pack the parameters once,
 * run as often as wanted. Add libraries before the first plan; after that a context is read-only. A plan is immutable:
 * it may be run from many threads at once as long as each call brings its own workspace (or none).
 * Destroy plans before their context. No function aborts, prints, reads the environment or keeps global state. */
#ifndef HCONV_HCONV_H
#define HCONV_HCONV_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#define HCONV_VERSION 1000 /* major * 1000000 + minor * 1000 + patch */
#define HCONV_WHY_BYTES 512
#define HCONV_PROBLEM_BYTES 384 /* enough for every formatted problem */
#define HCONV_OPEN 0            /* in n, h, w: the size is left open and read from the call */

typedef enum hconv_status {
    HCONV_OK = 0,
    HCONV_INVALID_ARGUMENT = 1, /* fix the call; it can never succeed as it is */
    HCONV_UNSUPPORTED = 2,      /* well-formed, but no linked kernel fits problem + machine */
    HCONV_OUT_OF_MEMORY = 3,
    HCONV_ABI_MISMATCH = 4, /* kernel library made for another ABI */
    HCONV_DEVICE_ERROR = 5,
    HCONV_INTERNAL = 6
} hconv_status;

typedef enum hconv_dtype { HCONV_F32 = 0 } hconv_dtype;
typedef enum hconv_layout { HCONV_NHWC = 0, HCONV_NCHW = 1 } hconv_layout;
typedef enum hconv_role { HCONV_INPUT = 0, HCONV_PARAMETER = 1, HCONV_OUTPUT = 2 } hconv_role;
typedef enum hconv_activation {
    HCONV_LINEAR = 0, /* none */
    HCONV_RELU,       /* max(x, 0) */
    HCONV_RELU6,      /* min(max(x, 0), 6) */
    HCONV_LEAKY,      /* x > 0 ? x : slope * x; optional parameter slope[1], 0.01 */
    HCONV_PRELU,      /* x > 0 ? x : slope[c] * x; parameter slope[co] */
    HCONV_SILU,       /* x * sigmoid(x) */
    HCONV_HARDSWISH,  /* x * min(max(x + 3, 0), 6) / 6 */
    HCONV_HARDSIGMOID, /* min(max(x + 3, 0), 6) / 6 */
    HCONV_GELU,       /* x * (1 + erf(x / sqrt 2)) / 2 */
    HCONV_GELUTANH,   /* x * (1 + tanh(sqrt(2 / pi) * (x + 0.044715 x^3))) / 2 */
    HCONV_SIGMOID,    /* 1 / (1 + exp(-x)) */
    HCONV_TANH
} hconv_activation;
typedef enum hconv_same { HCONV_PAD_EXPLICIT = 0, HCONV_PAD_SAME = 1, HCONV_PAD_TFSAME = 2 } hconv_same;

enum { /* hconv_problem.flags */
    HCONV_NO_BIAS = 1,   /* no bias tensor */
    HCONV_NORM = 2,      /* batch norm after the sum: bn.weight, bn.bias, bn.running_mean, bn.running_var */
    HCONV_RESIDUAL = 4,  /* input residual, shaped like y, added before the activation */
    HCONV_FAST = 8       /* rounding other than the direct sum's is allowed */
};

typedef struct hconv_context hconv_context; /* services: memory, threads, log, device */
typedef struct hconv_plan hconv_plan;       /* one problem bound to one kernel */
typedef struct hconv_library hconv_library; /* generated table, see hconv/library.h */

/* A variant with its sizes. Fill by hand (zero everything, then set) or from text with hconv_problem_parse. */
typedef struct hconv_problem {
    uint32_t struct_size;
    int32_t variant; /* line of variants.def, from 0 */
    int32_t dtype, layout, activation, mid_activation, same;
    uint32_t flags;
    int32_t n, ci, h, w, co; /* HCONV_OPEN in n, h, w = left open */
    int32_t kh, kw, stride_h, stride_w, dilation_h, dilation_w, groups;
    int32_t pad_top, pad_bottom, pad_left, pad_right, out_pad_h, out_pad_w;
    int32_t extra[8]; /* the variant's own keys, in its descriptor's order */
} hconv_problem;

typedef struct hconv_context_options { /* all zero = sensible defaults */
    uint32_t struct_size;
    int32_t num_threads; /* most workers a run may use; 0 = all cores; required with your own parallel_for */
    const char *isa;     /* NULL: the best the CPU has; "sse41", "avx2", "avx512", "neon", "cuda": that level only */
    void *user;          /* handed to every callback */
    void *(*alloc)(void *user, size_t align, size_t bytes);
    void (*free)(void *user, void *ptr);
    /* Call task(arg, i) for every i in 0..count-1, in any order, on any threads; return after the last; 0 = done. */
    int (*parallel_for)(void *user, int count, int (*task)(void *arg, int i), void *arg);
    void (*log)(void *user, int level, const char *message); /* level 0: information, 1: warning, 2: error */
    void *cuda_context; /* NULL: the device's primary context */
} hconv_context_options;

typedef struct hconv_tensor_info {
    uint32_t struct_size;
    const char *name;                      /* "x", "residual", "attention.fc.weight", ...; valid as long as the plan */
    int32_t role, dtype, rank, optional;
    int64_t extent[6], stride[6];          /* outermost first, in elements; dense */
    size_t bytes;                          /* what to allocate; no slack needed */
    double default_value;                  /* of optional one-element parameters */
} hconv_tensor_info;

typedef struct hconv_plan_info {
    uint32_t struct_size;
    int32_t tensor_count;
    const char *kernel, *problem, *target, *schedule; /* the symbol, and the three strings that made it */
    size_t workspace_bytes, packed_bytes;
    double flops, bytes_moved; /* of one run: 2 * multiply-adds; inputs + parameters + outputs once each */
} hconv_plan_info;

typedef struct hconv_parameter {
    const char *name; /* exact, as in hconv_tensor_info */
    const void *data; /* dense, in the tensor's shape */
    size_t bytes;
} hconv_parameter;

typedef struct hconv_run_args {
    uint32_t struct_size;
    int32_t input_count, output_count;
    const void *const *inputs; /* in hconv_plan_tensor order; 4-byte aligned; CUDA: device pointers */
    void *const *outputs;      /* must not overlap the inputs */
    const void *packed;        /* what hconv_pack wrote; 64-byte aligned */
    void *workspace;           /* 64-byte aligned; NULL, 0: the context allocates */
    size_t workspace_bytes;
    void *stream; /* CUDA: CUstream; the call returns once queued */
} hconv_run_args;

uint32_t hconv_version(void);
const char *hconv_status_name(hconv_status status);

/* why: where the sentence goes (HCONV_WHY_BYTES is enough); NULL, 0 if not wanted. */
hconv_status hconv_problem_parse(const char *text, hconv_problem *out, char *why, size_t why_bytes);
/* The canonical string; parse(format(p)) == p. HCONV_PROBLEM_BYTES is enough. */
hconv_status hconv_problem_format(const hconv_problem *p, char *buf, size_t bytes);

hconv_status hconv_context_create(const hconv_context_options *options, hconv_context **out, char *why, size_t why_bytes);
void hconv_context_destroy(hconv_context *ctx);
/* The library must outlive the context. */
hconv_status hconv_context_add_library(hconv_context *ctx, const hconv_library *library);

/* p: every size known (n, h, w not open). Cheap: no packing, one small allocation. */
hconv_status hconv_plan_create(const hconv_context *ctx, const hconv_problem *p, hconv_plan **out, char *why,
                               size_t why_bytes);
void hconv_plan_destroy(hconv_plan *plan);
hconv_status hconv_plan_describe(const hconv_plan *plan, hconv_plan_info *out);
/* index 0 .. tensor_count - 1: inputs, then parameters (standard names and shapes), then outputs. */
hconv_status hconv_plan_tensor(const hconv_plan *plan, int index, hconv_tensor_info *out);
/* Once per set of parameters: standard tensors to the one blob the kernel wants (re-ordered, norm folded, ...).
 * The blob does not depend on open sizes: all plans of one kernel share it. packed: 64-byte aligned, packed_bytes. */
hconv_status hconv_pack(const hconv_plan *plan, const hconv_parameter *given, int count, void *packed,
                        size_t packed_bytes, char *why, size_t why_bytes);
hconv_status hconv_run(const hconv_plan *plan, const hconv_run_args *args);

#ifdef __cplusplus
}
#endif
#endif
