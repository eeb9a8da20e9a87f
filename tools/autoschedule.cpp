// autoschedule.cpp - see autoschedule.h. The plug-ins lie beside libHalide.so; what they need to know are estimates, here the
// sizes themselves.
// SPDX-License-Identifier: MIT
#include "tools/autoschedule.h"

#include "runtime/internal.h"

#include <dlfcn.h>

#include <algorithm>
#include <filesystem>
#include <set>
#include <stdexcept>

namespace hconv {

namespace {

// Of each dimension as Halide counts them, innermost first: activations are c, x, y, n whatever their layout.
std::vector<int> extents(const TensorArgument &a) {
    std::vector<int> result;
    if (a.tensor.role == HCONV_PARAMETER) {
        hconv_physical_dimension dims[HCONV_MAX_DIMS];
        for (int i = hconv_layout_dimensions(a.layout.c_str(), &a.tensor, dims) - 1; i >= 0; --i) result.push_back(int(dims[i].extent));
        return result;
    }
    for (const char letter : {'c', 'w', 'h', 'n'}) {
        const size_t at = std::string(a.tensor.letters).find(letter);
        if (a.layout.find(letter) != std::string::npos) result.push_back(at == std::string::npos ? 1 : int(a.tensor.extent[at]));
    }
    return result;
}

void load(const std::string &name) {
    static const std::set<std::string> known{"Adams2019", "Li2018", "Mullapudi2016"};
    if (!known.count(name)) throw std::invalid_argument("'" + name + "' is no autoscheduler; there are: Adams2019, Li2018, Mullapudi2016");
    Dl_info halide{};
    std::string file = "libautoschedule_" + name + ".so";
    std::transform(file.begin(), file.end(), file.begin(), [](unsigned char c) { return char(tolower(c)); });
    if (!dladdr(reinterpret_cast<void *>(&Halide::load_plugin), &halide)) throw std::runtime_error("libHalide.so was not found");
    Halide::load_plugin((std::filesystem::path(halide.dli_fname).parent_path() / file).string());
}

}  // namespace

std::string autoscheduler_of(const std::string &schedule) {
    const auto [name, rest] = split_schedule(schedule);
    return name == "auto" ? rest : "";
}

Choice choose_kernel(const Problem &p, const Halide::Target &target, const std::string &schedule) {
    const bool automatic = !autoscheduler_of(schedule).empty();
    Choice choice = choose_for(p, target, automatic ? "generic" : schedule);
    if (automatic) choice.schedule = schedule, choice.rule = "the schedule was given";
    return choice;
}

void autoschedule(Halide::Pipeline &pipeline, const std::vector<Halide::Parameter> &parameters, const Choice &choice, const Halide::Target &target,
                  const std::string &name) {
    load(name);
    size_t input = 0, output = 0;
    std::vector<Halide::Func> outputs = pipeline.outputs();
    for (const TensorArgument &a : choice.arguments) {
        const std::vector<int> sizes = extents(a);
        for (size_t d = 0; d < sizes.size(); ++d) {
            if (sizes[d] <= 0) throw std::invalid_argument("an autoscheduler needs every size of a problem");
            if (a.tensor.role == HCONV_OUTPUT) {
                outputs.at(output).set_estimate(outputs.at(output).args().at(d), 0, sizes[d]);
            } else {
                Halide::Parameter p = parameters.at(input);
                p.set_min_constraint_estimate(int(d), 0);
                p.set_extent_constraint_estimate(int(d), sizes[d]);
            }
        }
        ++(a.tensor.role == HCONV_OUTPUT ? output : input);
    }
    pipeline.apply_autoscheduler(target, {name, {{"parallelism", "2"}}});
}

}  // namespace hconv
