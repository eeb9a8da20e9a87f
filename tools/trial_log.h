// trial_log.h - every trial of a tuner, kept: an SQLite database that several tuners may write at once and that is whole at
// any moment, whatever is killed.
// SPDX-License-Identifier: MIT
// Each trial is in the log when add() returns. A row carries its record's line, which has a checksum; one row more carries
// the number of trials and the sum of their checksums: a trial that is changed, lost or added by damage is noticed.
#pragma once

#include "tools/records.h"

#include <memory>

struct sqlite3;

namespace hconv {

bool is_trial_log(const std::filesystem::path &file);  // by its first bytes

class TrialLog {
public:
    // Makes the file if it is not there and may be written. Throws a sentence for what is no log of this version, or is damaged
    // as a whole.
    TrialLog(const std::filesystem::path &file, bool only_read);
    ~TrialLog();
    TrialLog(const TrialLog &) = delete;
    TrialLog &operator=(const TrialLog &) = delete;

    // A trial that is there already (same key, see record_key) stays; false then.
    bool add(const Record &record);
    // Intact ones, in the order they were added; damaged(sentence) for each other and for a log that lacks some.
    std::vector<Record> records(const std::function<void(const std::string &)> &damaged);
    std::vector<Record> records_of(const std::string &problem, const std::string &target, const std::string &machine);

private:
    std::vector<Record> select(const std::string &where, const std::vector<std::string> &values,
                               const std::function<void(const std::string &)> &damaged, uint64_t *sum, int64_t *count);
    void exec(const char *sql);
    int64_t number(const char *sql);
    [[noreturn]] void fail(const std::string &doing);
    void make_tables();
    const std::filesystem::path file;
    sqlite3 *db = nullptr;
};

// What makes two trials the same: problem, target, machine, schedule, hash (or, where nothing was compiled, the command) and
// the ways of running.
std::string record_key(const Record &record);

}  // namespace hconv
