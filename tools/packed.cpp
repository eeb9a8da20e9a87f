// packed.cpp - see packed.h.
// SPDX-License-Identifier: MIT
#include "tools/packed.h"

#include "tools/cache.h"

#include <nlohmann/json.hpp>

#include <algorithm>
#include <stdexcept>

namespace hconv {

using nlohmann::json;

JobResult job_result(const nlohmann::json &j) {
    JobResult r{j.at("outcome"), j.at("why")};
    r.flops = j.value("flops", 0.0), r.bytes_moved = j.value("bytes_moved", 0.0);
    r.median_ns = j.value("median_ns", 0.0), r.min_ns = j.value("min_ns", 0.0);
    r.workspace_bytes = j.value("workspace_bytes", uint64_t(0)), r.packed_bytes = j.value("packed_bytes", uint64_t(0));
    return r;
}

std::string pack_name(const json &pack) {
    json named = pack;
    named.erase("name");
    return hash_text(named.dump(-1, ' ', false, json::error_handler_t::replace)).substr(0, 16);
}

static bool has(const json &object, const char *key, bool (json::*is)() const noexcept) {
    const auto found = object.find(key);
    return found != object.end() && ((*found).*is)();
}

static bool are(const json &list, bool (json::*is)() const noexcept) {
    return std::all_of(list.begin(), list.end(), [&](const json &item) { return (item.*is)(); });
}

static bool complete(const json &pack) {
    for (const char *key : {"name", "verb", "made_by", "target", "schedule"})
        if (!has(pack, key, &json::is_string)) return false;
    for (const char *key : {"problems", "jobs", "rows"})
        if (!has(pack, key, &json::is_array)) return false;
    for (const json &row : pack["rows"])
        for (const char *key : {"problem", "symbol", "target", "schedule", "isa"})
            if (!row.is_object() || !has(row, key, &json::is_string)) return false;
    return has(pack, "asserts", &json::is_boolean) && has(pack, "numbers", &json::is_object) &&
           are(pack["problems"], &json::is_string) && are(pack["jobs"], &json::is_string);
}

json parse_pack(const std::string &text, const std::string &file, const std::string &verb) {
    json pack = json::parse(text, nullptr, false);
    if (!pack.is_object() || pack.value("format", json()) != kPackFormat || !complete(pack) || pack["name"] != pack_name(pack))
        throw std::invalid_argument(file + " is damaged, or of another version of hconv: pack up again");
    if (pack["verb"] != verb)
        throw std::invalid_argument(file + " was packed for hconv " + pack["verb"].get<std::string>() + ", not " + verb);
    return pack;
}

json parse_results(const std::string &text, const std::string &file, const json &pack) {
    auto refuse = [&](const std::string &why) { throw std::invalid_argument(file + " " + why + "; start run again"); };
    json results = json::parse(text, nullptr, false);
    if (!results.is_array()) refuse("is not a whole list of results: was the run interrupted?");
    const size_t jobs = pack["jobs"].size();
    if (results.size() != jobs) refuse("has " + std::to_string(results.size()) + " results of " + std::to_string(jobs) + " jobs");
    for (size_t i = 0; i < jobs; ++i) {
        const json &result = results[i];
        const std::string id = pack["name"].get<std::string>() + ":" + std::to_string(i);
        const std::string entry = "is damaged: its entry " + std::to_string(i) + " ";
        if (!result.is_object() || result.value("id", json()) != id)
            refuse("holds results of another pack (its entry " + std::to_string(i) + " is not " + id + ")");
        for (const char *key : {"outcome", "why"})
            if (!has(result, key, &json::is_string)) refuse(entry + "has no " + key);
        if (result.contains("output") && !result["output"].is_string()) refuse(entry + "has an output that is no hash");
        for (const char *key : {"flops", "bytes_moved", "median_ns", "min_ns"})
            if (result.contains(key) && !result[key].is_number()) refuse(entry + "has no number for " + key);
        for (const char *key : {"workspace_bytes", "packed_bytes"})
            if (result.contains(key) && !result[key].is_number_unsigned()) refuse(entry + "has no size for " + key);
    }
    return results;
}

}  // namespace hconv
