// emitted_files.cpp - see emitted_files.h.
// SPDX-License-Identifier: MIT
#include "tools/emitted_files.h"

#include <hconv/library.h>
#include <nlohmann/json.hpp>

#include <set>
#include <sstream>

namespace hconv {

using nlohmann::json;

namespace {

std::string made_by() { return "hconv " + tool_version(); }

// Whose code is in an emitted folder, and what made it.
struct Part {
    std::string id, name, version, license, comment;
    bool contained;
};

std::vector<Part> parts() {
    return {{"hconv-runtime", "hconv runtime (hconv/)", tool_version(), "MIT", "sources, and their objects in the archive", true},
            {"Halide", "Halide", halide_version(), "MIT",
             "compiled the kernels; small helper functions of its runtime may be inlined into them", true},
            {"LLVM", "LLVM", llvm_version(), "Apache-2.0 WITH LLVM-exception",
             "generated the machine code inside Halide; its exception asks nothing of what it compiles", false}};
}

std::string quoted(const std::string &text) { return json(text).dump(); }

void put_sizes(std::ostream &out, const std::string &name, const std::vector<int64_t> &program) {
    out << "static const int64_t " << name << "[] = {";
    for (size_t i = 0; i < program.size(); ++i) out << (i ? ", " : "") << program[i];
    out << "};\n";
}

size_t images_of(const EmitResult &built, size_t kernel) { return kernel < built.images.size() ? built.images[kernel].size() : 0; }

void put_images(std::ostream &out, size_t kernel, const EmitResult &built) {
    if (!images_of(built, kernel)) return;
    std::string list;
    for (const CudaImage &image : built.images[kernel]) {
        const std::string capability = std::to_string(image.capability), symbol = built.symbols[kernel] + "_sm_" + capability;
        out << "extern const char " << symbol << "[];\n";
        list += (list.empty() ? "" : ", ") + ("{" + capability) + ", " + symbol + ", " + std::to_string(std::filesystem::file_size(image.file)) + "}";
    }
    out << "static const hconv_image images_" << kernel << "[] = {" << list << "};\n";
}

const char *role_name(int role) {
    return role == HCONV_INPUT ? "HCONV_INPUT" : role == HCONV_OUTPUT ? "HCONV_OUTPUT" : "HCONV_PARAMETER";
}

}  // namespace

std::string table_source(const std::string &name, const EmitResult &built) {
    const std::vector<KernelRecord> &kernels = built.kernels;
    const std::vector<std::string> &symbols = built.symbols;
    std::ostringstream out;
    out << "/* " << name << ".c - the table of kernels in lib" << name << ".a. Made by " << made_by() << ". */\n"
        << "#include \"hconv/library.h\"\n\n";
    for (size_t i = 0; i < kernels.size(); ++i) {
        const KernelRecord &k = kernels[i];
        out << "int " << symbols[i] << "_argv(void **);\n";
        out << "static const hconv_argument arguments_" << i << "[] = {";
        for (size_t a = 0; a < k.arguments.size(); ++a)
            out << (a ? ",\n    " : "\n    ") << "{" << quoted(k.names[2 * a]) << ", " << role_name(k.arguments[a].role)
                << ", HCONV_F32, " << int(k.arguments[a].rank) << ", " << quoted(k.names[2 * a + 1]) << "}";
        out << "};\n";
        put_sizes(out, "root_" + std::to_string(i), k.root);
        put_sizes(out, "slot_" + std::to_string(i), k.slot);
        put_images(out, i, built);
    }
    out << "\nstatic const hconv_kernel kernels[] = {\n";
    for (size_t i = 0; i < kernels.size(); ++i) {
        const KernelRecord &k = kernels[i];
        out << "    {" << quoted(symbols[i]) << ",\n     " << quoted(k.problem) << ", " << quoted(k.target.halide) << ",\n     "
            << quoted(k.schedule) << ", " << symbols[i] << "_argv, arguments_" << i << ", " << k.arguments.size() << ", "
            << k.target.level << ", " << quoted(k.target.isa) << ",\n     root_" << i << ", slot_" << i << ", " << k.min_h
            << ", " << k.min_w << ", UINT64_C(" << k.target.features << "), UINT64_C(0x" << k.hash << "), "
            << (images_of(built, i) ? "images_" + std::to_string(i) : "0") << ", " << images_of(built, i) << "},\n";
    }
    out << "};\n\nextern const hconv_library hconv_library_" << name << ";\nconst hconv_library hconv_library_" << name
        << " = {HCONV_LIBRARY_ABI, " << kernels.size() << ", " << quoted(name) << ", " << quoted(made_by()) << ", kernels};\n";
    return out.str();
}

std::string header_source(const std::string &name, const EmitResult &built) {
    std::ostringstream out;
    std::set<std::string> problems;
    for (const KernelRecord &k : built.kernels) problems.insert(k.problem);
    out << "/* " << name << ".h - convolution kernels compiled by hconv; use with hconv/hconv.h. Problems:\n";
    for (const std::string &p : problems) out << " *   " << p << "\n";
    out << " */\n#ifndef HCONV_LIBRARY_" << name << "_H\n#define HCONV_LIBRARY_" << name << "_H\n\n#include \"hconv/hconv.h\"\n\n"
        << "#ifdef __cplusplus\nextern \"C\" {\n#endif\nextern const hconv_library hconv_library_" << name
        << ";\n#ifdef __cplusplus\n}\n#endif\n\n#endif\n";
    return out.str();
}

// A complete program for the first problem whose sizes are known, with the sizes of its tensors.
std::string use_text(const std::string &name, const EmitResult &built) {
    std::string problem = built.kernels.front().problem;
    for (const KernelRecord &k : built.kernels)
        if (k.problem.find('?') == std::string::npos) {
            problem = k.problem;
            break;
        }
    for (size_t at; (at = problem.find('?')) != std::string::npos;) problem.replace(at, 1, "32");
    std::string text =
        "How to use lib@.a: a complete program. Save as use.c beside this file, then\n"
        "  cc -I. use.c lib@.a -o use -lm -lpthread && ./use\n"
        "With pkg-config: cc use.c $(PKG_CONFIG_PATH=. pkg-config --cflags --libs @). With CMake: add_subdirectory(this folder).\n"
        "Where there is no lib@.a, the compiler of the target makes it of the sources here:\n"
        "  cc -std=c99 -O2 -I. use.c @.c hconv/src/*.c hconv/src/variants/*.c lib@_kernels.a -o use -lm -lpthread\n\n"
        "The kernels, @.c, @.h and this text are yours: hconv claims no rights in what it emits. The runtime in hconv/ is MIT.\n"
        "kernels.json and @.spdx.json have the licences part by part.\n\n"
        "#include \"@.h\"\n#include <stdio.h>\n#include <stdlib.h>\n\n"
        "int main(void) {\n"
        "    char why[HCONV_WHY_BYTES] = \"\";\n"
        "    hconv_problem problem;\n    hconv_context *context;\n    hconv_plan *plan;\n"
        "    hconv_plan_info info = {sizeof info};\n    hconv_parameter parameters[32];\n"
        "    const void *inputs[4];\n    void *outputs[2], *packed;\n    int parameter_count = 0;\n"
        "    hconv_run_args run = {sizeof run};\n\n"
        "    if (hconv_problem_parse(\"%\", &problem, why, sizeof why) ||\n"
        "        hconv_context_create(NULL, &context, why, sizeof why) ||\n"
        "        hconv_context_add_library(context, &hconv_library_@) ||\n"
        "        hconv_plan_create(context, &problem, &plan, why, sizeof why) ||\n"
        "        hconv_plan_describe(plan, &info)) {\n"
        "        fprintf(stderr, \"%s\\n\", why);\n        return 1;\n    }\n"
        "    for (int i = 0; i < info.tensor_count; ++i) { /* inputs, then parameters, then outputs */\n"
        "        hconv_tensor_info t = {sizeof t};\n        float *data;\n"
        "        hconv_plan_tensor(plan, i, &t);\n        data = (float *)malloc(t.bytes);\n"
        "        for (size_t k = 0; k < t.bytes / 4; ++k) data[k] = 0.01f * (float)(k % 100 + 1); /* your data here */\n"
        "        if (t.role == HCONV_INPUT) inputs[run.input_count++] = data;\n"
        "        if (t.role == HCONV_OUTPUT) outputs[run.output_count++] = data;\n"
        "        if (t.role == HCONV_PARAMETER && !t.optional) {\n"
        "            parameters[parameter_count].name = t.name;\n"
        "            parameters[parameter_count].data = data;\n"
        "            parameters[parameter_count++].bytes = t.bytes;\n        }\n    }\n"
        "    packed = (char *)malloc(info.packed_bytes + 64);\n"
        "    packed = (char *)packed + (64 - (size_t)packed % 64) % 64;\n"
        "    run.inputs = inputs, run.outputs = outputs, run.packed = packed;\n"
        "    if (hconv_pack(plan, parameters, parameter_count, packed, info.packed_bytes, why, sizeof why) ||\n"
        "        hconv_run(plan, &run)) {\n        fprintf(stderr, \"%s\\n\", why);\n        return 1;\n    }\n"
        "    printf(\"%s on %s: y[0] = %g\\n\", info.problem, info.target, (double)*(float *)outputs[0]);\n"
        "    hconv_plan_destroy(plan);\n    hconv_context_destroy(context);\n    return 0;\n}\n";
    for (size_t at = 0; (at = text.find('@', at)) != std::string::npos; at += name.size()) text.replace(at, 1, name);
    return text.replace(text.find("\"%\""), 3, "\"" + problem + "\"");
}

// ${pcfiledir}: the folder may be moved.
std::string pkg_config_source(const std::string &name) {
    return "Name: " + name + "\nDescription: convolution kernels compiled by hconv\nVersion: " + tool_version() +
           "\nCflags: -I${pcfiledir}\nLibs: -L${pcfiledir} -l" + name + " -lm -lpthread\n";
}

std::string cmake_source(const std::string &name) {
    return "# The emitted library as a target: add_subdirectory(this folder), target_link_libraries(app PRIVATE " + name + ")\n"
           "cmake_minimum_required(VERSION 3.13)\nproject(" + name + " C)\n"
           "file(GLOB_RECURSE sources ${CMAKE_CURRENT_SOURCE_DIR}/hconv/src/*.c)\n"
           "add_library(" + name + " STATIC ${CMAKE_CURRENT_SOURCE_DIR}/" + name + ".c ${sources})\n"
           "set_target_properties(" + name + " PROPERTIES C_STANDARD 99 POSITION_INDEPENDENT_CODE ON)\n"
           "target_include_directories(" + name + " PUBLIC ${CMAKE_CURRENT_SOURCE_DIR})\n"
           "find_package(Threads REQUIRED)\n"
           "target_link_libraries(" + name + " PUBLIC ${CMAKE_CURRENT_SOURCE_DIR}/lib" + name + "_kernels.a Threads::Threads m ${CMAKE_DL_LIBS})\n";
}

std::string manifest(const EmitOptions &o, const EmitResult &result) {
    json kernels = json::array();
    for (size_t i = 0; i < result.kernels.size(); ++i) {
        const KernelRecord &k = result.kernels[i];
        auto verdict = o.verdicts.find(kernel_key(k.problem, k.target));
        kernels.push_back({{"symbol", result.symbols[i]}, {"problem", k.problem}, {"target", k.target.halide},
                           {"isa", k.target.isa}, {"schedule", k.schedule}, {"chosen", k.rule}, {"hash", k.hash},
                           {"verified", verdict == o.verdicts.end() ? json("not run here") : json::parse(verdict->second)}});
    }
    json m = {{"library", o.name}, {"made_by", made_by()}, {"abi", HCONV_LIBRARY_ABI}, {"halide", halide_version()},
              {"llvm", llvm_version()}, {"kernels", kernels}};
    for (const Part &p : parts())
        m["licenses"].push_back({{"part", p.name}, {"version", p.version}, {"license", p.license}, {"how", p.comment}});
    return m.dump(1) + "\n";
}

// The library's own entry describes the document; what it contains or was made with hangs on it.
std::string bill_of_materials(const std::string &name, const EmitResult &built) {
    std::string content = name;
    for (const KernelRecord &k : built.kernels) content += k.problem + k.target.halide + k.hash;
    const std::string id = "SPDXRef-";
    json packages = json::array(), relations = json::array();
    auto add = [&](const std::string &package, const std::string &version, const std::string &license, const std::string &comment) {
        packages.push_back({{"SPDXID", id + package}, {"name", package}, {"versionInfo", version}, {"downloadLocation", "NOASSERTION"},
                            {"filesAnalyzed", false}, {"licenseConcluded", license}, {"licenseDeclared", license},
                            {"copyrightText", "NOASSERTION"}, {"comment", comment}});
    };
    relations.push_back({{"spdxElementId", id + "DOCUMENT"}, {"relationshipType", "DESCRIBES"}, {"relatedSpdxElement", id + "library"}});
    add("library", "", "NOASSERTION", "the emitted library " + name + "; hconv claims no rights in what it emits");
    packages.back()["name"] = name, packages.back().erase("versionInfo");
    for (const Part &p : parts()) {
        add(p.id, p.version, p.license, p.comment);
        relations.push_back(p.contained ? json{{"spdxElementId", id + "library"}, {"relationshipType", "CONTAINS"}, {"relatedSpdxElement", id + p.id}}
                                        : json{{"spdxElementId", id + p.id}, {"relationshipType", "BUILD_TOOL_OF"}, {"relatedSpdxElement", id + "library"}});
    }
    json document = {{"spdxVersion", "SPDX-2.3"}, {"dataLicense", "CC0-1.0"}, {"SPDXID", id + "DOCUMENT"}, {"name", name},
                     {"documentNamespace", "urn:hconv:" + hash_text(content)}, {"packages", packages}, {"relationships", relations},
                     // Same inputs, same bytes: no clock is read.
                     {"creationInfo", {{"created", "1970-01-01T00:00:00Z"}, {"creators", json::array({"Tool: hconv-" + tool_version()})}}}};
    return document.dump(1) + "\n";
}

}  // namespace hconv
