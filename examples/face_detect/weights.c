/* weights.c - reads the file of convert_weights.py; its layout is described there.
 * SPDX-License-Identifier: MIT
 * Little endian, as is every machine the program is built for; a wrong magic or version is refused. */
#include "weights.h"

#include "support.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { TENSORS_MOST = 1000, EXTENT_MOST = 1 << 20, VERSION = 1 };

static void take(FILE *file, const char *path, void *to, size_t bytes) {
    if (fread(to, 1, bytes, file) != bytes)
        fail("the weights file '%s' ends too early; make it again with convert_weights.py", path);
}

static uint32_t take_number(FILE *file, const char *path, const char *what, uint32_t most) {
    uint32_t value;
    take(file, path, &value, sizeof value);
    if (value > most)
        fail("the weights file '%s' is damaged: %s is %lu; make it again with convert_weights.py", path, what,
             (unsigned long)value);
    return value;
}

static void take_tensor(FILE *file, const char *path, tensor *t) {
    size_t count = 1;
    take(file, path, t->name, take_number(file, path, "the length of a name", sizeof t->name - 1));
    t->rank = (int32_t)take_number(file, path, "a rank", sizeof t->extent / sizeof *t->extent);
    for (int32_t i = 0; i < t->rank; ++i) {
        t->extent[i] = take_number(file, path, "an extent", EXTENT_MOST);
        count *= t->extent[i];
        if (count > EXTENT_MOST * 16u) fail("the weights file '%s' is damaged: '%s' is too large", path, t->name);
    }
    t->bytes = count * sizeof *t->data;
    t->data = allocate(count, sizeof *t->data);
    take(file, path, t->data, t->bytes);
}

void weights_read(weights *w, const char *path) {
    char magic[8] = "";
    FILE *file = fopen(path, "rb");
    if (!file)
        fail("cannot read the weights file '%s': %s; make it with convert_weights.py, name it with --weights", path,
             strerror(errno));
    if (fread(magic, 1, sizeof magic, file) != sizeof magic || memcmp(magic, "HCONVWTS", sizeof magic))
        fail("'%s' is not a weights file of convert_weights.py", path);
    if (take_number(file, path, "its version", VERSION) != VERSION)
        fail("the weights file '%s' has an unknown version; make it again with convert_weights.py", path);
    w->path = path;
    w->count = (int)take_number(file, path, "the number of tensors", TENSORS_MOST);
    w->tensors = allocate((size_t)w->count, sizeof *w->tensors);
    memset(w->tensors, 0, (size_t)w->count * sizeof *w->tensors);
    for (int i = 0; i < w->count; ++i) take_tensor(file, path, &w->tensors[i]);
    fclose(file);
}

const tensor *weights_find(const weights *w, const char *name) {
    for (int i = 0; i < w->count; ++i)
        if (!strcmp(w->tensors[i].name, name)) return &w->tensors[i];
    return NULL;
}

void weights_free(weights *w) {
    for (int i = 0; i < w->count; ++i) free(w->tensors[i].data);
    free(w->tensors);
}
