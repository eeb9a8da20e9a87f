/* library.h - the ABI between generated libraries and the runtime: one const table of kernels a library.
 * SPDX-License-Identifier: MIT
 * Applications only pass the address of the table to hconv_context_add_library. */
#ifndef HCONV_LIBRARY_H
#define HCONV_LIBRARY_H

#include "hconv.h"

#ifdef __cplusplus
extern "C" {
#endif

#define HCONV_LIBRARY_ABI 1u

/* What a kernel needs of the CPU, hconv_kernel.cpu_features. */
#define HCONV_CPU_SSE41 (1u << 0)
#define HCONV_CPU_AVX2 (1u << 1)   /* avx, avx2, fma, f16c */
#define HCONV_CPU_AVX512 (1u << 2) /* f, cd, vl, dq, bw */
#define HCONV_CPU_NEON (1u << 3)
#define HCONV_DEVICE_CUDA (1u << 16)

typedef struct hconv_argument {
    const char *name;
    uint8_t role, dtype, rank;
    /* Outermost first. Activations: "nhwc", "nchw", "nc"; "2:nhwc": every pixel seen as two, of half the channels.
     * Parameters: letters of the kernel tensor's dimensions; an upper-case letter counts blocks, whose inside is a number
     * and the letter: "Ohwi16o". Before a ':' the transform of the windows: "wino4:Ohwi16o". */
    const char *layout;
} hconv_argument;

typedef struct hconv_image { /* CUDA code of a kernel */
    uint32_t capability;     /* 80, 90; 0 = PTX */
    const void *data;
    size_t bytes;
} hconv_image;

/* Sizes that depend on a plan are postfix programs: pairs {opcode, operand}, ended by HCONV_SIZE_END. */
enum {
    HCONV_SIZE_END = 0,
    HCONV_SIZE_CONST,  /* push operand */
    HCONV_SIZE_EXTENT, /* push extent of argument operand / 8, Halide dimension operand % 8 (c, x, y, n) */
    HCONV_SIZE_ADD,
    HCONV_SIZE_SUB,
    HCONV_SIZE_MUL,
    HCONV_SIZE_DIV, /* floor */
    HCONV_SIZE_MOD,
    HCONV_SIZE_MIN,
    HCONV_SIZE_MAX,
    HCONV_SIZE_EQ,
    HCONV_SIZE_LT,
    HCONV_SIZE_LE,
    HCONV_SIZE_AND,
    HCONV_SIZE_OR,
    HCONV_SIZE_NOT,
    HCONV_SIZE_SELECT /* condition, then, else */
};
#define HCONV_SIZE_DEPTH 64 /* deepest stack a program may need */

typedef struct hconv_kernel {
    const char *symbol;
    const char *problem, *target, *schedule; /* problem may hold '?' */
    int (*call)(void **args);                /* args[0] = &user_context, then halide_buffer_t * in argument order */
    const hconv_argument *arguments;
    int32_t argument_count, level;             /* level: order of preference among rows of one problem */
    const char *isa;                           /* "sse41", "avx2", "avx512", "neon", "cuda", ... */
    const int64_t *root_bytes, *slot_bytes;    /* workspace of the call, and of each worker inside a parallel loop */
    int32_t min_h, min_w;                      /* least output sizes the schedule assumes where h, w are open */
    uint64_t cpu_features, hash;               /* hash: of the lowered pipeline */
    const hconv_image *images;
    int32_t image_count;
} hconv_kernel;

struct hconv_library {
    uint32_t abi, kernel_count;
    const char *name, *made_by;
    const hconv_kernel *kernels;
};

#ifdef __cplusplus
}
#endif
#endif
