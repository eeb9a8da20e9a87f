// cuda.h - what ptxas makes of a CUDA kernel's PTX: code for GPUs of today, and what it says of registers.
// SPDX-License-Identifier: MIT
#pragma once

#include <filesystem>
#include <string>
#include <vector>

namespace hconv {

// The PTX inside a kernel's object; empty: it has none.
std::string ptx_of(const std::filesystem::path &object);

// ptxas, or "" where the CUDA Toolkit is not here.
std::string ptxas_program();

struct CudaImage {
    int capability;  // 80, 90
    std::filesystem::path file;
};
// Code for each capability that emit has images for, kept in the cache's folder `objects` beside the kernel's object; none where
// there is no ptxas or no PTX.
std::vector<CudaImage> assemble_images(const std::filesystem::path &object);

// A line for each function of the PTX, as comments: its launch, from the lowered code, and for every capability registers, bytes
// spilled and shared memory.
std::string ptxas_report(const std::string &ptx, const std::string &lowered);

}  // namespace hconv
