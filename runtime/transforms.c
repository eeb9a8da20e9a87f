/* transforms.c - windows transformed when they are packed: T w T^t, computed in double and rounded once.
 * SPDX-License-Identifier: MIT
 * A layout "wino4:Ohwi16o" names a row of the table; rows and columns of the window are then those of T. */
#include "pack.h"

#include <stdlib.h>
#include <string.h>

/* F(2,3): minimal filtering of two outputs by three taps, at the points 0, 1, -1, infinity. */
static const double wino2[] = {1, 0, 0, 0.5, 0.5, 0.5, 0.5, -0.5, 0.5, 0, 0, 1};

/* F(4,3) at 0, 3/4, -3/4, 3/2, -3/2, infinity: row x has 1, x, x^2 over the product of x minus every other finite point. */
static const double wino4[] = {64.0 / 81,    0,            0,          -128.0 / 243, -32.0 / 81, -8.0 / 27,
                               -128.0 / 243, 32.0 / 81,    -8.0 / 27,  32.0 / 243,   16.0 / 81,  8.0 / 27,
                               32.0 / 243,   -16.0 / 81,   8.0 / 27,   0,            0,          1};

static const hconv_window_transform transforms[] = {
    {"wino2", 4, 3, wino2},
    {"wino4", 6, 3, wino4},
};

const char *hconv_layout_letters(const char *layout) {
    const char *colon = strchr(layout, ':');
    return colon ? colon + 1 : layout;
}

const hconv_window_transform *hconv_layout_transform(const char *layout) {
    size_t length = (size_t)(hconv_layout_letters(layout) - layout);
    for (size_t i = 0; length && i < sizeof transforms / sizeof *transforms; ++i)
        if (strlen(transforms[i].name) + 1 == length && !memcmp(transforms[i].name, layout, length - 1)) return &transforms[i];
    return NULL;
}

int64_t hconv_activation_extent(const char *layout, const hconv_tensor *t, int dimension) {
    const int64_t extent = t->extent[dimension], parts = hconv_layout_letters(layout) == layout ? 1 : strtol(layout, NULL, 10);
    if (t->letters[dimension] == 'w') return extent * parts;
    return t->letters[dimension] == 'c' && parts > 0 ? extent / parts : extent;
}
