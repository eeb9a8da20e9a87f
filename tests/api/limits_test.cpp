// limits_test.cpp - sizes at which convolution libraries have gone wrong: windows larger than their input, products that wrap
// around, tensors of 2^31 elements and bytes. Each is right or a sentence, before anything is allocated or read.
// SPDX-License-Identifier: MIT
#include "application.h"

#include <gtest/gtest.h>

namespace {

struct Refused {
    const char *text, *says;
};

const Refused kRefused[] = {
    // the window reaches over more than the padded input has
    {"conv2d_ci1_h3_co1_k5", "no output"},
    {"conv2d_ci8_h2_w64_co8_k3", "no output"},
    {"conv2d_ci1_h4_co1_k3_d2", "no output"},
    {"depthwise_ci8_h3_k7_p1", "no output"},
    {"depthwise_separable_ci4_h2_co4_k5_p1", "no output"},
    {"conv2d_ci1_h1_co1_k65536", "no output"},
    {"conv2d_ci1_h1_co1_k65536_d65536", "reaches over"},
    {"conv2d_ci1_h1_co1_k1073741824", "must be 1 to 65536"},
    // a product of sizes that wraps around 2^32, and around 2^64
    {"conv2d_n65536_ci65536_h1_co1_k1", "2^31 bytes"},
    {"conv2d_n1073741824_ci1073741824_h1073741824_w1073741824_co1_k1", "2^31 bytes"},
    {"conv2d_n4194304_ci4194304_h1048576_w1048576_co1_k1", "2^31 bytes"},
    {"linear_n1073741824_ci1073741824_co4", "2^31 bytes"},
    // 2^30 x 2^28 channels
    {"linear_ci1073741824_co268435456", "2^31 bytes"},
    {"pointwise_ci1073741824_h1_co268435456", "2^31 bytes"},
    {"conv2d_ci1073741824_h3_co1073741824_k3", "2^31 bytes"},
    // the square of a block wraps around
    {"spd_ci1_h65536_co1_k1_b65536", "must be 1 to 1024"},
    {"spd_ci4096_h1024_co1_k1_b1024", "1024"},
    {"spd_ci4096_h1024_b1024_only", "1024"},
    {"spd_ci1_h1024_co4096_k1_b1024_after", "1024"},
    // a stride of transposed that wraps the output's size around
    {"transposed_ci1_h65536_co1_k1_s65536", "65536"},
    {"transposed_ci1_h1073741824_w1_co1_k3_s1073741824", "1073741824"},
    // the tensor in the middle, and the multiplier
    {"depthwise_separable_ci65536_h1_co1_k1_m65536", "65536"},
    {"condconv_ci32768_h3_co32768_k1_ex4", "2^31 bytes"},
    {"octave_ci1073741824_h2_co1073741824_k1_cil1_col1", "2^31 bytes"},
    // one element too many, in an input, an output, a parameter
    {"pointwise_ci1_h16384_w32768_co1_s64", "tensor x would take 2147483648 bytes"},
    {"conv2d_ci1_h4_w4_co536870912_k4", "2^31 bytes"},
    {"linear_ci536870912_co1", "tensor x would take 2147483648 bytes"},
    {"linear_ci32768_co16384", "tensor weight would take 2147483648 bytes"},
};

TEST(Limits, WhatCannotBeIsASentence) {
    for (const Refused &r : kRefused) {
        hconv_problem p;
        Why why;
        EXPECT_EQ(hconv_problem_parse(r.text, &p, why.text, sizeof why.text), HCONV_INVALID_ARGUMENT) << r.text;
        EXPECT_SAYS(why, r.says) << r.text;
    }
}

// The same through a struct filled by hand, which nobody has parsed.
TEST(Limits, OfAStructFilledByHand) {
    Services services;
    Context ctx = make_context(services.options(), {&fake_library});
    const hconv_problem good = problem_of(FAKE_FIXED);
    const std::pair<int32_t hconv_problem::*, int32_t> spoils[] = {
        {&hconv_problem::kh, 9},        {&hconv_problem::kw, 1 << 30},      {&hconv_problem::h, 1 << 30},
        {&hconv_problem::n, INT32_MAX}, {&hconv_problem::ci, INT32_MAX},    {&hconv_problem::co, INT32_MIN},
        {&hconv_problem::groups, 7},    {&hconv_problem::stride_h, -1},     {&hconv_problem::pad_top, INT32_MAX},
        {&hconv_problem::w, -5},        {&hconv_problem::dilation_w, -3},   {&hconv_problem::out_pad_h, 4},
        {&hconv_problem::variant, 99},  {&hconv_problem::variant, -1},      {&hconv_problem::activation, 77},
        {&hconv_problem::layout, 2},    {&hconv_problem::same, 9},          {&hconv_problem::dtype, 1},
    };
    for (const auto &[field, value] : spoils) {
        hconv_problem p = good;
        hconv_plan *plan = nullptr;
        Why why;
        p.*field = value;
        hconv_status status = hconv_plan_create(ctx.get(), &p, &plan, why.text, sizeof why.text);
        EXPECT_TRUE(status == HCONV_INVALID_ARGUMENT || status == HCONV_UNSUPPORTED) << value << " gives " << status;
        EXPECT_EQ(plan, nullptr);
        EXPECT_NE(why.text[0], 0) << value;
    }
    EXPECT_EQ(services.live, 1 + 1); // the context and its list of libraries
}

// The greatest tensors there are: every size and stride fits.
TEST(Limits, TheLastSizesThatFit) {
    Services services;
    Context ctx = make_context(services.options(), {&fake_library});
    Plan plan = make_plan(ctx, "pointwise_ci3_h2_w89478485_co2"); // x: 2^31 - 8 bytes
    hconv_tensor_info x{};
    x.struct_size = sizeof x;
    ASSERT_EQ(hconv_plan_tensor(plan.get(), 0, &x), HCONV_OK);
    EXPECT_EQ(x.bytes, (size_t(1) << 31) - 8);
    EXPECT_EQ(x.stride[1], 3 * 89478485);
    EXPECT_GT(describe(plan).workspace_bytes, x.bytes / 2); // a row
}

// A kernel indexes its scratch memory with 32 bits: a plan that needs more is refused, and so is one whose size wraps around.
TEST(Limits, WorkspacesThatKernelsCannotIndex) {
    static const int64_t most[] = {HCONV_SIZE_CONST, int64_t(1) << 33, HCONV_SIZE_END, 0},
                         above[] = {HCONV_SIZE_CONST, (int64_t(1) << 33) + 1, HCONV_SIZE_END, 0},
                         product[] = {HCONV_SIZE_CONST, INT64_MAX, HCONV_SIZE_CONST, 2, HCONV_SIZE_MUL, 0, HCONV_SIZE_END, 0},
                         sum[] = {HCONV_SIZE_CONST, INT64_MAX, HCONV_SIZE_CONST, 1, HCONV_SIZE_ADD, 0, HCONV_SIZE_END, 0},
                         difference[] = {HCONV_SIZE_CONST, INT64_MIN, HCONV_SIZE_CONST, 1, HCONV_SIZE_SUB, 0, HCONV_SIZE_END, 0},
                         negative[] = {HCONV_SIZE_CONST, -1, HCONV_SIZE_END, 0},
                         unknown[] = {HCONV_SIZE_CONST, 1, HCONV_SIZE_CONST, 1, 99, 0, HCONV_SIZE_END, 0},
                         two_left[] = {HCONV_SIZE_CONST, 1, HCONV_SIZE_CONST, 1, HCONV_SIZE_END, 0};
    for (const int64_t *program : {most, above, product, sum, difference, negative, unknown, two_left})
        for (bool root : {true, false}) {
            hconv_kernel kernel = fake_library.kernels[1];
            const hconv_library library{HCONV_LIBRARY_ABI, 1, "big", "by hand", &kernel};
            (root ? kernel.root_bytes : kernel.slot_bytes) = program;
            Services services;
            Context ctx = make_context(services.options(), {&library});
            const hconv_problem p = problem_of(FAKE_FIXED);
            hconv_plan *plan = nullptr;
            Why why;
            hconv_status status = hconv_plan_create(ctx.get(), &p, &plan, why.text, sizeof why.text);
            EXPECT_EQ(status, program == most ? HCONV_OK : HCONV_UNSUPPORTED);
            if (status) { EXPECT_SAYS(why, "more workspace"); }
            hconv_plan_destroy(plan);
        }
}

// Every operator of the size programs once: x has extents 3, 5, 4, 1.
TEST(Limits, SizeProgramsAreEvaluated) {
    struct Case {
        std::vector<int64_t> program;
        int64_t value;
    };
    const auto c = [](int64_t v) { return std::vector<int64_t>{HCONV_SIZE_CONST, v}; };
    const auto of = [&](int64_t op, int64_t a, int64_t b) {
        return std::vector<int64_t>{HCONV_SIZE_CONST, a, HCONV_SIZE_CONST, b, op, 0};
    };
    const Case cases[] = {
        {{}, 0}, {c(7), 7}, {{HCONV_SIZE_EXTENT, 1}, 5}, {{HCONV_SIZE_EXTENT, 2}, 4},
        {of(HCONV_SIZE_ADD, 3, 4), 7}, {of(HCONV_SIZE_SUB, 9, 4), 5}, {of(HCONV_SIZE_MUL, 3, 4), 12},
        {of(HCONV_SIZE_DIV, 9, 4), 2}, {of(HCONV_SIZE_DIV, 9, 0), 0}, {of(HCONV_SIZE_MOD, 9, 4), 1},
        {of(HCONV_SIZE_MOD, -1, 4), 3}, {of(HCONV_SIZE_MOD, 9, 0), 0}, {of(HCONV_SIZE_MIN, 9, 4), 4},
        {of(HCONV_SIZE_MIN, 4, 9), 4}, {of(HCONV_SIZE_MAX, 9, 4), 9}, {of(HCONV_SIZE_MAX, 4, 9), 9},
        {of(HCONV_SIZE_EQ, 4, 4), 1}, {of(HCONV_SIZE_LT, 4, 4), 0}, {of(HCONV_SIZE_LE, 4, 4), 1},
        {of(HCONV_SIZE_AND, 4, 0), 0}, {of(HCONV_SIZE_AND, 4, 1), 1}, {of(HCONV_SIZE_AND, 0, 1), 0},
        {of(HCONV_SIZE_OR, 0, 0), 0}, {of(HCONV_SIZE_OR, 0, 2), 1}, {of(HCONV_SIZE_OR, 2, 0), 1},
        {{HCONV_SIZE_CONST, 0, HCONV_SIZE_NOT, 0}, 1}, {{HCONV_SIZE_CONST, 5, HCONV_SIZE_NOT, 0}, 0},
        {{HCONV_SIZE_CONST, 1, HCONV_SIZE_CONST, 20, HCONV_SIZE_CONST, 30, HCONV_SIZE_SELECT, 0}, 20},
        {{HCONV_SIZE_CONST, 0, HCONV_SIZE_CONST, 20, HCONV_SIZE_CONST, 30, HCONV_SIZE_SELECT, 0}, 30},
    };
    for (const Case &one : cases) {
        std::vector<int64_t> program = one.program; // times 64, so that the workspace tells it
        program.insert(program.end(), {HCONV_SIZE_CONST, 64, HCONV_SIZE_MUL, 0, HCONV_SIZE_END, 0});
        if (one.program.empty()) program = {HCONV_SIZE_END, 0};
        hconv_kernel kernel = fake_library.kernels[1], plain = kernel;
        kernel.root_bytes = program.data(), plain.root_bytes = nullptr;
        const hconv_library library{HCONV_LIBRARY_ABI, 1, "sizes", "by hand", &kernel},
            nothing{HCONV_LIBRARY_ABI, 1, "nothing", "by hand", &plain};
        Services services;
        Context ctx = make_context(services.options(), {&library}), without = make_context(services.options(), {&nothing});
        EXPECT_EQ(describe(make_plan(ctx, FAKE_FIXED)).workspace_bytes,
                  describe(make_plan(without, FAKE_FIXED)).workspace_bytes + size_t(one.value) * 64);
    }
    std::vector<int64_t> deep;
    for (int i = 0; i <= HCONV_SIZE_DEPTH; ++i) deep.insert(deep.end(), {HCONV_SIZE_CONST, 1});
    deep.insert(deep.end(), {HCONV_SIZE_END, 0});
    hconv_kernel kernel = fake_library.kernels[1];
    kernel.root_bytes = deep.data();
    const hconv_library library{HCONV_LIBRARY_ABI, 1, "deep", "by hand", &kernel};
    Services services;
    Context ctx = make_context(services.options(), {&library});
    const hconv_problem p = problem_of(FAKE_FIXED);
    hconv_plan *plan = nullptr;
    EXPECT_EQ(hconv_plan_create(ctx.get(), &p, &plan, nullptr, 0), HCONV_UNSUPPORTED);
}

// Parameters of a tensor under 2^31 bytes that whole blocks make larger.
TEST(Limits, BlobsThatKernelsCannotIndex) {
    static const hconv_argument arguments[] = {{"x", HCONV_INPUT, HCONV_F32, 2, "wc"},
                                               {"weight", HCONV_PARAMETER, HCONV_F32, 5, "Ohwi16o"},
                                               {"bias", HCONV_PARAMETER, HCONV_F32, 1, "o"},
                                               {"y", HCONV_OUTPUT, HCONV_F32, 2, "wc"}};
    hconv_kernel kernel = fake_library.kernels[5];
    kernel.problem = "linear_ci268435456_co1", kernel.arguments = arguments;
    const hconv_library library{HCONV_LIBRARY_ABI, 1, "wide", "by hand", &kernel};
    Services services;
    Context ctx = make_context(services.options(), {&library});
    const hconv_problem p = problem_of(kernel.problem);
    hconv_plan *plan = nullptr;
    Why why;
    EXPECT_EQ(hconv_plan_create(ctx.get(), &p, &plan, why.text, sizeof why.text), HCONV_UNSUPPORTED);
    EXPECT_SAYS(why, "weight");
    EXPECT_SAYS(why, "2^31 bytes");
}

// Parameters of another convolution: each has a size that another shape of the same problem would have.
TEST(Limits, ParametersOfAnotherShape) {
    Services services;
    Context ctx = make_context(services.options(), {&fake_library});
    Plan plan = make_plan(ctx, FAKE_FIXED);
    for (size_t floats : {0, 1, 3, 5, 7, 12, 54}) { // bias, one row, a 3 x 3 window ...
        Call call(plan);
        std::vector<float> other(std::max<size_t>(floats, 1));
        Why why;
        call.parameters[0] = {"weight", other.data(), floats * 4};
        EXPECT_EQ(call.pack(plan, &why), HCONV_INVALID_ARGUMENT) << floats;
        EXPECT_SAYS(why, "[2, 3, 1, 1]");
    }
}

} // namespace
