/* structs.c - structs of callers built against another header: struct_size says how much of one there is.
 * SPDX-License-Identifier: MIT
 * What a caller does not have is 0, which is every field's default; what it has and this runtime does not know must be 0,
 * or it asks for something that would be ignored. */
#include "internal.h"

#include <string.h>

enum { MOST_BYTES = 4096 }; /* a size above was never set */

const hconv_struct hconv_struct_of_problem = {"hconv_problem", offsetof(hconv_problem, kh), sizeof(hconv_problem)};

static uint32_t size_of(const void *of_caller) {
    uint32_t size;
    memcpy(&size, of_caller, sizeof size);
    return size;
}

hconv_status hconv_struct_read(const hconv_struct *s, const void *from, void *to, char *why, size_t why_bytes) {
    uint32_t size = size_of(from), known = (uint32_t)s->bytes;
    if (size < s->least || size > MOST_BYTES) {
        hconv_sentence(why, why_bytes, "%s.struct_size is %lu; set it to sizeof(%s), here %lu", s->name,
                       (unsigned long)size, s->name, (unsigned long)known);
        return HCONV_INVALID_ARGUMENT;
    }
    for (uint32_t i = known; i < size; ++i) {
        if (!((const unsigned char *)from)[i]) continue;
        hconv_sentence(why, why_bytes, "%s sets something behind the %lu bytes that this runtime knows: it was filled for a "
                       "newer hconv; link that one, or leave the new fields 0", s->name, (unsigned long)known);
        return HCONV_INVALID_ARGUMENT;
    }
    memset(to, 0, known);
    memcpy(to, from, size < known ? size : known);
    memcpy(to, &known, sizeof known);
    return HCONV_OK;
}

hconv_status hconv_struct_write(const hconv_struct *s, const void *from, void *to) {
    uint32_t size = size_of(to), known = (uint32_t)s->bytes;
    if (size < s->least || size > MOST_BYTES) return HCONV_INVALID_ARGUMENT;
    memset(to, 0, size);
    memcpy(to, from, size < known ? size : known);
    memcpy(to, &size, sizeof size);
    return HCONV_OK;
}
