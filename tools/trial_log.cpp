// trial_log.cpp - see trial_log.h.
// SPDX-License-Identifier: MIT
#include "tools/trial_log.h"

#include "tools/cache.h"

#include <sqlite3.h>

#include <cinttypes>
#include <cstring>
#include <fstream>
#include <stdexcept>

namespace hconv {

namespace fs = std::filesystem;

namespace {

constexpr int kSchema = 1;
constexpr int kApplication = 0x68636e76;  // "hcnv"
constexpr int kPatience = 30000;          // ms that another tuner's transaction may take

uint64_t sum_of(const std::string &line) { return std::stoull(hash_text(line).substr(0, 16), nullptr, 16); }

std::string hex(uint64_t value) {
    char text[17];
    std::snprintf(text, sizeof text, "%016" PRIx64, value);
    return text;
}

// A statement that is finished whatever happens.
class Statement {
public:
    Statement(sqlite3 *db, const std::string &sql) : status(sqlite3_prepare_v2(db, sql.c_str(), -1, &s, nullptr)) {}
    ~Statement() { sqlite3_finalize(s); }
    Statement(const Statement &) = delete;
    Statement &operator=(const Statement &) = delete;
    Statement &bind(const std::vector<std::string> &values) {
        for (size_t i = 0; i < values.size() && status == SQLITE_OK; ++i)
            status = sqlite3_bind_text(s, int(i) + 1, values[i].data(), int(values[i].size()), SQLITE_TRANSIENT);
        return *this;
    }
    bool row() {
        if (status == SQLITE_OK || status == SQLITE_ROW) status = sqlite3_step(s);
        return status == SQLITE_ROW;
    }
    bool failed() const { return status != SQLITE_OK && status != SQLITE_ROW && status != SQLITE_DONE; }
    std::string text(int column) const {
        const void *bytes = sqlite3_column_blob(s, column);
        return bytes ? std::string(static_cast<const char *>(bytes), size_t(sqlite3_column_bytes(s, column))) : "";
    }
    int64_t number(int column) const { return sqlite3_column_int64(s, column); }

private:
    sqlite3_stmt *s = nullptr;
    int status;
};

}  // namespace

bool is_trial_log(const fs::path &file) {
    std::ifstream in(file, std::ios::binary);
    char begin[15] = "";
    in.read(begin, 15);
    return in.gcount() == 15 && !std::memcmp(begin, "SQLite format 3", 15);
}

std::string record_key(const Record &r) {
    return hash_text(r.problem + "\n" + r.target + "\n" + r.machine + "\n" + r.schedule + "\n" +
                     (r.hash.empty() ? "tool " + r.tool : r.hash) + "\n" + r.setting());
}

TrialLog::TrialLog(const fs::path &path, bool only_read) : file(path) {
    std::error_code ignored;
    if (fs::exists(file, ignored) && fs::file_size(file, ignored) > 0 && !is_trial_log(file))
        throw std::invalid_argument(file.string() + " is no trial log: name another file with --log");
    const int flags = only_read ? SQLITE_OPEN_READWRITE : SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE;
    try {
        int status = sqlite3_open_v2(file.c_str(), &db, flags, nullptr);
        if (only_read && status != SQLITE_OK) {  // a file or folder that may not be written
            sqlite3_close(db);
            status = sqlite3_open_v2(file.c_str(), &db, SQLITE_OPEN_READONLY, nullptr);
        }
        if (status != SQLITE_OK) fail("cannot open");
        sqlite3_busy_timeout(db, kPatience);
        sqlite3_limit(db, SQLITE_LIMIT_LENGTH, 64 << 20);
        // The tables first: another process may be making them, and makes version and tables at once.
        const int64_t tables = number("SELECT count(*) FROM sqlite_master");
        const int64_t version = number("PRAGMA user_version"), application = number("PRAGMA application_id");
        if (version == 0 && tables == 0) {
            if (only_read) throw std::invalid_argument(file.string() + " is an empty database");
            make_tables();
        } else if (version != kSchema || application != kApplication) {
            throw std::invalid_argument(file.string() + " is no trial log of this version of hconv (its schema is " +
                                        std::to_string(version) + "), or its head is damaged");
        }
    } catch (...) {
        sqlite3_close(db);
        throw;
    }
}

TrialLog::~TrialLog() { sqlite3_close(db); }

void TrialLog::fail(const std::string &doing) {
    const int code = sqlite3_errcode(db);
    std::string why = sqlite3_errmsg(db);
    if (code == SQLITE_FULL || (code & 0xff) == SQLITE_IOERR) why += ": is the disk full?";
    throw std::runtime_error(doing + " the trial log " + file.string() + ": " + why + ". What was in it before stays");
}

void TrialLog::exec(const char *sql) {
    if (sqlite3_exec(db, sql, nullptr, nullptr, nullptr) != SQLITE_OK) fail("cannot write");
}

int64_t TrialLog::number(const char *sql) {
    Statement s(db, sql);
    if (!s.row()) fail("cannot read");
    return s.number(0);
}

// Several may come here at once: SQLite does not wait for the others where the journal changes, so this does; the transaction
// makes the second find what the first made.
void TrialLog::make_tables() {
    int status = SQLITE_BUSY;
    for (int ms = 0; ms < kPatience && (status & 0xff) == SQLITE_BUSY; ms += 10) {
        status = sqlite3_exec(db, "PRAGMA journal_mode = WAL", nullptr, nullptr, nullptr);
        if ((status & 0xff) == SQLITE_BUSY) sqlite3_sleep(10);
    }
    if (status != SQLITE_OK) fail("cannot write");
    exec("BEGIN IMMEDIATE");
    if (number("PRAGMA user_version") == 0)
        exec("PRAGMA application_id = 1751346806;"
             "CREATE TABLE trials (key TEXT PRIMARY KEY, problem TEXT NOT NULL, target TEXT NOT NULL, machine TEXT NOT NULL,"
             " number INTEGER NOT NULL, line TEXT NOT NULL, sum TEXT NOT NULL) STRICT, WITHOUT ROWID;"
             "CREATE TABLE total (id INTEGER PRIMARY KEY CHECK (id = 1), count INTEGER NOT NULL, sum TEXT NOT NULL) STRICT;"
             "INSERT INTO total VALUES (1, 0, '0000000000000000');"
             "PRAGMA user_version = 1");
    exec("COMMIT");
}

bool TrialLog::add(const Record &r) {
    const std::string line = record_line(r), key = record_key(r);
    exec("BEGIN IMMEDIATE");
    try {
        Statement known(db, "SELECT line, sum FROM trials WHERE key = ?");
        Record old;
        std::string why;
        const bool there = known.bind({key}).row();
        if (known.failed()) fail("cannot read");
        if (there && known.text(1) == hex(sum_of(known.text(0))) && read_record_line(known.text(0), &old, &why)) return exec("ROLLBACK"), false;
        if (there) exec(("DELETE FROM trials WHERE key = '" + key + "'").c_str());  // damaged: measured anew
        Statement total(db, "SELECT count, sum FROM total");
        if (!total.row()) fail("cannot read");
        int64_t count = total.number(0);
        uint64_t sum = std::strtoull(total.text(1).c_str(), nullptr, 16);
        if (there) select("", {}, [](const std::string &) {}, &sum, &count);
        Statement insert(db, "INSERT INTO trials SELECT ?, ?, ?, ?, 1 + coalesce(max(number), 0), ?, ? FROM trials");
        if (insert.bind({key, r.problem, r.target, r.machine, line, hex(sum_of(line))}).row() || insert.failed()) fail("cannot write");
        Statement update(db, "UPDATE total SET count = CAST(? AS INTEGER), sum = ?");
        if (update.bind({std::to_string(count + 1), hex(sum ^ sum_of(line))}).row() || update.failed()) fail("cannot write");
        exec("COMMIT");
    } catch (...) {
        if (!sqlite3_get_autocommit(db)) sqlite3_exec(db, "ROLLBACK", nullptr, nullptr, nullptr);
        throw;
    }
    return true;
}

std::vector<Record> TrialLog::select(const std::string &where, const std::vector<std::string> &values,
                                     const std::function<void(const std::string &)> &damaged, uint64_t *sum, int64_t *count) {
    std::vector<Record> records;
    *sum = 0, *count = 0;
    Statement rows(db, "SELECT line, sum, key, problem, target, machine FROM trials" + where + " ORDER BY number, key");
    rows.bind(values);
    while (rows.row()) {
        const std::string line = rows.text(0);
        Record r;
        std::string why = "its checksum does not fit";
        ++*count, *sum ^= sum_of(line);
        const bool whole = rows.text(1) == hex(sum_of(line)) && read_record_line(line, &r, &why);
        if (whole && record_key(r) == rows.text(2) && r.problem == rows.text(3) && r.target == rows.text(4) && r.machine == rows.text(5))
            records.push_back(r);
        else damaged(file.string() + ": a trial is damaged and not used: " + why);
    }
    if (rows.failed()) fail("cannot read all of");
    return records;
}

std::vector<Record> TrialLog::records(const std::function<void(const std::string &)> &damaged) {
    uint64_t sum;
    int64_t count;
    exec("BEGIN");
    std::vector<Record> found = select("", {}, damaged, &sum, &count);
    Statement total(db, "SELECT count, sum FROM total");
    if (!total.row()) damaged(file.string() + ": the number of its trials is lost: some may be missing");
    else if (total.number(0) != count || total.text(1) != hex(sum))
        damaged(file.string() + ": it holds other trials than were added (" + std::to_string(count) + " of " +
                std::to_string(total.number(0)) + "): it is damaged");
    exec("COMMIT");
    Statement whole(db, "PRAGMA integrity_check(3)");
    std::string said = whole.row() ? whole.text(0) : "it cannot be checked";
    if (said != "ok") damaged(file.string() + ": the database is damaged: " + said);
    return found;
}

std::vector<Record> TrialLog::records_of(const std::string &problem, const std::string &target, const std::string &machine) {
    uint64_t sum;
    int64_t count;
    return select(" WHERE problem = ? AND target = ? AND machine = ?", {problem, target, machine}, [](const std::string &) {}, &sum,
                  &count);
}

}  // namespace hconv
