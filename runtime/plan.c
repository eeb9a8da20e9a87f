/* plan.c - choose a kernel for a problem and bind its sizes.
 * SPDX-License-Identifier: MIT
 * Choice among the rows whose problem matches and whose CPU features are there: highest level, then fewest open sizes, then
 * table order. A CUDA row takes pointers to other memory, so it is chosen only where the context asks for CUDA or no other
 * row is left. */
#include "internal.h"
#include "pack.h"

#include <stdio.h>
#include <string.h>

/* Kernels index with 32 bits: a part of the workspace that holds this much may hold one allocation they cannot index. */
#define MOST_WORKSPACE (INT64_C(1) << 33)

static int64_t floor_div(int64_t a, int64_t b) { return b ? a / b - ((a % b != 0) && ((a < 0) != (b < 0))) : 0; }

int64_t hconv_size_evaluate(const int64_t *program, const hconv_plan *plan) {
    int64_t stack[HCONV_SIZE_DEPTH];
    int top = 0;
    if (!program) return 0;
    for (; *program != HCONV_SIZE_END; program += 2) {
        int64_t operand = program[1], a, b;
        if (*program == HCONV_SIZE_CONST || *program == HCONV_SIZE_EXTENT) {
            if (top == HCONV_SIZE_DEPTH) return -1;
            stack[top++] = *program == HCONV_SIZE_CONST ? operand : plan->arguments[operand / 8].dim[operand % 8].extent;
            continue;
        }
        if (top < (*program == HCONV_SIZE_NOT ? 1 : *program == HCONV_SIZE_SELECT ? 3 : 2)) return -1;
        if (*program == HCONV_SIZE_NOT) {
            stack[top - 1] = !stack[top - 1];
            continue;
        }
        if (*program == HCONV_SIZE_SELECT) {
            top -= 2;
            stack[top - 1] = stack[top - 1] ? stack[top] : stack[top + 1];
            continue;
        }
        b = stack[--top], a = stack[top - 1];
        switch (*program) {
        case HCONV_SIZE_ADD: if (__builtin_add_overflow(a, b, &a)) return -1; break;
        case HCONV_SIZE_SUB: if (__builtin_sub_overflow(a, b, &a)) return -1; break;
        case HCONV_SIZE_MUL: if (__builtin_mul_overflow(a, b, &a)) return -1; break;
        case HCONV_SIZE_DIV: a = floor_div(a, b); break;
        case HCONV_SIZE_MOD: a = b ? a - floor_div(a, b) * b : 0; break;
        case HCONV_SIZE_MIN: a = a < b ? a : b; break;
        case HCONV_SIZE_MAX: a = a > b ? a : b; break;
        case HCONV_SIZE_EQ: a = a == b; break;
        case HCONV_SIZE_LT: a = a < b; break;
        case HCONV_SIZE_LE: a = a <= b; break;
        case HCONV_SIZE_AND: a = a && b; break;
        case HCONV_SIZE_OR: a = a || b; break;
        default: return -1;
        }
        stack[top - 1] = a;
    }
    return top == 1 ? stack[0] : top ? -1 : 0;
}

static int same_problem(const hconv_problem *a, const hconv_problem *b) { return !memcmp(a, b, sizeof *a); }

/* Can the row's string, which is canonical, mean the canonical text? Cheap: without open sizes they must be equal, else
 * what stands behind the last open size must be the text's end. (A width may be left out of the text, where it is the
 * height; tfsame alone turns into pads once sizes are known.) */
static int may_match(const char *row, const char *text) {
    const char *tail = strrchr(row, '?');
    size_t bytes, length = strlen(text);
    if (!tail) return !strcmp(row, text);
    ++tail;
    if (tail[0] == '_' && tail[1] == 'w' && tail[2] >= '0' && tail[2] <= '9') tail += 1 + strcspn(tail + 1, "_");
    bytes = strlen(tail);
    return strstr(tail, "_tfsame") || (bytes <= length && !strcmp(tail, text + length - bytes));
}

