// records.cpp - see records.h.
// SPDX-License-Identifier: MIT
#include "tools/records.h"

#include "tools/cache.h"
#include "tools/process.h"
#include "tools/trial_log.h"

#include <nlohmann/json.hpp>

#include <algorithm>
#include <cmath>
#include <ctime>
#include <fstream>
#include <map>
#include <sstream>
#include <stdexcept>
#include <thread>

namespace hconv {

namespace fs = std::filesystem;
using nlohmann::json;
using nlohmann::ordered_json;

namespace {

const char *const statuses[] = {"ok", "infeasible", "compile", "timeout", "crash", "wrong", "runner"};
constexpr int kVersion = 1;
const std::string sum_key = ",\"sum\":\"";

std::string sum_of(const std::string &body) { return hash_text(body).substr(0, 12); }

double whole_tenths(double v) { return std::round(v * 10) / 10; }

ordered_json json_of(const Record &r) {
    ordered_json j{{"v", kVersion}, {"problem", r.problem}, {"target", r.target}, {"machine", r.machine}, {"schedule", r.schedule},
                   {"status", r.status}};
    if (!r.why.empty()) j["why"] = r.why;
    if (r.good()) {
        j["gain"] = std::round(r.gain * 1e4) / 1e4;
        ordered_json times = ordered_json::array();
        for (const Timing &t : r.times) {
            ordered_json one;
            if (!t.at.empty()) one["at"] = t.at;
            one["threads"] = t.threads, one["median"] = whole_tenths(t.median_ns), one["min"] = whole_tenths(t.min_ns);
            one["rounds"] = t.rounds, one["gflops"] = std::round(t.gflops * 100) / 100;
            times.push_back(one);
        }
        j["ns"] = times;
    }
    if (!r.hash.empty()) j["hash"] = r.hash;
    j["tool"] = r.tool, j["halide"] = r.halide, j["date"] = r.date;
    return j;
}

double number(const json &value, double least) {
    if (!value.is_number() || !std::isfinite(value.get<double>()) || value.get<double>() < least)
        throw std::invalid_argument("a number is none, or out of range");
    return value.get<double>();
}

Record record_of(const json &j) {
    if (j.at("v") != kVersion) throw std::invalid_argument("it is of version " + j.at("v").dump() + "; this hconv reads 1");
    Record r;
    r.problem = j.at("problem"), r.target = j.at("target"), r.machine = j.at("machine"), r.schedule = j.at("schedule");
    r.status = j.at("status"), r.why = j.value("why", ""), r.hash = j.value("hash", "");
    r.tool = j.at("tool"), r.halide = j.at("halide"), r.date = j.at("date");
    if (!known_status(r.status)) throw std::invalid_argument("'" + r.status + "' is no status");
    if (!r.good()) return r;
    r.gain = number(j.at("gain"), 0);
    for (const json &t : j.at("ns"))
        r.times.push_back({t.value("at", ""), int(number(t.at("threads"), 1)), number(t.at("median"), 1e-3), number(t.at("min"), 1e-3),
                           int(number(t.at("rounds"), 1)), number(t.at("gflops"), 0)});
    if (r.times.empty() || r.hash.size() != 16) throw std::invalid_argument("it has no times or no hash");
    return r;
}

std::string first_field(const std::string &cpuinfo, const std::string &key) {
    std::istringstream lines(cpuinfo);
    for (std::string line; std::getline(lines, line);)
        if (line.compare(0, key.size(), key) == 0 && (line[key.size()] == '\t' || line[key.size()] == ' '))
            return line.substr(std::min(line.find(": ") + 2, line.size()));
    return "";
}

}  // namespace

double Record::cost() const {
    double sum = 0;
    for (const Timing &t : times) sum += std::log(t.median_ns);
    return times.empty() ? 0 : std::exp(sum / double(times.size()));
}

std::string Record::setting() const {
    std::string text;
    for (const Timing &t : times) text += (text.empty() ? "" : " ") + (t.at.empty() ? "" : t.at + "/") + std::to_string(t.threads);
    return text;
}

bool known_status(const std::string &status) {
    return std::find(std::begin(statuses), std::end(statuses), status) != std::end(statuses);
}

std::string record_line(const Record &r) {
    std::string body = json_of(r).dump(-1, ' ', false, json::error_handler_t::replace);
    body.pop_back();
    return body + sum_key + sum_of(body) + "\"}";
}

bool read_record_line(const std::string &text, Record *r, std::string *why) {
    const size_t at = text.rfind(sum_key);
    if (at == std::string::npos || text.substr(at) != sum_key + sum_of(text.substr(0, at)) + "\"}") {
        *why = "its checksum does not fit: it is damaged, or was changed by hand";
        return false;
    }
    try {
        *r = record_of(json::parse(text));
        return true;
    } catch (const json::exception &e) {
        *why = e.what();
    } catch (const std::invalid_argument &e) {
        *why = e.what();
    }
    return false;
}

std::vector<Record> read_record_lines(const std::string &text, const std::string &file,
                                      const std::function<void(const std::string &)> &damaged) {
    std::vector<Record> records;
    std::istringstream lines(text);
    std::string line, why;
    for (int number = 1; std::getline(lines, line); ++number) {
        Record r;
        if (line.empty()) continue;
        if (read_record_line(line, &r, &why)) records.push_back(r);
        else damaged(file + ":" + std::to_string(number) + ": no record: " + why);
    }
    return records;
}

std::vector<Record> read_records(const fs::path &file, const std::function<void(const std::string &)> &damaged) {
    if (!fs::exists(file)) throw std::invalid_argument("there is no file " + file.string());
    if (is_trial_log(file)) {
        TrialLog log(file, true);
        return log.records(damaged);
    }
    return read_record_lines(read_file(file), file.string(), damaged);
}

std::vector<Record> winners(const std::vector<Record> &records) {
    std::map<std::string, Record> best;  // by problem, target, machine, in that order
    for (const Record &r : records) {
        if (!r.good()) continue;
        auto [at, fresh] = best.insert({r.problem + "\n" + r.target + "\n" + r.machine, r});
        if (!fresh && r.gain >= at->second.gain) at->second = r;
    }
    std::vector<Record> sorted;
    for (const auto &b : best) sorted.push_back(b.second);
    return sorted;
}

std::string record_lines(const std::vector<Record> &records) {
    std::string text;
    for (const Record &r : records) text += record_line(r) + "\n";
    return text;
}

std::string machine_name() {
    std::ifstream in("/proc/cpuinfo");
    std::ostringstream all;
    all << in.rdbuf();
    const std::string cpuinfo = all.str();
    std::string model = first_field(cpuinfo, "model name"), name;
    if (model.empty()) model = "cpu";
    for (const char *noise : {"(R)", "(TM)", "(r)", "(tm)", "CPU", "Processor"})
        for (size_t at; (at = model.find(noise)) != std::string::npos;) model.replace(at, std::string(noise).size(), " ");
    model.resize(std::min(model.find('@'), model.size()));
    for (char c : model) {
        if (isalnum(static_cast<unsigned char>(c))) name += char(tolower(static_cast<unsigned char>(c)));
        else if (!name.empty() && name.back() != '-') name += '-';
    }
    while (!name.empty() && name.back() == '-') name.pop_back();
    const std::string family = first_field(cpuinfo, "cpu family"), number = first_field(cpuinfo, "model");
    if (!family.empty() && !number.empty()) name += "-f" + family + "m" + number;
    return name + "/" + std::to_string(std::max(1u, std::thread::hardware_concurrency()));
}

std::string today() {
    char text[16];
    const std::time_t now = std::time(nullptr);
    std::strftime(text, sizeof text, "%Y-%m-%d", std::gmtime(&now));
    return text;
}

}  // namespace hconv
