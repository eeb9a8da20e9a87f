// identities.cpp - laws that tie variants together, through the public API on emitted kernels; no reference takes part.
// SPDX-License-Identifier: MIT
// Data are integers of at most 4, so sums are exact and "=" means number for number; where a softmax or a wavelet's taps come
// in, the tolerance is derived beside the law. Maps are nchw.
#include "identities.h"

#include <gtest/gtest.h>

#include <cmath>
#include <cstdlib>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

namespace {

using Values = std::vector<float>;
using Tensors = std::map<std::string, Values>;
struct Size {
    int h, w;
};
const Size kSizes[] = {{1, 1}, {2, 5}, {7, 9}, {16, 17}, {23, 8}};

constexpr double kUnit = 0x1p-24;

// Integers in -4 .. 4, another stream a seed.
Values integers(size_t count, uint32_t seed) {
    Values v(count);
    uint32_t state = seed * 2654435761u + 12345;
    for (float &x : v) state = state * 1664525u + 1013904223u, x = float(int(state >> 16) % 9 - 4);
    return v;
}

Values part(const Values &v, size_t at, size_t count) { return {v.begin() + long(at), v.begin() + long(at + count)}; }
void append(Values &to, const Values &v) { to.insert(to.end(), v.begin(), v.end()); }

std::string with_sizes(std::string problem, Size s, int n = 1) {
    auto put = [&](const std::string &open, const std::string &value) {
        const size_t at = problem.find(open);
        if (at != std::string::npos) problem.replace(at, open.size(), value);
    };
    put("n?", "n" + std::to_string(n)), put("h?", "h" + std::to_string(s.h)), put("w?", "w" + std::to_string(s.w));
    return problem;
}

using Plan = std::unique_ptr<hconv_plan, decltype(&hconv_plan_destroy)>;

hconv_context *context() {
    static const std::unique_ptr<hconv_context, decltype(&hconv_context_destroy)> made = [] {
        hconv_context *c = nullptr;
        EXPECT_EQ(hconv_context_create(nullptr, &c, nullptr, 0), HCONV_OK);
        EXPECT_EQ(hconv_context_add_library(c, &hconv_library_identities), HCONV_OK);
        return std::unique_ptr<hconv_context, decltype(&hconv_context_destroy)>(c, hconv_context_destroy);
    }();
    return made.get();
}

// One run: what is given by name, zeros for what is not (optional tensors are left out), all outputs by name.
Tensors run(const std::string &text, const Tensors &given) {
    char why[HCONV_WHY_BYTES] = "";
    hconv_problem problem;
    hconv_plan *raw = nullptr;
    hconv_plan_info info = {};
    info.struct_size = sizeof info;
    Tensors zeros, made;
    std::vector<const void *> inputs;
    std::vector<void *> outputs;
    std::vector<hconv_parameter> parameters;
    EXPECT_EQ(hconv_problem_parse(text.c_str(), &problem, why, sizeof why), HCONV_OK) << text << ": " << why;
    EXPECT_EQ(hconv_plan_create(context(), &problem, &raw, why, sizeof why), HCONV_OK) << text << ": " << why;
    if (!raw) return made;
    Plan plan(raw, hconv_plan_destroy);
    EXPECT_EQ(hconv_plan_describe(raw, &info), HCONV_OK);
    size_t used = 0;
    for (int i = 0; i < info.tensor_count; ++i) {
        hconv_tensor_info t = {};
        t.struct_size = sizeof t;
        EXPECT_EQ(hconv_plan_tensor(raw, i, &t), HCONV_OK);
        const auto found = given.find(t.name);
        if (t.role == HCONV_OUTPUT) {
            made[t.name].assign(t.bytes / sizeof(float), NAN);
            outputs.push_back(made[t.name].data());
            continue;
        }
        if (found == given.end() && t.optional) continue;
        const Values &values = found == given.end() ? zeros[t.name] = Values(t.bytes / sizeof(float)) : found->second;
        used += found != given.end();
        EXPECT_EQ(values.size() * sizeof(float), t.bytes) << text << ": " << t.name;
        if (t.role == HCONV_INPUT) inputs.push_back(values.data());
        else parameters.push_back({t.name, values.data(), t.bytes});
    }
    EXPECT_EQ(used, given.size()) << text << " has not all of the tensors given";
    std::unique_ptr<void, decltype(&std::free)> packed(std::aligned_alloc(64, info.packed_bytes / 64 * 64 + 64), std::free);
    EXPECT_EQ(hconv_pack(raw, parameters.data(), int(parameters.size()), packed.get(), info.packed_bytes, why, sizeof why), HCONV_OK)
        << text << ": " << why;
    hconv_run_args args = {};
    args.struct_size = sizeof args;
    args.input_count = int(inputs.size()), args.inputs = inputs.data();
    args.output_count = int(outputs.size()), args.outputs = outputs.data();
    args.packed = packed.get();
    EXPECT_EQ(hconv_run(raw, &args), HCONV_OK) << text;
    return made;
}

Values y_of(const std::string &text, const Tensors &given) {
    Tensors made = run(text, given);
    return made.count("y") ? made["y"] : made["y_h"];
}

size_t area(Size s) { return size_t(s.h) * size_t(s.w); }

const char kDense[] = "conv2d_ci4_h?_w?_co6_k3_p1_nchw";

TEST(Identities, GroupedIsDenseSideBySide) {
    const Values w = integers(12 * 4 * 9, 1), b = integers(12, 2);
    for (Size s : kSizes) {
        const Values x = integers(8 * area(s), 3);
        Values want;
        for (size_t g = 0; g < 2; ++g)
            append(want, y_of(with_sizes(kDense, s), {{"x", part(x, g * 4 * area(s), 4 * area(s))},
                                                      {"weight", part(w, g * 6 * 36, 6 * 36)},
                                                      {"bias", part(b, g * 6, 6)}}));
        EXPECT_EQ(y_of(with_sizes("grouped_ci8_h?_w?_co12_k3_p1_g2_nchw", s), {{"x", x}, {"weight", w}, {"bias", b}}), want);
    }
}

TEST(Identities, DilatedIsDenseWithAZeroStuffedWindow) {
    const Values w = integers(24 * 9, 1), b = integers(6, 2);
    Values stuffed(24 * 25);
    for (size_t i = 0; i < 24; ++i)
        for (size_t u = 0; u < 3; ++u)
            for (size_t v = 0; v < 3; ++v) stuffed[i * 25 + 10 * u + 2 * v] = w[i * 9 + 3 * u + v];
    for (Size s : kSizes) {
        const Values x = integers(4 * area(s), 3);
        EXPECT_EQ(y_of(with_sizes("dilated_ci4_h?_w?_co6_k3_d2_p2_nchw", s), {{"x", x}, {"weight", w}, {"bias", b}}),
                  y_of(with_sizes("conv2d_ci4_h?_w?_co6_k5_p2_nchw", s), {{"x", x}, {"weight", stuffed}, {"bias", b}}));
    }
}

// y = W x + b a pixel; linear does the same to rows of pixels.
// Minimal filtering rounds otherwise than the direct sum. Its sums hold at most 83.6 times the magnitudes of F(4,3)'s direct
// sum over inputs of at most 4 (rows of |A^T| |G| |B^T| add up to 9.14 on an axis, 3 in a window), weights of at most 4, in
// ci + 20 roundings and a bias.
TEST(Identities, MinimalFilteringIsTheDirectSum) {
    const size_t ci = 32, co = 24;
    const double magnitude = 83.6 * 9 * double(ci) * 4 * 4 + 4, most = 1.01 * (double(ci) + 22) * kUnit * magnitude;
    const Values w = integers(co * ci * 9, 1), b = integers(co, 2);
    for (const std::string problem : {"conv2d_n?_ci32_h?_w?_co24_k3_p1_nchw", "dilated_n?_ci32_h?_w?_co24_k3_d2_p2_nchw"})
        for (Size s : kSizes) {
            const Tensors given{{"x", integers(2 * ci * area(s), 3)}, {"weight", w}, {"bias", b}};
            const Values direct = y_of(with_sizes(problem, s, 2), given), fast = y_of(with_sizes(problem + "_fast", s, 2), given);
            ASSERT_EQ(fast.size(), direct.size());
            for (size_t i = 0; i < fast.size(); ++i) ASSERT_NEAR(fast[i], direct[i], most) << problem << " " << s.h << " " << s.w;
        }
}

TEST(Identities, PointwiseAndLinearAreAMatrixProduct) {
    const Values w = integers(6 * 4, 1), b = integers(6, 2);
    for (Size s : kSizes) {
        const size_t pixels = area(s);
        const Values x = integers(2 * 4 * pixels, 3);
        Values want(2 * 6 * pixels), rows(2 * 4 * pixels), products(2 * 6 * pixels);
        for (size_t n = 0; n < 2; ++n)
            for (size_t i = 0; i < pixels; ++i) {
                for (size_t c = 0; c < 4; ++c) rows[(n * pixels + i) * 4 + c] = x[(n * 4 + c) * pixels + i];
                for (size_t o = 0; o < 6; ++o) {
                    float sum = b[o];
                    for (size_t c = 0; c < 4; ++c) sum += w[o * 4 + c] * x[(n * 4 + c) * pixels + i];
                    want[(n * 6 + o) * pixels + i] = products[(n * pixels + i) * 6 + o] = sum;
                }
            }
        EXPECT_EQ(y_of(with_sizes("pointwise_n?_ci4_h?_w?_co6_nchw", s, 2), {{"x", x}, {"weight", w}, {"bias", b}}), want);
        EXPECT_EQ(y_of("linear_n" + std::to_string(2 * pixels) + "_ci4_co6", {{"x", rows}, {"weight", w}, {"bias", b}}), products);
    }
}

// Depthwise is grouped with g = ci: each channel alone.
TEST(Identities, DepthwiseIsEveryChannelAlone) {
    const Values w = integers(4 * 9, 1), b = integers(4, 2);
    for (Size s : kSizes) {
        const Values x = integers(4 * area(s), 3);
        Values want;
        for (size_t c = 0; c < 4; ++c)
            append(want, y_of(with_sizes("conv2d_ci1_h?_w?_co1_k3_p1_nchw", s),
                              {{"x", part(x, c * area(s), area(s))}, {"weight", part(w, c * 9, 9)}, {"bias", {b[c]}}}));
        EXPECT_EQ(y_of(with_sizes("depthwise_ci4_h?_w?_k3_p1_nchw", s), {{"x", x}, {"weight", w}, {"bias", b}}), want);
    }
}

Values outer_products(const Values &column, const Values &row) {
    Values window(4 * 15);
    for (size_t c = 0; c < 4; ++c)
        for (size_t u = 0; u < 3; ++u)
            for (size_t v = 0; v < 5; ++v)
                for (size_t e = 2 * c; e < 2 * c + 2; ++e) window[c * 15 + u * 5 + v] += column[e * 3 + u] * row[e * 5 + v];
    return window;
}

TEST(Identities, RowcolIsTheOuterProductWindow) {
    const Values column = integers(8 * 3, 1), row = integers(8 * 5, 2), b = integers(4, 3);
    for (Size s : kSizes) {
        const Values x = integers(4 * area(s), 4);
        EXPECT_EQ(y_of(with_sizes("rowcol_ci4_h?_w?_kh3_kw5_ph1_pw2_r2_nchw", s),
                       {{"x", x}, {"col.weight", column}, {"row.weight", row}, {"bias", b}}),
                  y_of(with_sizes("depthwise_ci4_h?_w?_kh3_kw5_ph1_pw2_nchw", s),
                       {{"x", x}, {"weight", outer_products(column, row)}, {"bias", b}}));
    }
}

double dot(const Values &a, const Values &b) {
    double sum = 0;
    EXPECT_EQ(a.size(), b.size());
    for (size_t i = 0; i < a.size(); ++i) sum += double(a[i]) * double(b[i]);
    return sum;
}

// <conv(x), z> = <x, transposed(z)> for one weight [6, 4, 3, 3]: outputs of the one are inputs of the other.
TEST(Identities, TransposedIsTheAdjoint) {
    const Values w = integers(24 * 9, 1);
    for (Size s : kSizes) {
        const Values x = integers(4 * area(s), 2), z = integers(6 * area(s), 3);
        EXPECT_EQ(dot(y_of(with_sizes(kDense, s), {{"x", x}, {"weight", w}}), z),
                  dot(x, y_of(with_sizes("transposed_ci6_h?_w?_co4_k3_p1_nchw", s), {{"x", z}, {"weight", w}})));
    }
    const Values x = integers(4 * 9 * 11, 2), z = integers(6 * 5 * 6, 3);
    EXPECT_EQ(dot(y_of("conv2d_ci4_h9_w11_co6_k3_s2_p1_nchw", {{"x", x}, {"weight", w}}), z),
              dot(x, y_of("transposed_ci6_h5_w6_co4_k3_s2_p1_nchw", {{"x", z}, {"weight", w}})));
}

// The article's bias is added by the one path there is.
TEST(Identities, OctaveWithNoLowChannelsIsDense) {
    const Values w = integers(24 * 9, 1), b = integers(6, 2);
    for (Size s : kSizes) {
        const Values x = integers(4 * area(s), 3);
        const Values want = y_of(with_sizes(kDense, s), {{"x", x}, {"weight", w}, {"bias", b}});
        EXPECT_EQ(y_of(with_sizes("octave_ci4_h?_w?_co6_k3_p1_nchw", s), {{"x_h", x}, {"weights", w}, {"bias", b}}), want);
        for (const char *dialect : {"octave_ci4_h?_w?_co6_k3_p1_fb_nchw", "octave_ci4_h?_w?_co6_k3_p1_dli_nchw"})
            EXPECT_EQ(y_of(with_sizes(dialect, s), {{"x_h", x}, {"conv_h2h.weight", w}, {"conv_h2h.bias", b}}), want);
    }
}

// W[o, c, dy, dx] = w[o, (dx b + dy) C + c]
Values block_window(const Values &w, size_t b) {
    Values window(w.size());
    for (size_t o = 0; o < 5; ++o)
        for (size_t c = 0; c < 3; ++c)
            for (size_t dy = 0; dy < b; ++dy)
                for (size_t dx = 0; dx < b; ++dx)
                    window[((o * 3 + c) * b + dy) * b + dx] = w[o * 3 * b * b + (dx * b + dy) * 3 + c];
    return window;
}

TEST(Identities, SpdAndAPointwiseAreADenseBlock) {
    for (int b : {2, 3}) {
        const Values w = integers(size_t(15 * b * b), 1), bias = integers(5, 2);
        const std::string block = std::to_string(b);
        for (Size tiles : kSizes) {
            const Size s{tiles.h * b, tiles.w * b};
            const Values x = integers(3 * area(s), 3);
            EXPECT_EQ(y_of(with_sizes("spd_ci3_h?_w?_co5_k1_b" + block + "_nchw", s), {{"x", x}, {"weight", w}, {"bias", bias}}),
                      y_of(with_sizes("conv2d_ci3_h?_w?_co5_k" + block + "_s" + block + "_nchw", s),
                           {{"x", x}, {"weight", block_window(w, size_t(b))}, {"bias", bias}}));
        }
    }
}

TEST(Identities, DepthwiseSeparableIsDepthwiseThenPointwise) {
    const Values d = integers(4 * 9, 1), db = integers(4, 2), p = integers(24, 3), pb = integers(6, 4);
    for (Size s : kSizes) {
        const Values x = integers(4 * area(s), 5);
        const Values z = y_of(with_sizes("depthwise_ci4_h?_w?_k3_p1_nchw", s), {{"x", x}, {"weight", d}, {"bias", db}});
        EXPECT_EQ(y_of(with_sizes("depthwise_separable_ci4_h?_w?_co6_k3_p1_nchw", s),
                       {{"x", x}, {"depthwise_conv.weight", d}, {"depthwise_conv.bias", db}, {"pointwise_conv.weight", p},
                        {"pointwise_conv.bias", pb}}),
                  y_of(with_sizes("pointwise_n?_ci4_h?_w?_co6_nchw", s), {{"x", z}, {"weight", p}, {"bias", pb}}));
    }
}

// Windows that pass their sub-band on, the low one only at the deepest level (above, it comes back from below).
Tensors passing(size_t channels, size_t bands, size_t window, size_t center, size_t levels) {
    Tensors t;
    for (size_t level = 0; level < levels; ++level) {
        Values weight(channels * bands * window), scale(channels * bands, 1.0f);
        for (size_t i = 0; i < channels * bands; ++i) weight[i * window + center] = 1;
        for (size_t c = 0; c < channels && level + 1 < levels; ++c) scale[c * bands] = 0;
        t["wavelet_convs." + std::to_string(level) + ".weight"] = weight;
        t["wavelet_scale." + std::to_string(level) + ".weight"] = scale;
    }
    return t;
}

// IWT(WT(x)) = x: taps are wrong by 2^-24 relative, and a level multiplies four of them and adds what cancels exactly; the
// taps of these three sum to less than 2 in magnitude. Longer wavelets: as far from the border as they are long.
void expect_identity(const std::string &text, Size s, size_t channels, Tensors given, int border, double tolerance) {
    const Values x = integers(channels * area(s), 7);
    given["x"] = x;
    const Values y = y_of(text, given);
    ASSERT_EQ(y.size(), x.size()) << text;
    for (size_t c = 0; c < channels; ++c)
        for (int i = border; i < s.h - border; ++i)
            for (int j = border; j < s.w - border; ++j) {
                const size_t at = (c * size_t(s.h) + size_t(i)) * size_t(s.w) + size_t(j);
                ASSERT_NEAR(y[at], x[at], tolerance) << text << " at " << c << ", " << i << ", " << j;
            }
}

TEST(Identities, WtconvThatPassesItsBandsOnIsTheIdentity) {
    constexpr double near = 4 * 0x1p-22; // |x| <= 4
    for (Size s : kSizes) {
        expect_identity(with_sizes("wtconv_ci2_h?_w?_k3_lev2_nchw", s), s, 2, passing(2, 4, 9, 4, 2), 0, 2 * near);
        expect_identity(with_sizes("wtconv_ci2_h?_w?_k5_lev3_bior11_nchw", s), s, 2, passing(2, 4, 25, 12, 3), 0, 3 * near);
        expect_identity(with_sizes("wtconv_ci2_h?_w?_k3_lev2_bior13_nchw", s), s, 2, passing(2, 4, 9, 4, 2), 0, 2 * near);
    }
    const Size wide{31, 34};
    expect_identity(with_sizes("wtconv_ci2_h?_w?_k3_db4_nchw", wide), wide, 2, passing(2, 4, 9, 4, 1), 8, 4 * near);
    expect_identity(with_sizes("wtconv_ci2_h?_w?_k3_bior22_nchw", wide), wide, 2, passing(2, 4, 9, 4, 1), 6, 4 * near);
    for (int w : {1, 2, 5, 17, 32})
        expect_identity("wtconv1d_ci3_w" + std::to_string(w) + "_k3_lev2", {1, w}, 3, passing(3, 2, 3, 1, 2), 0, 2 * near);
}

TEST(Identities, CondconvWithOneExpertRoutedIsThatExpert) {
    const Values w = integers(4 * 24 * 9, 1), b = integers(4 * 6, 2);
    for (Size s : kSizes) {
        const Values x = integers(4 * 4 * area(s), 3); // a sample an expert
        Values routing(16), want;
        for (size_t n = 0; n < 4; ++n) {
            routing[n * 4 + 3 - n] = 1;
            append(want, y_of(with_sizes(kDense, s), {{"x", part(x, n * 4 * area(s), 4 * area(s))},
                                                      {"weight", part(w, (3 - n) * 216, 216)},
                                                      {"bias", part(b, (3 - n) * 6, 6)}}));
        }
        EXPECT_EQ(y_of(with_sizes("condconv_n?_ci4_h?_w?_co6_k3_p1_routed_nchw", s, 4),
                       {{"x", x}, {"routing", routing}, {"weight", w}, {"bias", b}}), want);
    }
}

TEST(Identities, CondconvIsLinearInItsRouting) {
    const Values w = integers(4 * 24 * 9, 1), b = integers(4 * 6, 2), r = integers(8, 4), q = integers(8, 5);
    for (Size s : kSizes) {
        const Values x = integers(2 * 4 * area(s), 3);
        auto y = [&](const Values &routing) {
            return y_of(with_sizes("condconv_n?_ci4_h?_w?_co6_k3_p1_routed_nchw", s, 2),
                        {{"x", x}, {"routing", routing}, {"weight", w}, {"bias", b}});
        };
        Values both(8);
        for (size_t i = 0; i < 8; ++i) both[i] = 2 * r[i] - q[i];
        const Values yr = y(r), yq = y(q), got = y(both);
        for (size_t i = 0; i < got.size(); ++i) ASSERT_EQ(got[i], 2 * yr[i] - yq[i]) << i;
    }
}

// A softmax sums to 1 within K + 10 units; times the weights, then 36 terms of at most 16 and a bias in any order.
constexpr double kSoftmaxTolerance = (4 + 10 + 37) * kUnit * (36 * 16 + 4);

void expect_near(const Values &got, const Values &want, double tolerance) {
    ASSERT_EQ(got.size(), want.size());
    for (size_t i = 0; i < got.size(); ++i) ASSERT_NEAR(got[i], want[i], tolerance) << i;
}

Values four_times(const Values &v) {
    Values all;
    for (int i = 0; i < 4; ++i) append(all, v);
    return all;
}

TEST(Identities, DynamicconvOfEqualExpertsIgnoresItsAttention) {
    const Values w = integers(24 * 9, 1), b = integers(6, 2);
    for (Size s : kSizes) {
        const Values x = integers(4 * area(s), 3);
        const Values want = y_of(with_sizes(kDense, s), {{"x", x}, {"weight", w}, {"bias", b}});
        for (uint32_t seed : {4, 5})
            expect_near(y_of(with_sizes("dynamicconv_n?_ci4_h?_w?_co6_k3_p1_nchw", s),
                             {{"x", x}, {"weight", four_times(w)}, {"bias", four_times(b)},
                              {"attention.fc1.weight", integers(2 * 4, seed)}, {"attention.fc2.weight", integers(4 * 2, seed + 10)},
                              {"attention.fc2.bias", integers(4, seed + 20)}}), want, kSoftmaxTolerance);
    }
}

// Biases of 100 make the sigmoids 1 to the last bit.
TEST(Identities, OdconvOfEqualKernelsWithItsOtherAttentionsOneIsDense) {
    const Values w = integers(24 * 9, 1);
    for (Size s : kSizes) {
        const Values x = integers(4 * area(s), 3);
        expect_near(y_of(with_sizes("odconv_n?_ci4_h?_w?_co6_k3_p1_nchw", s),
                         {{"x", x}, {"weight", four_times(w)}, {"attention.fc.weight", integers(16 * 4, 4)},
                          {"attention.bn.weight", Values(16, 1)}, {"attention.bn.running_var", Values(16, 1)},
                          {"attention.channel_fc.bias", Values(4, 100)}, {"attention.filter_fc.bias", Values(6, 100)},
                          {"attention.spatial_fc.bias", Values(9, 100)}, {"attention.kernel_fc.weight", integers(4 * 16, 5)},
                          {"attention.kernel_fc.bias", integers(4, 6)}}),
                    y_of(with_sizes(kDense, s), {{"x", x}, {"weight", w}}), kSoftmaxTolerance);
    }
}

// A variant that is linear in its input maps, on one size: its parameters (no bias), and what else it is given.
struct Linear {
    std::string text;
    int ci, co, h, w; // of x and y, where the maps are no pair
    Tensors parameters;
    int step, out_step; // a shift of x by step pixels shifts y by out_step
    double tolerance;   // of |y|: 0 where every sum is exact
};

std::vector<Linear> linear_kernels() {
    const Size s{24, 24};
    const Values w3 = integers(24 * 9, 1);
    Tensors wavelets = passing(2, 4, 9, 4, 2);
    for (auto &[name, values] : wavelets) values = integers(values.size(), 9);
    wavelets["base_conv.weight"] = integers(2 * 9, 10), wavelets["base_scale.weight"] = integers(2, 11);
    auto on = [&](const char *text) { return with_sizes(text, s); };
    return {
        {on(kDense), 4, 6, 24, 24, {{"weight", w3}}, 1, 1, 0},
        {on("grouped_ci8_h?_w?_co12_k3_p1_g2_nchw"), 8, 12, 24, 24, {{"weight", integers(12 * 36, 2)}}, 1, 1, 0},
        {on("dilated_ci4_h?_w?_co6_k3_d2_p2_nchw"), 4, 6, 24, 24, {{"weight", w3}}, 1, 1, 0},
        {on("depthwise_ci4_h?_w?_k3_p1_nchw"), 4, 4, 24, 24, {{"weight", integers(36, 3)}}, 1, 1, 0},
        {on("pointwise_n?_ci4_h?_w?_co6_nchw"), 4, 6, 24, 24, {{"weight", integers(24, 4)}}, 1, 1, 0},
        {on("rowcol_ci4_h?_w?_kh3_kw5_ph1_pw2_r2_nchw"), 4, 4, 24, 24,
         {{"col.weight", integers(24, 5)}, {"row.weight", integers(40, 6)}}, 1, 1, 0},
        {on("transposed_ci6_h?_w?_co4_k3_p1_nchw"), 6, 4, 24, 24, {{"weight", w3}}, 1, 1, 0},
        {on("spd_ci3_h?_w?_co5_k1_nchw"), 3, 5, 24, 24, {{"weight", integers(60, 7)}}, 2, 1, 0},
        {on("depthwise_separable_ci4_h?_w?_co6_k3_p1_nchw"), 4, 6, 24, 24,
         {{"depthwise_conv.weight", integers(36, 3)}, {"pointwise_conv.weight", integers(24, 4)}}, 1, 1, 0},
        {on("condconv_n?_ci4_h?_w?_co6_k3_p1_routed_nchw"), 4, 6, 24, 24,
         {{"weight", integers(4 * 216, 8)}, {"routing", {1, -2, 3, 1}}}, 1, 1, 0},
        // Two levels of four taps a row and column, then 9: fewer than 2 (2 (8 + 8) + 9) roundings of sums below 2^12.
        {on("wtconv_ci2_h?_w?_k3_lev2_nchw"), 2, 2, 24, 24, wavelets, 4, 4, 100 * kUnit * 0x1p12},
    };
}

Values y_of(const Linear &l, const Values &x) {
    Tensors given = l.parameters;
    given["x"] = x;
    return y_of(l.text, given);
}

TEST(Identities, Linearity) {
    for (const Linear &l : linear_kernels()) {
        const size_t count = size_t(l.ci * l.h * l.w);
        const Values a = integers(count, 21), b = integers(count, 22);
        Values mixed(count);
        for (size_t i = 0; i < count; ++i) mixed[i] = 3 * a[i] - 2 * b[i];
        const Values ya = y_of(l, a), yb = y_of(l, b), got = y_of(l, mixed);
        for (size_t i = 0; i < got.size(); ++i) ASSERT_NEAR(got[i], 3 * ya[i] - 2 * yb[i], 6 * l.tolerance) << l.text << " " << i;
    }
}

// x = 1 in one place of one channel, (i, j), else 0.
Values impulse(const Linear &l, int c, int i, int j) {
    Values x(size_t(l.ci * l.h * l.w));
    x[size_t((c * l.h + i) * l.w + j)] = 1;
    return x;
}

// What a pixel in the middle does, its neighbour does one further.
TEST(Identities, Shift) {
    for (const Linear &l : linear_kernels())
        for (int c = 0; c < l.ci; ++c) {
            const Values here = y_of(l, impulse(l, c, 12, 8)), there = y_of(l, impulse(l, c, 12, 8 + l.step));
            const int oh = l.h / l.step * l.out_step, ow = l.w / l.step * l.out_step;
            ASSERT_EQ(here.size(), size_t(l.co * oh * ow)) << l.text;
            for (int o = 0; o < l.co * oh; ++o)
                for (int j = 0; j + l.out_step < ow; ++j)
                    ASSERT_NEAR(there[size_t(o * ow + j + l.out_step)], here[size_t(o * ow + j)], l.tolerance) << l.text;
        }
}

using Window = std::function<float(int o, int c, int u, int v)>; // taps from -2 to 2 around the middle, 0 outside the window

void expect_window(const Linear &l, const Window &window) {
    for (int c = 0; c < l.ci; ++c) {
        const Values y = y_of(l, impulse(l, c, 11, 12));
        for (int o = 0; o < l.co; ++o)
            for (int i = 0; i < l.h; ++i)
                for (int j = 0; j < l.w; ++j) {
                    const int u = 11 - i, v = 12 - j;
                    const float want = std::abs(u) <= 2 && std::abs(v) <= 2 ? window(o, c, u, v) : 0;
                    ASSERT_EQ(y[size_t((o * l.h + i) * l.w + j)], want) << l.text << " " << c << " -> " << o << " " << u << " " << v;
                }
    }
}

// A pixel's answer is the window, mirrored; transposed: as it is.
TEST(Identities, TheImpulseResponseIsTheWindow) {
    const std::vector<Linear> all = linear_kernels();
    auto taps = [](const Linear &l, const char *name) { return l.parameters.at(name); };
    auto three = [](const Values &w, int row, int u, int v) {
        return std::abs(u) < 2 && std::abs(v) < 2 ? w[size_t(row * 9 + (u + 1) * 3 + v + 1)] : 0.0f;
    };
    const Values w = taps(all[0], "weight"), g = taps(all[1], "weight"), d = taps(all[3], "weight"), p = taps(all[4], "weight");
    expect_window(all[0], [&](int o, int c, int u, int v) { return three(w, o * 4 + c, u, v); });
    expect_window(all[1], [&](int o, int c, int u, int v) { return o / 6 == c / 4 ? three(g, o * 4 + c % 4, u, v) : 0; });
    expect_window(all[2], [&](int o, int c, int u, int v) { return u % 2 || v % 2 ? 0 : three(w, o * 4 + c, u / 2, v / 2); });
    expect_window(all[3], [&](int o, int c, int u, int v) { return o == c ? three(d, c, u, v) : 0; });
    expect_window(all[4], [&](int o, int c, int u, int v) { return u || v ? 0 : p[size_t(o * 4 + c)]; });
    const Values outer = outer_products(taps(all[5], "col.weight"), taps(all[5], "row.weight"));
    expect_window(all[5], [&](int o, int c, int u, int v) {
        return o == c && std::abs(u) < 2 ? outer[size_t(c * 15 + (u + 1) * 5 + v + 2)] : 0;
    });
    expect_window(all[6], [&](int o, int c, int u, int v) { return three(w, c * 4 + o, -u, -v); });
    expect_window(all[8], [&](int o, int c, int u, int v) { return p[size_t(o * 4 + c)] * three(d, c, u, v); });
    const Values e = taps(all[9], "weight"), r = taps(all[9], "routing");
    expect_window(all[9], [&](int o, int c, int u, int v) {
        float sum = 0;
        for (int k = 0; k < 4; ++k) sum += r[size_t(k)] * three(e, (k * 6 + o) * 4 + c, u, v);
        return sum;
    });
}

// Octave has two maps: linear in both together, and two high pixels further is one low pixel further.
TEST(Identities, OctaveIsLinearAndShifts) {
    const std::string text = "octave_ci4_h24_co6_k3_p1_cil2_col3_nchw";
    const Tensors parameters{{"weights", integers(24 * 9, 1)}};
    auto y = [&](const Values &high, const Values &low) {
        Tensors given = parameters;
        given["x_h"] = high, given["x_l"] = low;
        return run(text, given);
    };
    auto mix = [](const Values &a, const Values &b) {
        Values m(a.size());
        for (size_t i = 0; i < a.size(); ++i) m[i] = 4 * (a[i] - 2 * b[i]); // means of 4 stay whole
        return m;
    };
    const Values ah = integers(2 * 576, 2), al = integers(2 * 144, 3), bh = integers(2 * 576, 4), bl = integers(2 * 144, 5);
    Tensors a = y(ah, al), b = y(bh, bl), both = y(mix(ah, bh), mix(al, bl));
    for (const char *name : {"y_h", "y_l"}) EXPECT_EQ(both[name], mix(a[name], b[name])) << name;
    for (int c = 0; c < 2; ++c) {
        Values h(2 * 576), hs(2 * 576), l(2 * 144), ls(2 * 144);
        h[size_t(c * 576 + 10 * 24 + 8)] = hs[size_t(c * 576 + 10 * 24 + 10)] = 4;
        l[size_t(c * 144 + 5 * 12 + 4)] = ls[size_t(c * 144 + 5 * 12 + 5)] = 4;
        Tensors here = y(h, l), there = y(hs, ls);
        for (int row = 0; row < 3 * 24; ++row)
            for (int j = 0; j + 2 < 24; ++j) ASSERT_EQ(there["y_h"][size_t(row * 24 + j + 2)], here["y_h"][size_t(row * 24 + j)]);
        for (int row = 0; row < 3 * 12; ++row)
            for (int j = 0; j + 1 < 12; ++j) ASSERT_EQ(there["y_l"][size_t(row * 12 + j + 1)], here["y_l"][size_t(row * 12 + j)]);
    }
}

} // namespace
