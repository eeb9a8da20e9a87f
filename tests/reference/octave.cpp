// octave.cpp - OctaveConv: maps at two resolutions and the four paths between them.
// SPDX-License-Identifier: MIT
// y_h = act(bn_h(conv(x_h; hh) + up(conv(x_l; lh))) + residual_h)
// y_l = act(bn_l(conv(x_l; ll) + conv(pool(x_h); hl)) + residual_l)
// up reads low[min(i / 2, rows - 1)]. The convolutions step by 1; stride 2 is pooling before them:
//   article: x_h and x_l are halved first, then all is as at stride 1;
//   dli: hh and ll read the halved map, hl the map halved twice, lh the whole x_l, which is not upsampled;
//   fb: the same, but hl's map is the mean of 4 x 4 windows in one step.
// A halved map has ceil(h / 2) rows under fb, else max(1, floor(h / 2)); windows are clipped to the map.
#include "families.h"

namespace hconv::reference {

enum Dialect { kArticle = 0, kFb = 1, kDli = 2 };
enum PathNumber { kHH = 0, kHL = 1, kLH = 2, kLL = 3 };
static const char *const kPathNames[4] = {"h2h", "h2l", "l2h", "l2l"};

struct Octave {
    int dialect, ci[2], co[2]; // [0] high, [1] low
    bool depthwise;
};
static Octave octave_of(const hconv_problem &p) {
    int low_in = p.extra[0], low_out = p.extra[1];
    return {p.extra[2], {p.ci - low_in, low_in}, {p.co - low_out, low_out}, p.groups == p.ci && p.ci > 1};
}

static bool from_low(int path) { return path == kLH || path == kLL; }
static bool to_low(int path) { return path == kHL || path == kLL; }

static bool exists(const Octave &o, int path) {
    return o.ci[from_low(path)] && o.co[to_low(path)] && !(o.depthwise && from_low(path) != to_low(path));
}

static Map pooled(const Octave &o, const Map &x, int size) {
    auto out = [&](int rows) { return o.dialect == kFb ? (rows + size - 1) / size : std::max(1, rows / size); };
    return pool(x, size, out(x.h), out(x.w));
}

static Map path_input(const Octave &o, int path, int stride, const Map &high, const Map &low) {
    if (stride == 1) return path == kHL ? pooled(o, high, 2) : from_low(path) ? low : high;
    if (o.dialect == kArticle) return path_input(o, path, 1, pooled(o, high, 2), pooled(o, low, 2));
    if (path == kLH) return low;
    if (path == kLL) return pooled(o, low, 2);
    if (path == kHH) return pooled(o, high, 2);
    return o.dialect == kFb ? pooled(o, high, 4) : pooled(o, pooled(o, high, 2), 2);
}

// fb and the article: g everywhere. dli: high and low paths get their share of g, rounded up; cross paths g.
static int path_groups(const hconv_problem &p, const Octave &o, int path) {
    int ci = o.ci[from_low(path)];
    if (o.depthwise) return ci;
    if (o.dialect != kDli || from_low(path) != to_low(path)) return p.groups;
    return int((int64_t(p.groups) * ci + p.ci - 1) / p.ci);
}

// The article's one tensor [co, ci, kh, kw]: rows are high outputs, then low ones; columns high inputs, then low ones;
// a group reads its own columns. fb and dli: a tensor a path.
static Weights path_weights(const Request &r, const Octave &o, int path, const Norm &norm) {
    const hconv_problem &p = r.p;
    bool article = o.dialect == kArticle;
    int ci = o.ci[from_low(path)], co = o.co[to_low(path)], groups = path_groups(p, o, path);
    const float *given = r.data(article ? "weights" : std::string("conv_") + kPathNames[path] + ".weight");
    Weights w(co, ci / groups, p.kh, p.kw);
    w.ops = norm.present;
    for (int out = 0; out < co; ++out)
        for (int in = 0; in < w.ci; ++in)
            for (int u = 0; u < p.kh; ++u)
                for (int v = 0; v < p.kw; ++v) {
                    int group = out / (co / groups);
                    int64_t row = out + (article && to_low(path) ? o.co[0] : 0);
                    int64_t column = article ? (from_low(path) ? o.ci[0] : 0) + group * w.ci + in : in;
                    int64_t columns = article ? p.ci : w.ci;
                    double value = norm.scale[out] * given[((row * columns + column) * p.kh + u) * p.kw + v];
                    w.v[w.at(out, u, v, in)] = value, w.mag[w.at(out, u, v, in)] = std::fabs(value);
                }
    return w;
}

// Of one path. article: the one vector, in every path. fb: h2* only, or l2* where it is alone. dli: each path its own.
static double path_bias(const Request &r, const Octave &o, int path, int out) {
    if (r.p.flags & HCONV_NO_BIAS) return 0;
    if (o.dialect == kArticle) return r.data("bias")[out + (to_low(path) ? o.co[0] : 0)];
    if (o.dialect == kFb && from_low(path) && exists(o, to_low(path) ? kHL : kHH)) return 0;
    return r.data(std::string("conv_") + kPathNames[path] + ".bias")[out];
}

struct Path {
    Map x;
    Weights weights;
    bool up;
    int rows, columns; // of its convolution
};

static int conv_size(int in, int window, int dilation, int pads) { return in + pads - dilation * (window - 1); }

static std::vector<Path> paths_to(const Request &r, const Octave &o, bool low, const Norm &norm, const Map maps[2]) {
    const hconv_problem &p = r.p;
    std::vector<Path> paths;
    for (int path = 0; path < 4; ++path) {
        if (to_low(path) != low || !exists(o, path)) continue;
        Map x = path_input(o, path, p.stride_h, maps[0], maps[1]);
        int rows = conv_size(x.h, p.kh, p.dilation_h, p.pad_top + p.pad_bottom);
        int columns = conv_size(x.w, p.kw, p.dilation_w, p.pad_left + p.pad_right);
        bool up = path == kLH && (p.stride_h == 1 || o.dialect == kArticle);
        paths.push_back({std::move(x), path_weights(r, o, path, norm), up, rows, columns});
    }
    return paths;
}

static Output one_output(const Request &r, const Octave &o, bool low, const Map maps[2]) {
    const hconv_problem &p = r.p;
    Norm norm = read_norm(r, low ? "bn_l" : "bn_h", o.co[low], p.flags & HCONV_NORM);
    std::vector<Path> paths = paths_to(r, o, low, norm, maps);
    Map residual = read_map(r, low ? "residual_l" : o.co[1] ? "residual_h" : "residual");
    std::vector<double> bias(o.co[low], 0.0);
    for (int path = 0; path < 4; ++path)
        for (int c = 0; c < o.co[low] && to_low(path) == low && exists(o, path); ++c)
            bias[c] += path_bias(r, o, path, c);
    Steps steps = {1, 1, p.dilation_h, p.dilation_w, p.pad_top, p.pad_left};
    return make_output(r, low ? "y_l" : "y_h", [&](int n, int c, int i, int j) {
        Sum sum;
        for (const Path &path : paths) {
            int row = path.up ? std::min(i / 2, path.rows - 1) : i,
                column = path.up ? std::min(j / 2, path.columns - 1) : j;
            add_window(sum, path.x, path.weights, steps, n, c, row, column);
        }
        sum.add(rounded(norm.shift[c] + norm.scale[c] * bias[c]));
        if (residual.n) sum.add(residual.num(residual.at(n, i, j, c)));
        return activate(p.activation, sum.total(), slope_of(r, c + (low ? o.co[0] : 0)));
    });
}

std::vector<Output> families::octave(const Request &r) {
    Octave o = octave_of(r.p);
    Map maps[2] = {read_map(r, "x_h"), read_map(r, "x_l")};
    std::vector<Output> outputs;
    if (o.co[0]) outputs.push_back(one_output(r, o, false, maps));
    if (o.co[1]) outputs.push_back(one_output(r, o, true, maps));
    return outputs;
}

} // namespace hconv::reference
