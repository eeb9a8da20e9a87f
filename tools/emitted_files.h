// emitted_files.h - the text files of an emitted folder: the table of kernels in C, header, manifest, build files, USE.txt.
// SPDX-License-Identifier: MIT
#pragma once

#include "tools/emit.h"

#include <string>

namespace hconv {

std::string table_source(const std::string &name, const EmitResult &built);
std::string header_source(const std::string &name, const EmitResult &built);
std::string use_text(const std::string &name, const EmitResult &built);      // a complete program, and who owns what
std::string cmake_source(const std::string &name);                           // for add_subdirectory
std::string pkg_config_source(const std::string &name);                      // of lib<name>.a
std::string manifest(const EmitOptions &options, const EmitResult &built);   // kernels.json
std::string bill_of_materials(const std::string &name, const EmitResult &built);  // SPDX 2.3

}  // namespace hconv
