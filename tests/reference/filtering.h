// filtering.h - what minimal filtering may round: fast allows kernels F(2,3), F(4,3), F(2,2), F(4,2), whose sums
// hold more than the window.
// SPDX-License-Identifier: MIT
// Y = A^T (sum_c (G w G^T) o (B^T d B)) A over tiles of m x m outputs from output 0 on (a dilated window: d x d interleaved
// grids of them). Every sum of it, in any order, is bounded like others: the magnitudes that reach an output are
// |A^T| (sum_c (|G| |w| |G|^T) o (|B^T| |d| |B|)) |A|, which this computes; the roundings on the way are counted.
#ifndef HCONV_TESTS_REFERENCE_FILTERING_H
#define HCONV_TESTS_REFERENCE_FILTERING_H

#include "maps.h"

#include <map>

namespace hconv::reference {

// One axis of a filter: taps = m + window - 1 products for m outputs.
struct Filter {
    int outputs, window, taps;
    std::vector<double> inverse, forward, weights;  // A^T [outputs, taps], B^T [taps, taps], G [taps, window]
    double inverse_roundings, forward_roundings;    // of one pass, in any order of its sums, and of a coefficient that is no float
    double weights_roundings;                       // likewise; 0: windows are transformed in double and rounded once
    // How much larger than the direct sum's the magnitudes get on an axis, all inputs and weights being equally large.
    double growth() const;
};
const Filter &filter_2_3();
const Filter &filter_4_3();
const Filter &filter_2_2();
const Filter &filter_4_2();

class Filtering {
public:
    // ow: columns of the output.
    Filtering(const Filter &f, const Map &x, const Weights &w, const Steps &s, int ow);
    // The sum of output (n, o, i, j), whose value is v, as the filter may have rounded it.
    Sum sum(double v, int n, int o, int i, int j);

private:
    struct Row {  // of tiles
        std::vector<double> inputs, products;  // [tile][c][taps^2]; [tile][o][taps^2], negative = not computed
    };
    Row &row(int n, int index);
    const double *products(Row &r, int tile, int o);
    // |T| a |T|^T of a square of columns x columns numbers.
    static void both_axes(const std::vector<double> &matrix, int rows, int columns, const double *from, double *to);

    const Filter &f;
    const Map &x;
    const Weights &w;
    const Steps s;
    int tiles, image = -1;
    std::vector<double> windows;  // |G| |w| |G|^T: [o][c][taps^2]
    std::map<int, Row> rows;      // of the image
};

} // namespace hconv::reference
#endif
