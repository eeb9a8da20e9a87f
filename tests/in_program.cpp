// in_program.cpp - every kernel of the emitted table inside a program that does other things: sixteen threads on one plan,
// allocations counted, parameters that end where their page does, values that are not numbers where an output does not
// look, the floating-point unit left as it was; and tensors of almost 2^31 bytes.
// SPDX-License-Identifier: MIT
#include "conformance.h"
#include "tests/api/application.h"
#include "tests/api/counted_malloc.h"
#include "tests/reference/judge.h"
#include "tests/reference/maps.h"
#include "tools/problem_list.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <atomic>
#include <limits>
#include <map>
#include <sys/mman.h>
#include <thread>
#include <unistd.h>

#if defined(__x86_64__)
#include <xmmintrin.h>
#endif

namespace {

using hconv::Problem;

// Memory from the system, zero until written, its last byte in front of a page that may not be touched.
class Pages {
public:
    explicit Pages(size_t bytes) {
        const size_t page = size_t(sysconf(_SC_PAGESIZE)), room = (bytes + page - 1) / page * page;
        map_bytes = room + page;
        map = static_cast<char *>(
            mmap(nullptr, map_bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0));
        EXPECT_NE(map, MAP_FAILED);
        EXPECT_EQ(mprotect(map + room, page, PROT_NONE), 0);
        data = map + room - bytes;
    }
    Pages(const Pages &) = delete;
    ~Pages() { munmap(map, map_bytes); }
    float *floats() const { return reinterpret_cast<float *>(data); }

    char *data;

private:
    char *map;
    size_t map_bytes;
};

// A kernel bound to a problem, its parameters packed.
struct Bound {
    hconv_library library{HCONV_LIBRARY_ABI, 1, "one", "test", nullptr};
    Context ctx{nullptr, hconv_context_destroy};
    Plan plan{nullptr, hconv_plan_destroy};
    hconv_plan_info info{};
    hconv_status status;
    Why why;
    std::vector<Aligned> packed;
    std::vector<size_t> output_floats;
    int inputs = 0;

