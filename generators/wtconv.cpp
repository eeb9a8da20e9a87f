// wtconv.cpp - depthwise convolutions on the sub-bands of lev wavelet transforms, added to one on the input:
// bands_i(c,x,y,b) = sum_{u,v} a_{b%2}(u) a_{b/2}(v) low_i(c, 2x+v-P, 2y+u-P),  low_0 = x, low_{i+1} = bands_i(b=0)
// conv_i(c,x,y,b) = [b = 0] back_{i+1}(c,x,y) + sum_{u,v} w_i(c,b,v,u) bands_i(c, x+u-pl, y+v-pt, b)
// back_i(c,x,y) = sum_{b} sum_{u,v: 2y'+u-P=y, 2x'+v-P=x} r_{b%2}(u) r_{b/2}(v) conv_i(c,x',y',b);  zero outside every map
// out = act(base(x) + residual), base = bias + back_0 + window on x, where the stride keeps pixels (2-D) or after the
// means it takes (1-D).
// SPDX-License-Identifier: MIT
#include "generators/wtconv.h"

#include "generators/algebra.h"
#include "generators/generator.h"
#include "runtime/variants/wtconv.h"

namespace hconv {

using namespace Halide;

namespace {

constexpr int kMostConstantTaps = 8;  // longer filters are read from the parameters, in a loop: code stays small

struct Map {
    std::function<Expr(Expr, Expr, Expr, Expr)> at;  // c, x, y, n
    Expr w, h;
};

// f(args) = sum over t < count of term(t) where `inside`, 0 elsewhere.
void sum_over(Func f, const std::vector<Var> &args, int count, const Expr &inside, const std::function<Expr(Expr)> &term) {
    if (count > kMostConstantTaps) {
        RDom t(0, count, "t");
        f(args) = 0.0f;
        f(args) += select(inside, term(t), 0.0f);
        return;
    }
    Expr sum = term(0);
    for (int t = 1; t < count; ++t) sum += term(t);
    f(args) = select(inside, sum, 0.0f);
}

class Taps {
public:
    Taps(const hconv_wavelet *w, const Tensors &t) : wavelet(w), tensors(t) {}
    Expr analysis(const Expr &band, const Expr &t) const {
        if (!constant()) return tensors.parameter("analysis", {band, t});
        return select(band == 0, tap(HCONV_ANALYSIS, 0, t), tap(HCONV_ANALYSIS, 1, t));
    }
    // Tap 2 t + parity.
    Expr synthesis(const Expr &parity, const Expr &band, const Expr &t) const {
        if (!constant()) return tensors.parameter("synthesis", {parity, band, t});
        Expr low = select(parity == 0, tap(HCONV_SYNTHESIS, 0, 2 * t), tap(HCONV_SYNTHESIS, 0, 2 * t + 1));
        Expr high = select(parity == 0, tap(HCONV_SYNTHESIS, 1, 2 * t), tap(HCONV_SYNTHESIS, 1, 2 * t + 1));
        return select(band == 0, low, high);
    }

private:
    bool constant() const { return wavelet->length <= kMostConstantTaps; }
    Expr tap(int which, int band, const Expr &t) const {
        int at = int(*Internal::as_const_int(Internal::simplify(t)));
        return float(hconv_wavelet_tap(wavelet, which, band, at));
    }
    const hconv_wavelet *wavelet;
    const Tensors &tensors;
};

}  // namespace

class Wtconv : public ConvGenerator<Wtconv, WtconvStages> {
public:
    void algorithm(const Problem &p, const Tensors &t, WtconvStages &s) {
        const hconv_wtconv o = hconv_wtconv_of(&p);
        const Taps taps(o.wavelet, t);
        Expr w = t.extent("x", 'w'), h = o.lines ? Expr(1) : t.extent("x", 'h');
        s.padded(s.c, s.x, s.y, s.n) = inside_or_zero(likely(s.x), likely(s.y), w, h, [&](const Expr &x, const Expr &y) {
            return likely(t.input("x", s.c, x, y, s.n));
        });
        std::vector<Map> low{{[&](Expr c, Expr x, Expr y, Expr n) { return s.padded(c, x, y, n); }, w, h}};
        s.two_passes = o.wavelet->length > 2 && !o.lines;
        s.levels.resize(size_t(o.levels));
        for (int i = 0; i < o.levels; ++i) {
            const std::string number = std::to_string(i);
            WtconvLevel &level = s.levels[size_t(i)];
            level = {Func("across" + number), Func(), Func("conv" + number), Func("up" + number), Func("back" + number)};
            low.push_back(analyse(o, taps, low.back(), s, level, number, size_of(w, i + 1), size_of(h, i + 1)));
        }
        for (int i = o.levels - 1; i >= 0; --i) {
            convolve(p, t, o, low[size_t(i) + 1], s, i);
            const bool keep = i == 0 && !o.lines;
            synthesise(o, taps, low[size_t(i) + 1], s, s.levels[size_t(i)], keep ? p.stride_h : 1);
        }
        finish(p, t, o, low[0], s);
    }

private:
    // ceil(size / 2^level).
    static Expr size_of(const Expr &size, int level) { return (size + ((1 << level) - 1)) / (1 << level); }

