// tensor_file.h - float32 tensors in the files people have: .npy, .npz, .safetensors, a folder of .npy files.
// SPDX-License-Identifier: MIT
// Files are not trusted: every length in them is checked against what is there. What cannot be read is a
// std::runtime_error whose sentence names the file.
#ifndef HCONV_TOOLS_TENSOR_FILE_H
#define HCONV_TOOLS_TENSOR_FILE_H

#include <cstdint>
#include <map>
#include <string>
#include <vector>

namespace hconv {

struct Tensor {
    std::vector<int64_t> shape; // outermost first, C order; empty = one number
    std::vector<float> data;
};

struct TensorFile {
    std::map<std::string, Tensor> tensors;
    std::map<std::string, std::string> skipped; // tensors that are no floats (step counters, for example): name -> why
};

// float32 and float64 (rounded to float32), little-endian, C or Fortran order, format versions 1 to 3.
Tensor read_npy(const std::string &path);
// By what path names: a .npz, a .safetensors (F32, F64), a folder of <tensor>.npy, or one .npy (tensor named after the
// file).
TensorFile read_tensor_file(const std::string &path);
// The bytes of such a file, no folder; path says what kind it is and names it in sentences.
TensorFile read_tensor_bytes(const std::string &path, const std::vector<unsigned char> &bytes);
// A .npy file's content.
std::string npy_bytes(const std::vector<int64_t> &shape, const float *data);
void write_npy(const std::string &path, const std::vector<int64_t> &shape, const float *data);

} // namespace hconv
#endif
