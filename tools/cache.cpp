// cache.cpp - see cache.h.
// SPDX-License-Identifier: MIT
#include "tools/cache.h"

#include "tools/process.h"

#include <nlohmann/json.hpp>
#define XXH_INLINE_ALL
#include <xxhash.h>

#include <stdexcept>

namespace hconv {

namespace fs = std::filesystem;
using nlohmann::json;

std::string hash_text(const std::string &text) {
    char hex[33];
    XXH128_hash_t h = XXH3_128bits(text.data(), text.size());
    snprintf(hex, sizeof hex, "%016llx%016llx", (unsigned long long)h.high64, (unsigned long long)h.low64);
    return hex;
}

void write_entry(const fs::path &path, const std::string &content) { write_file(path, hash_text(content) + "\n" + content); }

bool read_entry(const fs::path &path, std::string *content) {
    std::error_code ignored;
    if (!fs::is_regular_file(path, ignored)) return false;
    const std::string file = read_file(path);
    const size_t end = file.find('\n');
    if (end == std::string::npos) return false;
    *content = file.substr(end + 1);
    return hash_text(*content) == file.substr(0, end);
}

static fs::path checksum_path(const fs::path &object) { return object.string() + ".sum"; }

void keep_object(const fs::path &made, const fs::path &object) {
    write_entry(checksum_path(object), hash_text(read_file(made)));
    fs::rename(made, object);
}

bool object_intact(const fs::path &object) {
    std::error_code ignored;
    std::string sum;
    return read_entry(checksum_path(object), &sum) && fs::is_regular_file(object, ignored) && hash_text(read_file(object)) == sum;
}

std::string record_text(const KernelRecord &k) {
    json arguments = json::array();
    for (size_t a = 0; a < k.arguments.size(); ++a)
        arguments.push_back({{"name", k.names[2 * a]}, {"role", k.arguments[a].role}, {"rank", k.arguments[a].rank},
                             {"layout", k.names[2 * a + 1]}});
    const json record{{"problem", k.problem}, {"target", k.target.halide}, {"schedule", k.schedule}, {"rule", k.rule},
                      {"hash", k.hash},       {"object", k.object_key},    {"arguments", arguments}, {"root", k.root},
                      {"slot", k.slot},       {"min_h", k.min_h},          {"min_w", k.min_w},       {"seconds", k.seconds}};
    return record.dump(1, ' ', false, json::error_handler_t::replace) + "\n";
}

// Throws where the text holds something else.
static int64_t whole(const json &value, int64_t least, int64_t most) {
    if (!value.is_number_integer()) throw std::invalid_argument("no integer");
    const int64_t n = value.get<int64_t>();
    if (n < least || n > most || (value.is_number_unsigned() && value.get<uint64_t>() > uint64_t(INT64_MAX)))
        throw std::invalid_argument("out of range");
    return n;
}

static std::vector<int64_t> size_program(const json &values) {
    std::vector<int64_t> program;
    for (const json &v : values) program.push_back(whole(v, INT64_MIN, INT64_MAX));
    return program;
}

bool parse_record(const std::string &text, KernelRecord *out) {
    const json j = json::parse(text, nullptr, false);
    if (!j.is_object()) return false;
    try {
        KernelRecord k;
        k.problem = j.at("problem"), k.schedule = j.at("schedule"), k.rule = j.at("rule"), k.hash = j.at("hash");
        k.target.halide = j.at("target"), k.object_key = j.at("object");
        k.root = size_program(j.at("root")), k.slot = size_program(j.at("slot"));
        k.min_h = int(whole(j.at("min_h"), 0, INT32_MAX)), k.min_w = int(whole(j.at("min_w"), 0, INT32_MAX));
        k.seconds = j.at("seconds");
        for (const json &a : j.at("arguments")) {
            k.names.push_back(a.at("name"));
            k.names.push_back(a.at("layout"));
            k.arguments.push_back({nullptr, uint8_t(whole(a.at("role"), HCONV_INPUT, HCONV_OUTPUT)), HCONV_F32,
                                   uint8_t(whole(a.at("rank"), 0, HCONV_MAX_TENSORS)), nullptr});
        }
        *out = std::move(k);
        return true;
    } catch (const json::exception &) {
        return false;
    } catch (const std::invalid_argument &) {
        return false;
    }
}

}  // namespace hconv