/* The row's problem, its open sizes filled in from p, means p. Returns the number of open sizes + 1; 0 = no. */
static int row_matches(const hconv_kernel *k, const hconv_problem *p, const char *text) {
    hconv_problem row;
    int open;
    if (!may_match(k->problem, text)) return 0;
    if (!strchr(k->problem, '?')) return 1;
    if (hconv_problem_parse(k->problem, &row, NULL, 0)) return 0;
    open = (row.n == HCONV_OPEN) + (row.h == HCONV_OPEN) + (row.w == HCONV_OPEN);
    if (row.n == HCONV_OPEN) row.n = p->n;
    if (row.h == HCONV_OPEN) row.h = p->h;
    if (row.w == HCONV_OPEN) row.w = p->w;
    if (hconv_problem_complete(&row, NULL, 0)) return 0;
    return same_problem(&row, p) ? open + 1 : 0;
}

typedef struct choice {
    const hconv_kernel *kernel;
    int open;
    int rows, matching;        /* seen, and matching the problem whatever the CPU */
    const hconv_kernel *other; /* matches, but does not run here; or the nearest by problem string */
    int other_distance;
    const char *other_reason;
    int device_failed;         /* it was its GPU that failed */
} choice;

/* Length of what two problem strings share at the start: a cheap measure of nearness. */
static int shared(const char *a, const char *b) {
    int i = 0;
    while (a[i] && a[i] == b[i]) ++i;
    return i;
}

static int device_fits(const hconv_context *ctx, const hconv_kernel *k, char *why, size_t why_bytes) {
    if (ctx->device) return hconv_cuda_can_run(ctx->device, k, why, why_bytes);
    hconv_sentence(why, why_bytes, "%s", ctx->device_why);
    return 0;
}

/* Is the row k better than best, where there is one? */
static int better(const hconv_context *ctx, const hconv_kernel *k, int open, const hconv_kernel *best, int best_open) {
    int on_device = (k->cpu_features & HCONV_DEVICE_CUDA) != 0;
    if (!best) return 1;
    if (on_device != ((best->cpu_features & HCONV_DEVICE_CUDA) != 0)) return on_device == (ctx->options.cuda_context != NULL);
    return k->level > best->level || (k->level == best->level && open < best_open);
}

static void consider(choice *c, const hconv_context *ctx, const hconv_kernel *k, const hconv_problem *p, const char *text,
                     char *reason, size_t reason_bytes) {
    int open = row_matches(k, p, text);
    ++c->rows;
    if (!open) {
        int near = shared(k->problem, text);
        if (!c->matching && near > c->other_distance) c->other = k, c->other_distance = near;
        return;
    }
    ++c->matching;
    if (ctx->isa[0] && strcmp(ctx->isa, k->isa) != 0) {
        c->other = k, c->other_reason = reason;
        hconv_sentence(reason, reason_bytes, "the context was created for isa '%s' only", ctx->isa);
    } else if (k->cpu_features & HCONV_DEVICE_CUDA && !device_fits(ctx, k, reason, reason_bytes)) {
        c->other = k, c->other_reason = reason, c->device_failed = ctx->device_status == HCONV_DEVICE_ERROR;
    } else if (k->cpu_features & ~(ctx->cpu_features | HCONV_DEVICE_CUDA)) {
        if (!c->other_reason || k->level < c->other->level) c->other = k, c->other_reason = "this CPU lacks it";
    } else if (better(ctx, k, open, c->kernel, c->open)) {
        c->kernel = k, c->open = open;
    }
}

static hconv_status refuse(const choice *c, const char *text, char *why, size_t why_bytes) {
    const char *nearest = c->other ? c->other->problem : "none";
    if (!c->rows)
        hconv_sentence(why, why_bytes, "no kernel for %s: no library was added to the context", text);
    else if (c->matching)
        hconv_sentence(why, why_bytes, "no kernel for %s runs here: %s needs %s, but %s", text, c->other->symbol,
                       c->other->isa, c->other_reason);
    else
        hconv_sentence(why, why_bytes, "no kernel for %s: %d kernels linked, nearest: %s; emit one with: hconv emit %s", text,
                       c->rows, nearest, text);
    return c->device_failed ? HCONV_DEVICE_ERROR : HCONV_UNSUPPORTED;
}

