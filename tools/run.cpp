// run.cpp - hconv run: one problem on tensors from files, for people and scripts.
// SPDX-License-Identifier: MIT
// Open sizes are read from the first input's shape. Parameters are looked up by their standard names: exact, behind
// --prefix, or through the variant's aliases. Outputs appear whole or not at all.
#include "runtime/fill.h"
#include "tools/process.h"
#include "tools/run_program.h"
#include "tools/tensor_file.h"

#include <algorithm>
#include <cstdio>
#include <filesystem>
#include <list>
#include <map>
#include <stdexcept>
#include <thread>

namespace hconv {

namespace {

namespace fs = std::filesystem;
using Shape = std::vector<int64_t>;
using Named = std::map<std::string, Tensor>;

std::string text_of(const Shape &shape) {
    std::string s = "[";
    for (size_t i = 0; i < shape.size(); ++i) s += (i ? ", " : "") + std::to_string(shape[i]);
    return s + "]";
}

// In memory order.
Shape shape_of(const Problem &p, const hconv_tensor &t) {
    Shape s(t.extent, t.extent + t.rank);
    if (t.role != HCONV_PARAMETER && t.rank > 2 && !p.nchw()) std::rotate(s.begin() + 1, s.begin() + 2, s.end());
    return s;
}

// Dimensions of 1 say nothing about the order in memory: Conv1d's [o, i, k] is [o, i, 1, k].
Shape without_ones(Shape s) {
    s.erase(std::remove(s.begin(), s.end(), 1), s.end());
    return s;
}

// "x=x.npy" to {"x", "x.npy"}; with one tensor to name, its name may be left out.
std::map<std::string, std::string> read_assignments(const std::vector<std::string> &items, const Problem &p, int role) {
    std::map<std::string, std::string> files;
    std::vector<std::string> names;
    for (const hconv_tensor &t : p.tensors())
        if (t.role == role) names.push_back(t.name);
    for (const std::string &item : items) {
        size_t equals = item.find('=');
        std::string name = equals == std::string::npos && names.size() == 1 ? names[0] : item.substr(0, equals);
        std::string all;
        for (const std::string &n : names) all += (all.empty() ? "" : ", ") + n;
        if (std::find(names.begin(), names.end(), name) == names.end())
            throw std::invalid_argument("'" + item + "': " + p.text() + " has " +
                                        (role == HCONV_INPUT ? "the inputs " : "the outputs ") + all + "; write " +
                                        names[0] + "=FILE.npy");
        if (!files.emplace(name, item.substr(equals == std::string::npos ? 0 : equals + 1)).second)
            throw std::invalid_argument(name + " is given twice");
    }
    return files;
}

// One row where there are none: 1-D is h1.
Shape with_rows(const Problem &p, Shape s) {
    if (s.size() == 3) s.insert(s.begin() + (p.nchw() ? 2 : 1), 1);
    return s;
}

// The open sizes of p from the shape of its first input; low maps are half as high.
Problem with_sizes_of(const Problem &open, const Shape &given) {
    if (open.variant == HCONV_VARIANT_linear) {
        Problem p = open;
        int64_t leading = 1;
        for (size_t i = 0; i + 1 < given.size(); ++i) leading *= given[i];
        if (p.n == HCONV_OPEN) p.n = int32_t(leading);
        return p;
    }
    const Shape s = with_rows(open, given);
    for (int factor = 1; factor <= 2 && s.size() == 4; ++factor) {
        Problem p = open;
        if (p.n == HCONV_OPEN) p.n = int32_t(s[0]);
        if (p.h == HCONV_OPEN) p.h = int32_t(factor * s[open.nchw() ? 2 : 1]);
        if (p.w == HCONV_OPEN) p.w = int32_t(factor * s[open.nchw() ? 3 : 2]);
        if (hconv_problem_complete(&p, nullptr, 0) == HCONV_OK && !p.open() &&
            with_rows(p, shape_of(p, p.tensors()[0])) == s)
            return p;
    }
    throw std::runtime_error("the input " + std::string(open.tensors()[0].name) + " has shape " + text_of(given) +
                             ", which does not fit " + open.text() + " (" +
                             (open.nchw() ? "n, c, h, w" : "n, h, w, c") +
                             "); a size written n?, h? or w? is taken from the file");
}

// A parameter given in part (hconv_tensor's repeat) becomes whole; flattened rows (timm's experts) get their shape.
void make_whole(const hconv_tensor &t, Tensor &given) {
    const size_t count = hconv_tensor_elements(&t), part = given.data.size();
    const Shape want(t.extent, t.extent + t.rank);
    if (t.role != HCONV_PARAMETER || part == 0) return;
    if (t.repeat > 1 && given.shape.size() == 1 && part * size_t(t.repeat) == count) {
        given.data.resize(count);
        for (size_t i = part; i < count; ++i) given.data[i] = given.data[i - part];
        given.shape = want;
    }
    if (given.shape.size() == 2 && given.shape[0] == want[0] && part == count) given.shape = want;
}

void check_shape(const Problem &p, const hconv_tensor &t, const Tensor &given, const std::string &file) {
    Shape want = shape_of(p, t), got = given.shape;
    if (p.variant == HCONV_VARIANT_linear && t.role == HCONV_INPUT && got.size() > 2) {
        int64_t leading = 1;
        for (size_t i = 0; i + 1 < got.size(); ++i) leading *= got[i];
        got = {leading, got.back()};
    }
    if (without_ones(got) != without_ones(want))
        throw std::runtime_error(std::string(t.name) + " has shape " + text_of(given.shape) + " in " + file + "; " +
                                 p.text() + " wants " + text_of(want));
}

// Standard name of a parameter file's tensor; "" if it is none.
std::string standard_name(const Problem &p, const std::string &name, const std::string &prefix) {
    if (name.compare(0, prefix.size(), prefix)) return "";
    std::string rest = name.substr(prefix.size());
    auto is_standard = [&](const std::string &n) {
        for (const hconv_tensor &t : p.tensors())
            if (t.role == HCONV_PARAMETER && n == t.name) return true;
        return false;
    };
    if (is_standard(rest)) return rest;
    for (const hconv_alias *a = p.kind().family->aliases; a && a->from; ++a) {
        std::string from = a->from;
        if (!rest.compare(0, from.size(), from) && is_standard(a->to + rest.substr(from.size())))
            return a->to + rest.substr(from.size());
    }
    return "";
}

Named read_parameters(const Problem &p, const std::string &path, const std::string &prefix) {
    TensorFile file = read_tensor_file(path);
    Named found;
    std::string missing, held;
    for (auto &[name, tensor] : file.tensors) {
        std::string standard = standard_name(p, name, prefix);
        held += (held.empty() ? "" : ", ") + name;
        if (standard.empty()) continue;
        if (found.count(standard))
            throw std::runtime_error(path + " holds " + standard + " twice, once as " + name +
                                     ": say which with --prefix");
        found[standard] = std::move(tensor);
    }
    for (const hconv_tensor &t : p.tensors())
        if (t.role == HCONV_PARAMETER && !t.optional && !found.count(t.name))
            missing += (missing.empty() ? "" : ", ") + std::string(t.name);
    if (held.size() > 400) held.replace(400, std::string::npos, " ...");
    if (!missing.empty())
        throw std::runtime_error("missing in " + path + (prefix.empty() ? "" : " behind " + prefix) + ": " + missing +
                                 " (it holds " + (held.empty() ? "no tensor" : held) +
                                 "); --prefix says what stands before the names");
    return found;
}

// Every input and parameter there is: from a file, or made.
Named collect(const RunOptions &o, const Problem &p, const std::map<std::string, std::string> &files, Named inputs,
              Named parameters) {
    Named all;
    for (const hconv_tensor &t : p.tensors()) {
        Named &from = t.role == HCONV_INPUT ? inputs : parameters;
        auto found = from.find(t.name);
        if (t.role == HCONV_OUTPUT || (t.optional && found == from.end())) continue;
        if (found != from.end()) {
            make_whole(t, found->second);
            check_shape(p, t, found->second, t.role == HCONV_INPUT ? files.at(t.name) : o.parameters);
            all[t.name] = std::move(found->second);
        } else if (o.random && (t.role == HCONV_INPUT || o.parameters.empty())) {
            all[t.name].data.resize(hconv_tensor_elements(&t));
            hconv_fill(&p, &t, HCONV_FILL_RANDOM, o.seed, all[t.name].data.data());
        } else {
            throw std::runtime_error(std::string("no file for ") + t.name + ": say " +
                                     (t.role == HCONV_INPUT ? "-i " + std::string(t.name) + "=FILE.npy" : "-w FILE") +
                                     ", or --random SEED");
        }
    }
    return all;
}

// All files or none: each is written in a folder beside it, then all are renamed.
void write_outputs(const Problem &p, const std::map<std::string, std::string> &files,
                   const std::vector<float> &values) {
    const float *at = values.data();
    std::list<TemporaryFolder> folders;
    std::vector<std::pair<fs::path, fs::path>> renames;
    std::string report;
    for (const hconv_tensor &t : p.tensors()) {
        if (t.role != HCONV_OUTPUT) continue;
        auto found = files.find(t.name);
        report += t.name + (" " + text_of(shape_of(p, t))) + (found == files.end() ? "" : " -> " + found->second) + "\n";
        if (found != files.end()) {
            folders.emplace_back(fs::absolute(found->second).parent_path());
            renames.push_back({folders.back().path / "part.npy", found->second});
            write_npy(renames.back().first.string(), shape_of(p, t), at);
        }
        at += hconv_tensor_elements(&t);
    }
    for (const auto &[from, to] : renames) fs::rename(from, to);
    std::fputs(report.c_str(), stdout);
}

} // namespace

int run_command(const RunOptions &o) {
    std::vector<ListedProblem> problems = read_problems(o.kernels.problems);
    if (problems.size() != 1) throw std::invalid_argument("hconv run takes one problem");
    Problem p = problems[0].problem;
    std::map<std::string, std::string> files = read_assignments(o.inputs, p, HCONV_INPUT);
    std::map<std::string, std::string> outputs = read_assignments(o.outputs, p, HCONV_OUTPUT);
    Named inputs, parameters;
    for (const auto &[name, file] : files) inputs[name] = read_npy(file);
    auto first = inputs.find(p.tensors()[0].name);
    if (p.open()) p = first == inputs.end() ? problems[0].sizes[0] : with_sizes_of(p, first->second.shape);
    if (!o.parameters.empty()) parameters = read_parameters(p, o.parameters, o.prefix);
    Named tensors = collect(o, p, files, std::move(inputs), std::move(parameters));
    RunProgram program(problems, o.kernels);
    fs::create_directory(program.folder() / "data");
    for (const auto &[name, tensor] : tensors) {
        std::string bytes(reinterpret_cast<const char *>(tensor.data.data()), tensor.data.size() * sizeof(float));
        write_file(program.folder() / "data" / (name + ".f32"), bytes);
    }
    Job job;
    job.problem = p, job.data = "data", job.output = "outputs.f32", job.limit_seconds = 3600;
    job.threads = o.threads > 0 ? o.threads : int(std::max(1u, std::thread::hardware_concurrency()));
    program.run({job}, [&](size_t, const JobResult &r) {
        if (r.outcome != "passed") throw std::runtime_error(p.text() + ": " + r.why);
    });
    write_outputs(p, outputs, program.take_output(job.output));
    return 0;
}

} // namespace hconv
