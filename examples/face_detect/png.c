/* png.c - pictures as PNG files, by libpng. SPDX-License-Identifier: MIT */
#include "image.h"

#include "support.h"

#include <png.h>
#include <string.h>

void image_read_file(image *picture, const char *path) {
    png_image png;
    png_color white = {255, 255, 255};
    memset(&png, 0, sizeof png);
    png.version = PNG_IMAGE_VERSION;
    if (!png_image_begin_read_from_file(&png, path)) fail("cannot read '%s' as a PNG: %s", path, png.message);
    png.format = PNG_FORMAT_RGB;
    png.flags |= PNG_IMAGE_FLAG_16BIT_sRGB; /* 16 bits hold the same curve as 8 do, unless the file says otherwise */
    if (png.width > 32767 || png.height > 32767)
        fail("'%s' is %lu x %lu; the longer side must stay under 32768", path, (unsigned long)png.width,
             (unsigned long)png.height);
    picture->width = (int)png.width;
    picture->height = (int)png.height;
    picture->rgb = allocate(PNG_IMAGE_SIZE(png), 1);
    if (!png_image_finish_read(&png, &white, picture->rgb, 0, NULL)) fail("cannot read '%s': %s", path, png.message);
}

void image_write_file(const image *picture, const char *path) {
    png_image png;
    memset(&png, 0, sizeof png);
    png.version = PNG_IMAGE_VERSION;
    png.format = PNG_FORMAT_RGB;
    png.width = (png_uint_32)picture->width;
    png.height = (png_uint_32)picture->height;
    if (!png_image_write_to_file(&png, path, 0, picture->rgb, 0, NULL))
        fail("cannot write '%s': %s", path, png.message);
}
