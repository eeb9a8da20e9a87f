/* boxes.c - sorting, non-maximum suppression and regression of boxes, with the mtcnn package's conventions.
 * SPDX-License-Identifier: MIT
 * Suppression: a box goes when its overlap with any box of higher score, kept or not, is above the threshold. */
#include "boxes.h"

#include "support.h"

#include <stdlib.h>

void boxes_add(box_list *list, const box *b) {
    if (list->count == list->room) {
        list->room = list->room ? 2 * list->room : 64;
        list->at = grow(list->at, list->room, sizeof *list->at);
    }
    list->at[list->count++] = *b;
}

void boxes_append(box_list *list, const box_list *more) {
    for (size_t i = 0; i < more->count; ++i) boxes_add(list, &more->at[i]);
}

void boxes_keep_above(box_list *list, double score) {
    size_t kept = 0;
    for (size_t i = 0; i < list->count; ++i)
        if (list->at[i].score > score) list->at[kept++] = list->at[i];
    list->count = kept;
}

/* Best score first; equal scores from top to bottom, then from left to right, so that the order is one of the boxes. */
static int better(const void *left, const void *right) {
    const box *a = left, *b = right;
    if (a->score != b->score) return a->score > b->score ? -1 : 1;
    if (a->y1 != b->y1) return a->y1 < b->y1 ? -1 : 1;
    return (a->x1 > b->x1) - (a->x1 < b->x1);
}

static double larger(double a, double b) { return a > b ? a : b; }
static double smaller(double a, double b) { return a < b ? a : b; }
static double area(const box *b) { return (b->x2 - b->x1) * (b->y2 - b->y1); }

static int overlaps(const box *a, const box *b, overlap kind, double threshold) {
    double width = smaller(a->x2, b->x2) - larger(a->x1, b->x1);
    double height = smaller(a->y2, b->y2) - larger(a->y1, b->y1);
    double common = width > 0 && height > 0 ? width * height : 0;
    double whole = kind == OVER_UNION ? area(a) + area(b) - common : smaller(area(a), area(b));
    return common > threshold * whole;
}

void boxes_suppress(box_list *list, overlap kind, double threshold) {
    size_t kept = 0;
    char *gone = allocate(list->count, 1);
    if (list->count) qsort(list->at, list->count, sizeof *list->at, better);
    for (size_t i = 0; i < list->count; ++i) {
        gone[i] = 0;
        for (size_t j = 0; j < i && !gone[i]; ++j)
            gone[i] = (char)overlaps(&list->at[j], &list->at[i], kind, threshold);
    }
    for (size_t i = 0; i < list->count; ++i)
        if (!gone[i]) list->at[kept++] = list->at[i];
    list->count = kept;
    free(gone);
}

void boxes_square(box_list *list) {
    for (size_t i = 0; i < list->count; ++i) {
        box *b = &list->at[i];
        double width = b->x2 - b->x1, height = b->y2 - b->y1, side = larger(width, height);
        b->x1 += (width - side) / 2;
        b->y1 += (height - side) / 2;
        b->x2 = b->x1 + side;
        b->y2 = b->y1 + side;
    }
}

void boxes_fit(box_list *list, int width, int height) {
    for (size_t i = 0; i < list->count; ++i) {
        box *b = &list->at[i];
        b->x1 = smaller(larger(b->x1, 0), width - 1);
        b->x2 = smaller(larger(b->x2, 0), width - 1);
        b->y1 = smaller(larger(b->y1, 0), height - 1);
        b->y2 = smaller(larger(b->y2, 0), height - 1);
    }
}

void box_shift(box *b, const float offset[4]) {
    double width = b->x2 - b->x1 + 1, height = b->y2 - b->y1 + 1;
    b->x1 += offset[0] * width;
    b->y1 += offset[1] * height;
    b->x2 += offset[2] * width;
    b->y2 += offset[3] * height;
}

void boxes_free(box_list *list) {
    free(list->at);
    list->at = NULL;
    list->count = list->room = 0;
}
