/* asserts.c - where kernels with Halide's own checks compiled in report a failed one. Part of test programs only; emit gives
 * every halide_error_* of such an object this name.
 * SPDX-License-Identifier: MIT */
#include "internal.h"

int hconv1_assert_failed(void *user_context);

int hconv1_assert_failed(void *user_context) {
    hconv_worker *w = (hconv_worker *)user_context;
    hconv_context_log(w->run->plan->context, 2, "a check compiled into the kernel failed");
    hconv_run_fail(w->run, HCONV_INTERNAL);
    return -1;
}