static int find_tensor(const hconv_tensor *tensors, int count, int role, const char *name) {
    for (int i = 0; i < count; ++i)
        if (tensors[i].role == role && !strcmp(tensors[i].name, name)) return i;
    return -1;
}

/* Halide's dimensions are c, x, y, n in that order, those the layout has; one that the tensor lacks has extent 1 (linear:
 * "wc" under "nhwc", the rows of x are the pixels of one image). */
static int bind_activation(const hconv_argument *a, const hconv_tensor *t, hconv_bound_argument *b) {
    const char *layout = hconv_layout_letters(a->layout);
    int64_t stride = 1, elements = 1;
    b->rank = (int)strlen(layout);
    if (b->rank > 4) return 0;
    for (int i = b->rank - 1; i >= 0; --i) {
        const char *found = strchr(t->letters, layout[i]);
        int d = 0;
        for (const char *at = "cwhn"; *at && *at != layout[i]; ++at) d += strchr(layout, *at) != NULL;
        b->dim[d].extent = found ? (int32_t)hconv_activation_extent(a->layout, t, (int)(found - t->letters)) : 1;
        b->dim[d].stride = (int32_t)stride;
        stride *= b->dim[d].extent;
    }
    for (int i = 0; i < t->rank; ++i) elements *= t->extent[i];
    return elements == stride;
}

static int bind_parameter(const hconv_argument *a, const hconv_tensor *t, hconv_bound_argument *b, size_t *offset) {
    hconv_physical_dimension dims[HCONV_MAX_DIMS];
    int64_t stride = 1;
    b->rank = hconv_layout_dimensions(a->layout, t, dims);
    for (int i = 0; i < b->rank; ++i) {
        b->dim[i].extent = (int32_t)dims[b->rank - 1 - i].extent;
        b->dim[i].stride = (int32_t)stride;
        stride *= dims[b->rank - 1 - i].extent;
    }
    b->offset = *offset;
    *offset += hconv_align_up((size_t)stride * sizeof(float));
    return b->rank > 0;
}

static int parameter_fits(const hconv_bound_argument *b) {
    int64_t bytes = sizeof(float);
    for (int i = 0; i < b->rank; ++i) bytes *= b->dim[i].extent;
    return bytes <= INT32_MAX;
}

static hconv_status bind(hconv_plan *plan, char *why, size_t why_bytes) {
    const hconv_kernel *k = plan->kernel;
    int64_t root, slot;
    plan->packed_bytes = hconv_align_up(sizeof(hconv_blob_header));
    for (int a = 0; a < k->argument_count; ++a) {
        const hconv_argument *argument = &k->arguments[a];
        hconv_bound_argument *b = &plan->arguments[a];
        int parameter = argument->role == HCONV_PARAMETER, fits;
        const hconv_tensor *from = parameter ? plan->kernel_tensors : plan->tensors;
        b->tensor = find_tensor(from, parameter ? plan->kernel_tensor_count : plan->tensor_count, argument->role,
                                argument->name);
        fits = b->tensor >= 0 && (parameter ? bind_parameter(argument, &from[b->tensor], b, &plan->packed_bytes)
                                            : bind_activation(argument, &from[b->tensor], b));
        if (!fits) {
            hconv_sentence(why, why_bytes, "kernel %s has an argument '%s' (%s) that %s does not: emit it again with this "
                           "version of hconv", k->symbol, argument->name, argument->layout, plan->text);
            return HCONV_ABI_MISMATCH;
        }
        if (parameter && !parameter_fits(b)) {
            hconv_sentence(why, why_bytes, "kernel %s cannot index the packed parameter %s of %s: its blocks (%s) take 2^31 "
                           "bytes or more", k->symbol, argument->name, plan->text, argument->layout);
            return HCONV_UNSUPPORTED;
        }
    }
    root = hconv_size_evaluate(k->root_bytes, plan);
    slot = hconv_size_evaluate(k->slot_bytes, plan);
    if (root < 0 || slot < 0 || root > MOST_WORKSPACE || slot > MOST_WORKSPACE) {
        hconv_sentence(why, why_bytes, "%s needs more workspace than kernel %s can index, 2^33 bytes", plan->text, k->symbol);
        return HCONV_UNSUPPORTED;
    }
    plan->root_bytes = HCONV_ALIGN + hconv_align_up((size_t)root);
    plan->slot_bytes = HCONV_ALIGN + hconv_align_up((size_t)slot);
    return HCONV_OK;
}

