/* nets.c - the three nets as sequences of hconv plans with max pooling between them.
 * SPDX-License-Identifier: MIT
 * A layer is a problem of problems.txt. Its plan is made for the sizes of the call, its parameters are packed once for
 * each kernel that any of its plans chose: every size of the pyramid shares the blob. */
#include "nets.h"

#include "face_detect.h" /* made by: hconv emit @problems.txt --name face_detect */
#include "hconv/hconv.h"
#include "support.h"

#include <float.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef enum layer {
    P_CONV1, P_CONV2, P_CONV3, P_CONV4_1, P_CONV4_2,
    R_CONV1, R_CONV2, R_CONV3, R_FC4, R_FC5_1, R_FC5_2,
    O_CONV1, O_CONV2, O_CONV3, O_CONV4, O_FC5, O_FC6_1, O_FC6_2, O_FC6_3,
    LAYERS
} layer;

static const struct {
    const char *name, *problem;
} layers[LAYERS] = {
    {"pnet.conv1", "conv2d_ci3_h?w?_co10_k3_prelu"},
    {"pnet.conv2", "conv2d_ci10_h?w?_co16_k3_prelu"},
    {"pnet.conv3", "conv2d_ci16_h?w?_co32_k3_prelu"},
    {"pnet.conv4_1", "pointwise_ci32_h?w?_co4"},
    {"pnet.conv4_2", "pointwise_ci32_h?w?_co2"},
    {"rnet.conv1", "conv2d_n?_ci3_h24_co28_k3_prelu"},
    {"rnet.conv2", "conv2d_n?_ci28_h11_co48_k3_prelu"},
    {"rnet.conv3", "conv2d_n?_ci48_h4_co64_k2_prelu"},
    {"rnet.fc4", "linear_n?_ci576_co128_prelu"},
    {"rnet.fc5_1", "linear_n?_ci128_co4"},
    {"rnet.fc5_2", "linear_n?_ci128_co2"},
    {"onet.conv1", "conv2d_n?_ci3_h48_co32_k3_prelu"},
    {"onet.conv2", "conv2d_n?_ci32_h23_co64_k3_prelu"},
    {"onet.conv3", "conv2d_n?_ci64_h10_co64_k3_prelu"},
    {"onet.conv4", "conv2d_n?_ci64_h4_co128_k2_prelu"},
    {"onet.fc5", "linear_n?_ci1152_co256_prelu"},
    {"onet.fc6_1", "linear_n?_ci256_co4"},
    {"onet.fc6_2", "linear_n?_ci256_co10"},
    {"onet.fc6_3", "linear_n?_ci256_co2"},
};

typedef struct blob { /* parameters as one kernel wants them */
    struct blob *next;
    char *kernel;
    void *data;
} blob;

struct nets {
    hconv_context *context;
    const weights *weights;
    hconv_problem problem[LAYERS]; /* open sizes are HCONV_OPEN */
    blob *blobs[LAYERS];
    work work;
};

typedef struct map { /* activations, nhwc */
    int n, h, w, c;
    float *data;
} map;

static void print_log(void *user, int level, const char *message) {
    (void)user;
    if (level > 0) fprintf(stderr, "face_detect: %s\n", message);
}

static void check(hconv_status status, int at, const char *what, const char *why) {
    if (status) fail("%s (%s): %s: %s: %s", layers[at].name, layers[at].problem, what, hconv_status_name(status), why);
}

nets *nets_create(const weights *w, int threads, const char *isa) {
    char why[HCONV_WHY_BYTES] = "";
    hconv_context_options options;
    hconv_status status;
    nets *n = allocate(1, sizeof *n);
    memset(n, 0, sizeof *n);
    memset(&options, 0, sizeof options);
    options.struct_size = sizeof options;
    options.num_threads = threads;
    options.isa = isa;
    options.log = print_log;
    status = hconv_context_create(&options, &n->context, why, sizeof why);
    if (status) fail("cannot create hconv's context: %s: %s", hconv_status_name(status), why);
    status = hconv_context_add_library(n->context, &hconv_library_face_detect);
    if (status) fail("cannot add the library face_detect: %s; emit it again", hconv_status_name(status));
    n->weights = w;
    for (int i = 0; i < LAYERS; ++i) {
        n->problem[i].struct_size = sizeof n->problem[i];
        status = hconv_problem_parse(layers[i].problem, &n->problem[i], why, sizeof why);
        check(status, i, "the problem cannot be parsed", why);
    }
    return n;
}

