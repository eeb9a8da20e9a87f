/* pack.c - standard parameters to the blob a kernel reads: the descriptor folds, layout strings re-order.
 * SPDX-License-Identifier: MIT
 * blob = header, then every parameter argument, 64-byte aligned, in its layout ("Ohwi16o": blocks of 16 of o inside;
 * "wino4:Ohwi16o": of the windows transformed). */
#include "pack.h"

#include <stdio.h>
#include <string.h>

/* Extents of t under a layout: those of the transformed window. 0: the transform is unknown, or the window is another. */
static int transformed_extents(const char *layout, const hconv_tensor *t, int64_t *extent) {
    const hconv_window_transform *transform = hconv_layout_transform(layout);
    int axes = 0;
    memcpy(extent, t->extent, sizeof t->extent);
    if (hconv_layout_letters(layout) == layout) return 1;
    for (int i = 0; transform && i < t->rank; ++i) {
        if (t->letters[i] != 'h' && t->letters[i] != 'w') continue;
        axes += extent[i] == transform->columns;
        extent[i] = transform->rows;
    }
    return axes == 2;
}

int hconv_layout_dimensions(const char *layout, const hconv_tensor *t, hconv_physical_dimension *out) {
    int count = 0;
    int64_t block[HCONV_MAX_RANK] = {0}, extent[HCONV_MAX_RANK];
    if (!transformed_extents(layout, t, extent)) return 0;
    layout = hconv_layout_letters(layout);
    for (const char *at = layout; *at; ++at) {
        int64_t size = 0;
        while (*at >= '0' && *at <= '9' && size < 1 << 20) size = size * 10 + (*at++ - '0');
        if (size) {
            const char *found = *at ? strchr(t->letters, *at) : NULL;
            if (!found) return 0;
            block[found - t->letters] = size;
        }
        if (!*at) return 0;
    }
    for (const char *at = layout; *at; ++at) {
        int64_t size = 0;
        int upper;
        const char *found;
        while (*at >= '0' && *at <= '9') size = size * 10 + (*at++ - '0');
        upper = *at >= 'A' && *at <= 'Z';
        found = strchr(t->letters, upper ? *at + 32 : *at);
        if (!found || count == HCONV_MAX_DIMS) return 0;
        out[count].letter = (int)(found - t->letters);
        out[count].block = size ? size : upper ? -1 : 0;
        out[count].extent = extent[out[count].letter];
        if (size) out[count].extent = size;
        else if (upper && block[out[count].letter])
            out[count].extent = (out[count].extent + block[out[count].letter] - 1) / block[out[count].letter];
        else if (upper) return 0;
        ++count;
    }
    return count;
}

/* Element `at` (logical) of the tensor, or of its transformed windows: sum over u, v of T[h][u] T[w][v] from[.., u, v]. */
static float element(const hconv_window_transform *transform, const hconv_tensor *t, const int64_t *at, const int64_t *stride,
                     const float *from) {
    const double *first = transform ? transform->matrix : NULL, *row[2] = {first, first};
    int64_t step[2] = {0, 0}, offset = 0;
    double sum = 0;
    for (int i = 0, axis = 0; i < t->rank; ++i) {
        if (!transform || (t->letters[i] != 'h' && t->letters[i] != 'w')) offset += at[i] * stride[i];
        else row[axis] = transform->matrix + at[i] * transform->columns, step[axis++] = stride[i];
    }
    if (!transform) return from[offset];
    for (int u = 0; u < transform->columns; ++u)
        for (int v = 0; v < transform->columns; ++v)
            sum += row[0][u] * row[1][v] * (double)from[offset + u * step[0] + v * step[1]];
    return (float)sum;
}

