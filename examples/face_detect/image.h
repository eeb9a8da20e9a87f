/* image.h - pictures: files (png.c, or ppm/ppm.c), the two ways of resizing that MTCNN uses, and drawing of what was found.
 * SPDX-License-Identifier: MIT */
#ifndef FACE_DETECT_IMAGE_H
#define FACE_DETECT_IMAGE_H

#include "boxes.h"

typedef struct image { /* 8-bit RGB, rows without gaps */
    int width, height;
    unsigned char *rgb;
} image;

void image_read_file(image *picture, const char *path); /* PNG: gray, RGB, palette, with or without alpha, 8 or 16 bits */
void image_write_file(const image *picture, const char *path);
void image_free(image *picture);

/* Both write nhwc floats, (value - 127.5) / 128. */
void image_shrink(const image *picture, int width, int height, float *out);        /* mean over each pixel's area */
void image_crop(const image *picture, const box *b, int side, float *out);         /* bilinear; 0 outside the picture */

void image_draw_face(image *picture, const box *face);

#endif