void nets_destroy(nets *n) {
    for (int i = 0; i < LAYERS; ++i)
        for (blob *b = n->blobs[i], *next; b; b = next) {
            next = b->next;
            free(b->kernel);
            free(b->data);
            free(b);
        }
    hconv_context_destroy(n->context);
    free(n);
}

work nets_work(const nets *n) { return n->work; }

/* The layer's parameters by the plan's own tensor list: <layer>.<tensor> in the weights file. */
static int parameters_of(const nets *n, int at, const hconv_plan *plan, int tensor_count, hconv_parameter *given) {
    int count = 0;
    for (int i = 0; i < tensor_count; ++i) {
        char name[128];
        hconv_tensor_info info;
        const tensor *t;
        int differs;
        memset(&info, 0, sizeof info);
        info.struct_size = sizeof info;
        check(hconv_plan_tensor(plan, i, &info), at, "a tensor cannot be described", "");
        if (info.role != HCONV_PARAMETER) continue;
        sprintf(name, "%.60s.%.60s", layers[at].name, info.name);
        t = weights_find(n->weights, name);
        if (!t) fail("'%s' holds no '%s'; make it again with convert_weights.py", n->weights->path, name);
        differs = t->rank != info.rank;
        for (int d = 0; d < info.rank && !differs; ++d) differs = (int64_t)t->extent[d] != info.extent[d];
        if (differs) fail("'%s' in '%s' does not have the shape of %s", name, n->weights->path, layers[at].problem);
        given[count].name = info.name;
        given[count].data = t->data;
        given[count].bytes = t->bytes;
        ++count;
    }
    return count;
}

static const void *packed_for(nets *n, int at, const hconv_plan *plan, const hconv_plan_info *info) {
    char why[HCONV_WHY_BYTES] = "";
    hconv_parameter given[3]; /* weight, bias, slope */
    double start = seconds();
    int count;
    blob *b;
    for (b = n->blobs[at]; b; b = b->next)
        if (!strcmp(b->kernel, info->kernel)) return b->data;
    if (info->tensor_count > 5) fail("%s has more tensors than x, weight, bias, slope and y", layers[at].problem);
    b = allocate(1, sizeof *b);
    b->kernel = strcpy(allocate(strlen(info->kernel) + 1, 1), info->kernel);
    b->data = allocate(info->packed_bytes, 1);
    count = parameters_of(n, at, plan, info->tensor_count, given);
    check(hconv_pack(plan, given, count, b->data, info->packed_bytes, why, sizeof why), at, "packing failed", why);
    b->next = n->blobs[at];
    n->blobs[at] = b;
    n->work.packing += seconds() - start;
    return b->data;
}

/* A layer on a map; the result's memory is the caller's. */
static map convolve(nets *n, layer at, map in) {
    char why[HCONV_WHY_BYTES] = "";
    hconv_problem p = n->problem[at];
    hconv_plan *plan = NULL;
    hconv_plan_info info;
    hconv_run_args args;
    const void *inputs[1];
    void *outputs[1];
    double start;
    map out;
    p.n = in.n, p.h = in.h, p.w = in.w;
    check(hconv_plan_create(n->context, &p, &plan, why, sizeof why), at, "no plan", why);
    memset(&info, 0, sizeof info);
    info.struct_size = sizeof info;
    check(hconv_plan_describe(plan, &info), at, "the plan cannot be described", "");
    out.n = in.n, out.h = in.h - p.kh + 1, out.w = in.w - p.kw + 1, out.c = p.co;
    out.data = allocate((size_t)out.n * (size_t)out.h * (size_t)out.w * (size_t)out.c, sizeof *out.data);
    inputs[0] = in.data;
    outputs[0] = out.data;
    memset(&args, 0, sizeof args);
    args.struct_size = sizeof args;
    args.input_count = args.output_count = 1;
    args.inputs = inputs;
    args.outputs = outputs;
    args.packed = packed_for(n, at, plan, &info);
    start = seconds();
    check(hconv_run(plan, &args), at, "the run failed", "see the message above");
    n->work.seconds += seconds() - start;
    n->work.flops += info.flops;
    n->work.runs += 1;
    hconv_plan_destroy(plan);
    return out;
}

static map convolve_and_free(nets *n, layer at, map in) {
    map out = convolve(n, at, in);
    free(in.data);
    return out;
}

