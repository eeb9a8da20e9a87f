// cache.h - what the kernel cache holds: entries that are read whole and intact, or count as not there.
// SPDX-License-Identifier: MIT
// An entry's file is the checksum of its content, a newline, and the content. An object's checksum lies in a file beside it,
// because other programs read it. Damage of any kind costs a compilation, never a wrong kernel.
#pragma once

#include "runtime/variant.h"
#include "tools/targets.h"

#include <filesystem>
#include <string>
#include <vector>

namespace hconv {

std::string hash_text(const std::string &text);  // 32 hex digits

void write_entry(const std::filesystem::path &path, const std::string &content);
bool read_entry(const std::filesystem::path &path, std::string *content);

// The object as the compiler left it becomes the cache's, with its checksum.
void keep_object(const std::filesystem::path &made, const std::filesystem::path &object);
bool object_intact(const std::filesystem::path &object);

// A compiled kernel: what its row in the table needs, and where its object lies.
struct KernelRecord {
    std::string problem, schedule, rule, hash;  // hash: of the lowered pipeline, 16 hex digits
    Target target;
    std::vector<hconv_argument> arguments;  // names and layouts point into names
    std::vector<std::string> names;
    std::vector<int64_t> root, slot;
    int min_h = 1, min_w = 1;
    std::string object_key;
    std::filesystem::path object;
    double seconds = 0;  // of compiling; 0 = from the cache
};

// The entry of a record, without its target's details and the object's folder; false where the text is none.
std::string record_text(const KernelRecord &record);
bool parse_record(const std::string &text, KernelRecord *out);

}  // namespace hconv
