// reference_test.cpp - the bounds hold for float sums in any order and for float activations, and are not idle; wrong
// requests give a sentence.
// SPDX-License-Identifier: MIT
#include "judge.h"
#include "maps.h"
#include "num.h"
#include "reference.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <random>
#include <stdexcept>

namespace {

using namespace hconv::reference;

hconv_problem parse(const std::string &text) {
    hconv_problem p;
    char why[HCONV_WHY_BYTES] = "";
    EXPECT_EQ(hconv_problem_parse(text.c_str(), &p, why, sizeof why), HCONV_OK) << why;
    return p;
}

TEST(Num, SumsInAnyOrderStayInTheBound) {
    std::mt19937 random(1);
    std::normal_distribution<float> normal;
    double closest = 0;
    for (int round = 0; round < 200; ++round) {
        int count = 1 + int(random() % 300);
        std::vector<float> products;
        Sum sum;
        for (int k = 0; k < count; ++k) {
            float a = normal(random), b = normal(random);
            products.push_back(a * b);
            sum.add(exactly(a) * exactly(b));
        }
        std::shuffle(products.begin(), products.end(), random);
        float total = 0;
        for (float product : products) total += product;
        double error = std::fabs(double(total) - sum.total().v), bound = sum.total().bound();
        EXPECT_LE(error, bound) << count << " terms";
        closest = std::max(closest, error / bound);
    }
    EXPECT_GT(closest, 0.05) << "a bound that no sum comes near checks nothing";
}

float float_sigmoid(float x) { return 1.0f / (1.0f + std::exp(-x)); }

float float_activation(int activation, float x) {
    switch (activation) {
    case HCONV_SILU: return x * float_sigmoid(x);
    case HCONV_HARDSWISH: return x * std::min(std::max(x + 3.0f, 0.0f), 6.0f) / 6.0f;
    case HCONV_HARDSIGMOID: return std::min(std::max(x + 3.0f, 0.0f), 6.0f) / 6.0f;
    case HCONV_GELU: return 0.5f * x * (1.0f + std::erf(x * 0.70710678f));
    case HCONV_GELUTANH: return 0.5f * x * (1.0f + std::tanh(0.7978845608f * (x + 0.044715f * x * x * x)));
    case HCONV_SIGMOID: return float_sigmoid(x);
    case HCONV_TANH: return std::tanh(x);
    case HCONV_RELU: return std::max(x, 0.0f);
    case HCONV_RELU6: return std::min(std::max(x, 0.0f), 6.0f);
    case HCONV_LEAKY:
    case HCONV_PRELU: return x > 0 ? x : 0.25f * x;
    default: return x;
    }
}

// The argument is off by what its bound allows, as a sum's would be.
TEST(Num, ActivationsStayInTheBound) {
    std::mt19937 random(2);
    std::uniform_real_distribution<double> uniform(-12, 12), within(-1, 1);
    for (int activation = HCONV_LINEAR; activation <= HCONV_TANH; ++activation)
        for (int k = 0; k < 20000; ++k) {
            Num x = {uniform(random), 0, 20};
            x.mag = std::fabs(x.v) + 1;
            float moved = float(x.v + within(random) * 0.9 * x.error());
            Num y = activate(activation, x, exactly(0.25));
            ASSERT_LE(std::fabs(float_activation(activation, moved) - y.v), y.bound())
                << "activation " << activation << " of " << x.v;
            ASSERT_LE(y.bound(), 1e-4) << "activation " << activation << " of " << x.v;
        }
}

TEST(Num, SoftmaxStaysInTheBound) {
    std::mt19937 random(3);
    std::uniform_real_distribution<double> uniform(-20, 20), within(-1, 1);
    for (int round = 0; round < 5000; ++round) {
        int count = 2 + int(random() % 7);
        std::vector<Num> x;
        std::vector<float> moved;
        float most = -HUGE_VALF, sum = 0;
        for (int k = 0; k < count; ++k) {
            x.push_back({uniform(random), 20, 10});
            moved.push_back(float(x[k].v + within(random) * 0.9 * x[k].error()));
            most = std::max(most, moved[k]);
        }
        for (float &each : moved) sum += each = std::exp(each - most);
        softmax(x.data(), count);
        for (int k = 0; k < count; ++k) ASSERT_LE(std::fabs(moved[k] / sum - x[k].v), x[k].bound());
    }
}

struct Linear {
    hconv_problem p = parse("linear_ci3_co2");
    std::vector<float> x = {1, 2, 3}, weight = {1, 0, -1, 2, 2, 2}, bias = {10, 20};
    std::map<std::string, View> tensors = {
        {"x", {x.data(), {1, 3}}}, {"weight", {weight.data(), {2, 3}}}, {"bias", {bias.data(), {2}}}};

