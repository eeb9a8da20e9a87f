// golden_runner.cpp - runs golden cases through the public API on the kernels of a shared library.
// SPDX-License-Identifier: MIT
// --list DIR prints the problems the cases need, for hconv emit; --run DIR loads the library made of what it emitted,
// runs every case, compares within 1e-5 of max|y| (what a direct float32 kernel keeps; see tests/goldens/README.md) and
// names each case it does not run.
#include "golden_cases.h"
#include "hconv/library.h"

#include <dlfcn.h>

#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <memory>
#include <set>
#include <stdexcept>

namespace {

using namespace hconv;

constexpr double kTolerance = 1e-5;

const char kUsage[] =
    "usage: golden_runner --list DIR [--layout nhwc|nchw]\n"
    "       golden_runner --run DIR --library FILE.so --name NAME [--layout nhwc|nchw] [--isa LEVEL] [--threads N]\n"
    "DIR holds golden cases; FILE.so was linked from the archive that `hconv emit --name NAME` wrote.\n";

struct Options {
    std::string list, run, library, name, isa;
    hconv_layout layout = HCONV_NHWC;
    int threads = 0;
};

Options read_options(int argc, char **argv) {
    Options o;
    for (int k = 1; k < argc; k += 2) {
        std::string flag = argv[k], value = k + 1 < argc ? argv[k + 1] : "";
        if (value.empty()) throw std::invalid_argument(flag + " needs a value");
        if (flag == "--list") o.list = value;
        else if (flag == "--run") o.run = value;
        else if (flag == "--library") o.library = value;
        else if (flag == "--name") o.name = value;
        else if (flag == "--isa") o.isa = value;
        else if (flag == "--threads") o.threads = std::atoi(value.c_str());
        else if (flag == "--layout" && value == "nhwc") o.layout = HCONV_NHWC;
        else if (flag == "--layout" && value == "nchw") o.layout = HCONV_NCHW;
        else throw std::invalid_argument(flag + " " + value + " is not understood");
    }
    if (o.list.empty() == o.run.empty()) throw std::invalid_argument("give one of --list and --run");
    if (!o.run.empty() && (o.library.empty() || o.name.empty()))
        throw std::invalid_argument("--run needs --library and --name");
    return o;
}

int list_problems(const Options &o) {
    std::set<std::string> problems;
    for (const goldens::Case &c : goldens::read_cases(o.list, o.layout))
        if (c.broken.empty() && c.skip.empty())
            for (const goldens::Step &step : c.steps) problems.insert(step.text);
    for (const std::string &problem : problems) std::puts(problem.c_str());
    return 0;
}

void check(hconv_status status, const char *call, const char *why = "") {
    if (status)
        throw std::runtime_error(std::string(call) + ": " + hconv_status_name(status) + (*why ? ": " : "") + why);
}

using Context = std::unique_ptr<hconv_context, decltype(&hconv_context_destroy)>;
using Plan = std::unique_ptr<hconv_plan, decltype(&hconv_plan_destroy)>;

Context make_context(const Options &o) {
    void *library = dlopen(o.library.c_str(), RTLD_NOW | RTLD_LOCAL);
    if (!library) throw std::runtime_error(dlerror());
    std::string symbol = "hconv_library_" + o.name;
    auto *table = static_cast<const hconv_library *>(dlsym(library, symbol.c_str()));
    if (!table) throw std::runtime_error(o.library + " has no symbol " + symbol);
    hconv_context_options options = {};
    options.struct_size = sizeof options;
    options.num_threads = o.threads;
    if (!o.isa.empty()) options.isa = o.isa.c_str();
    hconv_context *context = nullptr;
    char why[HCONV_WHY_BYTES] = "";
    check(hconv_context_create(&options, &context, why, sizeof why), "hconv_context_create", why);
    Context made(context, hconv_context_destroy);
    check(hconv_context_add_library(context, table), "hconv_context_add_library");
    return made;
}

// The tensors of a plan, from and to values by name.
struct Bound {
    std::vector<const void *> inputs;
    std::vector<void *> outputs;
    std::vector<hconv_parameter> parameters;
    goldens::Tensors made;
};

void bind_tensors(Bound &b, const hconv_plan *plan, int count, const goldens::Tensors &given) {
    for (int k = 0; k < count; ++k) {
        hconv_tensor_info info = {};
        info.struct_size = sizeof info;
        check(hconv_plan_tensor(plan, k, &info), "hconv_plan_tensor");
        auto found = given.find(info.name);
        if (info.role == HCONV_OUTPUT) {
            Tensor &out = b.made[info.name];
            out.shape.assign(info.extent, info.extent + info.rank);
            out.data.assign(info.bytes / sizeof(float), NAN);
            b.outputs.push_back(out.data.data());
        } else if (found == given.end()) {
            if (!info.optional)
                throw std::runtime_error(std::string("the plan wants ") + info.name + ", which the case has not");
        } else if (info.role == HCONV_PARAMETER) {
            b.parameters.push_back({info.name, found->second.data.data(), found->second.data.size() * sizeof(float)});
        } else if (found->second.data.size() * sizeof(float) != info.bytes) {
            throw std::runtime_error(std::string(info.name) + " has another size in the plan than in the case");
        } else {
            b.inputs.push_back(found->second.data.data());
        }
    }
}

goldens::Tensors run_step(const hconv_context *context, const goldens::Step &step, const goldens::Tensors &tensors) {
    hconv_plan *raw = nullptr;
    char why[HCONV_WHY_BYTES] = "";
    check(hconv_plan_create(context, &step.problem, &raw, why, sizeof why), "hconv_plan_create", why);
    Plan plan(raw, hconv_plan_destroy);
    hconv_plan_info info = {};
    info.struct_size = sizeof info;
    check(hconv_plan_describe(raw, &info), "hconv_plan_describe");
    Bound b;
    bind_tensors(b, raw, info.tensor_count, tensors);
    size_t bytes = (info.packed_bytes + 63) / 64 * 64;
    std::unique_ptr<void, decltype(&std::free)> packed(std::aligned_alloc(64, bytes ? bytes : 64), std::free);
    check(hconv_pack(raw, b.parameters.data(), int(b.parameters.size()), packed.get(), info.packed_bytes, why,
                     sizeof why),
          "hconv_pack", why);
    hconv_run_args args = {};
    args.struct_size = sizeof args;
    args.input_count = int(b.inputs.size()), args.inputs = b.inputs.data();
    args.output_count = int(b.outputs.size()), args.outputs = b.outputs.data();
    args.packed = packed.get();
    check(hconv_run(raw, &args), "hconv_run");
    return std::move(b.made);
}

// Greatest |got - want| over max|want|; infinite where a shape differs or a number is none.
double relative_error(const Tensor &got, const Tensor &want) {
    double most = 0, worst = 0;
    if (got.shape != want.shape) return HUGE_VAL;
    for (size_t i = 0; i < want.data.size(); ++i) {
        double error = std::fabs(double(got.data[i]) - want.data[i]);
        most = std::max(most, std::fabs(double(want.data[i])));
        if (!(error <= worst)) worst = std::isnan(error) ? HUGE_VAL : error;
    }
    return worst == 0 ? 0 : worst / most;
}

// Worst over the outputs; broken cases and refused calls throw.
double run_case(const hconv_context *context, const goldens::Case &c) {
    if (!c.broken.empty()) throw std::runtime_error(c.broken);
    goldens::Tensors made = goldens::run_case(c, [&](const goldens::Step &step, const goldens::Tensors &tensors) {
        return run_step(context, step, tensors);
    });
    double worst = 0;
    for (const auto &[name, want] : c.outputs) worst = std::max(worst, relative_error(made[name], want));
    return worst;
}

int run_cases(const Options &o) {
    std::vector<goldens::Case> cases = goldens::read_cases(o.run, o.layout);
    Context context(nullptr, hconv_context_destroy); // made for the first case that needs it
    int passed = 0, failed = 0, skipped = 0;
    for (const goldens::Case &c : cases) {
        if (!c.skip.empty()) {
            ++skipped;
            std::printf("skip  %s: %s\n", c.name.c_str(), c.skip.c_str());
            continue;
        }
        try {
            if (!context && c.broken.empty()) context = make_context(o);
            double error = run_case(context.get(), c);
            bool good = error <= kTolerance;
            ++(good ? passed : failed);
            std::printf("%s  %s: off by %.1e of max|y|, %.0e allowed\n", good ? "pass" : "FAIL", c.name.c_str(), error,
                        kTolerance);
        } catch (const std::exception &problem) {
            ++failed;
            std::printf("FAIL  %s: %s\n", c.name.c_str(), problem.what());
        }
        std::fflush(stdout);
    }
    std::printf("%d passed, %d failed, %d skipped\n", passed, failed, skipped);
    return failed ? 1 : 0;
}

} // namespace

int main(int argc, char **argv) {
    try {
        Options o = read_options(argc, argv);
        return o.run.empty() ? list_problems(o) : run_cases(o);
    } catch (const std::invalid_argument &error) {
        std::fprintf(stderr, "golden_runner: %s\n%s", error.what(), kUsage);
    } catch (const std::exception &error) {
        std::fprintf(stderr, "golden_runner: %s\n", error.what());
    }
    return 2;
}
