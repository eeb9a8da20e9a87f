// show.h - the verbs that only look: list, show, doctor.
// SPDX-License-Identifier: MIT
#pragma once

#include <string>
#include <vector>

namespace hconv {

struct ShowOptions {
    std::vector<std::string> problems;
    std::string target = "host", schedule, as;
    bool why = false;
    std::vector<std::string> records;  // as in CompileOptions
};

int list_command(const std::string &what);  // "", "variants", "targets", "schedules"
int show_command(const ShowOptions &options);
int doctor_command();

}  // namespace hconv