/* One allocation: the plan, then its tensors and arguments. */
static hconv_plan *allocate(const hconv_context *ctx, const hconv_tensor_list *tensors,
                            const hconv_tensor_list *kernel_tensors, int argument_count) {
    size_t head = hconv_align_up(sizeof(hconv_plan));
    size_t lists = (size_t)(tensors->count + kernel_tensors->count) * sizeof(hconv_tensor);
    char *memory = (char *)hconv_context_alloc(ctx, head + hconv_align_up(lists) +
                                                        (size_t)argument_count * sizeof(hconv_bound_argument));
    hconv_plan *plan = (hconv_plan *)(void *)memory;
    if (!memory) return NULL;
    memset(memory, 0, head + hconv_align_up(lists) + (size_t)argument_count * sizeof(hconv_bound_argument));
    plan->context = ctx;
    plan->tensors = (hconv_tensor *)(void *)(memory + head);
    plan->kernel_tensors = plan->tensors + tensors->count;
    plan->arguments = (hconv_bound_argument *)(void *)(memory + head + hconv_align_up(lists));
    plan->tensor_count = tensors->count;
    plan->kernel_tensor_count = kernel_tensors->count;
    memcpy(plan->tensors, tensors->at, (size_t)tensors->count * sizeof(hconv_tensor));
    memcpy(plan->kernel_tensors, kernel_tensors->at, (size_t)kernel_tensors->count * sizeof(hconv_tensor));
    for (int i = 0; i < tensors->count; ++i) {
        plan->input_count += tensors->at[i].role == HCONV_INPUT;
        plan->parameter_count += tensors->at[i].role == HCONV_PARAMETER;
        plan->output_count += tensors->at[i].role == HCONV_OUTPUT;
    }
    return plan;
}

static hconv_status check_least_sizes(const hconv_plan *plan, char *why, size_t why_bytes) {
    const hconv_kernel *k = plan->kernel;
    for (int i = 0; i < plan->tensor_count; ++i) {
        const hconv_tensor *t = &plan->tensors[i];
        if (t->role != HCONV_OUTPUT || t->rank < 4) continue;
        if (t->extent[2] < k->min_h || t->extent[3] < k->min_w) {
            hconv_sentence(why, why_bytes, "kernel %s needs an output of at least %dx%d; %s has %lldx%lld", k->symbol,
                           (int)k->min_h, (int)k->min_w, plan->text, (long long)t->extent[2], (long long)t->extent[3]);
            return HCONV_UNSUPPORTED;
        }
    }
    return HCONV_OK;
}

hconv_status hconv_plan_create(const hconv_context *ctx, const hconv_problem *given, hconv_plan **out, char *why,
                               size_t why_bytes) {
    hconv_problem p;
    hconv_tensor_list tensors, kernel_tensors;
    char text[HCONV_PROBLEM_BYTES], reason[HCONV_WHY_BYTES];
    choice c;
    hconv_plan *plan;
    hconv_status status;
    if (out) *out = NULL;
    if (!ctx || !given || !out) {
        hconv_sentence(why, why_bytes, "hconv_plan_create needs a context, a problem and a place for the plan");
        return HCONV_INVALID_ARGUMENT;
    }
    status = hconv_struct_read(&hconv_struct_of_problem, given, &p, why, why_bytes);
    if (!status) status = hconv_problem_complete(&p, why, why_bytes);
    if (status) return status;
    if (hconv_problem_format(&p, text, sizeof text)) return HCONV_INVALID_ARGUMENT;
    if (p.n == HCONV_OPEN || p.h == HCONV_OPEN || p.w == HCONV_OPEN) {
        hconv_sentence(why, why_bytes, "%s: a plan needs every size; set n, h and w", text);
        return HCONV_INVALID_ARGUMENT;
    }
    memset(&c, 0, sizeof c);
    for (int l = 0; l < ctx->library_count; ++l)
        for (uint32_t k = 0; k < ctx->libraries[l]->kernel_count; ++k)
            consider(&c, ctx, &ctx->libraries[l]->kernels[k], &p, text, reason, sizeof reason);
    if (!c.kernel) return refuse(&c, text, why, why_bytes);
    hconv_variant_of(&p)->family->tensors(&p, &tensors);
    hconv_variant_of(&p)->family->kernel_tensors(&p, &kernel_tensors);
    plan = allocate(ctx, &tensors, &kernel_tensors, c.kernel->argument_count);
    if (!plan) {
        hconv_sentence(why, why_bytes, "no memory for a plan of %s", text);
        return HCONV_OUT_OF_MEMORY;
    }
    plan->kernel = c.kernel;
    plan->problem = p;
    memcpy(plan->text, text, sizeof text);
    status = bind(plan, why, why_bytes);
    if (!status) status = check_least_sizes(plan, why, why_bytes);
    if (!status && c.kernel->cpu_features & HCONV_DEVICE_CUDA) status = hconv_cuda_load(plan, why, why_bytes);
    if (status) hconv_plan_destroy(plan);
    else *out = plan;
    return status;
}

