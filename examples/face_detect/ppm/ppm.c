/* ppm.c - pictures as PPM files (P6, 8 bits), for a target without libpng. SPDX-License-Identifier: MIT */
#include "image.h"

#include "support.h"

#include <stdio.h>

void image_read_file(image *picture, const char *path) {
    size_t bytes = 0;
    FILE *file = fopen(path, "rb");
    if (!file) fail("cannot read '%s'", path);
    if (fscanf(file, "P6 %d %d 255", &picture->width, &picture->height) != 2 || fgetc(file) == EOF || picture->width < 1 ||
        picture->height < 1 || picture->width > 32767 || picture->height > 32767)
        fail("'%s' is no PPM file of 8 bits, at most 32767 x 32767", path);
    bytes = (size_t)picture->width * (size_t)picture->height * 3;
    picture->rgb = allocate(bytes, 1);
    if (fread(picture->rgb, 1, bytes, file) != bytes) fail("'%s' ends too early", path);
    fclose(file);
}

void image_write_file(const image *picture, const char *path) {
    const size_t bytes = (size_t)picture->width * (size_t)picture->height * 3;
    FILE *file = fopen(path, "wb");
    if (!file || fprintf(file, "P6\n%d %d\n255\n", picture->width, picture->height) < 0 ||
        fwrite(picture->rgb, 1, bytes, file) != bytes || fclose(file))
        fail("cannot write '%s'", path);
}
