/* image.c - see image.h. The resizing follows tf.image.resize(method="area") and tf.image.crop_and_resize, which the
 * mtcnn package calls: the nets see the same pixels.
 * SPDX-License-Identifier: MIT */
#include "image.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

void image_free(image *picture) { free(picture->rgb); }

/* The part of [i, i + 1] inside [from, to]. */
static float covered(int i, float from, float to, float scale) {
    float start = (float)i < from ? from : (float)i;
    float end = (float)(i + 1) > to ? to : (float)(i + 1);
    return (end - start) / scale;
}

/* out = sum over the source pixels under the output pixel, each by the share of that area it covers */
void image_shrink(const image *picture, int width, int height, float *out) {
    float scale_x = (float)picture->width / (float)width, scale_y = (float)picture->height / (float)height;
    for (int y = 0; y < height; ++y) {
        float from_y = (float)y * scale_y, to_y = (float)(y + 1) * scale_y;
        int last_y = (int)ceilf(to_y) < picture->height ? (int)ceilf(to_y) : picture->height;
        for (int x = 0; x < width; ++x, out += 3) {
            float from_x = (float)x * scale_x, to_x = (float)(x + 1) * scale_x, sum[3] = {0, 0, 0};
            int last_x = (int)ceilf(to_x) < picture->width ? (int)ceilf(to_x) : picture->width;
            for (int i = (int)from_y; i < last_y; ++i) {
                const unsigned char *row = picture->rgb + (size_t)i * (size_t)picture->width * 3;
                float share_y = covered(i, from_y, to_y, scale_y);
                for (int j = (int)from_x; j < last_x; ++j) {
                    float share = share_y * covered(j, from_x, to_x, scale_x);
                    for (int c = 0; c < 3; ++c) sum[c] += share * (float)row[3 * j + c];
                }
            }
            for (int c = 0; c < 3; ++c) out[c] = (sum[c] - 127.5f) / 128;
        }
    }
}

/* The corners of the box, scaled by (size - 1) / size, fall on the centres of the first and the last output pixel. */
void image_crop(const image *picture, const box *b, int side, float *out) {
    float reach_x = (float)(picture->width - 1), reach_y = (float)(picture->height - 1);
    float left = (float)(b->x1 / picture->width), top = (float)(b->y1 / picture->height);
    float step_x = ((float)(b->x2 / picture->width) - left) * reach_x / (float)(side - 1);
    float step_y = ((float)(b->y2 / picture->height) - top) * reach_y / (float)(side - 1);
    for (int i = 0; i < side; ++i)
        for (int j = 0; j < side; ++j, out += 3) {
            float x = left * reach_x + (float)j * step_x, y = top * reach_y + (float)i * step_y;
            const unsigned char *at;
            size_t right, below;
            float u, v;
            out[0] = out[1] = out[2] = 0;
            if (!(x >= 0 && x <= reach_x && y >= 0 && y <= reach_y)) continue;
            u = x - floorf(x), v = y - floorf(y);
            at = picture->rgb + ((size_t)y * (size_t)picture->width + (size_t)x) * 3;
            right = u > 0 ? 3 : 0;
            below = v > 0 ? (size_t)picture->width * 3 : 0;
            for (int c = 0; c < 3; ++c) {
                float upper = (1 - u) * (float)at[c] + u * (float)at[right + (size_t)c];
                float lower = (1 - u) * (float)at[below + (size_t)c] + u * (float)at[below + right + (size_t)c];
                out[c] = ((1 - v) * upper + v * lower - 127.5f) / 128;
            }
        }
}

static void fill(image *picture, int x1, int y1, int x2, int y2, const unsigned char colour[3]) {
    for (int y = y1 < 0 ? 0 : y1; y <= y2 && y < picture->height; ++y)
        for (int x = x1 < 0 ? 0 : x1; x <= x2 && x < picture->width; ++x)
            memcpy(picture->rgb + ((size_t)y * (size_t)picture->width + (size_t)x) * 3, colour, 3);
}

void image_draw_face(image *picture, const box *face) {
    static const unsigned char green[3] = {60, 230, 60}, yellow[3] = {255, 220, 0};
    int x1 = (int)lround(face->x1), y1 = (int)lround(face->y1), x2 = (int)lround(face->x2), y2 = (int)lround(face->y2);
    int thick = 1 + (x2 - x1) / 60, dot = 1 + (x2 - x1) / 50;
    fill(picture, x1, y1, x2, y1 + thick - 1, green);
    fill(picture, x1, y2 - thick + 1, x2, y2, green);
    fill(picture, x1, y1, x1 + thick - 1, y2, green);
    fill(picture, x2 - thick + 1, y1, x2, y2, green);
    for (int i = 0; i < LANDMARKS; ++i) {
        int x = (int)lround(face->landmark_x[i]), y = (int)lround(face->landmark_y[i]);
        fill(picture, x - dot, y - dot, x + dot, y + dot, yellow);
    }
}
