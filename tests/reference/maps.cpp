// maps.cpp - see maps.h.
// SPDX-License-Identifier: MIT
#include "maps.h"

#include <limits>

namespace hconv::reference {

const float *Request::data(const std::string &name) const {
    auto found = tensors.find(name);
    return found == tensors.end() ? nullptr : found->second.data;
}

double Request::scalar(const std::string &name, double otherwise) const {
    const float *given = data(name);
    return given ? double(*given) : otherwise;
}

Weights::Weights(int co, int ci, int kh, int kw)
    : co(co), kh(kh), kw(kw), ci(ci), v(size_t(co) * ci * kh * kw), mag(v.size()) {}

Steps steps_of(const hconv_problem &p) {
    return {p.stride_h, p.stride_w, p.dilation_h, p.dilation_w, p.pad_top, p.pad_left};
}

std::vector<int64_t> public_shape(const hconv_problem &p, const hconv_tensor &t) {
    std::vector<int64_t> shape(t.extent, t.extent + t.rank);
    if (t.role != HCONV_PARAMETER && t.rank > 2 && p.layout == HCONV_NHWC)
        std::rotate(shape.begin() + 1, shape.begin() + 2, shape.end());
    return shape;
}

// Logical extents n, c, h, w of an activation's descriptor; "nc" is a 1 x 1 map, "ncw" one row.
struct Extents {
    int n, c, h, w;
};
static Extents extents_of(const hconv_tensor &t) {
    if (t.rank == 2) return {int(t.extent[0]), int(t.extent[1]), 1, 1};
    if (t.rank == 3) return {int(t.extent[0]), int(t.extent[1]), 1, int(t.extent[2])};
    return {int(t.extent[0]), int(t.extent[1]), int(t.extent[2]), int(t.extent[3])};
}

static size_t public_index(const hconv_problem &p, const Extents &e, int n, int c, int i, int j) {
    return p.layout == HCONV_NCHW ? ((size_t(n) * e.c + c) * e.h + i) * e.w + j
                                  : ((size_t(n) * e.h + i) * e.w + j) * e.c + c;
}

static const hconv_tensor *find(const hconv_tensor_list &list, const std::string &name) {
    for (int k = 0; k < list.count; ++k)
        if (name == list.at[k].name) return &list.at[k];
    return nullptr;
}

Map read_map(const Request &r, const std::string &name) {
    Map m;
    const hconv_tensor *t = find(r.list, name);
    if (!t) return m;
    const float *data = r.data(name);
    Extents e = extents_of(*t);
    m.n = e.n, m.h = e.h, m.w = e.w, m.c = e.c;
    m.v.resize(size_t(e.n) * e.c * e.h * e.w), m.mag.resize(m.v.size());
    for (int n = 0; n < e.n; ++n)
        for (int i = 0; i < e.h; ++i)
            for (int j = 0; j < e.w; ++j)
                for (int c = 0; c < e.c; ++c) {
                    double v = data[public_index(r.p, e, n, c, i, j)];
                    m.v[m.at(n, i, j, c)] = v, m.mag[m.at(n, i, j, c)] = std::fabs(v);
                }
    return m;
}

Norm read_norm(const Request &r, const std::string &prefix, int channels, bool present) {
    Norm norm{present, std::vector<double>(channels, 1.0), std::vector<double>(channels, 0.0)};
    if (!present) return norm;
    const float *gamma = r.data(prefix + ".weight"), *beta = r.data(prefix + ".bias");
    const float *mean = r.data(prefix + ".running_mean"), *var = r.data(prefix + ".running_var");
    double eps = r.scalar(prefix + ".eps", 1e-5);
    for (int c = 0; c < channels; ++c) {
        norm.scale[c] = gamma[c] / std::sqrt(var[c] + eps);
        norm.shift[c] = beta[c] - mean[c] * norm.scale[c];
    }
    return norm;
}

Num slope_of(const Request &r, int channel) {
    if (r.p.activation == HCONV_PRELU) return exactly(r.data("slope")[channel]);
    return exactly(r.scalar("slope", 0.01f));
}

Map pool(const Map &x, int size, int oh, int ow) {
    Map y;
    y.n = x.n, y.h = oh, y.w = ow, y.c = x.c;
    y.v.resize(size_t(y.n) * oh * ow * y.c), y.mag.resize(y.v.size());
    y.ops = x.ops + size * size - 1 + 2; // the additions; 1 / count, and the product with it
    for (int n = 0; n < y.n; ++n)
        for (int i = 0; i < oh; ++i)
            for (int j = 0; j < ow; ++j)
                for (int c = 0; c < y.c; ++c) {
                    int rows = std::min(size, x.h - i * size), columns = std::min(size, x.w - j * size);
                    double v = 0, mag = 0;
                    for (int a = 0; a < rows; ++a)
                        for (int b = 0; b < columns; ++b) {
                            size_t from = x.at(n, i * size + a, j * size + b, c);
                            v += x.v[from], mag += x.mag[from];
                        }
                    y.v[y.at(n, i, j, c)] = v / (rows * columns), y.mag[y.at(n, i, j, c)] = mag / (rows * columns);
                }
    return y;
}

void add_window(Sum &sum, const Map &x, const Weights &weights, const Steps &s, int n, int o, int i, int j) {
    int groups = x.c / weights.ci, first = o / (weights.co / groups) * weights.ci;
    double v = 0, mag = 0;
    for (int u = 0; u < weights.kh; ++u) {
        int row = i * s.stride_h + u * s.dilation_h - s.pad_top;
        if (row < 0 || row >= x.h) continue;
        for (int k = 0; k < weights.kw; ++k) {
            int column = j * s.stride_w + k * s.dilation_w - s.pad_left;
            if (column < 0 || column >= x.w) continue;
            size_t xi = x.at(n, row, column, first), wi = weights.at(o, u, k, 0);
            for (int c = 0; c < weights.ci; ++c) {
                v += x.v[xi + c] * weights.v[wi + c];
                mag += x.mag[xi + c] * weights.mag[wi + c];
            }
        }
    }
    sum.v += v, sum.mag += mag;
    sum.ops = std::max(sum.ops, x.ops + weights.ops + 1);
    sum.terms += double(weights.kh) * weights.kw * weights.ci;
}

// Which elements a limit leaves: on the border (all of it, or 16 limit of it), and limit others. splitmix64 decides.
struct Selection {
    double border, inside; // share of each that is wanted