    static Map analyse(const hconv_wtconv &o, const Taps &taps, const Map &in, const WtconvStages &s, WtconvLevel &level,
                       const std::string &number, const Expr &w, const Expr &h) {
        const std::vector<Var> args{s.c, s.x, s.y, s.b, s.n};
        const Expr x = clamp(likely(s.x), 0, w - 1), y = clamp(likely(s.y), 0, h - 1);
        // Maps are zero around themselves, as far as short filters reach.
        auto read = [&](const Expr &i, const Expr &size, const std::function<Expr(Expr)> &value) {
            return o.wavelet->length > kMostConstantTaps ? inside_or_zero(i, size, value) : value(i);
        };
        Func across = level.across;
        sum_over(across, args, o.wavelet->length, o.lines ? s.x == x : Expr(true), [&](const Expr &v) {
            return taps.analysis(s.b, v) * read(2 * (o.lines ? x : s.x) + v - o.before, in.w, [&](const Expr &i) {
                return in.at(s.c, i, s.y, s.n);
            });
        });
        if (o.lines) {
            level.bands = across, level.across = Func(), level.up = Func();
        } else {
            level.bands = Func("bands" + number);
            sum_over(level.bands, args, o.wavelet->length, s.x == x && s.y == y, [&](const Expr &u) {
                return taps.analysis(s.b % 2, u) * read(2 * y + u - o.before, in.h, [&](const Expr &i) {
                    return across(s.c, x, i, s.b / 2, s.n);
                });
            });
        }
        Func bands = level.bands;
        return {[bands](Expr c, Expr x, Expr y, Expr n) { return bands(c, x, y, 0, n); }, w, h};
    }

    // Taps outside the map add nothing: whole rows of them are left out.
    static RDom window(const Problem &p, const hconv_wtconv &o, const Map &m, const Expr &y, const char *name) {
        RDom r(0, p.kw, 0, o.lines ? 1 : p.kh, name);
        if (!o.lines) r.where(y + r.y >= (p.kh - 1) / 2 && y + r.y < m.h + (p.kh - 1) / 2);
        return r;
    }
    static Expr tap(const Problem &p, const hconv_wtconv &o, const Map &m, const RDom &r, const Expr &x, const Expr &y,
                    const std::function<Expr(Expr, Expr)> &value) {
        return inside_or_zero(likely(x + r.x - (p.kw - 1) / 2), m.w, [&](const Expr &i) {
            return likely(value(i, o.lines ? y : clamp(y + r.y - (p.kh - 1) / 2, 0, m.h - 1)));
        });
    }