    std::string refusal() {
        try {
            compute(p, tensors);
        } catch (const std::runtime_error &error) {
            return error.what();
        }
        return "";
    }
};

TEST(Compute, Linear) {
    Linear l;
    std::vector<Output> y = compute(l.p, l.tensors);
    ASSERT_EQ(y.size(), 1u);
    EXPECT_EQ(y[0].name, "y");
    EXPECT_EQ(y[0].shape, (std::vector<int64_t>{1, 2}));
    EXPECT_EQ(y[0].value, (std::vector<double>{8, 32}));
}

TEST(Compute, RefusesWithASentence) {
    Linear missing, misshapen, stranger, open;
    missing.tensors.erase("bias");
    EXPECT_NE(missing.refusal().find("bias is missing"), std::string::npos) << missing.refusal();
    misshapen.tensors["weight"].shape = {3, 2};
    EXPECT_NE(misshapen.refusal().find("weight has shape [3, 2]"), std::string::npos) << misshapen.refusal();
    stranger.tensors["slope"] = stranger.tensors["bias"];
    EXPECT_NE(stranger.refusal().find("slope"), std::string::npos) << stranger.refusal();
    open.p.n = HCONV_OPEN;
    EXPECT_NE(open.refusal().find("n, h and w"), std::string::npos) << open.refusal();
}

TEST(Compute, ALimitKeepsTheBordersAndSomeOfTheRest) {
    hconv_problem p = parse("depthwise_ci2_h64_k3_p1_nobias");
    std::vector<float> x(2 * 64 * 64, 1.0f), weight(18, 1.0f);
    std::map<std::string, View> tensors = {{"x", {x.data(), {1, 64, 64, 2}}},
                                           {"weight", {weight.data(), {2, 1, 3, 3}}}};
    Output all = compute(p, tensors)[0], some = compute(p, tensors, 200)[0];
    int inside = 0;
    for (size_t k = 0; k < all.value.size(); ++k) {
        size_t i = k / 128, j = k / 2 % 64;
        bool border = i == 0 || j == 0 || i == 63 || j == 63, done = std::isfinite(some.bound[k]);
        EXPECT_TRUE(done || !border);
        inside += done && !border;
        if (done) {
            EXPECT_EQ(some.value[k], all.value[k]);
        }
    }
    EXPECT_NEAR(inside, 200, 60);
}

TEST(Compare, CountsWhatDiffers) {
    Output want{"y", {2, 2}, {1, 2, 0, 4}, {0.1, 0.1, 0.1, std::numeric_limits<double>::infinity()}};
    std::vector<float> good = {1, 2, -0.0f, 99}, near = {1.05f, 2, 0, 99}, bad = {1, NAN, 0.2f, 99};
    EXPECT_TRUE(compare_exact(want, good.data()).equal);
    EXPECT_FALSE(compare_exact(want, near.data()).equal);
    EXPECT_TRUE(compare_bound(want, near.data()).equal);
    Comparison c = compare_bound(want, bad.data());
    EXPECT_EQ(c.bad, 2);
    EXPECT_EQ(c.compared, 3);
    EXPECT_EQ(c.worst_index, 1);
    EXPECT_NE(c.sentence.find("y[0, 1] = nan"), std::string::npos) << c.sentence;
}

// What a perfect kernel returns for the judge's data.
std::vector<float> perfect(const hconv_problem &p, const Judge &judge) {
    hconv_tensor_list list;
    std::map<std::string, View> views;
    hconv_variant_of(&p)->family->tensors(&p, &list);
    for (int i = 0; i < list.count; ++i)
        if (judge.data()[i]) views[list.at[i].name] = {judge.data()[i], public_shape(p, list.at[i])};
    std::vector<float> all;
    for (const Output &output : compute(p, views))
        for (double value : output.value) all.push_back(float(value));
    return all;
}

// Most of these outputs lie in the padding, or between the windows of a large stride, where a sum has no terms.
TEST(Judge, ElementsThatNoInputReachesAreNotCounted) {
    for (const char *text : {"octave_ci4_h2_w3_co12_k4_d2_p6_cil4_col2_nobias_gelu", "conv2d_ci8_h3_co16_k3_p7_nobias_relu",
                             "odconv_ci3_h15_w3_co9_k3_s3_p3_g3_hid17_nchw_silu", "transposed_ci3_h8_co16_k3_s5_d2_nobias_tanh",
                             "transposed_ci6_h19_w7_co10_k7_s4_d4_p24_g2_nobias_res_relu6"}) {
        hconv_problem p = parse(text);
        for (uint64_t seed : {1, 2}) {
            Judge judge(p, HCONV_FILL_RANDOM, seed);
            std::vector<float> y = perfect(p, judge);
            EXPECT_TRUE(judge.verdict(y.data()).good) << text << ": " << judge.verdict(y.data()).sentence;
        }
    }
}

TEST(Judge, ZerosWhereTheInputReachesAreNoticed) {
    for (const char *text : {"conv2d_ci8_h12_co16_k3_p7_nobias_relu", "conv2d_ci8_h12_co16_k3_relu"}) {
        hconv_problem p = parse(text);
        Judge judge(p, HCONV_FILL_RANDOM, 1);
        std::vector<float> zeros(perfect(p, judge).size());
        EXPECT_NE(judge.verdict(zeros.data()).sentence.find("tries too little"), std::string::npos) << text;
    }
}

TEST(Judge, FewChannelsProveNothing) {
    hconv_problem p = parse("conv2d_ci3_h16_co2_k3_relu");
    Judge judge(p, HCONV_FILL_RANDOM, 1);
    std::vector<float> zeros(2 * 14 * 14);
    Verdict v = judge.verdict(zeros.data());
    EXPECT_FALSE(v.good);
    EXPECT_EQ(v.sentence.find("tries too little"), std::string::npos) << v.sentence;
}

} // namespace