/* Walks the physical dimensions in order; logical index = sum over its parts; outside the tensor = 0. */
void hconv_pack_layout(const char *layout, const hconv_tensor *t, const float *from, float *to) {
    hconv_physical_dimension dims[HCONV_MAX_DIMS];
    int64_t index[HCONV_MAX_DIMS] = {0}, block[HCONV_MAX_RANK] = {0}, stride[HCONV_MAX_RANK] = {0}, extent[HCONV_MAX_RANK];
    const hconv_window_transform *transform = hconv_layout_transform(layout);
    int count = hconv_layout_dimensions(layout, t, dims);
    transformed_extents(layout, t, extent);
    for (int d = t->rank - 1; d >= 0; --d) stride[d] = d == t->rank - 1 ? 1 : stride[d + 1] * t->extent[d + 1];
    for (int i = 0; i < count; ++i)
        if (dims[i].block > 0) block[dims[i].letter] = dims[i].block;
    for (;;) {
        int64_t logical[HCONV_MAX_RANK] = {0};
        int inside = 1, d;
        for (int i = 0; i < count; ++i)
            logical[dims[i].letter] += dims[i].block == -1 ? index[i] * block[dims[i].letter] : index[i];
        for (int i = 0; i < t->rank; ++i) inside &= logical[i] < extent[i];
        *to++ = inside ? element(transform, t, logical, stride, from) : 0.0f;
        for (d = count - 1; d >= 0 && ++index[d] == dims[d].extent; --d) index[d] = 0;
        if (d < 0) return;
    }
}

static int64_t element_count(const hconv_tensor *t) {
    int64_t count = 1;
    for (int i = 0; i < t->rank; ++i) count *= t->extent[i];
    return count;
}

/* Are these bytes the tensor's, or what it repeats? */
static int fits(const hconv_tensor *t, size_t bytes) {
    size_t whole = (size_t)element_count(t) * sizeof(float);
    return bytes == whole || (t->repeat > 1 && whole % (size_t)t->repeat == 0 && bytes == whole / (size_t)t->repeat);
}

static void put_shape(const hconv_tensor *t, char *text, size_t bytes) {
    size_t used = 0;
    text[0] = 0;
    for (int i = 0; i < t->rank && used < bytes; ++i)
        used += (size_t)snprintf(text + used, bytes - used, i ? ", %lld" : "%lld", (long long)t->extent[i]);
}

/* Every parameter found once, of the right size; given[] and bytes[] in tensor order. */
static hconv_status match_parameters(const hconv_plan *plan, const hconv_parameter *params, int count, const float **given,
                                     size_t *bytes, char *why, size_t why_bytes) {
    char shape[96];
    for (int i = 0; i < count; ++i) {
        const hconv_tensor *t;
        int k = 0;
        if (!params[i].name || !params[i].data) {
            hconv_sentence(why, why_bytes, "parameter %d has no name or no data", i);
            return HCONV_INVALID_ARGUMENT;
        }
        while (k < plan->parameter_count && strcmp(plan->tensors[plan->input_count + k].name, params[i].name) != 0) ++k;
        if (k == plan->parameter_count) {
            const char *first = k ? plan->tensors[plan->input_count].name : "none";
            hconv_sentence(why, why_bytes, "%s has no parameter '%.60s'; its first is '%s' (hconv show lists them)", plan->text,
                           params[i].name, first);
            return HCONV_INVALID_ARGUMENT;
        }
        t = &plan->tensors[plan->input_count + k];
        if (given[k]) {
            hconv_sentence(why, why_bytes, "parameter '%s' is given twice", t->name);
            return HCONV_INVALID_ARGUMENT;
        }
        if (!fits(t, params[i].bytes)) {
            put_shape(t, shape, sizeof shape);
            hconv_sentence(why, why_bytes, "parameter '%s' has %llu bytes; its shape [%s] in float32 takes %llu", t->name,
                           (unsigned long long)params[i].bytes, shape,
                           (unsigned long long)element_count(t) * sizeof(float));
            return HCONV_INVALID_ARGUMENT;
        }
        given[k] = (const float *)params[i].data;
        bytes[k] = params[i].bytes;
    }
    for (int k = 0; k < plan->parameter_count; ++k) {
        const hconv_tensor *t = &plan->tensors[plan->input_count + k];
        if (given[k] || t->optional) continue;
        put_shape(t, shape, sizeof shape);
        hconv_sentence(why, why_bytes, "parameter '%s' [%s] is missing", t->name, shape);
        return HCONV_INVALID_ARGUMENT;
    }
    return HCONV_OK;
}

