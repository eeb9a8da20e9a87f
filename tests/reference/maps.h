// maps.h - what the families' loops share: maps and windows of Nums, the sum over a window, the outputs to be computed.
// SPDX-License-Identifier: MIT
// Maps are kept as [n][h][w][c], windows as [o][u][v][c], whatever the problem's layout, so that the innermost loop
// runs over neighbours. All elements of a map share one count of roundings (the largest).
#ifndef HCONV_TESTS_REFERENCE_MAPS_H
#define HCONV_TESTS_REFERENCE_MAPS_H

#include "num.h"
#include "reference.h"
#include "variant.h"

#include <functional>

namespace hconv::reference {

// One call of compute(): the problem, complete and checked, and its tensors, present and of the right shape.
struct Request {
    hconv_problem p;
    const std::map<std::string, View> &tensors;
    hconv_tensor_list list;
    int64_t limit;

    const float *data(const std::string &name) const; // nullptr if absent
    double scalar(const std::string &name, double otherwise) const;
};

struct Map {
    int n = 0, h = 0, w = 0, c = 0;
    double ops = 0;
    std::vector<double> v, mag;

    size_t at(int in, int i, int j, int ic) const { return ((size_t(in) * h + i) * w + j) * c + ic; }
    Num num(size_t index) const { return {v[index], mag[index], ops}; }
};

struct Weights {
    int co = 0, kh = 0, kw = 0, ci = 0; // ci: of one group
    double ops = 0;
    std::vector<double> v, mag;

    Weights(int co, int ci, int kh, int kw);
    size_t at(int o, int u, int iv, int ic) const { return ((size_t(o) * kh + u) * kw + iv) * ci + ic; }
};

// How a window moves: output (i, j) reads rows i stride_h + u dilation_h - pad_top, and columns alike.
struct Steps {
    int stride_h, stride_w, dilation_h, dilation_w, pad_top, pad_left;
};
Steps steps_of(const hconv_problem &p);

// y = scale x + shift, of inference batch norm; scale 1, shift 0 where the problem has none.
struct Norm {
    bool present = false;
    std::vector<double> scale, shift;
};

// Shape in memory: channels last in nhwc.
std::vector<int64_t> public_shape(const hconv_problem &p, const hconv_tensor &t);

Map read_map(const Request &r, const std::string &name); // empty (n = 0) if absent
Norm read_norm(const Request &r, const std::string &prefix, int channels, bool present);
Num slope_of(const Request &r, int channel);

// Mean over size x size windows that step by size, clipped to the map; oh, ow say how many.
Map pool(const Map &x, int size, int oh, int ow);

// sum += sum_{u,v,c} W[o,u,v,c] x[n, row, column, group's first channel + c]; zero outside the map.
void add_window(Sum &sum, const Map &x, const Weights &weights, const Steps &steps, int n, int o, int i, int j);

// The output tensor of that name, element (n, o, i, j) from the function, as far as the request wants it.
Output make_output(const Request &r, const std::string &name, const std::function<Num(int, int, int, int)> &element);

} // namespace hconv::reference
#endif
