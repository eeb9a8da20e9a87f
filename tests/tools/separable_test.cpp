// separable_test.cpp - windows come apart into as many pairs as their rank, and the pairs add up to the window.
// SPDX-License-Identifier: MIT
#include "tools/separable.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <random>

namespace {

using hconv::separate;
using hconv::Separated;

// Sums of rank products of random columns and rows.
std::vector<float> window_of_rank(int rank, int kh, int kw, unsigned seed) {
    std::mt19937 random(seed);
    std::normal_distribution<double> normal;
    std::vector<double> sum(size_t(kh) * kw);
    for (int e = 0; e < rank; ++e) {
        std::vector<double> column(kh), row(kw);
        for (double &v : column) v = normal(random);
        for (double &v : row) v = normal(random);
        for (int i = 0; i < kh; ++i)
            for (int j = 0; j < kw; ++j) sum[size_t(i) * kw + j] += column[i] * row[j];
    }
    return {sum.begin(), sum.end()};
}

// Greatest difference between the windows and their pairs' sums, over the greatest element.
double error_of(const Separated &s, const std::vector<float> &windows, int channels, int kh, int kw) {
    double worst = 0, most = 0;
    for (int c = 0; c < channels; ++c)
        for (int i = 0; i < kh; ++i)
            for (int j = 0; j < kw; ++j) {
                double sum = 0, want = windows[(size_t(c) * kh + i) * kw + j];
                for (int e = c * s.pairs; e < (c + 1) * s.pairs; ++e)
                    sum += double(s.column[size_t(e) * kh + i]) * s.row[size_t(e) * kw + j];
                worst = std::max(worst, std::fabs(sum - want)), most = std::max(most, std::fabs(want));
            }
    return worst / most;
}

TEST(Separable, FindsTheRank) {
    const int sizes[][2] = {{1, 1}, {3, 3}, {7, 3}, {3, 7}, {9, 9}};
    for (const auto &[kh, kw] : sizes)
        for (int rank = 1; rank <= std::min(kh, kw); ++rank) {
            std::vector<float> window = window_of_rank(rank, kh, kw, unsigned(kh * 100 + rank));
            Separated s = separate(window.data(), 1, kh, kw);
            EXPECT_EQ(s.pairs, rank) << kh << " x " << kw;
            EXPECT_LT(error_of(s, window, 1, kh, kw), 1e-6) << kh << " x " << kw << ", rank " << rank;
        }
}

TEST(Separable, ChannelsHaveTheGreatestRank) {
    std::vector<float> windows(2 * 9);
    for (int k = 0; k < 9; ++k) windows[size_t(k)] = 1;                   // rank 1; the second stays 0 but for a diagonal
    for (int k = 0; k < 3; ++k) windows[size_t(9 + 4 * k)] = float(k + 1);
    Separated s = separate(windows.data(), 2, 3, 3);
    EXPECT_EQ(s.pairs, 3);
    EXPECT_EQ(s.column.size(), 2u * 3 * 3);
    EXPECT_LT(error_of(s, windows, 2, 3, 3), 1e-6);
}

TEST(Separable, ZerosAreOnePairOfZeros) {
    std::vector<float> window(15);
    Separated s = separate(window.data(), 1, 3, 5);
    EXPECT_EQ(s.pairs, 1);
    for (float v : s.column) EXPECT_EQ(v, 0);
}

} // namespace
