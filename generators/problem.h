// problem.h - the C problem as generators, schedules and tools see it.
// SPDX-License-Identifier: MIT
#pragma once

#include "runtime/variant.h"

#include <string>
#include <vector>

namespace hconv {

struct Problem : hconv_problem {
    // Throws std::invalid_argument with the parser's sentence.
    static Problem parse(const std::string &text);
    std::string text() const;  // canonical
    const hconv_variant &kind() const { return hconv_variants[variant]; }
    std::string family() const { return kind().family->name; }
    std::vector<hconv_tensor> tensors() const;
    std::vector<hconv_tensor> kernel_tensors() const;
    bool open() const { return n == HCONV_OPEN || h == HCONV_OPEN || w == HCONV_OPEN; }
    // linear as a 1 x 1 convolution over one image whose pixels are the rows of x.
    Problem as_map() const;
    bool norm() const { return (flags & HCONV_NORM) != 0; }
    bool residual() const { return (flags & HCONV_RESIDUAL) != 0; }
    bool nchw() const { return layout == HCONV_NCHW; }
    bool has_padding() const { return same || pad_top || pad_bottom || pad_left || pad_right; }
    // Output sizes; 0 where open.
    int oh() const;
    int ow() const;
};

// A kernel's argument: a tensor and its layout in memory, outermost first; "wino4:Ohwi16o": its windows transformed.
struct TensorArgument {
    hconv_tensor tensor;
    std::string layout;
    std::string name() const { return tensor.name; }
    std::string identifier() const;  // the name as Halide takes it: '.' is '_'
    int rank() const;                // physical dimensions
};

}  // namespace hconv
