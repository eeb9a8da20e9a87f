// wtconv.cpp - WTConv2d and WTConv1d: convolutions on the sub-bands of lev wavelet transforms, added to one on the input.
// SPDX-License-Identifier: MIT
//   ll = x;  each level: sub-bands S = transform(ll), T_i = scale_i conv(S, w_i), ll = low band of S
//   r = 0;   from the last level: r = inverse transform(T_i, r added to its low band), cropped to the level's size
//   y = act(bn(base_scale (conv(x, base_conv) + bias) + r) + residual)
// A transform filters every second place, zeros around the map, P = L/2 - 1:
//   S_s[i, j] = sum_{u,v} F_s[u, v] ll[2 i + u - P, 2 j + v - P]
// The inverse spreads: y[2 i + u - P, 2 j + v - P] += sum_s G_s[u, v] S_s[i, j]. F = wt_filter and G = iwt_filter where
// they are given, else the wavelet's products: s % 2 down the columns, s / 2 along the rows.
// Stride: wtconv keeps every s-th pixel; wtconv1d takes the mean of s.
#include "families.h"
#include "variants/wtconv.h"

namespace hconv::reference {

// One transform's filters, [channel][band][row][column]; in one dimension there are two bands, of one row.
struct Filters {
    int bands, rows, columns;
    std::vector<double> v;

