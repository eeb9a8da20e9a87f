/* detect.c - the cascade; see detect.h.
 * SPDX-License-Identifier: MIT
 * Level i of the pyramid shows the picture at 12/20 * 0.709^i: a face of 20 pixels fills P-Net's 12 x 12 cell at
 * level 0, larger faces at later levels. */
#include "detect.h"

#include "support.h"

#include <math.h>
#include <stdlib.h>

enum { SMALLEST_FACE = 20, BATCH = 64 };
static const double factor = 0.709;

int pyramid_levels(const image *picture) {
    double shorter = picture->width < picture->height ? picture->width : picture->height;
    double levels = rint(-(log(shorter / PNET_CELL) / log(factor) + 1));
    return levels > 0 ? (int)levels : 0;
}

/* Every place whose probability is above 0.6 becomes a box: the first and last pixel of its cell, counted from 1, moved
 * by the offsets, in the picture's pixels. */
static void boxes_of_places(const answers *a, double scale, box_list *boxes) {
    const double reach = PNET_CELL - 1;
    for (int i = 0; i < a->count; ++i) {
        double x = PNET_STRIDE * (i % a->width) + 1, y = PNET_STRIDE * (i / a->width) + 1;
        box b = {0};
        if (!(a->face[i] > 0.6f)) continue;
        b.x1 = (x + a->offsets[i][0] * reach) / scale;
        b.y1 = (y + a->offsets[i][1] * reach) / scale;
        b.x2 = (x + reach + a->offsets[i][2] * reach) / scale;
        b.y2 = (y + reach + a->offsets[i][3] * reach) / scale;
        b.score = a->face[i];
        boxes_add(boxes, &b);
    }
}

void propose(nets *n, const image *picture, box_list *boxes) {
    for (int level = 0, levels = pyramid_levels(picture); level < levels; ++level) {
        double scale = (double)PNET_CELL / SMALLEST_FACE * pow(factor, level);
        int width = (int)(picture->width * scale), height = (int)(picture->height * scale);
        float *small = allocate((size_t)width * (size_t)height * 3, sizeof *small);
        box_list found = {0};
        answers a;
        image_shrink(picture, width, height, small);
        pnet_run(n, small, height, width, &a);
        boxes_of_places(&a, scale, &found);
        boxes_suppress(&found, OVER_UNION, 0.5);
        boxes_append(boxes, &found);
        boxes_free(&found);
        answers_free(&a);
        free(small);
    }
    boxes_suppress(boxes, OVER_UNION, 0.7);
    boxes_square(boxes);
}

typedef void (*net_run)(nets *n, const float *candidates, int count, answers *out);

static void place_landmarks(box *b, const float landmarks[2 * LANDMARKS]) {
    for (int i = 0; i < LANDMARKS; ++i) {
        b->landmark_x[i] = b->x1 + landmarks[i] * (b->x2 - b->x1 + 1) - 1;
        b->landmark_y[i] = b->y1 + landmarks[LANDMARKS + i] * (b->y2 - b->y1 + 1) - 1;
    }
}

/* Shows the picture under each box to a net, and takes over its score, its landmarks and the shifted edges. */
static void judge(nets *n, net_run run, int side, const image *picture, box_list *boxes) {
    size_t pixels = (size_t)side * (size_t)side * 3;
    float *candidates = allocate(BATCH * pixels, sizeof *candidates);
    for (size_t first = 0; first < boxes->count; first += BATCH) {
        int count = (int)(boxes->count - first < BATCH ? boxes->count - first : BATCH);
        box *b = boxes->at + first;
        answers a;
        for (int i = 0; i < count; ++i) image_crop(picture, &b[i], side, candidates + (size_t)i * pixels);
        run(n, candidates, count, &a);
        for (int i = 0; i < count; ++i) {
            if (a.landmarks) place_landmarks(&b[i], a.landmarks[i]);
            b[i].score = a.face[i];
            box_shift(&b[i], a.offsets[i]);
        }
        answers_free(&a);
    }
    free(candidates);
}

void refine(nets *n, const image *picture, box_list *boxes) {
    judge(n, rnet_run, RNET_SIDE, picture, boxes);
    boxes_keep_above(boxes, 0.7);
    boxes_suppress(boxes, OVER_UNION, 0.7);
    boxes_square(boxes);
}

void decide(nets *n, const image *picture, box_list *boxes) {
    judge(n, onet_run, ONET_SIDE, picture, boxes);
    boxes_keep_above(boxes, 0.8);
    boxes_suppress(boxes, OVER_SMALLER, 0.7);
    boxes_fit(boxes, picture->width, picture->height);
}