    Bound(const hconv_kernel *kernel, const Problem &p, const hconv_context_options &options, const float *const *data) {
        library.kernels = kernel;
        ctx = make_context(options, {&library});
        hconv_plan *raw = nullptr;
        status = hconv_plan_create(ctx.get(), &p, &raw, why.text, sizeof why.text);
        plan.reset(raw);
        if (status) return;
        info = describe(plan);
        packed.emplace_back(info.packed_bytes);
        pack(p.tensors(), data);
    }
    // Every parameter ends where its page does.
    void pack(const std::vector<hconv_tensor> &tensors, const float *const *data) {
        std::vector<std::unique_ptr<Pages>> held;
        std::vector<hconv_parameter> given;
        for (size_t i = 0; i < tensors.size(); ++i) {
            const size_t floats = hconv_tensor_elements(&tensors[i]);
            if (tensors[i].role == HCONV_INPUT) ++inputs;
            if (tensors[i].role == HCONV_OUTPUT) output_floats.push_back(floats);
            if (tensors[i].role != HCONV_PARAMETER || !data[i]) continue;
            held.push_back(std::make_unique<Pages>(floats * sizeof(float)));
            std::memcpy(held.back()->data, data[i], floats * sizeof(float));
            given.push_back({tensors[i].name, held.back()->data, floats * sizeof(float)});
        }
        status = hconv_pack(plan.get(), given.data(), int(given.size()), packed[0].at(), info.packed_bytes, why.text,
                            sizeof why.text);
    }
    // All outputs, one behind the other.
    std::vector<float> room() const {
        size_t floats = 0;
        for (size_t f : output_floats) floats += f;
        return std::vector<float>(floats, -7.0f);
    }
    hconv_status run(const float *const *in, std::vector<float> &to, char *workspace) {
        std::vector<void *> outputs;
        size_t at = 0;
        for (size_t f : output_floats) outputs.push_back(to.data() + at), at += f;
        hconv_run_args args{};
        args.struct_size = sizeof args;
        args.input_count = inputs, args.output_count = int(outputs.size());
        args.inputs = reinterpret_cast<const void *const *>(in), args.outputs = outputs.data();
        args.packed = packed[0].at();
        args.workspace = workspace, args.workspace_bytes = workspace ? info.workspace_bytes : 0;
        return hconv_run(plan.get(), &args);
    }
};

hconv_context_options with_threads(int threads) {
    hconv_context_options o{};
    o.struct_size = sizeof o;
    o.num_threads = threads;
    return o;
}

bool same_bits(const std::vector<float> &a, const std::vector<float> &b) {
    return !std::memcmp(a.data(), b.data(), a.size() * sizeof(float));
}

// The greatest size an open problem is tried at, or the problem.
Problem sized(const hconv_kernel *kernel) {
    Problem p = Problem::parse(kernel->problem);
    return p.open() ? hconv::default_sizes(p).back() : p;
}

class InProgram : public testing::TestWithParam<const hconv_kernel *> {};

TEST_P(InProgram, SixteenThreadsShareAPlan) {
    const Problem p = sized(GetParam());
    const hconv::reference::Judge data(p, HCONV_FILL_RANDOM, 3);
    Bound alone(GetParam(), p, with_threads(1), data.data()), shared(GetParam(), p, with_threads(4), data.data());
    if (alone.status == HCONV_UNSUPPORTED) GTEST_SKIP() << alone.why.text;
    ASSERT_EQ(shared.status, HCONV_OK) << shared.why.text;
    std::vector<float> first = alone.room();
    ASSERT_EQ(alone.run(data.data(), first, nullptr), HCONV_OK);
    std::atomic<int> wrong{0};
    std::vector<std::thread> threads;
    for (int t = 0; t < 16; ++t)
        threads.emplace_back([&, t] {
            Aligned workspace(shared.info.workspace_bytes);
            for (int again = 0; again < 2; ++again) {
                std::vector<float> y = shared.room();
                wrong += shared.run(data.data(), y, t % 2 ? workspace.at() : nullptr) != HCONV_OK || !same_bits(y, first);
            }
        });
    for (std::thread &t : threads) t.join();
    EXPECT_EQ(wrong, 0);
}

TEST_P(InProgram, ARunTakesNoMemory) {
    const Problem p = sized(GetParam());
    const hconv::reference::Judge data(p, HCONV_FILL_RANDOM, 3);
    for (int threads : {1, 2, 5}) {
        Services services;
        hconv_context_options options = services.options();
        options.num_threads = threads;
        Bound b(GetParam(), p, options, data.data());
        if (b.status == HCONV_UNSUPPORTED) GTEST_SKIP() << b.why.text;
        ASSERT_EQ(b.status, HCONV_OK) << b.why.text;
        EXPECT_TRUE(hconv::test::allocations() > 0 || !hconv::test::malloc_is_counted());
        Aligned workspace(b.info.workspace_bytes);
        std::vector<float> y = b.room();
        std::vector<void *> outputs;
        float *at = y.data();
        for (size_t f : b.output_floats) outputs.push_back(at), at += f;
        hconv_run_args args{};
        args.struct_size = sizeof args;
        args.input_count = b.inputs, args.output_count = int(outputs.size());
        args.inputs = reinterpret_cast<const void *const *>(data.data()), args.outputs = outputs.data();
        args.packed = b.packed[0].at();
        args.workspace = workspace.at(), args.workspace_bytes = b.info.workspace_bytes;
        for (int again = 0; again < 2; ++again) {
            const int calls = services.calls;
            const long before = hconv::test::allocations();
            ASSERT_EQ(hconv_run(b.plan.get(), &args), HCONV_OK);
            EXPECT_EQ(hconv::test::allocations(), before) << threads << " threads";
            EXPECT_EQ(services.calls, calls);
        }
    }
}

// Which outputs depend on one pixel of the first input: the reference's move when it does, one way or the other. Activations
// hide nothing: there are none.
std::vector<bool> dependent(Problem p, const float *const *data, const std::vector<float> &up,
                            const std::vector<float> &down) {
    std::vector<bool> moves;
    std::map<std::string, hconv::reference::View> given, views;
    std::vector<hconv_tensor> tensors = p.tensors();
    for (size_t i = 0; i < tensors.size(); ++i)
        if (data[i]) given[tensors[i].name] = {data[i], hconv::reference::public_shape(p, tensors[i])};
    p.activation = p.mid_activation = HCONV_LINEAR;
    for (const hconv_tensor &t : p.tensors())
        if (given.count(t.name)) views[t.name] = given[t.name];
    const auto base = hconv::reference::compute(p, views);
    for (const std::vector<float> *x : {&up, &down}) {
        views[tensors[0].name].data = x->data();
        const auto moved = hconv::reference::compute(p, views);
        size_t at = 0;
        for (size_t o = 0; o < base.size(); ++o)
            for (size_t i = 0; i < base[o].value.size(); ++i, ++at) {
                if (moves.size() == at) moves.push_back(false);
                if (base[o].value[i] != moved[o].value[i]) moves[at] = true;
            }
    }
    return moves;
}

size_t extent_of(const hconv_tensor &t, char letter) {
    const char *found = std::strchr(t.letters, letter);
    return found ? size_t(t.extent[found - t.letters]) : size_t(1);
}

// All channels of the pixel in the middle of the last map.
std::vector<float> with_pixel(const Problem &p, const float *x, float value) {
    const hconv_tensor t = p.tensors()[0];
    const size_t c = extent_of(t, 'c'), h = extent_of(t, 'h'), w = extent_of(t, 'w');
    const size_t pixel = h / 2 * w + w / 2, last = hconv_tensor_elements(&t) - c * h * w;
    std::vector<float> changed(x, x + hconv_tensor_elements(&t));
    for (size_t i = 0; i < c; ++i) changed[last + (p.nchw() ? i * h * w + pixel : pixel * c + i)] = value;
    return changed;
}

// A weight of 0 reads what it multiplies: here none is.
std::vector<std::vector<float>> without_zeros(const Problem &p, const float *const *data) {
    std::vector<std::vector<float>> values;
    const std::vector<hconv_tensor> tensors = p.tensors();
    for (size_t i = 0; i < tensors.size(); ++i) {
        values.emplace_back();
        if (!data[i]) continue;
        values.back().assign(data[i], data[i] + hconv_tensor_elements(&tensors[i]));
        if (tensors[i].role == HCONV_PARAMETER) std::replace(values.back().begin(), values.back().end(), 0.0f, 0.25f);
    }
    return values;
}

// Minimal filtering makes every output of a tile from all that the tile reads. A tile that reads the pixel has an output that
// depends on it, so what it may change lies less than a tile from that one: 4 outputs, of one grid of a dilated window or of one
// phase of a transposed one. There F(2,2) makes every output of those inputs alone that it depends on.
std::vector<bool> with_tiles(const Problem &p, const std::string &schedule, const std::vector<bool> &depends) {
    const bool phases = p.family() == "transposed";
    if (phases && schedule.find("m=4") == std::string::npos) return depends;
    const int reach_h = 3 * (phases ? p.stride_h : p.dilation_h), reach_w = 3 * (phases ? p.stride_w : p.dilation_w);
    const hconv_tensor out = p.tensors().back();
    const int channels = int(extent_of(out, 'c')), rows = int(extent_of(out, 'h')), columns = int(extent_of(out, 'w'));
    auto index = [&](int n, int y, int x, int c) {
        return size_t(p.nchw() ? ((int64_t(n) * channels + c) * rows + y) * columns + x
                               : ((int64_t(n) * rows + y) * columns + x) * channels + c);
    };
    std::vector<bool> wide(depends.size());
    for (int n = 0; n < p.n; ++n)
        for (int y = 0; y < rows; ++y)
            for (int x = 0; x < columns; ++x)
                for (int c = 0; c < channels; ++c)
                    for (int v = std::max(y - reach_h, 0); depends[index(n, y, x, c)] && v <= std::min(y + reach_h, rows - 1); ++v)
                        for (int u = std::max(x - reach_w, 0); u <= std::min(x + reach_w, columns - 1); ++u)
                            wide[index(n, v, u, c)] = true;
    return wide;
}

TEST_P(InProgram, WhatAnOutputDoesNotReadDoesNotMatter) {
    const Problem p = sized(GetParam());
    const hconv::reference::Judge judge(p, HCONV_FILL_RANDOM, 3);
    const std::vector<std::vector<float>> values = without_zeros(p, judge.data());
    std::vector<const float *> data;
    for (const std::vector<float> &v : values) data.push_back(v.empty() ? nullptr : v.data());
    Bound b(GetParam(), p, with_threads(1), data.data());
    if (b.status == HCONV_UNSUPPORTED) GTEST_SKIP() << b.why.text;
    ASSERT_EQ(b.status, HCONV_OK) << b.why.text;
    std::vector<bool> depends = dependent(p, data.data(), with_pixel(p, data[0], 1e4f), with_pixel(p, data[0], -1e4f));
    if (std::strstr(GetParam()->schedule, "winograd/")) depends = with_tiles(p, GetParam()->schedule, depends);
    std::vector<float> base = b.room();
    ASSERT_EQ(b.run(data.data(), base, nullptr), HCONV_OK);
    ASSERT_EQ(base.size(), depends.size());
    const float infinity = std::numeric_limits<float>::infinity();
    for (float odd : {std::numeric_limits<float>::quiet_NaN(), infinity, -infinity}) {
        const std::vector<float> x = with_pixel(p, values[0].data(), odd);
        std::vector<float> y = b.room();
        data[0] = x.data();
        ASSERT_EQ(b.run(data.data(), y, nullptr), HCONV_OK);
        size_t differ = 0;
        for (size_t i = 0; i < y.size(); ++i) differ += !depends[i] && std::memcmp(&y[i], &base[i], sizeof(float)) != 0;
        EXPECT_EQ(differ, 0u) << p.text() << ": outputs that do not read the pixel changed when it was " << odd;
    }
}

#if defined(__x86_64__)
// Rounding, flushing and masks of exceptions; the sticky flags of what happened (the lowest six bits) may come up.
TEST_P(InProgram, TheFloatingPointUnitIsLeftAsItWas) {
    const Problem p = sized(GetParam());
    const hconv::reference::Judge data(p, HCONV_FILL_RANDOM, 3);
    Bound b(GetParam(), p, with_threads(2), data.data());
    if (b.status == HCONV_UNSUPPORTED) GTEST_SKIP() << b.why.text;
    std::vector<float> y = b.room();
    Aligned workspace(b.info.workspace_bytes);
    const unsigned before = _mm_getcsr();
    for (unsigned state : {0x1f80u, 0x1f80u | 0x8040u /* flush, denormals are zero */, 0x1f80u | 0x2000u /* down */}) {
        _mm_setcsr(state);
        const hconv_status status = b.run(data.data(), y, workspace.at());
        const unsigned after = _mm_getcsr();
        _mm_setcsr(before);
        EXPECT_EQ(status, HCONV_OK);
        EXPECT_EQ(after & ~0x3fu, state);
    }
}
#endif

std::vector<const hconv_kernel *> all_kernels() {
    std::vector<const hconv_kernel *> kernels;
    for (uint32_t k = 0; k < hconv_library_conformance.kernel_count; ++k)
        kernels.push_back(&hconv_library_conformance.kernels[k]);
    return kernels;
}

std::string name_of(const testing::TestParamInfo<const hconv_kernel *> &info) {
    const std::string symbol = info.param->symbol;
    return symbol.substr(symbol.find("__") + 2);
}

INSTANTIATE_TEST_SUITE_P(Kernels, InProgram, testing::ValuesIn(all_kernels()), name_of);

// y[i][j] = w x[63 i][63 j] + b over a map of 2^31 - 65536 bytes, of which few pages are touched.
TEST(Big, MapsOfAlmostTwoGigabytes) {
    int tried = 0;
    for (const hconv_kernel *kernel : all_kernels()) {
        if (std::string(kernel->problem).rfind("pointwise_ci1_h?_co1_s63", 0) != 0) continue;
        Problem p = Problem::parse(kernel->problem);
        p.h = 16384, p.w = 32767;
        const float weight = 3, bias = 1;
        const float *const data[] = {nullptr, &weight, &bias, nullptr};
        Bound b(kernel, p, with_threads(2), data);
        if (b.status == HCONV_UNSUPPORTED) continue;
        ASSERT_EQ(b.status, HCONV_OK) << b.why.text;
        Pages x(size_t(p.h) * size_t(p.w) * sizeof(float));
        const int oh = (p.h - 1) / 63 + 1, ow = (p.w - 1) / 63 + 1;
        const int64_t last = int64_t(63 * (oh - 1)) * p.w + 63 * (ow - 1);
        x.floats()[0] = 2, x.floats()[last] = 5;
        const float *const inputs[] = {x.floats()};
        std::vector<float> y = b.room(), want(size_t(oh) * size_t(ow), 1.0f);
        want.front() = 7, want.back() = 16;
        ASSERT_EQ(b.run(inputs, y, nullptr), HCONV_OK);
        EXPECT_EQ(y, want) << kernel->symbol;
        ++tried;
        p.w = 32768;
        hconv_plan *plan = nullptr;
        Why why;
        EXPECT_EQ(hconv_plan_create(b.ctx.get(), &p, &plan, why.text, sizeof why.text), HCONV_INVALID_ARGUMENT);
        EXPECT_SAYS(why, "under 2^31 bytes");
    }
    EXPECT_GE(tried, 1);
}

} // namespace
