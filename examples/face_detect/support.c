/* support.c - see support.h.
 * SPDX-License-Identifier: MIT */
#define _POSIX_C_SOURCE 200112L
#include "support.h"

#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

void fail(const char *format, ...) {
    va_list args;
    va_start(args, format);
    fputs("face_detect: ", stderr);
    vfprintf(stderr, format, args);
    fputc('\n', stderr);
    va_end(args);
    exit(1);
}

void *allocate(size_t count, size_t size) {
    void *memory = NULL;
    if (!count || !size) count = size = 1;
    if (count > SIZE_MAX / size || posix_memalign(&memory, 64, count * size))
        fail("out of memory: %.0f bytes were asked for; try a smaller photo", (double)count * (double)size);
    return memory;
}

void *grow(void *old, size_t count, size_t size) {
    void *memory = count > SIZE_MAX / size ? NULL : realloc(old, count * size);
    if (!memory) fail("out of memory: %.0f bytes were asked for; try a smaller photo", (double)count * (double)size);
    return memory;
}

double seconds(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + 1e-9 * (double)now.tv_nsec;
}
