/* internal.h - what the runtime's files share: contexts, plans, the buffer a kernel takes, and the run a kernel calls back.
 * SPDX-License-Identifier: MIT */
#ifndef HCONV_INTERNAL_H
#define HCONV_INTERNAL_H

#include "variant.h"

#ifdef __cplusplus
extern "C" {
#endif

#define HCONV_ALIGN 64
#define HCONV_DEVICE_ALIGN 256       /* of a CUDA kernel's blob and workspace, and of each part of the workspace */
#define HCONV_DEVICE_TENSOR_ALIGN 16 /* of its inputs and outputs: four floats are one access */
#define HCONV_MAX_DIMS 8 /* physical dimensions of an argument */

static inline size_t hconv_align_up(size_t bytes) { return (bytes + HCONV_ALIGN - 1) / HCONV_ALIGN * HCONV_ALIGN; }

static inline size_t hconv_device_align_up(size_t bytes) {
    return (bytes + HCONV_DEVICE_ALIGN - 1) / HCONV_DEVICE_ALIGN * HCONV_DEVICE_ALIGN;
}

/* The memory layout of halide_buffer_t (HalideRuntime.h of Halide 21). */
typedef struct hconv_dimension { int32_t min, extent, stride; uint32_t flags; } hconv_dimension;
typedef struct hconv_buffer {
    uint64_t device;
    const void *device_interface;
    uint8_t *host;
    uint64_t flags;
    struct { uint8_t code, bits; uint16_t lanes; } type;
    int32_t dimensions;
    hconv_dimension *dim;
    void *padding;
} hconv_buffer;

/* A struct of the API: least is where the fields begin that every caller may leave out. */
typedef struct hconv_struct { const char *name; size_t least, bytes; } hconv_struct;
/* to: all of this runtime's struct, what the caller's lacks 0; struct_size becomes this runtime's. */
hconv_status hconv_struct_read(const hconv_struct *s, const void *from, void *to, char *why, size_t why_bytes);
/* to: as much as the caller's struct holds, what this runtime does not know 0; struct_size stays. */
hconv_status hconv_struct_write(const hconv_struct *s, const void *from, void *to);
extern const hconv_struct hconv_struct_of_problem;

typedef struct hconv_pool hconv_pool;
struct hconv_worker;
typedef struct hconv_device hconv_device;               /* a context's GPU */
typedef struct hconv_device_kernel hconv_device_kernel; /* a plan's functions on it */

struct hconv_context {
    hconv_context_options options; /* alloc and free always set */
    char isa[16];
    const hconv_library **libraries;
    int library_count;
    uint64_t cpu_features;
    hconv_pool *pool; /* NULL: serial, or the caller's parallel_for */
    hconv_device *device; /* NULL: no library has CUDA rows, or why not */
    hconv_status device_status;
    char device_why[HCONV_WHY_BYTES / 2];
};

/* A kernel argument as the plan sees it: innermost dimension first. */
typedef struct hconv_bound_argument {
    int tensor; /* activations: index among the public tensors; parameters: among the kernel tensors */
    int rank;
    size_t offset; /* parameters: in the blob */
    hconv_dimension dim[HCONV_MAX_DIMS];
} hconv_bound_argument;

struct hconv_plan {
    const hconv_context *context;
    const hconv_kernel *kernel;
    hconv_problem problem;
    char text[HCONV_PROBLEM_BYTES];
    int tensor_count, input_count, output_count, parameter_count, kernel_tensor_count;
    hconv_tensor *tensors, *kernel_tensors;
    hconv_bound_argument *arguments;
    size_t packed_bytes, root_bytes, slot_bytes; /* root and slot with their headers */
    hconv_device_kernel *loaded;                 /* CUDA only */
};

/* Memory of one worker: a stack of blocks in its part of the workspace. Passed to the kernel as user_context. */
typedef struct hconv_worker {
    struct hconv_run *run;
    char *base;
    size_t size, top;
    struct hconv_block *last;
    int inside_task;
    int next, end; /* its share of the loop's tasks: those still to be taken */
} hconv_worker;

typedef struct hconv_run {
    const hconv_plan *plan;
    char *slots;
    int worker_count;
    int error; /* hconv_status of the first failure */
    struct hconv_device_run *device; /* CUDA only */
} hconv_run_record;

/* A parallel loop under way: what the context's parallel_for gets as arg. */
typedef struct hconv_loop {
    hconv_run_record *run;
    int (*task)(void *, int, uint8_t *);
    uint8_t *closure;
    int min, count, workers;
} hconv_loop;
/* Tasks first .. first + count - 1 are to be done, in equal shares of neighbours. */
void hconv_loop_share(const hconv_loop *l, int first, int count);

/* Physical dimensions of a tensor under a layout string, outermost first. */
typedef struct hconv_physical_dimension { int letter; int64_t block, extent; } hconv_physical_dimension;
/* block: 0 = the whole dimension, -1 = counts blocks, > 0 = inside of a block of that size. Returns the number, 0 if the
 * string does not fit the tensor. */
int hconv_layout_dimensions(const char *layout, const hconv_tensor *t, hconv_physical_dimension *out);

size_t hconv_workspace_bytes(const hconv_plan *plan);
int64_t hconv_size_evaluate(const int64_t *program, const hconv_plan *plan);
uint64_t hconv_cpu_features(void);
/* Builds the buffers and calls the kernel. args NULL: of no memory, to see what a CUDA kernel would launch. */
int hconv_call_kernel(const hconv_plan *plan, const hconv_run_args *args, struct hconv_worker *root);

/* cuda.c. Kernels for CUDA call it; where none is linked it may stay outside, and with it the search for libcuda. */
#if defined(__ELF__)
#define HCONV_MAY_BE_MISSING __attribute__((weak))
#else
#define HCONV_MAY_BE_MISSING
#endif
HCONV_MAY_BE_MISSING hconv_status hconv_cuda_open(const hconv_context *ctx, hconv_device **out, char *why, size_t why_bytes);
HCONV_MAY_BE_MISSING void hconv_cuda_close(const hconv_context *ctx, hconv_device *device);
/* Is the device new enough? Otherwise why not. */
HCONV_MAY_BE_MISSING int hconv_cuda_can_run(const hconv_device *device, const hconv_kernel *kernel, char *why, size_t why_bytes);
HCONV_MAY_BE_MISSING hconv_status hconv_cuda_load(hconv_plan *plan, char *why, size_t why_bytes);
HCONV_MAY_BE_MISSING void hconv_cuda_unload(const hconv_plan *plan);
HCONV_MAY_BE_MISSING size_t hconv_cuda_workspace(const hconv_plan *plan);
HCONV_MAY_BE_MISSING hconv_status hconv_cuda_run(const hconv_plan *plan, const hconv_run_args *args);

void *hconv_context_alloc(const hconv_context *ctx, size_t bytes);
void hconv_context_free(const hconv_context *ctx, void *ptr);
void hconv_context_log(const hconv_context *ctx, int level, const char *message);

hconv_pool *hconv_pool_create(int threads);
void hconv_pool_destroy(hconv_pool *pool);
/* Runs task(arg, 0..count-1) on the pool and the caller; serially when the pool is busy. */
int hconv_pool_parallel_for(hconv_pool *pool, int count, int (*task)(void *arg, int i), void *arg);
int hconv_pool_cores(void);

void hconv_worker_init(hconv_worker *w, hconv_run_record *run, char *base, size_t size);
/* The error is kept if it is the run's first. */
void hconv_run_fail(hconv_run_record *run, hconv_status status);

#ifdef __cplusplus
}
#endif
#endif
