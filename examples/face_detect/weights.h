/* weights.h - the file that convert_weights.py writes: tensors by name.
 * SPDX-License-Identifier: MIT */
#ifndef FACE_DETECT_WEIGHTS_H
#define FACE_DETECT_WEIGHTS_H

#include <stddef.h>
#include <stdint.h>

typedef struct tensor {
    char name[64];
    int32_t rank;
    uint32_t extent[4];
    size_t bytes;
    float *data;
} tensor;

typedef struct weights {
    const char *path;
    int count;
    tensor *tensors;
} weights;

void weights_read(weights *w, const char *path);
const tensor *weights_find(const weights *w, const char *name); /* NULL: not there */
void weights_free(weights *w);

#endif