    const double *of(int c, int band) const { return &v[(size_t(c) * bands + band) * rows * columns]; }
    int before_rows() const { return rows == 1 ? 0 : rows / 2 - 1; }
    int before_columns() const { return columns / 2 - 1; }
    // Of a float kernel that filters rows, then columns: an axis has rounded taps, products, additions. The filters
    // given are products, rounded once.
    double ops() const { return (columns + 1) + (rows == 1 ? 0 : rows + 1) + 1; }
};

static Filters filters_of(const Request &r, int which) {
    hconv_wtconv t = hconv_wtconv_of(&r.p);
    int length = t.wavelet->length;
    const float *given = r.data(which == HCONV_ANALYSIS ? "wt_filter" : "iwt_filter");
    Filters f{t.bands, t.lines ? 1 : length, length, {}};
    for (int c = 0; c < r.p.ci; ++c)
        for (int s = 0; s < f.bands; ++s)
            for (int u = 0; u < f.rows; ++u)
                for (int v = 0; v < f.columns; ++v) {
                    double across = hconv_wavelet_tap(t.wavelet, which, t.lines ? s : s / 2, v);
                    double down = t.lines ? 1 : hconv_wavelet_tap(t.wavelet, which, s % 2, u);
                    f.v.push_back(given ? double(given[f.v.size()]) : down * across);
                }
    return f;
}

static Map empty_map(int n, int h, int w, int c, double ops) {
    Map m;
    m.n = n, m.h = h, m.w = w, m.c = c, m.ops = ops;
    m.v.assign(size_t(n) * h * w * c, 0.0), m.mag.assign(m.v.size(), 0.0);
    return m;
}

// Calls visit(place in big, place in small, tap) for every pair that the filter of a band joins: small's (i, j), big's
// (2 i + u - P, 2 j + v - P).
template <class Visit> static void join(const Map &big, const Map &small, const Filters &f, int band, Visit visit) {
    bool lines = f.rows == 1;
    for (int n = 0; n < small.n; ++n)
        for (int i = 0; i < small.h; ++i)
            for (int j = 0; j < small.w; ++j)
                for (int u = 0; u < f.rows; ++u)
                    for (int v = 0; v < f.columns; ++v) {
                        int row = lines ? i : 2 * i + u - f.before_rows(), column = 2 * j + v - f.before_columns();
                        if (row < 0 || row >= big.h || column < 0 || column >= big.w) continue;
                        for (int c = 0; c < big.c; ++c)
                            visit(big.at(n, row, column, c), small.at(n, i, j, c), f.of(c, band)[u * f.columns + v]);
                    }
}

static void add(Map &to, size_t at, double tap, const Map &from, size_t source) {
    to.v[at] += tap * from.v[source], to.mag[at] += std::fabs(tap) * from.mag[source];
}

static std::vector<Map> transform(const Map &x, const Filters &f) {
    int h = f.rows == 1 ? x.h : (x.h + 1) / 2, w = (x.w + 1) / 2;
    std::vector<Map> bands(f.bands, empty_map(x.n, h, w, x.c, x.ops + f.ops()));
    for (int s = 0; s < f.bands; ++s)
        join(x, bands[s], f, s, [&](size_t big, size_t small, double tap) { add(bands[s], small, tap, x, big); });
    return bands;
}

static Map inverse(const std::vector<Map> &bands, const Filters &f, int h, int w) {
    double ops = 0;
    for (const Map &band : bands) ops = std::max(ops, band.ops);
    Map y = empty_map(bands[0].n, h, w, bands[0].c, ops + f.ops());
    for (int s = 0; s < f.bands; ++s)
        join(y, bands[s], f, s, [&](size_t big, size_t small, double tap) { add(y, big, tap, bands[s], small); });
    return y;
}

// Channel c's window is given[first + step c], times the scale of the same place and the norm's; one rounding.
static Weights read_windows(const Request &r, const std::string &weight, const std::string &scale, int first, int step,
                            const Norm &norm) {
    const hconv_problem &p = r.p;
    int rows = p.variant == HCONV_VARIANT_wtconv1d ? 1 : p.kh;
    const float *given = r.data(weight), *scales = r.data(scale);
    Weights w(p.ci, 1, rows, p.kw);
    w.ops = 1;
    for (int c = 0; c < p.ci; ++c)
        for (int u = 0; u < rows; ++u)
            for (int v = 0; v < p.kw; ++v) {
                int64_t place = first + int64_t(step) * c;
                double value = norm.scale[c] * scales[place] * given[(place * rows + u) * p.kw + v];
                w.v[w.at(c, u, v, 0)] = value, w.mag[w.at(c, u, v, 0)] = std::fabs(value);
            }
    return w;
}

// conv(x, windows), and more where it is not empty.
static Map convolve(const Map &x, const Weights &windows, const Steps &steps, const Map &more) {
    Map y = empty_map(x.n, x.h, x.w, x.c, 0);
    for (int n = 0; n < y.n; ++n)
        for (int i = 0; i < y.h; ++i)
            for (int j = 0; j < y.w; ++j)
                for (int c = 0; c < y.c; ++c) {
                    Sum sum;
                    size_t at = y.at(n, i, j, c);
                    add_window(sum, x, windows, steps, n, c, i, j);
                    if (more.n) sum.add(more.num(more.at(n, i, j, c)));
                    Num total = sum.total();
                    y.v[at] = total.v, y.mag[at] = total.mag, y.ops = total.ops;
                }
    return y;
}

// What the levels from i on give back to the map x.
static Map levels_from(const Request &r, int i, const Map &x, const Filters filters[2], const Steps &steps,
                       const Norm &norm) {
    std::vector<Map> bands = transform(x, filters[HCONV_ANALYSIS]);
    Map deeper;
    if (i + 1 < r.p.extra[HCONV_LEVELS]) deeper = levels_from(r, i + 1, bands[0], filters, steps, norm);
    std::string number = std::to_string(i) + ".weight";
    for (size_t s = 0; s < bands.size(); ++s) {
        Weights windows = read_windows(r, "wavelet_convs." + number, "wavelet_scale." + number, int(s),
                                       int(bands.size()), norm);
        bands[s] = convolve(bands[s], windows, steps, s == 0 ? deeper : Map());
    }
    return inverse(bands, filters[HCONV_SYNTHESIS], x.h, x.w);
}

std::vector<Output> families::wtconv(const Request &r) {
    const hconv_problem &p = r.p;
    bool lines = p.variant == HCONV_VARIANT_wtconv1d;
    Map x = read_map(r, "x"), residual = read_map(r, "residual");
    Norm norm = read_norm(r, "bn", p.ci, p.flags & HCONV_NORM);
    Filters filters[2] = {filters_of(r, HCONV_ANALYSIS), filters_of(r, HCONV_SYNTHESIS)};
    Steps steps = {1, 1, 1, 1, lines ? 0 : (p.kh - 1) / 2, (p.kw - 1) / 2};
    Weights base = read_windows(r, "base_conv.weight", "base_scale.weight", 0, 1, norm);
    const float *bias = r.data("base_conv.bias"), *scale = r.data("base_scale.weight");
    Map back = levels_from(r, 0, x, filters, steps, norm);
    auto pixel = [&](int n, int c, int i, int j) {
        Sum sum;
        add_window(sum, x, base, steps, n, c, i, j);
        sum.add(rounded(norm.shift[c] + norm.scale[c] * scale[c] * (bias ? bias[c] : 0.0)));
        sum.add(back.num(back.at(n, i, j, c)));
        return sum.total();
    };
    auto mean = [&](int n, int c, int j) {
        Sum sum;
        for (int k = 0; k < p.stride_w; ++k) sum.add(pixel(n, c, 0, j * p.stride_w + k));
        return sum.total() * rounded(1.0 / p.stride_w);
    };
    return {make_output(r, "y", [&](int n, int c, int i, int j) {
        Sum sum;
        sum.add(lines ? mean(n, c, j) : pixel(n, c, i * p.stride_h, j * p.stride_w));
        if (residual.n) sum.add(residual.num(residual.at(n, i, j, c)));
        return activate(p.activation, sum.total(), slope_of(r, c));
    })};
}

} // namespace hconv::reference