/* k x k, stride 2; windows start inside the map and are clipped at its right and lower edge. In these nets that is what
 * both Keras paddings come to: "same" never pads on the left here, and the "valid" windows fit exactly. */
static map pool_and_free(map in, int k) {
    map out;
    float *to;
    out.n = in.n, out.c = in.c;
    out.h = in.h < k ? 1 : (in.h - k + 1) / 2 + 1;
    out.w = in.w < k ? 1 : (in.w - k + 1) / 2 + 1;
    to = out.data = allocate((size_t)out.n * (size_t)out.h * (size_t)out.w * (size_t)out.c, sizeof *out.data);
    for (int b = 0; b < out.n; ++b)
        for (int y = 0; y < out.h; ++y)
            for (int x = 0; x < out.w; ++x, to += out.c) {
                for (int c = 0; c < out.c; ++c) to[c] = -FLT_MAX;
                for (int i = 2 * y; i < 2 * y + k && i < in.h; ++i)
                    for (int j = 2 * x; j < 2 * x + k && j < in.w; ++j) {
                        size_t pixel = ((size_t)b * (size_t)in.h + (size_t)i) * (size_t)in.w + (size_t)j;
                        const float *from = in.data + pixel * (size_t)in.c;
                        for (int c = 0; c < out.c; ++c) to[c] = from[c] > to[c] ? from[c] : to[c];
                    }
            }
    free(in.data);
    return out;
}

/* A map becomes n vectors in memory order (y, x, channel). */
static map flatten(map in) {
    in.c *= in.h * in.w;
    in.h = in.w = 1;
    return in;
}

/* Softmax over (no face, face). */
static float *probabilities_and_free(map logits) {
    size_t count = (size_t)logits.n * (size_t)logits.h * (size_t)logits.w;
    float *face = allocate(count, sizeof *face);
    for (size_t i = 0; i < count; ++i) face[i] = 1 / (1 + expf(logits.data[2 * i] - logits.data[2 * i + 1]));
    free(logits.data);
    return face;
}

static map borrow(const float *data, int n, int h, int w) {
    map m;
    m.n = n, m.h = h, m.w = w, m.c = 3;
    m.data = (float *)data; /* convolve only reads its input */
    return m;
}

void pnet_run(nets *n, const float *picture, int height, int width, answers *out) {
    map m = pool_and_free(convolve(n, P_CONV1, borrow(picture, 1, height, width)), 2);
    m = convolve_and_free(n, P_CONV2, m);
    m = convolve_and_free(n, P_CONV3, m);
    out->count = m.h * m.w;
    out->height = m.h;
    out->width = m.w;
    out->offsets = (float (*)[4])convolve(n, P_CONV4_1, m).data;
    out->landmarks = NULL;
    out->face = probabilities_and_free(convolve(n, P_CONV4_2, m));
    free(m.data);
}

void rnet_run(nets *n, const float *candidates, int count, answers *out) {
    map m = pool_and_free(convolve(n, R_CONV1, borrow(candidates, count, RNET_SIDE, RNET_SIDE)), 3);
    m = pool_and_free(convolve_and_free(n, R_CONV2, m), 3);
    m = flatten(convolve_and_free(n, R_CONV3, m));
    m = convolve_and_free(n, R_FC4, m);
    out->count = count;
    out->height = out->width = 1;
    out->offsets = (float (*)[4])convolve(n, R_FC5_1, m).data;
    out->landmarks = NULL;
    out->face = probabilities_and_free(convolve(n, R_FC5_2, m));
    free(m.data);
}

void onet_run(nets *n, const float *candidates, int count, answers *out) {
    map m = pool_and_free(convolve(n, O_CONV1, borrow(candidates, count, ONET_SIDE, ONET_SIDE)), 3);
    m = pool_and_free(convolve_and_free(n, O_CONV2, m), 3);
    m = pool_and_free(convolve_and_free(n, O_CONV3, m), 2);
    m = flatten(convolve_and_free(n, O_CONV4, m));
    m = convolve_and_free(n, O_FC5, m);
    out->count = count;
    out->height = out->width = 1;
    out->offsets = (float (*)[4])convolve(n, O_FC6_1, m).data;
    out->landmarks = (float (*)[2 * LANDMARKS])convolve(n, O_FC6_2, m).data;
    out->face = probabilities_and_free(convolve(n, O_FC6_3, m));
    free(m.data);
}

void answers_free(answers *a) {
    free(a->offsets);
    free(a->landmarks);
    free(a->face);
}
