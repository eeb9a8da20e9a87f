// winograd.cpp - a window of 3 x 3, stride 1, by minimal filtering: m x m outputs of a tile from (m + 2) x (m + 2) inputs d,
// Y = A^T (sum_ci (G w G^T) o (B^T d B)) A,   out = act(Y + bias + residual)
// with (m + 2)^2 products a channel instead of 9 m^2. G w G^T is in the packed weights (runtime/transforms.c), whose layout
// says m. A dilated window reads every d-th input: d x d interleaved grids of tiles.
// SPDX-License-Identifier: MIT
#include "generators/winograd.h"

#include "generators/algebra.h"
#include "generators/generator.h"

namespace hconv {

using namespace Halide;
using Exprs = std::vector<Expr>;

TileGrid::TileGrid(const Problem &p, int m, const Expr &ow, const Expr &oh)
    : m(m), apart_x(p.dilation_w), apart_y(p.dilation_h), one_image(p.n == 1),
      columns(count(ow, m, apart_x)), rows(count(oh, m, apart_y)) {}

Expr TileGrid::count(const Expr &size, int m, int apart) {
    const int wide = m * apart;
    return Internal::simplify(apart == 1 ? (size + (m - 1)) / m : size / wide * apart + min(size % wide, apart));
}

static Expr tile_of(const Expr &x, int m, int apart) { return apart == 1 ? x / m : x / (m * apart) * apart + x % apart; }
static Expr first_of(const Expr &tile, int m, int apart) {
    return apart == 1 ? tile * m : tile / apart * (m * apart) + tile % apart;
}

Expr TileGrid::column(const Expr &x) const { return tile_of(x, m, apart_x); }
Expr TileGrid::row(const Expr &y) const { return tile_of(y, m, apart_y); }
Expr TileGrid::first_x(const Expr &t) const { return first_of(t % columns, m, apart_x); }
Expr TileGrid::first_y(const Expr &t) const {
    return first_of(one_image ? t / columns : t / columns % rows, m, apart_y);
}

// The points of F(4,3) are 0, +-a, +-b, infinity: these give the least rounding, and every coefficient is exact.
constexpr float a = 0.75f, b = 1.5f, a2 = a * a, b2 = b * b;

// B^T d, even and odd parts apart.
static Exprs forward(int m, const Exprs &d) {
    if (m == 2) return {d[0] - d[2], d[1] + d[2], d[2] - d[1], d[3] - d[1]};
    Expr even_a = d[4] - b2 * d[2], odd_a = a * (d[3] - b2 * d[1]);
    Expr even_b = d[4] - a2 * d[2], odd_b = b * (d[3] - a2 * d[1]);
    return {d[4] - (a2 + b2) * d[2] + (a2 * b2) * d[0], even_a + odd_a, even_a - odd_a, even_b + odd_b, even_b - odd_b,
            d[5] - (a2 + b2) * d[3] + (a2 * b2) * d[1]};
}

// A^T s.
static Exprs inverse(int m, const Exprs &s) {
    if (m == 2) return {s[0] + s[1] + s[2], s[1] - s[2] + s[3]};
    Expr even_a = s[1] + s[2], odd_a = s[1] - s[2], even_b = s[3] + s[4], odd_b = s[3] - s[4];
    return {s[0] + even_a + even_b, a * odd_a + b * odd_b, a2 * even_a + b2 * even_b, (a * a2) * odd_a + (b * b2) * odd_b + s[5]};
}

class Winograd : public ConvGenerator<Winograd, WinogradStages> {
public:
    void algorithm(const Problem &p, const Tensors &t, WinogradStages &s) {
        const int taps = t.parameter_extent("weight", 'h'), m = taps - 2, block = t.parameter_block("weight", 'i');
        Expr w = t.extent("x", 'w'), h = t.extent("x", 'h');
        const bool tfsame = p.same == HCONV_PAD_TFSAME;
        const TileGrid grid(p, m, tfsame ? w : w + (p.pad_left + p.pad_right - 2 * p.dilation_w),
                            tfsame ? h : h + (p.pad_top + p.pad_bottom - 2 * p.dilation_h));
        auto in = [&](const Expr &x, const Expr &y) { return t.input("x", s.ci, x, y, s.n); };
        s.padded(s.ci, s.ix, s.iy, s.n) =
            inside_or_zero(s.ix, s.iy, w, h, in);

        auto each = [](int count, const std::function<Expr(int)> &value) {
            Exprs list;
            for (int k = 0; k < count; ++k) list.push_back(value(k));
            return list;
        };
        Expr first_x = grid.first_x(s.t) - pad_left(p, w), first_y = grid.first_y(s.t) - pad_top(p, h);
        s.rows(s.c, s.q, s.t, s.j, s.cb) = mux(s.j, forward(m, each(taps, [&](int k) {
            return s.padded(s.cb * block + s.c, first_x + s.q * p.dilation_w, first_y + k * p.dilation_h, grid.image(s.t));
        })));
        s.spectrum(s.c, s.t, s.i, s.j, s.cb) =
            mux(s.i, forward(m, each(taps, [&](int k) { return s.rows(s.c, k, s.t, s.j, s.cb); })));

        s.r = RDom(0, block, 0, p.ci / p.groups / block, "r");
        Expr first = group_start(s.co, p.ci, p.co, p.groups) / block;
        s.acc(s.co, s.t, s.i, s.j) = 0.0f;
        s.acc(s.co, s.t, s.i, s.j) +=
            t.parameter("weight", {s.co, s.r.y * block + s.r.x, s.j, s.i}) * s.spectrum(s.r.x, s.t, s.i, s.j, first + s.r.y);
        // Of a dilated window's grids some have a tile less; what stands for it is not read.
        Expr tile = grid.index(p.dilation_w == 1 ? Expr(s.tx) : min(s.tx, grid.columns - 1),
                               p.dilation_h == 1 ? Expr(s.ty) : min(s.ty, grid.rows - 1), s.n);
        s.half(s.co, s.tx, s.ty, s.n, s.i, s.j) =
            mux(s.j, inverse(m, each(taps, [&](int k) { return s.acc(s.co, tile, s.i, k); })));
        s.result(s.co, s.tx, s.ty, s.n, s.i, s.j) =
            mux(s.i, inverse(m, each(taps, [&](int k) { return s.half(s.co, s.tx, s.ty, s.n, k, s.j); })));
        s.map(s.co, s.x, s.y, s.n) =
            s.result(s.co, grid.column(s.x), grid.row(s.y), s.n, grid.place_x(s.x), grid.place_y(s.y));

        Expr sum = s.map(s.co, s.x, s.y, s.n) + t.parameter("bias", {s.co});
        if (p.residual()) sum += t.input("residual", s.co, s.x, s.y, s.n);
        s.out(s.co, s.x, s.y, s.n) = activation(p, t, sum, s.co);
    }
};

}  // namespace hconv

HCONV_FORMULATION(hconv::Winograd, hconv::WinogradStages, conv2d_winograd)