    static void convolve(const Problem &p, const Tensors &t, const hconv_wtconv &o, const Map &m, WtconvStages &s, int i) {
        WtconvLevel &level = s.levels[size_t(i)];
        RDom r = window(p, o, m, s.y, "r");
        Expr back = 0.0f;
        if (i + 1 < o.levels) back = select(s.b == 0, s.levels[size_t(i) + 1].back(s.c, s.x, s.y, s.n), 0.0f);
        Func bands = level.bands;
        level.conv(s.c, s.x, s.y, s.b, s.n) = back;
        level.conv(s.c, s.x, s.y, s.b, s.n) +=
            t.parameter("wavelet." + std::to_string(i) + ".weight", {s.c, s.b, r.y, r.x}) *
            tap(p, o, m, r, s.x, s.y, [&](const Expr &x, const Expr &y) { return bands(s.c, x, y, s.b, s.n); });
    }

    // Columns, then rows. Output i takes the taps of parity (i + P) % 2 from samples (i + P) / 2, and before.
    static void synthesise(const hconv_wtconv &o, const Taps &taps, const Map &band, const WtconvStages &s, WtconvLevel &level,
                           int stride) {
        Func conv = level.conv, up = level.up;
        auto pass = [&](Func f, const std::vector<Var> &args, const Expr &at, const Expr &size,
                        const std::function<Expr(Expr, Expr)> &value) {
            sum_over(f, args, o.wavelet->length, Expr(true), [&](const Expr &t) {
                Expr b = t % 2, tap = t / 2;
                // Two taps: every sample that counts is inside.
                Expr v = o.wavelet->length == 2 ? value(at / 2, b)
                                                : inside_or_zero(likely(at / 2 - tap), size, [&](const Expr &i) {
                                                      return likely(value(i, b));
                                                  });
                return taps.synthesis(at % 2, b, tap) * v;
            });
        };
        if (!o.lines)
            pass(up, {s.c, s.x, s.y, s.b, s.n}, s.y * stride + o.before, band.h,
                 [&](const Expr &y, const Expr &b) { return conv(s.c, s.x, y, b + 2 * s.b, s.n); });
        pass(level.back, {s.c, s.x, s.y, s.n}, s.x * stride + o.before, band.w, [&](const Expr &x, const Expr &b) {
            return o.lines ? conv(s.c, x, s.y, b, s.n) : up(s.c, x, s.y, b, s.n);
        });
    }

    static void finish(const Problem &p, const Tensors &t, const hconv_wtconv &o, const Map &m,
                       WtconvStages &s) {
        const int step = o.lines ? 1 : p.stride_w;
        RDom r = window(p, o, m, s.y * step, "r_base");
        s.base(s.c, s.x, s.y, s.n) = t.parameter("bias", {s.c}) + s.levels[0].back(s.c, s.x, s.y, s.n);
        s.base(s.c, s.x, s.y, s.n) +=
            t.parameter("base.weight", {s.c, r.y, r.x}) *
            tap(p, o, m, r, s.x * step, s.y * step, [&](const Expr &x, const Expr &y) { return m.at(s.c, x, y, s.n); });
        Expr sum = s.base(s.c, s.x, s.y, s.n);
        if (o.lines && p.stride_w > 1) {
            RDom mean(0, p.stride_w, "mean");
            s.total(s.c, s.x, s.y, s.n) = 0.0f;
            s.total(s.c, s.x, s.y, s.n) += s.base(s.c, s.x * p.stride_w + mean, s.y, s.n);
            sum = s.total(s.c, s.x, s.y, s.n) * (1.0f / float(p.stride_w));
        }
        if (p.residual()) sum += t.input("residual", s.c, s.x, s.y, s.n);
        s.out(s.c, s.x, s.y, s.n) = activation(p, t, sum, s.c);
    }
};

}  // namespace hconv

HCONV_FAMILY(hconv::WtconvStages)
HCONV_GENERATOR(hconv::Wtconv, wtconv)
HCONV_GENERATOR(hconv::Wtconv, wtconv1d)
