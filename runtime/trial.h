/* trial.h - one kernel tried on one problem: every tensor flush against guard pages, outputs and workspace poisoned,
 * everything compared with a first plain run.
 * SPDX-License-Identifier: MIT
 * CUDA kernels: the same with memory of the device, see trial_cuda.c.
 * The trial runs in a process of its own: a crash or an endless loop is a failed trial with a sentence. */
#ifndef HCONV_TRIAL_H
#define HCONV_TRIAL_H

#include "variant.h"

#ifdef __cplusplus
extern "C" {
#endif

enum { /* hconv_trial.checks */
       HCONV_TRIAL_BOUNDS =
           1, /* guard pages before and behind every tensor, at every alignment that is a multiple of 4 */
       HCONV_TRIAL_REPEAT = 2, /* the same bits again, for 1, 2, 5 and 8 threads, and for tasks in reversed order; no
                                  two tasks of a loop write one element */
       HCONV_TRIAL_WORKSPACE =
           4, /* exactly workspace_bytes, whatever they hold, are enough; one less is refused; an allocator
                                  that fails at its k-th call gives out of memory and loses nothing */
       HCONV_TRIAL_ALL = 7
};

typedef enum hconv_outcome { HCONV_PASSED = 0, HCONV_FAILED = 1, HCONV_SKIPPED = 2 } hconv_outcome;

typedef struct hconv_trial {
    const hconv_kernel *kernel;
    const hconv_problem *problem; /* complete, every size known */
    const float *const *data;     /* the standard inputs and parameters in order; NULL = an optional one left out */
    unsigned checks;
    int threads;       /* of the plain run and of the timing; 0 = one */
    int rounds;        /* timed rounds after the checks; 0 = none */
    int limit_seconds; /* 0 = 60 */
} hconv_trial;

typedef struct hconv_trial_result {
    hconv_outcome outcome;
    char sentence[HCONV_WHY_BYTES]; /* why it failed or was skipped */
    size_t workspace_bytes, packed_bytes;
    double flops, bytes_moved;
    double median_ns, min_ns; /* of one run, over rounds; 0 = not timed */
    int rounds;
    size_t output_bytes; /* of the plain run: all outputs, one behind the other in tensor order */
    float *output;
} hconv_trial_result;

/* NULL where there is no memory. */
hconv_trial_result *hconv_trial_run(const hconv_trial *t);
void hconv_trial_free(hconv_trial_result *r);
/* trial_cuda.c: the part of a trial that differs for CUDA kernels. doing: what is going on, for a sentence about a crash. */
void hconv_trial_on_device(const hconv_trial *t, hconv_trial_result *r, char doing[128], float *output);

#ifdef __cplusplus
}
#endif
#endif
