// wtconv_test.cpp - the wavelets' taps are filters that give a signal back, and the words for them mean what they say.
// SPDX-License-Identifier: MIT
#include "variants/wtconv.h"

#include <gtest/gtest.h>

#include <cmath>
#include <string>
#include <vector>

namespace {

hconv_problem parse(const std::string &text) {
    hconv_problem p;
    char why[HCONV_WHY_BYTES] = "";
    EXPECT_EQ(hconv_problem_parse(text.c_str(), &p, why, sizeof why), HCONV_OK) << why;
    return p;
}

std::string canonical(const std::string &text) {
    char buffer[HCONV_PROBLEM_BYTES] = "";
    hconv_problem p = parse(text);
    EXPECT_EQ(hconv_problem_format(&p, buffer, sizeof buffer), HCONV_OK);
    return buffer;
}

std::vector<const hconv_wavelet *> every_wavelet() {
    std::vector<const hconv_wavelet *> all;
    hconv_problem p = parse("wtconv_ci1_h1_k1");
    for (p.extra[HCONV_WAVELET] = 0; hconv_problem_complete(&p, nullptr, 0) == HCONV_OK; ++p.extra[HCONV_WAVELET])
        all.push_back(hconv_wtconv_of(&p).wavelet);
    return all;
}

// sum_b sum_k r_b[m - 2k] a_b[n - 2k] = [m = n]. PyWavelets' dmey is Meyer's wavelet cut off to 62 taps, which leaves
// 2.2e-3 (as its own idwt(dwt(x)) does); the others' taps are published to 1e-8 and better.
TEST(Wavelets, GiveTheSignalBack) {
    auto tap = [](const hconv_wavelet *w, int which, int band, int t) {
        return t < 0 || t >= w->length ? 0.0 : hconv_wavelet_tap(w, which, band, t);
    };
    for (const hconv_wavelet *w : every_wavelet())
        for (int parity = 0; parity < 2; ++parity)
            for (int n = -w->length; n <= w->length; ++n) {
                double sum = 0;
                for (int b = 0; b < 2; ++b)
                    for (int k = -w->length; k <= w->length; ++k)
                        sum += tap(w, HCONV_SYNTHESIS, b, parity - 2 * k) * tap(w, HCONV_ANALYSIS, b, n - 2 * k);
                EXPECT_NEAR(sum, n == parity, std::string(w->name) == "dmey" ? 2.3e-3 : 1e-8) << w->name << ", " << n;
            }
}

TEST(Wavelets, AreNamedByWords) {
    EXPECT_EQ(every_wavelet().size(), 105u);
    for (const hconv_wavelet *w : every_wavelet()) {
        hconv_problem p = parse(std::string("wtconv_ci1_h4_k3_") + w->name);
        EXPECT_EQ(hconv_wtconv_of(&p).wavelet, w);
        EXPECT_EQ(hconv_wtconv_of(&p).before, w->length / 2 - 1);
    }
    EXPECT_EQ(canonical("wtconv_ci1_h4_k3_haar"), "wtconv_ci1_h4_k3");
    EXPECT_EQ(canonical("wtconv1d_ci1_w?_rbio68_lev2_s2_k3"), "wtconv1d_ci1_w?_k3_s2_lev2_rbio68");
}

TEST(Wavelets, RefuseTheFiltersOfAnother) {
    hconv_problem p = parse("wtconv_ci2_h4_k3_db2"), other = parse("wtconv_ci2_h4_k3_rbio31");
    std::vector<float> right(2 * 4 * 16), wrong(right.size());
    for (size_t i = 0; i < right.size(); ++i) {
        right[i] = float(hconv_wtconv_filter(&p, HCONV_SYNTHESIS, int64_t(i)));
        wrong[i] = float(hconv_wtconv_filter(&other, HCONV_SYNTHESIS, int64_t(i)));
    }
    auto check = hconv_variant_of(&p)->family->check_parameters;
    char why[HCONV_WHY_BYTES] = "";
    const float *given[HCONV_MAX_TENSORS] = {nullptr, right.data()};
    EXPECT_EQ(check(&p, given, why, sizeof why), HCONV_OK) << why;
    given[1] = wrong.data();
    EXPECT_EQ(check(&p, given, why, sizeof why), HCONV_INVALID_ARGUMENT);
    EXPECT_NE(std::string(why).find("iwt_filter is not that of wavelet db2"), std::string::npos) << why;
}

TEST(Wtconv, RefusesInSentences) {
    const char *cases[][2] = {{"wtconv_ci3_h8_kh3_kw5", "one window size"},
                              {"wtconv_ci3_h8_k3_sh2_sw1", "one stride"},
                              {"wtconv_ci3_h8_k3_lev9", "lev is 9"},
                              {"wtconv_ci3_h8_k3_db39", "'db39'"},
                              {"wtconv_ci3_h8_k3_db2_sym4", "'sym4'"},
                              {"wtconv1d_ci3_k3", "needs the key w"},
                              {"wtconv1d_ci3_w3_k3_s4", "shorter than s4"}};
    for (const auto &[text, part] : cases) {
        hconv_problem p;
        char why[HCONV_WHY_BYTES] = "";
        EXPECT_EQ(hconv_problem_parse(text, &p, why, sizeof why), HCONV_INVALID_ARGUMENT) << text;
        EXPECT_NE(std::string(why).find(part), std::string::npos) << text << ": " << why;
    }
}

} // namespace
