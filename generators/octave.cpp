// octave.cpp - high and low resolution maps, four paths between them:
// high = act(conv(x_h; hh) + up(conv(x_l; lh)) + bias_h),  low = act(conv(pool(x_h); hl) + conv(x_l; ll) + bias_l)
// up reads low[min(i / 2, size - 1)]; at stride 2 every map is halved first (lh under fb and dli is neither halved nor
// upsampled).
// SPDX-License-Identifier: MIT
#include "generators/octave.h"

#include "generators/algebra.h"
#include "generators/generator.h"
#include "runtime/variants/octave.h"

#include <map>

namespace hconv {

using namespace Halide;

namespace {

struct Map {
    std::function<Expr(Expr, Expr, Expr, Expr)> at;  // c, x, y, n
    Expr w, h;
};

Expr pooled_size(int dialect, const Expr &size, int factor) {
    return dialect == HCONV_OCTAVE_FB ? (size + (factor - 1)) / factor : max(size / factor, 1);
}

// May a window of the halved map hang over the edge of one of this size?
bool clipped(int dialect, const Expr &size, int factor) {
    auto fixed = Internal::as_const_int(Internal::simplify(size));
    return !fixed || (dialect == HCONV_OCTAVE_FB ? *fixed % factor != 0 : *fixed < factor);
}

// Mean over the factor x factor window, clipped to the map.
Map pool(const Map &m, int dialect, int factor, const OctaveStages &s, Func f) {
    const bool cut_x = clipped(dialect, m.w, factor), cut_y = clipped(dialect, m.h, factor);
    Expr sum = 0.0f;
    for (int dy = 0; dy < factor; ++dy) {
        for (int dx = 0; dx < factor; ++dx) {
            Expr x = s.x * factor + dx, y = s.y * factor + dy;
            Expr v = m.at(s.c, cut_x ? min(x, m.w - 1) : x, cut_y ? min(y, m.h - 1) : y, s.n);
            if (cut_x && dx) v = select(x < m.w, v, 0.0f);
            if (cut_y && dy) v = select(y < m.h, v, 0.0f);
            sum += v;
        }
    }
    Expr wide = cut_x ? min(m.w - s.x * factor, factor) : factor, high = cut_y ? min(m.h - s.y * factor, factor) : factor;
    f(s.c, s.x, s.y, s.n) = sum * (1.0f / cast<float>(wide * high));
    return {[f](Expr c, Expr x, Expr y, Expr n) { return f(c, x, y, n); }, pooled_size(dialect, m.w, factor),
            pooled_size(dialect, m.h, factor)};
}

}  // namespace

class Octave : public ConvGenerator<Octave, OctaveStages> {
public:
    void algorithm(const Problem &p, const Tensors &t, OctaveStages &s) {
        const hconv_octave o = hconv_octave_of(&p);
        const bool up = o.upsample && o.path[HCONV_LH].exists;
        auto finish = [&](Func &f, const OctaveSum &sum, const char *residual, int first_channel) {
            Expr v = sum.acc(s.c, s.x, s.y, s.n);
            if (p.residual()) v += t.input(residual, s.c, s.x, s.y, s.n);
            f(s.c, s.x, s.y, s.n) = activation(p, t, v, s.c + first_channel);
        };
        if (o.co_h) {
            Expr start = t.parameter("bias_h", {s.c});
            if (up) {
                s.up.acc(s.c, s.x, s.y, s.n) = 0.0f;
                Map low = add(p, t, o, HCONV_LH, s, s.up);
                start += low.at(s.c, min(s.x / 2, low.w - 1), min(s.y / 2, low.h - 1), s.n);
            }
            s.high_sum.acc(s.c, s.x, s.y, s.n) = start;
            add(p, t, o, HCONV_HH, s, s.high_sum);
            if (!up) add(p, t, o, HCONV_LH, s, s.high_sum);
            finish(s.high, s.high_sum, o.co_l ? "residual_h" : "residual", 0);
        }
        if (o.co_l) {
            s.low_sum.acc(s.c, s.x, s.y, s.n) = t.parameter("bias_l", {s.c});
            add(p, t, o, HCONV_HL, s, s.low_sum), add(p, t, o, HCONV_LL, s, s.low_sum);
            finish(s.low, s.low_sum, "residual_l", o.co_h);
        }
    }

private:
    std::map<std::pair<std::string, int>, Map> halved;  // by input, or path, and factor

    // Adds to the sum, if the path exists, the stride-1 convolution of its map, halved as often as the dialect says.
    Map add(const Problem &p, const Tensors &t, const hconv_octave &o, int path, OctaveStages &s, OctaveSum &sum) {
        const hconv_octave_path &q = o.path[path];
        if (!q.exists) return {};
        const char *input = path == HCONV_LH || path == HCONV_LL ? "x_l" : "x_h";
        const std::string name = hconv_octave_names[path];
        OctavePath &stages = s.path[path];
        Map m{[&t, input](Expr c, Expr x, Expr y, Expr n) { return t.input(input, c, x, y, n); }, t.extent(input, 'w'),
              t.extent(input, 'h')};
        int halvings = (path == HCONV_HL) + (p.stride_h == 2 && (path != HCONV_LH || o.upsample));
        const bool one_step = o.dialect == HCONV_OCTAVE_FB && halvings == 2;
        for (int i = 0; i < (one_step ? 1 : halvings); ++i) {
            const int factor = one_step ? 4 : 2;
            Map &small = halved[{s.rows_left_out ? input : name, factor << i}];
            if (!small.at) {
                stages.pooled.emplace_back("pooled_" + name + "_" + std::to_string(i));
                small = pool(m, o.dialect, factor, s, stages.pooled.back());
            }
            m = small;
        }
        stages.exists = true;
        stages.r = RDom(0, q.ci / q.groups, 0, p.kw, 0, p.kh, "r_" + name);
        stages.padded = Func("padded_" + name);
        auto at = [&](const Expr &x, const Expr &y) { return m.at(s.c, x, y, s.n); };
        stages.padded(s.c, s.x, s.y, s.n) =
            s.rows_left_out ? inside_or_zero(s.x, m.w, [&](const Expr &x) { return at(x, s.y); })
                            : inside_or_zero(s.x, s.y, m.w, m.h, at);
        Expr ci = group_start(s.c, q.ci, q.co, q.groups) + stages.r.x;
        Expr ix = s.x + stages.r.y * p.dilation_w - p.pad_left, iy = s.y + stages.r.z * p.dilation_h - p.pad_top;
        if (s.rows_left_out) iy = leave_out(stages.r, iy, m.h);
        sum.paths.push_back(path);
        sum.acc(s.c, s.x, s.y, s.n) += t.parameter(name + ".weight", {s.c, stages.r.x, stages.r.z, stages.r.y}) *
                                       stages.padded(ci, ix, iy, s.n);
        Func acc = sum.acc;
        return {[acc](Expr c, Expr x, Expr y, Expr n) { return acc(c, x, y, n); },
                m.w + p.pad_left + p.pad_right - p.dilation_w * (p.kw - 1),
                m.h + p.pad_top + p.pad_bottom - p.dilation_h * (p.kh - 1)};
    }
};

}  // namespace hconv

HCONV_FAMILY(hconv::OctaveStages)
HCONV_GENERATOR(hconv::Octave, octave)
