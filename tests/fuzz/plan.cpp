// plan.cpp - plans of hostile problems: a problem struct with any numbers in any fields becomes a plan whose sizes agree with
// each other, or is refused with a sentence; memory balances either way.
// SPDX-License-Identifier: MIT
// Input: a byte that says which problem to begin with, then {field, int32} pairs that overwrite its fields.
#include "tests/fuzz/fuzz.h"
#include "tests/fuzz/library.h"

#include <iterator>

using namespace hconv;

// One of every variant, with what is particular to it.
static const char *const problems[] = {
    "conv2d_ci3_h8_w9_co4_k3_p1_bn_relu", "conv2d_ci3_h?_w?_co4_k3_same", "conv2d_ci3_h?_co4_k3_s2_tfsame_nchw",
    "dilated_ci2_h9_co3_k3_d2_leaky",     "grouped_ci4_h5_co6_k3_g2_res", "depthwise_n?_ci4_h7_k3_p1_prelu",
    "pointwise_ci5_h3_w4_co6_gelu",       "linear_n?_ci4_co3_silu",       "transposed_ci3_h5_co4_k4_s2_p1_op1",
    "depthwise_separable_ci3_h6_co4_k3_p1_mbn_mrelu6", "rowcol_ci2_h9_k5_r2",          "spd_ci2_h8_co3_k3_p1",
    "spd_ci2_h8_co3_k3_p1_after_bn",      "spd_ci2_h8_w6_only",           "octave_ci8_h8_co8_k3_p1_cil4_col4_fb",
    "octave_ci8_h9_co8_k3_p1_cil0_col2_dli", "wtconv_ci2_h9_w8_k5_lev2_db2", "wtconv_ci2_h?_w?_k3_lev3_bior22",
    "wtconv1d_ci2_w9_k5_lev2",            "condconv_ci3_h5_co4_k3_p1_ex3", "condconv_ci3_h5_co4_k3_same_routed",
    "dynamicconv_ci5_h5_co4_k3_p1",       "odconv_ci6_h5_co4_k3_p1",      "odconv_ci6_h5_co4_k1_ex1",
};

static long blocks;
static void *counted_alloc(void *, size_t align, size_t bytes) {
    ++blocks;
    return std::aligned_alloc(align, (bytes + align - 1) / align * align);
}
static void counted_free(void *, void *ptr) {
    --blocks;
    std::free(ptr);
}

// One context for all inputs; every input fills in its library.
static hconv_library library{};
static hconv_context *make_context() {
    hconv_context_options options{};
    hconv_context *context = nullptr;
    options.struct_size = sizeof options, options.num_threads = 1;
    options.alloc = counted_alloc, options.free = counted_free;
    library.abi = HCONV_LIBRARY_ABI;
    claim(!hconv_context_create(&options, &context, nullptr, 0), "a context can be made");
    claim(!hconv_context_add_library(context, &library), "a library can be added");
    return context;
}

// A caller's problem, with room for what a newer header may have behind it.
struct Given {
    hconv_problem problem;
    char newer[4096];
};

static Given hostile_problem(Input &in) {
    Given given{};
    hconv_problem &p = given.problem;
    claim(!hconv_problem_parse(problems[in.byte() % std::size(problems)], &p, nullptr, 0), "the problem to begin with parses");
    while (!in.empty()) {
        size_t field = in.byte() % (sizeof p / sizeof(int32_t));
        int32_t value = in.number<int32_t>();
        std::memcpy(reinterpret_cast<char *>(&p) + field * sizeof value, &value, sizeof value);
    }
    return given;
}

static void claim_plan(const hconv_plan *plan) {
    hconv_plan_info info{};
    size_t parameters = 0;
    info.struct_size = sizeof info;
    claim(!hconv_plan_describe(plan, &info), "a plan can be described");
    for (int i = 0; i < info.tensor_count; ++i) {
        hconv_tensor_info t{};
        int64_t stride = 1;
        t.struct_size = sizeof t;
        claim(!hconv_plan_tensor(plan, i, &t), "every tensor can be described");
        for (int d = t.rank; d-- > 0; stride *= t.extent[d]) {
            claim(t.stride[d] == stride && t.extent[d] > 0, "tensors are dense, with known sizes");
            claim(stride <= INT32_MAX / t.extent[d], "no product of extents overflows");
        }
        claim(t.bytes == size_t(stride) * sizeof(float) && t.bytes <= INT32_MAX, "bytes are those of the extents");
        parameters += t.role == HCONV_PARAMETER;
    }
    claim(hconv_plan_tensor(plan, info.tensor_count, nullptr) == HCONV_INVALID_ARGUMENT, "there is no tensor behind the last");
    claim(info.packed_bytes >= 64 && info.packed_bytes % 64 == 0, "a blob has a header");
    claim(info.workspace_bytes > 1000 && info.workspace_bytes % 64 == 0, "the workspace is the row's");
    claim(parameters <= HCONV_MAX_TENSORS, "few parameters");
}

// The string of a row that can serve p, if p is a problem at all; open: with h and w left open where that is still one.
static std::string row_for(const Given &given, bool open) {
    char text[HCONV_PROBLEM_BYTES], opened[HCONV_PROBLEM_BYTES];
    Given row = given;
    row.problem.h = row.problem.w = HCONV_OPEN;
    if (hconv_problem_format(&given.problem, text, sizeof text)) return "pointwise_ci1_h1_co1";
    return open && !hconv_problem_format(&row.problem, opened, sizeof opened) ? opened : text;
}

extern "C" int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    static hconv_context *const context = make_context();
    Input in(data, size);
    const bool open_row = size % 2 == 1;
    const Given given = hostile_problem(in);
    const std::string text = row_for(given, open_row);
    hconv_problem row;
    char why[HCONV_WHY_BYTES] = "";
    claim(!hconv_problem_parse(text.c_str(), &row, nullptr, 0), "what was formatted can be parsed");
    const OneKernel kernel(row, text);
    library = kernel.library;
    hconv_plan *plan = nullptr;
    const long before = blocks;
    hconv_status status = hconv_plan_create(context, &given.problem, &plan, why, sizeof why);
    claim(!status == (plan != nullptr), "a plan, or none and a status");
    if (status) claim_sentence(why, sizeof why);
    if (status) claim(status == HCONV_INVALID_ARGUMENT || status == HCONV_UNSUPPORTED, "the status says whose fault it is");
    if (plan) claim_plan(plan);
    hconv_plan_destroy(plan);
    claim(blocks == before, "what was allocated is freed");
    return 0;
}
