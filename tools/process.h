// process.h - child processes, temporary folders, and files that appear whole or not at all.
// SPDX-License-Identifier: MIT
#pragma once

#include <csignal>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <string>
#include <vector>

namespace hconv {

struct ProcessResult {
    int exit_code = -1;  // 128 + signal if killed
    bool timed_out = false;
    std::string output;  // stdout and stderr together
};

struct ProcessLimits {
    double seconds = 0;        // 0 = none
    uint64_t memory_bytes = 0;  // address space; 0 = none
    const volatile std::sig_atomic_t *stop = nullptr;       // becomes 1: what runs is ended, no other is started
    std::function<void(const std::string &)> output = {};   // takes the output as it comes, instead of the result
};

// Runs argv[0] (looked up in PATH) with HL_* variables removed.
ProcessResult run_process(const std::vector<std::string> &argv, const ProcessLimits &limits = {});
// Runs every command, at most jobs at a time; done(i, result) is called in this thread as each ends.
void run_processes(const std::vector<std::vector<std::string>> &commands, int jobs, const ProcessLimits &limits,
                   const std::function<void(size_t, const ProcessResult &)> &done);
// First of names found in PATH, else "".
std::string find_program(const std::vector<std::string> &names);
// As find_program, but throws a sentence that says what to install.
std::string need_program(const std::vector<std::string> &names, const std::string &package);
std::string own_path();  // of this executable
std::vector<std::string> split_command(const std::string &command);

// From then on SIGINT, SIGTERM, SIGHUP and SIGPIPE, where they are not ignored, end what runs and remove the temporary folders
// before they end this command.
void clean_up_at_signals();

// Removed with its contents at the end.
class TemporaryFolder {
public:
    explicit TemporaryFolder(const std::filesystem::path &beside = {});
    ~TemporaryFolder();
    TemporaryFolder(const TemporaryFolder &) = delete;
    TemporaryFolder &operator=(const TemporaryFolder &) = delete;
    const std::filesystem::path path;
};

std::string read_file(const std::filesystem::path &path);  // throws a sentence
// Writes beside, then renames: path has the old or the new content, never half of it.
void write_file(const std::filesystem::path &path, const std::string &content);
// The folder fresh takes the name in one step; a folder that had it gets the name fresh, for the caller to remove.
void put_folder(const std::filesystem::path &fresh, const std::filesystem::path &name);

}  // namespace hconv
