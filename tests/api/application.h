// application.h - an application around the fake library, for the API's tests: its memory and log, contexts and plans that
// close themselves, and a correct call of which tests spoil one thing.
// SPDX-License-Identifier: MIT
#pragma once

#include "fake_library.h"

#include <gtest/gtest.h>

#include <atomic>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <string>
#include <vector>

struct Why {
    char text[HCONV_WHY_BYTES] = "";
    bool says(const std::string &word) const { return std::strstr(text, word.c_str()) != nullptr; }
};
#define EXPECT_SAYS(why, word) EXPECT_TRUE((why).says(word)) << "should say '" << word << "': " << (why).text

// The services of an application: memory that counts and fails at its fail_at-th call (from 1), and a log.
struct Services {
    std::atomic<int> calls{0}, live{0};  // several threads may run a plan
    int fail_at = 0;
    std::vector<std::string> log;

    static void *alloc(void *user, size_t align, size_t bytes) {
        auto *s = static_cast<Services *>(user);
        if (++s->calls == s->fail_at) return nullptr;
        EXPECT_GE(align, 64u);
        void *p = std::aligned_alloc(align, (bytes + align - 1) / align * align);
        std::memset(p, 0xee, bytes);
        ++s->live;
        return p;
    }
    static void free(void *user, void *ptr) {
        ASSERT_NE(ptr, nullptr);
        --static_cast<Services *>(user)->live;
        std::free(ptr);
    }
    static void note(void *user, int, const char *message) {
        static_cast<Services *>(user)->log.emplace_back(message);
    }
    hconv_context_options options() {
        hconv_context_options o{};
        o.struct_size = sizeof o;
        o.num_threads = 1;
        o.user = this, o.alloc = alloc, o.free = free, o.log = note;
        return o;
    }
    bool logged(const std::string &word) const {
        for (const std::string &line : log)
            if (line.find(word) != std::string::npos) return true;
        return false;
    }
};

using Context = std::unique_ptr<hconv_context, decltype(&hconv_context_destroy)>;
using Plan = std::unique_ptr<hconv_plan, decltype(&hconv_plan_destroy)>;

inline Context make_context(const hconv_context_options &options, const std::vector<const hconv_library *> &libraries) {
    hconv_context *ctx = nullptr;
    Why why;
    EXPECT_EQ(hconv_context_create(&options, &ctx, why.text, sizeof why.text), HCONV_OK) << why.text;
    for (const hconv_library *library : libraries) EXPECT_EQ(hconv_context_add_library(ctx, library), HCONV_OK);
    return Context(ctx, hconv_context_destroy);
}

inline hconv_problem problem_of(const std::string &text) {
    hconv_problem p;
    Why why;
    EXPECT_EQ(hconv_problem_parse(text.c_str(), &p, why.text, sizeof why.text), HCONV_OK) << why.text;
    return p;
}

inline Plan make_plan(const Context &ctx, const std::string &text) {
    hconv_problem p = problem_of(text);
    hconv_plan *plan = nullptr;
    Why why;
    EXPECT_EQ(hconv_plan_create(ctx.get(), &p, &plan, why.text, sizeof why.text), HCONV_OK) << why.text;
    return Plan(plan, hconv_plan_destroy);
}

inline hconv_plan_info describe(const Plan &plan) {
    hconv_plan_info info{};
    info.struct_size = sizeof info;
    EXPECT_EQ(hconv_plan_describe(plan.get(), &info), HCONV_OK);
    return info;
}

struct Aligned { // zeroed memory at a 64-byte boundary
    std::vector<char> bytes;
    explicit Aligned(size_t size) : bytes(size + 64) {}
    char *at(size_t offset = 0) {
        return bytes.data() + (64 - reinterpret_cast<uintptr_t>(bytes.data()) % 64) % 64 + offset;
    }
};

// Everything a correct call needs for a pointwise problem of 3 to 2 channels over `pixels`; tests spoil one thing each.
struct Call {
    std::vector<float> x, y, weight{1, 1, 1, 2, 2, 2}, bias{0, 10};
    std::vector<hconv_parameter> parameters;
    Aligned packed, workspace;
    std::vector<const void *> inputs;
    std::vector<void *> outputs;
    hconv_run_args args{};
    hconv_plan_info info;

    explicit Call(const Plan &plan, size_t pixels = 20)
        : x(pixels * 3), y(pixels * 2, -1.0f), packed(describe(plan).packed_bytes),
          workspace(describe(plan).workspace_bytes), info(describe(plan)) {
        for (size_t i = 0; i < x.size(); ++i) x[i] = static_cast<float>(i % 17);
        parameters = {{"weight", weight.data(), weight.size() * 4}, {"bias", bias.data(), bias.size() * 4}};
        EXPECT_EQ(pack(plan), HCONV_OK);
        inputs = {x.data()}, outputs = {y.data()};
        args.struct_size = sizeof args;
        args.input_count = args.output_count = 1;
        args.inputs = inputs.data(), args.outputs = outputs.data();
        args.packed = packed.at();
        args.workspace = workspace.at(), args.workspace_bytes = info.workspace_bytes;
    }
    hconv_status pack(const Plan &plan, Why *why = nullptr) {
        return hconv_pack(plan.get(), parameters.data(), static_cast<int>(parameters.size()), packed.at(),
                          info.packed_bytes, why ? why->text : nullptr, why ? sizeof why->text : 0);
    }
    bool correct() const { // nhwc; every value is exact
        for (size_t i = 0; i < y.size(); ++i) {
            const float *pixel = &x[i / 2 * 3];
            if (y[i] != static_cast<float>(i % 2 * 10) + static_cast<float>(i % 2 + 1) * (pixel[0] + pixel[1] + pixel[2]))
                return false;
        }
        return true;
    }
};
