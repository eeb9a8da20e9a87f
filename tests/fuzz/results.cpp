// results.cpp - pack.json and results.json of any text are read, or refused with a sentence that names the file; what is read has
// what hconv takes from it.
// SPDX-License-Identifier: MIT
// The input's first line is the pack, given the name that belongs to it; behind it are the results, with @ for that name.
#include "tests/fuzz/fuzz.h"

#include "tools/packed.h"

#include <nlohmann/json.hpp>

#include <algorithm>
#include <functional>
#include <stdexcept>

using namespace hconv;
using nlohmann::json;

static bool read_or_refused(const std::string &file, const std::function<json()> &read, json *out) {
    try {
        *out = read();
        return true;
    } catch (const std::invalid_argument &e) {
        claim(!std::strncmp(e.what(), file.c_str(), file.size()), "a refusal names its file");
        return false;
    }
}

static void replace_all(std::string *text, char what, const std::string &by) {
    for (size_t at = 0; (at = text->find(what, at)) != std::string::npos; at += by.size()) text->replace(at, 1, by);
}

extern "C" int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    const std::string input(reinterpret_cast<const char *>(data), size);
    const size_t end = std::min(input.find('\n'), input.size());
    std::string asked = input.substr(0, end), answered = input.substr(std::min(end + 1, input.size()));
    json pack = json::parse(asked, nullptr, false), results;
    if (pack.is_object()) {
        pack["name"] = pack_name(pack);
        asked = pack.dump(-1, ' ', false, json::error_handler_t::replace);
    }
    if (!read_or_refused("pack.json", [&] { return parse_pack(asked, "pack.json", "check"); }, &pack)) return 0;
    replace_all(&answered, '@', pack["name"]);
    if (!read_or_refused("results.json", [&] { return parse_results(answered, "results.json", pack); }, &results)) return 0;
    claim(results.size() == pack["jobs"].size(), "there is a result a job");
    for (const json &result : results) claim(job_result(result).outcome == result["outcome"], "a result can be taken");
    return 0;
}
