/* boxes.h - candidate boxes and what is done to lists of them.
 * SPDX-License-Identifier: MIT */
#ifndef FACE_DETECT_BOXES_H
#define FACE_DETECT_BOXES_H

#include <stddef.h>

enum { LANDMARKS = 5 }; /* left eye, right eye, nose, left and right corner of the mouth, as the viewer sees them */

typedef struct box {
    double x1, y1, x2, y2, score;
    double landmark_x[LANDMARKS], landmark_y[LANDMARKS];
} box;

typedef struct box_list {
    box *at;
    size_t count, room;
} box_list;

typedef enum overlap { OVER_UNION, OVER_SMALLER } overlap; /* intersection divided by: the union, the smaller box */

void boxes_add(box_list *list, const box *b);
void boxes_append(box_list *list, const box_list *more);
void boxes_keep_above(box_list *list, double score);
void boxes_suppress(box_list *list, overlap kind, double threshold); /* also sorts: best score first */
void boxes_square(box_list *list);                                   /* the longer side, around the same centre */
void boxes_fit(box_list *list, int width, int height);               /* inside the picture */
void box_shift(box *b, const float offset[4]);                       /* each edge by offset * (size + 1) */
void boxes_free(box_list *list);

#endif
