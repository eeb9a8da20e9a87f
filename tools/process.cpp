// process.cpp - see process.h.
// SPDX-License-Identifier: MIT
#include "tools/process.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <chrono>
#include <fstream>
#include <new>
#include <sstream>
#include <stdexcept>

extern char **environ;

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
static constexpr bool sanitized = true; // its shadow takes more address space than any limit allows
#else
static constexpr bool sanitized = false;
#endif

namespace hconv {

namespace fs = std::filesystem;

namespace {

double now() {
    return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count();
}

struct Child {
    pid_t pid = -1;
    int output = -1;
    double started = 0;
    size_t index = 0;
    ProcessResult result;
};

std::vector<std::string> clean_environment() {
    std::vector<std::string> kept;
    for (char **e = environ; *e; ++e)
        if (strncmp(*e, "HL_", 3) != 0) kept.push_back(*e);
    return kept;
}

Child start(const std::vector<std::string> &argv, const ProcessLimits &limits) {
    int ends[2];
    if (pipe2(ends, O_CLOEXEC)) throw std::runtime_error(std::string("cannot make a pipe: ") + strerror(errno));
    std::vector<std::string> environment = clean_environment();
    std::vector<char *> args, env;
    for (const std::string &a : argv) args.push_back(const_cast<char *>(a.c_str()));
    for (std::string &e : environment) env.push_back(&e[0]);
    args.push_back(nullptr), env.push_back(nullptr);
    Child child;
    child.started = now();
    const pid_t parent = getpid();
    child.pid = fork();
    if (child.pid < 0) throw std::runtime_error(std::string("cannot start a process: ") + strerror(errno));
    if (child.pid == 0) {
        setpgid(0, 0);
        prctl(PR_SET_PDEATHSIG, SIGKILL); // no compiler outlives the command that wants its object
        if (getppid() != parent) _exit(127);
        dup2(ends[1], 1), dup2(ends[1], 2);
        int null = open("/dev/null", O_RDONLY);
        if (null >= 0) dup2(null, 0);
        if (limits.memory_bytes && !sanitized) {
            rlimit most{limits.memory_bytes, limits.memory_bytes};
            setrlimit(RLIMIT_AS, &most);
        }
        environ = env.data();
        execvp(args[0], args.data());
        dprintf(2, "cannot run %s: %s\n", args[0], strerror(errno));
        _exit(127);
    }
    close(ends[1]);
    child.output = ends[0];
    return child;
}

// Reads what is there; at the end of the output collects the exit status. True when the child is gone.
bool advance(Child &c, bool readable, const ProcessLimits &limits) {
    char buffer[1 << 14];
    if (!readable) return false;
    ssize_t got = read(c.output, buffer, sizeof buffer);
    if (got > 0) {
        if (limits.output) limits.output(std::string(buffer, size_t(got)));
        else if (c.result.output.size() < (1u << 20)) c.result.output.append(buffer, size_t(got));
        return false;
    }
    if (got < 0 && errno == EINTR) return false;
    close(c.output);
    int status = 0;
    while (waitpid(c.pid, &status, 0) < 0 && errno == EINTR) {
    }
    c.result.exit_code = WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
    return true;
}

}  // namespace

void run_processes(const std::vector<std::vector<std::string>> &commands, int jobs, const ProcessLimits &limits,
                   const std::function<void(size_t, const ProcessResult &)> &done) {
    std::vector<Child> running;
    size_t next = 0;
    auto stopped = [&] { return limits.stop && *limits.stop; };
    while ((next < commands.size() && !stopped()) || !running.empty()) {
        while (next < commands.size() && !stopped() && running.size() < size_t(std::max(jobs, 1))) {
            running.push_back(start(commands[next], limits));
            running.back().index = next++;
        }
        std::vector<pollfd> fds;
        for (const Child &c : running) fds.push_back({c.output, POLLIN, 0});
        poll(fds.data(), fds.size(), 200);
        for (size_t i = running.size(); i-- > 0;) {
            const bool late = limits.seconds > 0 && now() - running[i].started > limits.seconds;
            if ((late || stopped()) && !running[i].result.timed_out) {
                running[i].result.timed_out = true;
                kill(-running[i].pid, SIGKILL);
            }
            if (!advance(running[i], fds[i].revents != 0, limits)) continue;
            Child ended = std::move(running[i]);
            running.erase(running.begin() + long(i));
            done(ended.index, ended.result);
        }
    }
}

ProcessResult run_process(const std::vector<std::string> &argv, const ProcessLimits &limits) {
    ProcessResult result;
    run_processes({argv}, 1, limits, [&](size_t, const ProcessResult &r) { result = r; });
    return result;
}

std::string find_program(const std::vector<std::string> &names) {
    const char *path = getenv("PATH");
    for (const std::string &name : names) {
        if (name.find('/') != std::string::npos && access(name.c_str(), X_OK) == 0) return name;
        std::istringstream folders(path ? path : "/usr/bin:/bin");
        for (std::string folder; std::getline(folders, folder, ':');)
            if (access((folder + "/" + name).c_str(), X_OK) == 0) return name;
    }
    return "";
}

std::string need_program(const std::vector<std::string> &names, const std::string &package) {
    std::string found = find_program(names);
    if (found.empty())
        throw std::runtime_error("the program " + names.front() + " is needed and was not found; install the package " + package);
    return found;
}

std::string own_path() { return fs::read_symlink("/proc/self/exe").string(); }

std::vector<std::string> split_command(const std::string &command) {
    std::istringstream words(command);
    std::vector<std::string> result;
    for (std::string w; words >> w;) result.push_back(w);
    return result;
}

static fs::path make_temporary(const fs::path &beside) {
    std::string pattern = ((beside.empty() ? fs::temp_directory_path() : beside) / ".hconv-XXXXXX").string();
    if (!mkdtemp(&pattern[0]))
        throw std::runtime_error("cannot make a folder in " + fs::path(pattern).parent_path().string() + ": " + strerror(errno));
    return pattern;
}

TemporaryFolder::TemporaryFolder(const fs::path &beside) : path(make_temporary(beside)) {}

TemporaryFolder::~TemporaryFolder() {
    std::error_code ignored;
    try {
        fs::remove_all(path, ignored);
    } catch (const std::bad_alloc &) { // then it stays
    }
}

std::string read_file(const fs::path &path) {
    std::ifstream in(path, std::ios::binary);
    std::ostringstream content;
    content << in.rdbuf();
    if (!in) throw std::runtime_error("cannot read " + path.string());
    return content.str();
}

void write_file(const fs::path &path, const std::string &content) {
    fs::path temporary = path;
    temporary += ".tmp" + std::to_string(getpid());
    std::error_code error;
    {
        std::ofstream out(temporary, std::ios::binary);
        out << content;
        out.close();
        if (!out) {
            fs::remove(temporary, error);
            throw std::runtime_error("cannot write " + path.string() + ": is the folder there, writable, and the disk not full?");
        }
    }
    fs::rename(temporary, path, error);
    if (!error) return;
    const std::string why = error.message();
    fs::remove(temporary, error);
    throw std::runtime_error("cannot write " + path.string() + ": " + why);
}

void put_folder(const fs::path &fresh, const fs::path &name) {
    if (renameat2(AT_FDCWD, fresh.c_str(), AT_FDCWD, name.c_str(), RENAME_EXCHANGE) == 0) return;
    std::error_code error;
    if (errno == EINVAL || errno == ENOSYS) { // a file system that cannot exchange: in two steps
        const fs::path old = fresh.string() + ".old";
        fs::rename(name, old, error);
        fs::rename(fresh, name, error);
        if (error) fs::rename(old, name);
    } else if (errno == ENOENT) {
        fs::rename(fresh, name, error);
    } else {
        error = std::error_code(errno, std::generic_category());
    }
    if (error) throw std::runtime_error("cannot make " + name.string() + ": " + error.message());
}

}  // namespace hconv
