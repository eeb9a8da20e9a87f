// filtering_test.cpp - the filters of fast are convolutions; what is packed is their G; their bound holds and is not idle.
// SPDX-License-Identifier: MIT
#include "filtering.h"

#include "pack.h"

#include <gtest/gtest.h>

#include <random>
#include <string>

namespace {

using namespace hconv::reference;

struct Named {
    const char *layout;  // nullptr: windows are packed as they are
    const Filter &filter;
};
const Named kFilters[] = {{"wino2:hwio", filter_2_3()}, {"wino4:hwio", filter_4_3()},
                          {nullptr, filter_2_2()}, {nullptr, filter_4_2()}};

std::string name_of(const Filter &f) { return "F(" + std::to_string(f.outputs) + "," + std::to_string(f.window) + ")"; }

std::vector<double> times(const std::vector<double> &matrix, const std::vector<double> &v) {
    std::vector<double> product(matrix.size() / v.size());
    for (size_t i = 0; i < product.size(); ++i)
        for (size_t k = 0; k < v.size(); ++k) product[i] += matrix[i * v.size() + k] * v[k];
    return product;
}

TEST(Filters, OneAxisIsAConvolution) {
    std::mt19937 random(1);
    std::normal_distribution<double> normal;
    for (const Named &n : kFilters) {
        std::vector<double> d(size_t(n.filter.taps)), g(size_t(n.filter.window));
        for (double &v : d) v = normal(random);
        for (double &v : g) v = normal(random);
        std::vector<double> products = times(n.filter.forward, d), weights = times(n.filter.weights, g);
        for (size_t k = 0; k < products.size(); ++k) products[k] *= weights[k];
        const std::vector<double> y = times(n.filter.inverse, products);
        for (size_t k = 0; k < y.size(); ++k) {
            double want = 0;
            for (size_t u = 0; u < g.size(); ++u) want += d[k + u] * g[u];
            EXPECT_NEAR(y[k], want, 1e-14) << name_of(n.filter);
        }
    }
}

TEST(Filters, ThePackedWindowsAreTheirs) {
    for (const Named &n : kFilters) {
        if (!n.layout) continue;
        const hconv_window_transform *t = hconv_layout_transform(n.layout);
        ASSERT_NE(t, nullptr);
        ASSERT_EQ(t->rows, n.filter.taps);
        ASSERT_EQ(t->columns, n.filter.window);
        for (size_t k = 0; k < n.filter.weights.size(); ++k) EXPECT_NEAR(t->matrix[k], n.filter.weights[k], 1e-16) << n.layout;
    }
    EXPECT_EQ(hconv_layout_transform("hwio"), nullptr);
    EXPECT_EQ(hconv_layout_transform("wino3:hwio"), nullptr);
}

TEST(Packing, WindowsAreTransformedInsideBlocks) {
    hconv_tensor t{};
    std::snprintf(t.letters, sizeof t.letters, "oihw");
    t.rank = 4;
    const int64_t extent[] = {3, 2, 3, 3};
    std::copy(extent, extent + 4, t.extent);
    std::vector<float> dense(54);
    for (size_t k = 0; k < dense.size(); ++k) dense[k] = float(int(k * 7 % 17) - 8);
    hconv_physical_dimension dims[8];
    ASSERT_EQ(hconv_layout_dimensions("wino4:OhwI2i2o", &t, dims), 6);
    EXPECT_EQ(dims[1].extent, 6);
    EXPECT_EQ(hconv_layout_dimensions("wino9:hwio", &t, dims), 0);
    std::vector<float> packed(2 * 36 * 4, NAN);
    hconv_pack_layout("wino4:OhwI2i2o", &t, dense.data(), packed.data());
    const Filter &f = filter_4_3();
    for (int o = 0; o < 4; ++o)
        for (int i = 0; i < 2; ++i)
            for (int a = 0; a < 6; ++a)
                for (int b = 0; b < 6; ++b) {
                    double want = 0;
                    for (int u = 0; u < 3 && o < 3; ++u)
                        for (int v = 0; v < 3; ++v)
                            want += f.weights[size_t(a * 3 + u)] * f.weights[size_t(b * 3 + v)] * dense[size_t(((o * 2 + i) * 3 + u) * 3 + v)];
                    EXPECT_NEAR(packed[size_t((((o / 2 * 6 + a) * 6 + b) * 2 + i) * 2 + o % 2)], want, 1e-6);
                }
    t.extent[2] = 5;
    EXPECT_EQ(hconv_layout_dimensions("wino4:hwio", &t, dims), 0) << "the transform is of another window";
}

// Float sums of one tile, as a kernel takes them, against the reference's bound.
TEST(Filters, FloatTilesStayInTheBound) {
    std::mt19937 random(2);
    std::normal_distribution<float> normal;
    for (const Named &n : kFilters) {
        const Filter &f = n.filter;
        const int channels = 40, window = f.window;
        double closest = 0;
        Map x;
        x.n = 1, x.h = x.w = f.taps, x.c = channels;
        x.v.resize(size_t(f.taps * f.taps * channels)), x.mag.resize(x.v.size());
        Weights w(1, channels, window, window);
        for (size_t k = 0; k < x.v.size(); ++k) x.v[k] = normal(random), x.mag[k] = std::fabs(x.v[k]);
        for (size_t k = 0; k < w.v.size(); ++k) w.v[k] = normal(random), w.mag[k] = std::fabs(w.v[k]);
        auto both = [](const std::vector<double> &m, int rows, int columns, const std::vector<float> &from) {
            std::vector<float> half(size_t(rows * columns)), to(size_t(rows * rows));
            for (int a = 0; a < rows; ++a)
                for (int v = 0; v < columns; ++v)
                    for (int u = 0; u < columns; ++u) half[size_t(a * columns + v)] += float(m[size_t(a * columns + u)]) * from[size_t(u * columns + v)];
            for (int a = 0; a < rows; ++a)
                for (int b = 0; b < rows; ++b)
                    for (int v = 0; v < columns; ++v) to[size_t(a * rows + b)] += half[size_t(a * columns + v)] * float(m[size_t(b * columns + v)]);
            return to;
        };
        std::vector<float> sums(size_t(f.taps * f.taps)), half(size_t(f.outputs * f.taps));
        for (int c = 0; c < channels; ++c) {
            std::vector<float> d(size_t(f.taps * f.taps));
            for (int k = 0; k < f.taps * f.taps; ++k) d[size_t(k)] = float(x.v[size_t(k * channels + c)]);
            d = both(f.forward, f.taps, f.taps, d);
            for (int a = 0; a < f.taps; ++a)
                for (int b = 0; b < f.taps; ++b) {
                    double u = 0;
                    for (int i = 0; i < window; ++i)
                        for (int j = 0; j < window; ++j)
                            u += f.weights[size_t(a * window + i)] * f.weights[size_t(b * window + j)] * w.v[w.at(0, i, j, c)];
                    sums[size_t(a * f.taps + b)] += float(u) * d[size_t(a * f.taps + b)];
                }
        }
        Filtering filtering(f, x, w, {1, 1, 1, 1, 0, 0}, f.outputs);
        for (int i = 0; i < f.outputs; ++i)
            for (int j = 0; j < f.outputs; ++j) {
                float got = 0;
                for (int b = 0; b < f.taps; ++b) {
                    float column = 0;
                    for (int a = 0; a < f.taps; ++a) column += float(f.inverse[size_t(i * f.taps + a)]) * sums[size_t(a * f.taps + b)];
                    got += column * float(f.inverse[size_t(j * f.taps + b)]);
                }
                Sum direct;
                add_window(direct, x, w, {1, 1, 1, 1, 0, 0}, 0, 0, i, j);
                const double error = std::fabs(double(got) - direct.v), bound = filtering.sum(direct.v, 0, 0, i, j).total().bound();
                EXPECT_LE(error, bound) << name_of(f);
                closest = std::max(closest, error / bound);
            }
        EXPECT_GT(closest, 1e-4) << name_of(f) << ": a bound that no sum comes near checks nothing";
    }
}

}  // namespace