    Selection(const Extents &e, int64_t limit) : border(1), inside(1) {
        if (limit <= 0) return;
        double maps = double(e.n) * e.c, edge = double(e.h) * e.w - std::max(0, e.h - 2) * double(std::max(0, e.w - 2));
        double rest = double(e.h) * e.w - edge;
        border = std::min(1.0, 16.0 * limit / (maps * edge));
        if (rest > 0) inside = std::min(1.0, limit / (maps * rest));
    }
    static double uniform(uint64_t index) {
        uint64_t z = (index + 1) * 0x9E3779B97F4A7C15u;
        z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9u;
        z = (z ^ (z >> 27)) * 0x94D049BB133111EBu;
        return double((z ^ (z >> 31)) >> 11) * 0x1p-53;
    }
    bool wants(const Extents &e, size_t index, int i, int j) const {
        bool edge = i == 0 || j == 0 || i == e.h - 1 || j == e.w - 1;
        double share = edge ? border : inside;
        return share >= 1 || uniform(index) < share;
    }
};

Output make_output(const Request &r, const std::string &name, const std::function<Num(int, int, int, int)> &element) {
    const hconv_tensor &t = *find(r.list, name);
    Extents e = extents_of(t);
    Output out{name, {}, {}, {}};
    out.shape = public_shape(r.p, t);
    size_t count = size_t(e.n) * e.c * e.h * e.w;
    out.value.assign(count, 0.0), out.bound.assign(count, std::numeric_limits<double>::infinity());
    Selection selection(e, r.limit);
    for (int n = 0; n < e.n; ++n)
        for (int i = 0; i < e.h; ++i)
            for (int j = 0; j < e.w; ++j)
                for (int c = 0; c < e.c; ++c) {
                    size_t index = public_index(r.p, e, n, c, i, j);
                    if (!selection.wants(e, index, i, j)) continue;
                    Num y = element(n, c, i, j);
                    out.value[index] = y.v, out.bound[index] = y.bound();
                }
    return out;
}

} // namespace hconv::reference