/* Elements of a parameter that was given in part, to be repeated; 0 = given whole, or not at all. */
static size_t repeated_elements(const hconv_plan *plan, int k, const float *given, size_t bytes) {
    size_t count = (size_t)element_count(&plan->tensors[plan->input_count + k]);
    return given && bytes < count * sizeof(float) ? count : 0;
}

/* Writes those whole into room and points given[] there; room == NULL: only counts. Returns the floats they take. */
static size_t repeat_parameters(const hconv_plan *plan, const float **given, const size_t *bytes, float *room) {
    size_t used = 0;
    for (int k = 0; k < plan->parameter_count; ++k) {
        size_t count = repeated_elements(plan, k, given[k], bytes[k]), part = bytes[k] / sizeof(float);
        for (size_t i = 0; room && i < count; ++i) room[used + i] = given[k][i % part];
        if (room && count) given[k] = room + used;
        used += count;
    }
    return used;
}

hconv_status hconv_pack(const hconv_plan *plan, const hconv_parameter *params, int count, void *packed, size_t packed_bytes,
                        char *why, size_t why_bytes) {
    const float *given[HCONV_MAX_TENSORS] = {NULL};
    float *dense[HCONV_MAX_TENSORS] = {NULL};
    size_t bytes[HCONV_MAX_TENSORS] = {0};
    hconv_blob_header *header = (hconv_blob_header *)packed;
    const hconv_family *family;
    size_t floats = 0;
    float *scratch;
    hconv_status status;
    if (!plan || !packed || count < 0 || (count && !params)) {
        hconv_sentence(why, why_bytes, "hconv_pack needs a plan, the parameters and a place for the blob");
        return HCONV_INVALID_ARGUMENT;
    }
    if (packed_bytes < plan->packed_bytes || (uintptr_t)packed % HCONV_ALIGN) {
        hconv_sentence(why, why_bytes, "the blob needs %llu bytes, 64-byte aligned; %llu were given at %p",
                       (unsigned long long)plan->packed_bytes, (unsigned long long)packed_bytes, packed);
        return HCONV_INVALID_ARGUMENT;
    }
    family = hconv_variant_of(&plan->problem)->family;
    status = match_parameters(plan, params, count, given, bytes, why, why_bytes);
    if (status) return status;
    floats = repeat_parameters(plan, given, bytes, NULL);
    for (int i = 0; i < plan->kernel_tensor_count; ++i) floats += (size_t)element_count(&plan->kernel_tensors[i]);
    scratch = (float *)hconv_context_alloc(plan->context, floats * sizeof *scratch);
    if (!scratch) {
        hconv_sentence(why, why_bytes, "no memory to fold %llu bytes of parameters",
                       (unsigned long long)(floats * sizeof *scratch));
        return HCONV_OUT_OF_MEMORY;
    }
    floats = repeat_parameters(plan, given, bytes, scratch);
    for (int i = 0; i < plan->kernel_tensor_count; ++i) {
        dense[i] = scratch + floats;
        floats += (size_t)element_count(&plan->kernel_tensors[i]);
    }
    if (family->check_parameters) status = family->check_parameters(&plan->problem, given, why, why_bytes);
    if (status) {
        hconv_context_free(plan->context, scratch);
        return status;
    }
    family->fold(&plan->problem, given, dense);
    memset(packed, 0, plan->packed_bytes);
    for (int a = 0; a < plan->kernel->argument_count; ++a) {
        const hconv_argument *argument = &plan->kernel->arguments[a];
        const hconv_bound_argument *bound = &plan->arguments[a];
        if (argument->role != HCONV_PARAMETER) continue;
        hconv_pack_layout(argument->layout, &plan->kernel_tensors[bound->tensor], dense[bound->tensor],
                          (float *)(void *)((char *)packed + bound->offset));
    }
    hconv_context_free(plan->context, scratch);
    header->magic = HCONV_BLOB_MAGIC;
    header->hash = plan->kernel->hash;
    header->bytes = plan->packed_bytes;
    return HCONV_OK;
}