void hconv_plan_destroy(hconv_plan *plan) {
    if (!plan) return;
    if (plan->loaded) hconv_cuda_unload(plan);
    hconv_context_free(plan->context, plan);
}

static double activation_bytes(const hconv_plan *plan) {
    double bytes = (double)plan->packed_bytes;
    for (int i = 0; i < plan->tensor_count; ++i) {
        double size = sizeof(float);
        if (plan->tensors[i].role == HCONV_PARAMETER) continue;
        for (int d = 0; d < plan->tensors[i].rank; ++d) size *= (double)plan->tensors[i].extent[d];
        bytes += size;
    }
    return bytes;
}

hconv_status hconv_plan_describe(const hconv_plan *plan, hconv_plan_info *out) {
    static const hconv_struct info_struct = {"hconv_plan_info", offsetof(hconv_plan_info, flops), sizeof(hconv_plan_info)};
    hconv_plan_info info;
    if (!plan || !out) return HCONV_INVALID_ARGUMENT;
    memset(&info, 0, sizeof info);
    info.tensor_count = plan->tensor_count;
    info.kernel = plan->kernel->symbol;
    info.problem = plan->kernel->problem;
    info.target = plan->kernel->target;
    info.schedule = plan->kernel->schedule;
    info.workspace_bytes = hconv_workspace_bytes(plan);
    info.packed_bytes = plan->packed_bytes;
    info.flops = 2 * hconv_variant_of(&plan->problem)->family->multiply_adds(&plan->problem);
    info.bytes_moved = activation_bytes(plan);
    return hconv_struct_write(&info_struct, &info, out);
}

hconv_status hconv_plan_tensor(const hconv_plan *plan, int index, hconv_tensor_info *out) {
    static const hconv_struct info_struct = {"hconv_tensor_info", offsetof(hconv_tensor_info, default_value),
                                             sizeof(hconv_tensor_info)};
    hconv_tensor_info info;
    const hconv_tensor *t;
    static const char *const nhwc = "nhwc";
    int64_t stride = 1;
    if (!plan || !out || index < 0 || index >= plan->tensor_count) return HCONV_INVALID_ARGUMENT;
    t = &plan->tensors[index];
    memset(&info, 0, sizeof info);
    info.name = t->name;
    info.role = t->role;
    info.dtype = HCONV_F32;
    info.rank = t->rank;
    info.optional = t->optional;
    info.default_value = t->default_value;
    for (int i = 0, at = 0; i < t->rank; ++i) {
        if (t->role == HCONV_PARAMETER || plan->problem.layout == HCONV_NCHW) {
            info.extent[i] = t->extent[i];
            continue;
        }
        while (!strchr(t->letters, nhwc[at])) ++at;
        info.extent[i] = t->extent[strchr(t->letters, nhwc[at++]) - t->letters];
    }
    for (int i = t->rank - 1; i >= 0; --i) {
        info.stride[i] = stride;
        stride *= info.extent[i];
    }
    info.bytes = (size_t)stride * sizeof(float);
    return hconv_struct_write(&info_struct, &info, out);
}
