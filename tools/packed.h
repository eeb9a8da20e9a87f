// packed.h - what the run program answers, what a packed-up folder asks (pack.json) and what its run answered (results.json):
// any text is read, or refused with a sentence.
// SPDX-License-Identifier: MIT
#pragma once

#include <nlohmann/json_fwd.hpp>

#include <cstdint>
#include <string>

namespace hconv {

constexpr int kPackFormat = 1;

struct JobResult {
    std::string outcome, why; // outcome: passed, failed or skipped
    double flops = 0, bytes_moved = 0, median_ns = 0, min_ns = 0;
    uint64_t workspace_bytes = 0, packed_bytes = 0;
};

JobResult job_result(const nlohmann::json &line);  // as runtime/exec.c writes it

// The name of a pack: of all that it says. Bytes changed on the way change it.
std::string pack_name(const nlohmann::json &pack);

// Both throw std::invalid_argument; the sentence begins with the file's name. What is returned has every key with its type.
nlohmann::json parse_pack(const std::string &text, const std::string &file, const std::string &verb);
nlohmann::json parse_results(const std::string &text, const std::string &file, const nlohmann::json &pack);

}  // namespace hconv
