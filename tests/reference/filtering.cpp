// filtering.cpp - see filtering.h.
// SPDX-License-Identifier: MIT
#include "filtering.h"

namespace hconv::reference {

// Points 0, 1, -1, infinity.
const Filter &filter_2_3() {
    static const Filter f{2, 3, 4,
                          {1, 1, 1, 0, 0, 1, -1, 1},
                          {1, 0, -1, 0, 0, 1, 1, 0, 0, -1, 1, 0, 0, -1, 0, 1},
                          {1, 0, 0, .5, .5, .5, .5, -.5, .5, 0, 0, 1},
                          2, 1, 0};
    return f;
}

// For windows of two: d0 g0 + d1 g1 and d1 g0 + d2 g1 from (d0 - d1) g0, d1 (g0 + g1) and (d1 - d2) g1.
const Filter &filter_2_2() {
    static const Filter f{2, 2, 3, {1, 1, 0, 0, 1, -1}, {1, -1, 0, 0, 1, 0, 0, 1, -1}, {1, 0, 1, 1, 0, 1}, 1, 1, 1};
    return f;
}

// Finite points and infinity (Cook and Toom): row p of G is (1, p, p^2, ..), row p of B^T is the product of x minus each other
// finite point, lowest power first; A^T has the powers of the points. The product of p minus each other point divides row p of G
// or, where kernels transform windows as they load them, column p of A^T.
static Filter cook_toom(const std::vector<double> &points, int window, bool divides_weights) {
    const int finite = int(points.size()), taps = finite + 1, outputs = taps + 1 - window;
    Filter r{outputs, window, taps, std::vector<double>(size_t(outputs * taps)), std::vector<double>(size_t(taps * taps)),
             std::vector<double>(size_t(taps * window)), 0, 0, 0};
    std::vector<double> all{1}; // the product over all finite points
    auto times = [](std::vector<double> polynomial, double point) {
        polynomial.push_back(0);
        for (size_t k = polynomial.size(); k-- > 0;) polynomial[k] = (k ? polynomial[k - 1] : 0) - point * polynomial[k];
        return polynomial;
    };
    for (int p = 0; p < finite; ++p) {
        std::vector<double> others{1};
        double scale = 1, power = 1;
        for (int k = 0; k < finite; ++k)
            if (k != p) others = times(others, points[size_t(k)]), scale *= points[size_t(p)] - points[size_t(k)];
        all = times(all, points[size_t(p)]);
        for (size_t k = 0; k < others.size(); ++k) r.forward[size_t(p * taps) + k] = others[k];
        for (int k = 0; k < outputs; ++k, power *= points[size_t(p)]) {
            r.inverse[size_t(k * taps + p)] = divides_weights ? power : power / scale;
            if (k < window) r.weights[size_t(p * window + k)] = divides_weights ? power / scale : power;
        }
    }
    for (size_t k = 0; k < all.size(); ++k) r.forward[size_t(finite * taps) + k] = all[k];
    r.inverse.back() = r.weights.back() = 1;
    return r;
}

const Filter &filter_4_3() {
    static const Filter f = [] {
        Filter r = cook_toom({0, 0.75, -0.75, 1.5, -1.5}, 3, true);
        r.inverse_roundings = 5, r.forward_roundings = 4;
        return r;
    }();
    return f;
}

// A factor of A^T that is no float is rounded too.
const Filter &filter_4_2() {
    static const Filter f = [] {
        Filter r = cook_toom({0, 1.5, -1.5, 0.5}, 2, false);
        r.inverse_roundings = 5, r.forward_roundings = 4, r.weights_roundings = 2;
        return r;
    }();
    return f;
}

double Filter::growth() const {
    double most = 0;
    auto row = [](const std::vector<double> &matrix, int index, int columns) {
        double sum = 0;
        for (int k = 0; k < columns; ++k) sum += std::fabs(matrix[size_t(index) * columns + k]);
        return sum;
    };
    for (int k = 0; k < outputs; ++k) {
        double sum = 0;
        for (int a = 0; a < taps; ++a) sum += std::fabs(inverse[size_t(k) * taps + a]) * row(weights, a, window) * row(forward, a, taps);
        most = std::max(most, sum / window);
    }
    return most;
}

void Filtering::both_axes(const std::vector<double> &matrix, int rows, int columns, const double *from, double *to) {
    double half[64];
    for (int a = 0; a < rows; ++a)
        for (int v = 0; v < columns; ++v) {
            half[a * columns + v] = 0;
            for (int u = 0; u < columns; ++u) half[a * columns + v] += std::fabs(matrix[size_t(a) * columns + u]) * from[u * columns + v];
        }
    for (int a = 0; a < rows; ++a)
        for (int b = 0; b < rows; ++b) {
            double sum = 0;
            for (int v = 0; v < columns; ++v) sum += half[a * columns + v] * std::fabs(matrix[size_t(b) * columns + v]);
            to[a * rows + b] = sum;
        }
}

Filtering::Filtering(const Filter &f, const Map &x, const Weights &w, const Steps &s, int ow)
    : f(f), x(x), w(w), s(s), tiles((ow - 1) / (f.outputs * s.dilation_w) * s.dilation_w + s.dilation_w) {
    const int square = f.taps * f.taps, n = f.window;
    windows.resize(size_t(w.co) * w.ci * square);
    for (int o = 0; o < w.co; ++o)
        for (int c = 0; c < w.ci; ++c) {
            double window[16];
            for (int u = 0; u < n; ++u)
                for (int v = 0; v < n; ++v) window[u * n + v] = w.mag[w.at(o, u, v, c)];
            both_axes(f.weights, f.taps, n, window, &windows[(size_t(o) * w.ci + c) * square]);
        }
}

static int tile_of(int at, int m, int apart) { return at / (m * apart) * apart + at % apart; }
static int first_of(int tile, int m, int apart) { return tile / apart * (m * apart) + tile % apart; }

Filtering::Row &Filtering::row(int n, int index) {
    const int square = f.taps * f.taps;
    if (n != image) rows.clear(), image = n;
    Row &r = rows[index];
    if (!r.inputs.empty()) return r;
    r.inputs.resize(size_t(tiles) * x.c * square), r.products.assign(size_t(tiles) * w.co * square, -1.0);
    const int top = first_of(index, f.outputs, s.dilation_h) - s.pad_top;
    for (int tile = 0; tile < tiles; ++tile) {
        const int left = first_of(tile, f.outputs, s.dilation_w) - s.pad_left;
        for (int c = 0; c < x.c; ++c) {
            double d[64];
            for (int u = 0; u < f.taps; ++u)
                for (int v = 0; v < f.taps; ++v) {
                    const int i = top + u * s.dilation_h, j = left + v * s.dilation_w;
                    d[u * f.taps + v] = i < 0 || j < 0 || i >= x.h || j >= x.w ? 0 : x.mag[x.at(n, i, j, c)];
                }
            both_axes(f.forward, f.taps, f.taps, d, &r.inputs[(size_t(tile) * x.c + c) * square]);
        }
    }
    return r;
}

const double *Filtering::products(Row &r, int tile, int o) {
    const int square = f.taps * f.taps;
    double *to = &r.products[(size_t(tile) * w.co + o) * square];
    if (*to >= 0) return to;
    std::fill(to, to + square, 0.0);
    const int first = o / (w.co / (x.c / w.ci)) * w.ci;
    for (int c = 0; c < w.ci; ++c) {
        const double *input = &r.inputs[(size_t(tile) * x.c + first + c) * square], *window = &windows[(size_t(o) * w.ci + c) * square];
        for (int k = 0; k < square; ++k) to[k] += input[k] * window[k];
    }
    return to;
}

Sum Filtering::sum(double v, int n, int o, int i, int j) {
    const double *p = products(row(n, tile_of(i, f.outputs, s.dilation_h)), tile_of(j, f.outputs, s.dilation_w), o);
    const double *above = &f.inverse[size_t(i / s.dilation_h % f.outputs) * f.taps];
    const double *beside = &f.inverse[size_t(j / s.dilation_w % f.outputs) * f.taps];
    Sum sum;
    for (int a = 0; a < f.taps; ++a)
        for (int b = 0; b < f.taps; ++b) sum.mag += std::fabs(above[a] * beside[b]) * p[a * f.taps + b];
    sum.v = v;
    // the transformed window is rounded once, and the product
    sum.ops = x.ops + w.ops + 2 + 2 * (f.forward_roundings + f.inverse_roundings + f.weights_roundings);
    sum.terms = w.ci;
    return sum;
}

} // namespace hconv::reference
