// process.cpp - see process.h.
// SPDX-License-Identifier: MIT
#include "tools/process.h"

#include <fcntl.h>
#include <poll.h>
#include <semaphore.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <fstream>
#include <mutex>
#include <new>
#include <sstream>
#include <stdexcept>
#include <thread>

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

constexpr double kGrace = 2;  // seconds for what was told to end: a compiler removes its temporary files then

// What a signal that ends the command ends and removes first. Who holds the lock is not cut in two by it.
struct Live {
    std::mutex lock;
    std::vector<pid_t> children;  // not waited for yet, each the first of a group
    std::vector<fs::path> folders;
};
Live &live = *new Live;  // never destroyed: a thread reads it to the end

const pid_t command = getpid();
std::atomic<int> last_signal{0};
sem_t signals;

void on_signal(int number) {
    if (getpid() != command) _exit(128 + number);  // a child that does not run its program yet
    last_signal = number;
    sem_post(&signals);
}

void end_at_signal() {
    while (sem_wait(&signals)) {
    }
    live.lock.lock();                  // for ever: nothing more is started, or put in its place
    prctl(PR_SET_CHILD_SUBREAPER, 1);  // what the children started is waited for as well
    for (pid_t group : live.children) kill(-group, SIGTERM);
    const double told = now();
    for (pid_t group : live.children)
        for (; waitpid(-group, nullptr, WNOHANG) >= 0; usleep(1000))
            if (now() - told > kGrace) kill(-group, SIGKILL);
    for (const fs::path &folder : live.folders) {
        std::error_code error;
        do fs::remove_all(folder, error);
        while (error == std::errc::directory_not_empty);  // the command was writing there
    }
    const int number = last_signal;
    signal(number, SIG_DFL);
    raise(number);
    _exit(128 + number);  // the first process of a container does not end by signals
}

struct Child {
    pid_t pid = -1;
    int output = -1;
    double started = 0, told = 0;
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
    std::lock_guard<std::mutex> held(live.lock);
    live.children.reserve(live.children.size() + 1);
    child.pid = fork();
    if (child.pid < 0) throw std::runtime_error(std::string("cannot start a process: ") + strerror(errno));
    if (child.pid == 0) {
        setpgid(0, 0);
        prctl(PR_SET_PDEATHSIG, SIGKILL); // no compiler outlives the command that wants its object
        if (getppid() != command) _exit(127);
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
    setpgid(child.pid, child.pid);  // here too: there is a group when this returns
    live.children.push_back(child.pid);
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
    {
        std::lock_guard<std::mutex> held(live.lock);
        live.children.erase(std::find(live.children.begin(), live.children.end(), c.pid));
    }
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
            Child &c = running[i];
            const bool late = limits.seconds > 0 && now() - c.started > limits.seconds;
            if (c.result.timed_out && now() - c.told > kGrace) kill(-c.pid, SIGKILL);
            if ((late || stopped()) && !c.result.timed_out) {
                c.result.timed_out = true, c.told = now();
                kill(-c.pid, SIGTERM);
            }
            if (!advance(c, fds[i].revents != 0, limits)) continue;
            Child ended = std::move(c);
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

void clean_up_at_signals() {
    sem_init(&signals, 0, 0);
    std::thread(end_at_signal).detach();
    for (int number : {SIGINT, SIGTERM, SIGHUP, SIGPIPE}) {
        struct sigaction action {};
        sigaction(number, nullptr, &action);
        if (action.sa_handler == SIG_IGN) continue;  // nohup
        action.sa_handler = on_signal, action.sa_flags = SA_RESTART;
        sigaction(number, &action, nullptr);
    }
}

static fs::path make_temporary(const fs::path &beside) {
    std::string pattern = ((beside.empty() ? fs::temp_directory_path() : beside) / ".hconv-XXXXXX").string();
    std::lock_guard<std::mutex> held(live.lock);
    live.folders.reserve(live.folders.size() + 1);
    if (!mkdtemp(&pattern[0]))
        throw std::runtime_error("cannot make a folder in " + fs::path(pattern).parent_path().string() + ": " + strerror(errno));
    live.folders.push_back(pattern);
    return pattern;
}

TemporaryFolder::TemporaryFolder(const fs::path &beside) : path(make_temporary(beside)) {}

TemporaryFolder::~TemporaryFolder() {
    std::error_code ignored;
    std::lock_guard<std::mutex> held(live.lock);
    live.folders.erase(std::find(live.folders.begin(), live.folders.end(), path));
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
    std::lock_guard<std::mutex> held(live.lock);
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
    std::lock_guard<std::mutex> held(live.lock);
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
