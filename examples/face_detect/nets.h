/* nets.h - P-Net, R-Net and O-Net: floats in, offsets, landmarks and probabilities out.
 * SPDX-License-Identifier: MIT */
#ifndef FACE_DETECT_NETS_H
#define FACE_DETECT_NETS_H

#include "boxes.h"
#include "weights.h"

typedef struct nets nets;

enum { PNET_CELL = 12, PNET_STRIDE = 2, RNET_SIDE = 24, ONET_SIDE = 48 };

typedef struct answers { /* of one run: a row a place or candidate */
    int count, height, width;       /* P-Net: count = height * width places */
    float (*offsets)[4];            /* x1, y1, x2, y2 */
    float (*landmarks)[2 * LANDMARKS]; /* the five x, then the five y; O-Net only, else NULL */
    float *face;                    /* probability */
} answers;

/* threads: 0 = all cores. isa: NULL = the best this machine has. The weights must stay. */
nets *nets_create(const weights *w, int threads, const char *isa);
void nets_destroy(nets *n);

void pnet_run(nets *n, const float *picture, int height, int width, answers *out);
void rnet_run(nets *n, const float *candidates, int count, answers *out);
void onet_run(nets *n, const float *candidates, int count, answers *out);
void answers_free(answers *a);

/* What hconv did so far: runs (each with a plan of its own), seconds in hconv_run and in hconv_pack, operations. */
typedef struct work {
    long runs;
    double seconds, packing, flops;
} work;
work nets_work(const nets *n);

#endif
