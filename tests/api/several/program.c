/* program.c - one program with two emitted libraries, Halide's own runtime under a pipeline of Halide's, and a plug-in with
 * another hconv in it; four threads use them all at once.
 * SPDX-License-Identifier: MIT */
#include "check.h"

#include "one.h"
#include "two.h"
#if WITH_HALIDE
#include "pipeline.h"
#endif

#include <pthread.h>

#if WITH_PLUGIN
int plugin_check(void);
unsigned plugin_version(void);
#endif

/* out = 2 in + 1, with Halide's thread pool. */
static int check_halide(void) {
    int failed = 0;
#if WITH_HALIDE
    enum { W = 64, H = 32 };
    float in[W * H], out[W * H];
    halide_dimension_t dim[2] = {{0, W, 1, 0}, {0, H, W, 0}};
    halide_buffer_t buffers[2];
    for (int i = 0; i < W * H; ++i) in[i] = small(i);
    memset(buffers, 0, sizeof buffers);
    for (int i = 0; i < 2; ++i) {
        buffers[i].host = (uint8_t *)(i ? out : in);
        buffers[i].type.code = halide_type_float, buffers[i].type.bits = 32, buffers[i].type.lanes = 1;
        buffers[i].dimensions = 2, buffers[i].dim = dim;
    }
    if (pipeline(&buffers[0], &buffers[1])) return printf("Halide's pipeline failed\n"), 1;
    for (int i = 0; i < W * H; ++i) failed += out[i] != 2 * in[i] + 1;
    if (failed) printf("Halide's pipeline: %d numbers are wrong\n", failed);
#endif
    return failed;
}

static void *use_all(void *arg) {
    const hconv_library *libraries[2] = {&hconv_library_one, &hconv_library_two};
    const check_case cases[2] = {of_one, of_two};
    int *failed = (int *)arg;
    for (int again = 0; again < 5; ++again) {
        *failed += check_library(libraries, 2, cases, 2) + check_halide();
#if WITH_PLUGIN
        *failed += plugin_check();
#endif
    }
    return NULL;
}

int main(void) {
    pthread_t threads[4];
    int failed[4] = {0}, all = 0;
    for (int t = 0; t < 4; ++t) all += pthread_create(&threads[t], NULL, use_all, &failed[t]) != 0;
    for (int t = 0; t < 4; ++t) {
        pthread_join(threads[t], NULL);
        all += failed[t];
    }
    printf("hconv %u", (unsigned)hconv_version());
#if WITH_PLUGIN
    printf(", the plug-in's %u", plugin_version());
    all += plugin_version() == hconv_version();
#endif
    printf("\n%d wrong\n", all);
    return all != 0;
}
