/* loop.c - runs a plan several times in a row, so that the call from Python is not part of what is timed.
 * SPDX-License-Identifier: MIT */
#include "hconv/hconv.h"

hconv_status bench_loop(const hconv_plan *plan, const hconv_run_args *args, long runs) {
    hconv_status status = HCONV_OK;
    while (runs-- > 0 && !status) status = hconv_run(plan, args);
    return status;
}
