// The API against a table of hand-written kernels: every function misused once, callers of other versions, the choice among
// kernels, several libraries.
// SPDX-License-Identifier: MIT
#include "application.h"
#include "runtime/internal.h"

#include <gtest/gtest.h>

#include <functional>

namespace {

TEST(Misuse, StatusNames) {
    for (int i = HCONV_OK; i <= HCONV_INTERNAL; ++i)
        EXPECT_STRNE(hconv_status_name(static_cast<hconv_status>(i)), "no such status");
    EXPECT_STREQ(hconv_status_name(static_cast<hconv_status>(7)), "no such status");
    EXPECT_STREQ(hconv_status_name(static_cast<hconv_status>(-1)), "no such status");
    EXPECT_EQ(hconv_version(), static_cast<uint32_t>(HCONV_VERSION));
}

TEST(Misuse, ContextCreate) {
    Services services;
    hconv_context *ctx = nullptr;
    struct Case { std::function<void(hconv_context_options &)> spoil; const char *says; };
    const Case cases[] = {
        {[](auto &o) { o.struct_size = 0; }, "struct_size"},
        {[](auto &o) { o.struct_size = 1 << 20; }, "struct_size"},
        {[](auto &o) { o.alloc = nullptr; }, "alloc"},
        {[](auto &o) { o.free = nullptr; }, "free"},
        {[](auto &o) { o.num_threads = -1; }, "num_threads"},
        {[](auto &o) { o.num_threads = 1 << 20; }, "num_threads"},
        {[](auto &o) { o.num_threads = 0, o.parallel_for = [](void *, int, int (*)(void *, int), void *) { return 0; }; },
         "num_threads"},
        {[](auto &o) { o.isa = "a-level-with-a-very-long-name"; }, "isa"},
    };
    for (const Case &c : cases) {
        hconv_context_options o = services.options();
        Why why;
        c.spoil(o);
        ctx = reinterpret_cast<hconv_context *>(&services);
        EXPECT_EQ(hconv_context_create(&o, &ctx, why.text, sizeof why.text), HCONV_INVALID_ARGUMENT);
        EXPECT_EQ(ctx, nullptr);
        EXPECT_SAYS(why, c.says);
        EXPECT_EQ(hconv_context_create(&o, &ctx, nullptr, 0), HCONV_INVALID_ARGUMENT);
    }
    EXPECT_EQ(hconv_context_create(nullptr, nullptr, nullptr, 0), HCONV_INVALID_ARGUMENT);
    EXPECT_EQ(hconv_context_create(nullptr, &ctx, nullptr, 0), HCONV_OK); // all defaults
    hconv_context_destroy(ctx);
    hconv_context_destroy(nullptr);
    EXPECT_EQ(services.calls, 0);
}

TEST(Misuse, AddLibrary) {
    Services services;
    Context ctx = make_context(services.options(), {});
    EXPECT_EQ(hconv_context_add_library(nullptr, &fake_library), HCONV_INVALID_ARGUMENT);
    EXPECT_EQ(hconv_context_add_library(ctx.get(), nullptr), HCONV_INVALID_ARGUMENT);
    EXPECT_EQ(hconv_context_add_library(ctx.get(), &old_library), HCONV_ABI_MISMATCH);
    EXPECT_TRUE(services.logged("ABI"));
    EXPECT_EQ(hconv_context_add_library(ctx.get(), &fake_library), HCONV_OK);
    EXPECT_EQ(hconv_context_add_library(ctx.get(), &fake_library), HCONV_OK);
}

TEST(Misuse, PlanCreate) {
    Services services;
    Context ctx = make_context(services.options(), {&fake_library, &other_library}), empty = make_context(services.options(), {});
    hconv_problem p = problem_of(FAKE_FIXED);
    hconv_plan *plan = nullptr;
    auto create = [&](const hconv_context *c, const hconv_problem *given, Why &why) {
        plan = reinterpret_cast<hconv_plan *>(&services);
        hconv_status status = hconv_plan_create(c, given, &plan, why.text, sizeof why.text);
        EXPECT_EQ(plan, nullptr);
        EXPECT_NE(why.text[0], 0);
        EXPECT_EQ(hconv_plan_create(c, given, &plan, nullptr, 0), status);
        return status;
    };
    auto create_text = [&](const std::string &text, Why &why) {
        hconv_problem q = problem_of(text);
        return create(ctx.get(), &q, why);
    };
    Why no_context, no_problem, size, open, bad, no_library, unknown, no_cuda, misfit, small;
    EXPECT_EQ(create(nullptr, &p, no_context), HCONV_INVALID_ARGUMENT);
    EXPECT_EQ(create(ctx.get(), nullptr, no_problem), HCONV_INVALID_ARGUMENT);
    EXPECT_EQ(hconv_plan_create(ctx.get(), &p, nullptr, nullptr, 0), HCONV_INVALID_ARGUMENT);
    hconv_problem q = p;
    q.struct_size = 12;
    EXPECT_EQ(create(ctx.get(), &q, size), HCONV_INVALID_ARGUMENT);
    EXPECT_SAYS(size, "struct_size");
    EXPECT_EQ(create_text("pointwise_ci3_h?_w5_co2", open), HCONV_INVALID_ARGUMENT);
    EXPECT_SAYS(open, "n, h and w");
    q = p, q.kh = -3;
    EXPECT_EQ(create(ctx.get(), &q, bad), HCONV_INVALID_ARGUMENT);
    EXPECT_EQ(create(empty.get(), &p, no_library), HCONV_UNSUPPORTED);
    EXPECT_SAYS(no_library, "no library");
    EXPECT_EQ(create_text("pointwise_ci4_h4_w5_co2", unknown), HCONV_UNSUPPORTED);
    EXPECT_SAYS(unknown, "pointwise_ci4_h4_w5_co2");
    EXPECT_SAYS(unknown, "nearest");
    EXPECT_EQ(create_text(FAKE_CUDA, no_cuda), HCONV_UNSUPPORTED);
    EXPECT_SAYS(no_cuda, "CUDA");
    EXPECT_EQ(create_text(FAKE_MISFIT, misfit), HCONV_ABI_MISMATCH);
    EXPECT_SAYS(misfit, "'scale'");
    EXPECT_EQ(create_text("pointwise_ci3_h1_w5_co2", small), HCONV_UNSUPPORTED); // the open row needs two rows
    EXPECT_SAYS(small, "at least 2x1");
    hconv_plan_destroy(nullptr);
    ctx.reset(), empty.reset();
    EXPECT_EQ(services.live, 0);
}

TEST(Misuse, SizesThatTakeMoreThanTheyWereGivenAreNone) {
    for (int64_t operation = HCONV_SIZE_ADD; operation <= HCONV_SIZE_SELECT; ++operation) {
        const int64_t alone[] = {operation, 0, HCONV_SIZE_END};
        const int64_t one[] = {HCONV_SIZE_CONST, 7, operation, 0, HCONV_SIZE_END};
        EXPECT_EQ(hconv_size_evaluate(alone, nullptr), -1) << operation;
        EXPECT_EQ(hconv_size_evaluate(one, nullptr), operation == HCONV_SIZE_NOT ? 0 : -1) << operation;
    }
}

TEST(Misuse, DescribeAndTensor) {
    Services services;
    Context ctx = make_context(services.options(), {&fake_library, &other_library});
    Plan plan = make_plan(ctx, FAKE_FIXED);
    hconv_plan_info info{};
    hconv_tensor_info tensor{};
    EXPECT_EQ(hconv_plan_describe(plan.get(), &info), HCONV_INVALID_ARGUMENT); // struct_size is 0
    EXPECT_EQ(hconv_plan_tensor(plan.get(), 0, &tensor), HCONV_INVALID_ARGUMENT);
    info.struct_size = sizeof info, tensor.struct_size = sizeof tensor;
    EXPECT_EQ(hconv_plan_describe(nullptr, &info), HCONV_INVALID_ARGUMENT);
    EXPECT_EQ(hconv_plan_describe(plan.get(), nullptr), HCONV_INVALID_ARGUMENT);
    EXPECT_EQ(hconv_plan_tensor(nullptr, 0, &tensor), HCONV_INVALID_ARGUMENT);
    EXPECT_EQ(hconv_plan_tensor(plan.get(), 0, nullptr), HCONV_INVALID_ARGUMENT);
    EXPECT_EQ(hconv_plan_tensor(plan.get(), -1, &tensor), HCONV_INVALID_ARGUMENT);
    EXPECT_EQ(hconv_plan_tensor(plan.get(), 4, &tensor), HCONV_INVALID_ARGUMENT);
    ASSERT_EQ(hconv_plan_describe(plan.get(), &info), HCONV_OK);
    EXPECT_EQ(info.tensor_count, 4);
    EXPECT_STREQ(info.schedule, "by-hand");
    EXPECT_EQ(info.flops, 2.0 * 4 * 5 * 3 * 2);
}

// A caller's struct in memory of any size, as one built against an older or newer header has it.
template<typename T>
struct Sized {
    std::vector<char> bytes;
    Sized(const T &value, size_t size) : bytes(std::max(size, sizeof(T))) {
        std::memcpy(bytes.data(), &value, sizeof value);
        std::fill(bytes.begin() + long(size), bytes.end(), char(0xee)); // not the caller's any more
        at()->struct_size = uint32_t(size);
    }
    T *at() { return reinterpret_cast<T *>(bytes.data()); }
};

// Fields that the caller does not have are 0; those that this runtime does not know must be.
TEST(StructSize, OfOlderAndNewerCallersIsUnderstood) {
    Services services;
    hconv_context_options options = services.options();
    hconv_context *raw = nullptr;
    Why why;
    Sized<hconv_context_options> old(options, offsetof(hconv_context_options, cuda_context));
    ASSERT_EQ(hconv_context_create(old.at(), &raw, why.text, sizeof why.text), HCONV_OK) << why.text;
    Context ctx(raw, hconv_context_destroy);
    ASSERT_EQ(hconv_context_add_library(raw, &fake_library), HCONV_OK);
    hconv_problem p = problem_of(FAKE_FIXED);
    for (size_t size : {offsetof(hconv_problem, extra), sizeof p, sizeof p + 4, sizeof p + 64}) {
        Sized<hconv_problem> sized(p, size);
        hconv_plan *plan = nullptr;
        char text[HCONV_PROBLEM_BYTES];
        ASSERT_EQ(hconv_plan_create(raw, sized.at(), &plan, why.text, sizeof why.text), HCONV_OK) << why.text;
        Plan owned(plan, hconv_plan_destroy);
        Call call(owned);
        EXPECT_EQ(hconv_problem_format(sized.at(), text, sizeof text), HCONV_OK);
        EXPECT_STREQ(text, FAKE_FIXED);
        Sized<hconv_run_args> args(call.args, size == sizeof p ? sizeof call.args : sizeof call.args + 16);
        EXPECT_EQ(hconv_run(plan, args.at()), HCONV_OK);
        EXPECT_TRUE(call.correct());
        Sized<hconv_run_args> short_args(call.args, offsetof(hconv_run_args, workspace)); // then the context allocates
        EXPECT_EQ(hconv_run(plan, short_args.at()), HCONV_OK);
    }
}

TEST(StructSize, WhatARuntimeWouldIgnoreIsRefused) {
    Services services;
    Context ctx = make_context(services.options(), {&fake_library});
    Plan plan = make_plan(ctx, FAKE_FIXED);
    Call call(plan);
    hconv_plan *other = nullptr;
    hconv_context *another = nullptr;
    Why why, options_why;
    Sized<hconv_problem> p(problem_of(FAKE_FIXED), sizeof(hconv_problem) + 8);
    p.bytes.back() = 1;
    EXPECT_EQ(hconv_plan_create(ctx.get(), p.at(), &other, why.text, sizeof why.text), HCONV_INVALID_ARGUMENT);
    EXPECT_SAYS(why, "hconv_problem");
    EXPECT_SAYS(why, "newer hconv");
    char text[HCONV_PROBLEM_BYTES];
    EXPECT_EQ(hconv_problem_format(p.at(), text, sizeof text), HCONV_INVALID_ARGUMENT);
    Sized<hconv_context_options> options(services.options(), sizeof(hconv_context_options) + 1);
    options.bytes.back() = 1;
    EXPECT_EQ(hconv_context_create(options.at(), &another, options_why.text, sizeof options_why.text),
              HCONV_INVALID_ARGUMENT);
    EXPECT_SAYS(options_why, "newer hconv");
    Sized<hconv_run_args> args(call.args, sizeof(hconv_run_args) + 24);
    args.bytes[sizeof(hconv_run_args)] = 1;
    EXPECT_EQ(hconv_run(plan.get(), args.at()), HCONV_INVALID_ARGUMENT);
    EXPECT_TRUE(services.logged("newer hconv"));
    for (uint32_t size : {0u, 4u, uint32_t(offsetof(hconv_run_args, packed)), 1u << 20, UINT32_MAX}) {
        call.args.struct_size = size;
        EXPECT_EQ(hconv_run(plan.get(), &call.args), HCONV_INVALID_ARGUMENT) << size;
    }
}

// What is written into a caller's struct ends where the caller's struct ends.
TEST(StructSize, OutputsFillWhatTheCallerHas) {
    Services services;
    Context ctx = make_context(services.options(), {&fake_library});
    Plan plan = make_plan(ctx, FAKE_FIXED);
    Sized<hconv_plan_info> old({}, offsetof(hconv_plan_info, flops)), young({}, sizeof(hconv_plan_info) + 8);
    young.bytes.back() = 1;
    ASSERT_EQ(hconv_plan_describe(plan.get(), old.at()), HCONV_OK);
    ASSERT_EQ(hconv_plan_describe(plan.get(), young.at()), HCONV_OK);
    EXPECT_EQ(old.at()->struct_size, offsetof(hconv_plan_info, flops));
    EXPECT_EQ(old.at()->packed_bytes, describe(plan).packed_bytes);
    EXPECT_EQ(old.bytes.back(), char(0xee));
    EXPECT_EQ(young.at()->struct_size, sizeof(hconv_plan_info) + 8);
    EXPECT_EQ(young.at()->flops, describe(plan).flops);
    EXPECT_EQ(young.bytes.back(), 0) << "what this runtime does not know is 0";
    Sized<hconv_tensor_info> tensor({}, offsetof(hconv_tensor_info, default_value));
    ASSERT_EQ(hconv_plan_tensor(plan.get(), 1, tensor.at()), HCONV_OK);
    EXPECT_EQ(tensor.at()->bytes, 24u);
    EXPECT_EQ(tensor.bytes.back(), char(0xee));
}

TEST(Tensors, ComeInOrderWithDenseStrides) {
    Services services;
    Context ctx = make_context(services.options(), {&fake_library, &other_library});
    struct Want { const char *name; int role; std::vector<int64_t> extent; };
    auto expect = [&](const char *text, const std::vector<Want> &wants) {
        Plan plan = make_plan(ctx, text);
        ASSERT_EQ(describe(plan).tensor_count, static_cast<int>(wants.size()));
        for (size_t i = 0; i < wants.size(); ++i) {
            hconv_tensor_info t{};
            t.struct_size = sizeof t;
            ASSERT_EQ(hconv_plan_tensor(plan.get(), static_cast<int>(i), &t), HCONV_OK);
            EXPECT_STREQ(t.name, wants[i].name);
            EXPECT_EQ(t.role, wants[i].role);
            EXPECT_EQ(std::vector<int64_t>(t.extent, t.extent + t.rank), wants[i].extent) << text << " " << t.name;
            int64_t stride = 1;
            for (int d = t.rank - 1; d >= 0; stride *= t.extent[d--]) EXPECT_EQ(t.stride[d], stride);
            EXPECT_EQ(t.bytes, static_cast<size_t>(stride) * 4);
        }
    };
    expect(FAKE_FIXED, {{"x", HCONV_INPUT, {1, 4, 5, 3}}, {"weight", HCONV_PARAMETER, {2, 3, 1, 1}},
                        {"bias", HCONV_PARAMETER, {2}}, {"y", HCONV_OUTPUT, {1, 4, 5, 2}}});
    expect(FAKE_FIXED "_nchw", {{"x", HCONV_INPUT, {1, 3, 4, 5}}, {"weight", HCONV_PARAMETER, {2, 3, 1, 1}},
                                {"bias", HCONV_PARAMETER, {2}}, {"y", HCONV_OUTPUT, {1, 2, 4, 5}}});
    expect("linear_n7_ci4_co3", {{"x", HCONV_INPUT, {7, 4}}, {"weight", HCONV_PARAMETER, {3, 4}},
                                 {"bias", HCONV_PARAMETER, {3}}, {"y", HCONV_OUTPUT, {7, 3}}});
}

TEST(Misuse, Pack) {
    Services services;
    Context ctx = make_context(services.options(), {&fake_library});
    Plan plan = make_plan(ctx, FAKE_FIXED);
    Call call(plan);
    const std::vector<hconv_parameter> good = call.parameters;
    auto pack = [&](const std::vector<hconv_parameter> &parameters, Why &why) {
        call.parameters = parameters;
        return call.pack(plan, &why);
    };
    Why missing, twice, unknown, bytes, no_name, no_data, small, misaligned, null;
    EXPECT_EQ(pack({good[0]}, missing), HCONV_INVALID_ARGUMENT);
    EXPECT_SAYS(missing, "'bias' [2] is missing");
    EXPECT_EQ(pack({good[0], good[1], good[0]}, twice), HCONV_INVALID_ARGUMENT);
    EXPECT_SAYS(twice, "'weight' is given twice");
    EXPECT_EQ(pack({good[0], good[1], {"scale", good[0].data, 8}}, unknown), HCONV_INVALID_ARGUMENT);
    EXPECT_SAYS(unknown, "'scale'");
    EXPECT_EQ(pack({good[1], {"weight", good[0].data, 20}}, bytes), HCONV_INVALID_ARGUMENT);
    EXPECT_SAYS(bytes, "[2, 3, 1, 1]");
    EXPECT_SAYS(bytes, "24");
    EXPECT_EQ(pack({good[0], {nullptr, good[1].data, 8}}, no_name), HCONV_INVALID_ARGUMENT);
    EXPECT_EQ(pack({good[0], {"bias", nullptr, 8}}, no_data), HCONV_INVALID_ARGUMENT);
    EXPECT_SAYS(no_data, "no data");
    size_t enough = call.info.packed_bytes;
    EXPECT_EQ(hconv_pack(plan.get(), good.data(), 2, call.packed.at(), enough - 1, small.text, sizeof small.text),
              HCONV_INVALID_ARGUMENT);
    EXPECT_SAYS(small, std::to_string(enough));
    EXPECT_EQ(hconv_pack(plan.get(), good.data(), 2, call.packed.at(4), enough, misaligned.text, sizeof misaligned.text),
              HCONV_INVALID_ARGUMENT);
    EXPECT_SAYS(misaligned, "64-byte");
    EXPECT_EQ(hconv_pack(nullptr, good.data(), 2, call.packed.at(), enough, null.text, sizeof null.text),
              HCONV_INVALID_ARGUMENT);
    EXPECT_EQ(hconv_pack(plan.get(), nullptr, 2, call.packed.at(), enough, nullptr, 0), HCONV_INVALID_ARGUMENT);
    EXPECT_EQ(hconv_pack(plan.get(), good.data(), -1, call.packed.at(), enough, nullptr, 0), HCONV_INVALID_ARGUMENT);
    EXPECT_EQ(hconv_pack(plan.get(), good.data(), 2, nullptr, enough, nullptr, 0), HCONV_INVALID_ARGUMENT);
    EXPECT_EQ(pack({good[1], good[0]}, null), HCONV_OK); // the order is free
}

TEST(Misuse, Run) {
    Services services;
    Context ctx = make_context(services.options(), {&fake_library, &other_library});
    Plan plan = make_plan(ctx, FAKE_FIXED), twin = make_plan(ctx, FAKE_FIXED "_nchw");
    struct Case { const char *what; std::function<void(Call &)> spoil; };
    const Case cases[] = {
        {"struct_size 0", [](Call &c) { c.args.struct_size = 0; }},
        {"no inputs", [](Call &c) { c.args.inputs = nullptr; }},
        {"no outputs", [](Call &c) { c.args.outputs = nullptr; }},
        {"too few inputs", [](Call &c) { c.args.input_count = 0; }},
        {"too many inputs", [](Call &c) { c.args.input_count = 2; }},
        {"too few outputs", [](Call &c) { c.args.output_count = 0; }},
        {"a negative count", [](Call &c) { c.args.output_count = -1; }},
        {"input NULL", [](Call &c) { c.inputs[0] = nullptr; }},
        {"input misaligned", [](Call &c) { c.inputs[0] = reinterpret_cast<char *>(c.x.data()) + 2; }},
        {"output NULL", [](Call &c) { c.outputs[0] = nullptr; }},
        {"output misaligned", [](Call &c) { c.outputs[0] = reinterpret_cast<char *>(c.y.data()) + 1; }},
        {"output is the input", [](Call &c) { c.outputs[0] = c.x.data(); }},
        {"output overlaps the input's last element", [](Call &c) { c.outputs[0] = &c.x.back(); }},
        {"output overlaps the input's first element", [](Call &c) { c.inputs[0] = &c.y.back(); }},
        {"packed NULL", [](Call &c) { c.args.packed = nullptr; }},
        {"packed misaligned", [](Call &c) { c.args.packed = c.packed.at(4); }},
        {"packed never written", [](Call &c) { std::memset(c.packed.at(), 0, c.info.packed_bytes); }},
        {"workspace misaligned", [](Call &c) { c.args.workspace = c.workspace.at(32); }},
        {"workspace one byte short", [](Call &c) { --c.args.workspace_bytes; }},
        {"workspace without bytes", [](Call &c) { c.args.workspace_bytes = 0; }},
    };
    for (const Case &c : cases) {
        Call call(plan);
        size_t lines = services.log.size();
        c.spoil(call);
        EXPECT_EQ(hconv_run(plan.get(), &call.args), HCONV_INVALID_ARGUMENT) << c.what;
        EXPECT_EQ(services.log.size(), lines + 1) << c.what << ": the log says why";
        EXPECT_EQ(call.y, std::vector<float>(call.y.size(), -1.0f)) << c.what << ": nothing may be written";
    }
    Call call(plan), other(twin);
    call.args.packed = other.packed.at();
    EXPECT_EQ(hconv_run(plan.get(), &call.args), HCONV_INVALID_ARGUMENT) << "another kernel's blob";
    EXPECT_EQ(hconv_run(nullptr, &call.args), HCONV_INVALID_ARGUMENT);
    EXPECT_EQ(hconv_run(plan.get(), nullptr), HCONV_INVALID_ARGUMENT);
    call.args.packed = call.packed.at();
    EXPECT_EQ(hconv_run(plan.get(), &call.args), HCONV_OK);
    EXPECT_TRUE(call.correct());
}

TEST(Failures, OfAKernelAreReported) {
    for (int threads : {1, 3}) {
        Services services;
        hconv_context_options options = services.options();
        options.num_threads = threads;
        Context ctx = make_context(options, {&other_library});
        for (const char *text : {FAKE_FAILS, FAKE_BROKEN, FAKE_HUNGRY}) {
            Plan plan = make_plan(ctx, text);
            Call call(plan);
            int live = services.live;
            EXPECT_EQ(hconv_run(plan.get(), &call.args), HCONV_INTERNAL) << text;
            call.args.workspace = nullptr, call.args.workspace_bytes = 0;
            EXPECT_EQ(hconv_run(plan.get(), &call.args), HCONV_INTERNAL) << text;
            EXPECT_EQ(services.live, live) << text << " leaves memory behind";
        }
    }
}

TEST(Choice, HighestLevelThenFewestOpenSizesThenOrder) {
    Services services;
    hconv_context_options options = services.options();
    auto chosen = [&](const std::vector<const hconv_library *> &libraries, const char *text) {
        Context ctx = make_context(options, libraries);
        Plan plan = make_plan(ctx, text);
        return std::string(plan ? describe(plan).kernel : "none");
    };
    EXPECT_EQ(chosen({&fake_library, &other_library}, FAKE_FIXED), "fake__fixed_high");
    EXPECT_EQ(chosen({&other_library, &fake_library}, FAKE_FIXED), "fake__fixed_high");
    EXPECT_EQ(chosen({&fake_library}, "pointwise_n2_ci3_h4_w5_co2"), "fake__open");
    EXPECT_EQ(chosen({&fake_library, &other_library}, FAKE_FIXED "_nchw"), "other__nchw");
    options.isa = "low";
    EXPECT_EQ(chosen({&fake_library, &other_library}, FAKE_FIXED), "fake__fixed");
    EXPECT_EQ(chosen({&other_library, &fake_library}, FAKE_FIXED), "other__fixed");
    for (const char *isa : {"never", "sse9"}) { // a level this CPU lacks, a level nobody has
        options.isa = isa;
        Context ctx = make_context(options, {&fake_library});
        hconv_problem p = problem_of(FAKE_FIXED);
        hconv_plan *plan = nullptr;
        Why why;
        EXPECT_EQ(hconv_plan_create(ctx.get(), &p, &plan, why.text, sizeof why.text), HCONV_UNSUPPORTED);
        EXPECT_SAYS(why, "runs here");
    }
}

// The blob depends on the row and the parameters only.
TEST(Packed, IsSharedByThePlansOfOneOpenRow) {
    Services services;
    Context ctx = make_context(services.options(), {&fake_library});
    Plan first = make_plan(ctx, "pointwise_ci3_h2_w9_co2"), second = make_plan(ctx, "pointwise_n3_ci3_h5_w2_co2");
    Call a(first, 18), b(second, 30);
    EXPECT_EQ(std::memcmp(a.packed.at(), b.packed.at(), a.info.packed_bytes), 0);
    b.args.packed = a.packed.at();
    EXPECT_EQ(hconv_run(second.get(), &b.args), HCONV_OK);
    EXPECT_TRUE(b.correct());
}

// Two contexts over the same libraries in one program know nothing of each other.
TEST(Libraries, TwoContextsAreIndependent) {
    Services a, b;
    Context first = make_context(a.options(), {&fake_library}), second = make_context(b.options(), {&other_library});
    Plan p = make_plan(first, FAKE_FIXED), q = make_plan(second, FAKE_FIXED);
    EXPECT_STREQ(describe(p).kernel, "fake__fixed_high");
    EXPECT_STREQ(describe(q).kernel, "other__fixed");
    Call call(p), other(q);
    q.reset(), second.reset();
    EXPECT_EQ(b.live, 0);
    EXPECT_EQ(hconv_run(p.get(), &call.args), HCONV_OK);
    EXPECT_TRUE(call.correct());
    p.reset(), first.reset();
    EXPECT_EQ(a.live, 0);
}

} // namespace
