// tensors.h - a kernel's tensors as an algorithm indexes them: activations by (c, x, y, n), parameters by their logical
// letters whatever the schedule's layout.
// SPDX-License-Identifier: MIT
#pragma once

#include "generators/problem.h"

#include <Halide.h>

#include <functional>
#include <map>

namespace hconv {

class Tensors {
public:
    // read: the value at physical indices, innermost first; dims: its buffer's dimensions.
    struct Entry {
        TensorArgument argument;
        std::function<Halide::Expr(const std::vector<Halide::Expr> &)> read;
        std::function<Halide::Internal::Dimension(int)> dim;
    };
    void add(const std::string &name, Entry entry) { entries[name] = std::move(entry); }
    bool has(const std::string &name) const { return entries.count(name) != 0; }

    // Value of an input activation.
    Halide::Expr input(const std::string &name, const Halide::Expr &c, const Halide::Expr &x, const Halide::Expr &y,
                       const Halide::Expr &n) const;
    // Value of a kernel parameter at logical indices, in the order of its letters.
    Halide::Expr parameter(const std::string &name, const std::vector<Halide::Expr> &index) const;
    // Of a parameter under its layout: the logical extent of a letter (of transformed windows), and its block; 1 = no blocks.
    int parameter_extent(const std::string &name, char letter) const;
    int parameter_block(const std::string &name, char letter) const;
    // Extent of an activation's dimension by letter: a constant where the problem fixes it.
    Halide::Expr extent(const std::string &name, char letter) const;
    // Declares mins, extents and strides: constants where known, dense everywhere.
    void declare_shapes() const;

private:
    const Entry &at(const std::string &name) const;
    std::map<std::string, Entry> entries;
};

}  // namespace hconv
