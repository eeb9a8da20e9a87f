// pack.cpp - packing parameters with hostile names, sizes and numbers: exactly the bytes that were named are read, exactly
// packed_bytes are written, and what does not fit is refused with a sentence.
// SPDX-License-Identifier: MIT
// Input: which plan, how the blob is given, then a {kind of name, kind of size, ...} a parameter.
#include "tests/fuzz/fuzz.h"
#include "tests/fuzz/library.h"

#include <algorithm>
#include <iterator>
#include <memory>

using namespace hconv;

static const char *const problems[] = {
    "conv2d_ci3_h8_w9_co4_k3_p1_bn_leaky", "depthwise_ci4_h7_k3_p1_prelu", "linear_n2_ci4_co3", "pointwise_ci5_h3_w4_co6_nobias",
    "transposed_ci4_h5_co4_k2_s2_g2",      "depthwise_separable_ci3_h6_co4_k3_p1_mbn_bn", "rowcol_ci2_h9_k5_r2",
    "spd_ci2_h8_co3_k3_p1_after_bn",       "octave_ci8_h8_co8_k3_p1_cil4_col4_fb_bn",     "octave_ci4_h8_co4_k3_p1_cil2_col2",
    "wtconv_ci2_h9_w8_k3_lev2_db2",        "wtconv1d_ci2_w9_k3_lev2", "condconv_ci3_h5_co4_k3_p1_ex3", "condconv_ci2_h5_co2_k3_routed",
    "dynamicconv_ci5_h5_co4_k3_p1",        "odconv_ci6_h5_co4_k3_p1",
};

struct Plan {
    hconv_problem problem{};
    std::unique_ptr<OneKernel> kernel;
    hconv_context *context = nullptr;
    hconv_plan *plan = nullptr;
    hconv_plan_info info{};
};

static Plan make_plan(const char *text) {
    Plan p;
    hconv_context_options options{};
    char canonical[HCONV_PROBLEM_BYTES];
    options.struct_size = sizeof options, options.num_threads = 1;
    p.info.struct_size = sizeof p.info;
    claim(!hconv_problem_parse(text, &p.problem, nullptr, 0), "the problem parses");
    claim(!hconv_problem_format(&p.problem, canonical, sizeof canonical), "the problem formats");
    p.kernel = std::make_unique<OneKernel>(p.problem, canonical);
    claim(!hconv_context_create(&options, &p.context, nullptr, 0), "a context can be made");
    claim(!hconv_context_add_library(p.context, &p.kernel->library), "a library can be added");
    claim(!hconv_plan_create(p.context, &p.problem, &p.plan, nullptr, 0), "a plan can be made");
    claim(!hconv_plan_describe(p.plan, &p.info), "a plan can be described");
    return p;
}

// A parameter as the input wants it; memory holds exactly the bytes it really has.
struct Given {
    std::string name;
    size_t bytes = 0;
    std::unique_ptr<uint8_t[]> memory;
    bool there = true;
};

static Given hostile_parameter(const Plan &p, Input &in) {
    hconv_tensor_info t{};
    Given g;
    uint8_t kind = in.byte();
    t.struct_size = sizeof t;
    claim(!hconv_plan_tensor(p.plan, in.byte() % p.info.tensor_count, &t), "a tensor can be described");
    g.name = t.name, g.bytes = t.bytes;
    if (kind % 8 == 6) g.name = in.text(kind / 8u + 40u * (kind % 3));
    if (kind % 8 == 7) g.name.resize(g.name.size() / 2);
    size_t really = g.bytes;
    switch (kind / 8 % 8) {
    case 4: really = g.bytes = t.bytes / t.extent[0]; break; // one of what may be repeated
    case 5: really = g.bytes = in.byte(); break;
    case 6: // claims what is not there
        g.bytes = size_t(in.number<uint64_t>()), really = 0;
        if (g.bytes >> 32 == 0) g.bytes |= size_t(1) << 32;
        break;
    case 7: g.there = false; break;
    default: break;
    }
    g.memory.reset(new uint8_t[really]);
    std::string pattern = in.text(kind % 5);
    for (size_t i = 0; i < really; ++i) g.memory[i] = pattern.empty() ? 0 : uint8_t(pattern[i % pattern.size()]);
    return g;
}

static std::vector<Given> every_parameter(const Plan &p) {
    std::vector<Given> all;
    for (int i = 0; i < p.info.tensor_count; ++i) {
        hconv_tensor_info t{};
        t.struct_size = sizeof t;
        hconv_plan_tensor(p.plan, i, &t);
        if (t.role != HCONV_PARAMETER || t.optional) continue;
        all.push_back({t.name, t.bytes, std::unique_ptr<uint8_t[]>(new uint8_t[t.bytes]()), true});
    }
    return all;
}

static std::vector<Plan> make_plans() {
    std::vector<Plan> all;
    for (const char *text : problems) all.push_back(make_plan(text));
    return all;
}

extern "C" int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    static const std::vector<Plan> &plans = *new std::vector<Plan>(make_plans());
    Input in(data, size);
    const Plan &p = plans[in.byte() % plans.size()];
    const uint8_t how = in.byte();
    std::vector<Given> given;
    std::vector<hconv_parameter> parameters;
    if (how & 1) given = every_parameter(p);
    while (!in.empty() && given.size() < 80) {
        Given g = hostile_parameter(p, in);
        auto same = std::find_if(given.begin(), given.end(), [&](const Given &other) { return other.name == g.name; });
        if (same != given.end() && how & 2) *same = std::move(g);
        else given.push_back(std::move(g));
    }
    for (const Given &g : given) parameters.push_back({g.name.c_str(), g.there ? g.memory.get() : nullptr, g.bytes});
    const size_t room = how & 4 ? p.info.packed_bytes - 64 : p.info.packed_bytes;
    std::unique_ptr<char, void (*)(void *)> blob(static_cast<char *>(std::aligned_alloc(64, room)), std::free);
    char why[HCONV_WHY_BYTES] = "";
    hconv_status status = hconv_pack(p.plan, parameters.data(), int(parameters.size()), blob.get(), room, why, sizeof why);
    if (how & 4) claim(status == HCONV_INVALID_ARGUMENT, "a blob that is too small is refused");
    if (status) claim_sentence(why, sizeof why);
    if (status) claim(status == HCONV_INVALID_ARGUMENT, "nothing but the call is at fault");
    return 0;
}
