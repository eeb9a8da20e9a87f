// wtconv.cpp - WTConv2d and WTConv1d: convolutions on the sub-bands of lev wavelet transforms, added to one on the input.
// SPDX-License-Identifier: MIT
//   ll = x;  each level: sub-bands S = transform(ll), T_i = scale_i conv(S, w_i), ll = low band of S
//   r = 0;   from the last level: r = inverse transform(T_i, r added to its low band), cropped to the level's size
//   y = act(bn(base_scale (conv(x, base_conv) + bias) + r) + residual)
// A transform filters every second place, zeros around the map: S[i] = sum_t a[t] ll[2 i + t - (L/2 - 1)]; the inverse
// spreads, y[2 i + t - (L/2 - 1)] += r[t] S[i]. Sub-band s filters columns with filter s % 2, rows with filter s / 2.
// Stride: wtconv keeps every s-th pixel; wtconv1d takes the mean of s.
#include "families.h"
#include "variants/wtconv.h"

namespace hconv::reference {

struct Wavelet {
    int length = 0;
    std::vector<double> analysis[2], synthesis[2];
};

static Wavelet wavelet_of(const hconv_wavelet &w) {
    Wavelet out;
    out.length = w.length;
    for (int band = 0; band < 2; ++band)
        for (int t = 0; t < w.length; ++t) {
            out.analysis[band].push_back(hconv_wavelet_tap(&w, HCONV_ANALYSIS, band, t));
            out.synthesis[band].push_back(hconv_wavelet_tap(&w, HCONV_SYNTHESIS, band, t));
        }
    return out;
}

static Map empty_map(int n, int h, int w, int c, double ops) {
    Map m;
    m.n = n, m.h = h, m.w = w, m.c = c, m.ops = ops;
    m.v.assign(size_t(n) * h * w * c, 0.0), m.mag.assign(m.v.size(), 0.0);
    return m;
}

// to += tap from, for all channels of one pixel.
static void add_pixel(Map &to, size_t at, double tap, const Map &from, size_t source) {
    for (int c = 0; c < to.c; ++c)
        to.v[at + c] += tap * from.v[source + c], to.mag[at + c] += std::fabs(tap) * from.mag[source + c];
}

// Roundings of a sum of length products with rounded taps: the tap, the product, the additions.
static double filter_ops(const Wavelet &wavelet) { return 1 + 1 + wavelet.length - 1; }

// One filter at every second place, down the columns or across the rows.
static Map analyse(const Map &x, const Wavelet &wavelet, int band, bool down) {
    int h = down ? (x.h + 1) / 2 : x.h, w = down ? x.w : (x.w + 1) / 2, before = wavelet.length / 2 - 1;
    Map y = empty_map(x.n, h, w, x.c, x.ops + filter_ops(wavelet));
    for (int n = 0; n < y.n; ++n)
        for (int i = 0; i < h; ++i)
            for (int j = 0; j < w; ++j)
                for (int t = 0; t < wavelet.length; ++t) {
                    int row = down ? 2 * i + t - before : i, column = down ? j : 2 * j + t - before;
                    if (row < 0 || row >= x.h || column < 0 || column >= x.w) continue;
                    add_pixel(y, y.at(n, i, j, 0), wavelet.analysis[band][t], x, x.at(n, row, column, 0));
                }
    return y;
}

// Both bands spread again, to a map of h x w.
static Map synthesise(const Map bands[2], const Wavelet &wavelet, bool down, int h, int w) {
    int before = wavelet.length / 2 - 1;
    Map y = empty_map(bands[0].n, h, w, bands[0].c, std::max(bands[0].ops, bands[1].ops) + filter_ops(wavelet));
    for (int band = 0; band < 2; ++band)
        for (int n = 0; n < y.n; ++n)
            for (int i = 0; i < bands[band].h; ++i)
                for (int j = 0; j < bands[band].w; ++j)
                    for (int t = 0; t < wavelet.length; ++t) {
                        int row = down ? 2 * i + t - before : i, column = down ? j : 2 * j + t - before;
                        if (row < 0 || row >= h || column < 0 || column >= w) continue;
                        add_pixel(y, y.at(n, row, column, 0), wavelet.synthesis[band][t], bands[band],
                                  bands[band].at(n, i, j, 0));
                    }
    return y;
}

static std::vector<Map> transform(const Map &x, const Wavelet &wavelet, bool lines) {
    Map across[2] = {analyse(x, wavelet, 0, false), analyse(x, wavelet, 1, false)};
    if (lines) return {across[0], across[1]};
    std::vector<Map> bands;
    for (int s = 0; s < 4; ++s) bands.push_back(analyse(across[s / 2], wavelet, s % 2, true));
    return bands;
}

static Map inverse(const std::vector<Map> &bands, const Wavelet &wavelet, int h, int w) {
    if (bands.size() == 2) return synthesise(bands.data(), wavelet, false, h, w);
    Map across[2];
    for (int b = 0; b < 2; ++b) across[b] = synthesise(&bands[2 * b], wavelet, true, h, bands[0].w);
    return synthesise(across, wavelet, false, h, w);
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
static Map levels_from(const Request &r, int i, const Map &x, const Wavelet &wavelet, const Steps &steps, const Norm &norm) {
    bool lines = r.p.variant == HCONV_VARIANT_wtconv1d;
    std::vector<Map> bands = transform(x, wavelet, lines);
    Map deeper;
    if (i + 1 < r.p.extra[HCONV_LEVELS]) deeper = levels_from(r, i + 1, bands[0], wavelet, steps, norm);
    std::string number = std::to_string(i) + ".weight";
    for (size_t s = 0; s < bands.size(); ++s) {
        Weights windows = read_windows(r, "wavelet_convs." + number, "wavelet_scale." + number, int(s), int(bands.size()), norm);
        bands[s] = convolve(bands[s], windows, steps, s == 0 ? deeper : Map());
    }
    return inverse(bands, wavelet, x.h, x.w);
}

std::vector<Output> families::wtconv(const Request &r) {
    const hconv_problem &p = r.p;
    bool lines = p.variant == HCONV_VARIANT_wtconv1d;
    Map x = read_map(r, "x"), residual = read_map(r, "residual");
    Norm norm = read_norm(r, "bn", p.ci, p.flags & HCONV_NORM);
    Wavelet wavelet = wavelet_of(*hconv_wtconv_of(&p).wavelet);
    Steps steps = {1, 1, 1, 1, lines ? 0 : (p.kh - 1) / 2, (p.kw - 1) / 2};
    Weights base = read_windows(r, "base_conv.weight", "base_scale.weight", 0, 1, norm);
    const float *bias = r.data("base_conv.bias"), *scale = r.data("base_scale.weight");
    Map back = levels_from(r, 0, x, wavelet, steps, norm);
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
