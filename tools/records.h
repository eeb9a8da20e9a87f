// records.h - a record is one measured trial as a line of JSON: what trial logs hold, what people read, review and ship.
// SPDX-License-Identifier: MIT
// The keys have a fixed order and the last, "sum", is a checksum of what stands before it: a damaged line is no record.
#pragma once

#include <filesystem>
#include <functional>
#include <string>
#include <vector>

namespace hconv {

// One way of running a kernel and how long it took.
struct Timing {
    std::string at;   // the sizes of an open problem, as problem lists have them: "h56w56"; else empty
    int threads = 1;
    double median_ns = 0, min_ns = 0;
    int rounds = 0;
    double gflops = 0;
};

struct Record {
    std::string problem, target, machine, schedule;
    std::string status;  // ok, infeasible, compile, timeout, crash, wrong or runner
    std::string why;     // of a failure
    std::vector<Timing> times;
    double gain = 0;     // the default schedule's time over this one's, both measured in the same rounds; 0: failed
    std::string hash;    // of the lowered pipeline; empty where there was none
    std::string tool;    // the command that compiled it
    std::string halide, date;

    bool good() const { return status == "ok"; }
    double cost() const;          // geometric mean of the medians, ns
    std::string setting() const;  // the ways of running it: times of different settings do not compare
};

bool known_status(const std::string &status);
std::string record_line(const Record &r);  // without a newline
// False: why says what is wrong with the text.
bool read_record_line(const std::string &text, Record *r, std::string *why);

// Every intact record of a file, a trial log or lines; damaged(sentence) for each that is not.
std::vector<Record> read_records(const std::filesystem::path &file, const std::function<void(const std::string &)> &damaged);
std::vector<Record> read_record_lines(const std::string &text, const std::string &file,
                                      const std::function<void(const std::string &)> &damaged);

// One record a problem, target and machine: the later one of equals wins. Sorted.
std::vector<Record> winners(const std::vector<Record> &records);
std::string record_lines(const std::vector<Record> &records);

std::string machine_name();  // "intel-xeon-f6m143/2": the processor and how many cores
std::string today();         // "2026-11-22"

}  // namespace hconv
