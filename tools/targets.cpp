// targets.cpp - see targets.h.
// SPDX-License-Identifier: MIT
#include "tools/targets.h"

#include "runtime/internal.h"
#include "tools/process.h"

#include <Halide.h>

#include <algorithm>
#include <stdexcept>

namespace hconv {

static std::vector<Target> x86_levels(const std::string &platform) {
    const std::string avx2 = "-avx-avx2", tail = "-f16c-fma-sse41";
    return {{platform + "/sse41", platform + "-sse41", "sse41", platform, 1, HCONV_CPU_SSE41},
            {platform + "/avx2", platform + avx2 + tail, "avx2", platform, 2, HCONV_CPU_SSE41 | HCONV_CPU_AVX2},
            {platform + "/avx512", platform + avx2 + "-avx512-avx512_skylake" + tail, "avx512", platform, 3,
             HCONV_CPU_SSE41 | HCONV_CPU_AVX2 | HCONV_CPU_AVX512}};
}

const std::vector<Target> &known_targets() {
    static const std::vector<Target> targets = [] {
        std::vector<Target> all;
        for (const char *platform : {"x86-64-linux", "x86-64-osx", "x86-64-windows"})
            for (const Target &t : x86_levels(platform)) all.push_back(t);
        for (const char *platform : {"arm-64-linux", "arm-64-android", "arm-64-osx", "arm-32-linux"})
            all.push_back({platform, platform, "neon", platform, 1, HCONV_CPU_NEON});
        // The host's part only launches: it needs nothing of the CPU.
        all.push_back({"x86-64-linux/cuda80", "x86-64-linux-cuda-cuda_capability_80", "cuda", "x86-64-linux", 4, HCONV_DEVICE_CUDA});
        return all;
    }();
    return targets;
}

bool Target::runs_here() const {
    const uint64_t here = hconv_cpu_features();
#if defined(__linux__)
    const bool os = platform.size() > 6 && platform.compare(platform.size() - 6, 6, "-linux") == 0;
#else
    const bool os = false;
#endif
    return os && !(features & HCONV_DEVICE_CUDA) && (features & here) == features;
}

static std::vector<Target> from_halide(const std::string &text) {
    if (!Halide::Target::validate_target_string(text) || text == "host" || text == "cmdline") return {};
    Halide::Target h(text);
    using F = Halide::Target;
    std::string canonical = h.to_string();
    for (const Target &t : known_targets())
        if (Halide::Target(t.halide).to_string() == canonical) return {t};
    std::string arch = h.arch == F::X86 ? "x86-" : h.arch == F::ARM ? "arm-" : "";
    std::string os = h.os == F::Linux ? "linux" : h.os == F::OSX ? "osx" : h.os == F::Windows ? "windows" : h.os == F::Android ? "android" : "";
    if (arch.empty() || os.empty()) return {};
    std::string platform = arch + std::to_string(h.bits) + "-" + os;
    // The schedules for CUDA as OpenCL code: for tests, where there is OpenCL and no GPU.
    if (h.has_feature(F::OpenCL)) return {{text, text, "opencl", platform, 4, HCONV_DEVICE_CUDA}};
    if (h.has_feature(F::CUDA)) return {{text, text, "cuda", platform, 4, HCONV_DEVICE_CUDA}};
    if (h.has_feature(F::SVE) || h.has_feature(F::SVE2))
        throw std::invalid_argument("'" + text + "' is refused: Halide 21 computes wrong results with scalable vectors of 256 bits, "
                                    "and cannot compile longer ones; arm-64-linux (NEON) runs on the same CPUs");
    if (h.arch == F::ARM) return {{text, text, "neon", platform, 1, HCONV_CPU_NEON}};
    for (Target t : x86_levels(platform))
        if (t.isa == (h.has_feature(F::AVX512_Skylake) ? "avx512" : h.has_feature(F::AVX2) ? "avx2" : "sse41")) {
            t.text = t.halide = text;
            return {t};
        }
    return {};
}

std::vector<Target> resolve_targets(const std::string &text) {
    std::vector<Target> found;
    for (const Target &t : known_targets()) {
        bool exact = t.text == text || t.halide == text;
        bool platform = t.platform == text && !(t.features & HCONV_DEVICE_CUDA);
        if (exact || platform) found.push_back(t);
        if (text == "host" && t.runs_here()) found.assign(1, t);
    }
    if (found.empty()) found = from_halide(text);
    if (found.empty()) {
        std::string list;
        for (const Target &t : known_targets()) list += " " + t.text;
        throw std::invalid_argument("'" + text + "' is no target; there are: host, x86-64-linux (all its levels)," + list +
                                    ", or a full Halide target string");
    }
    return found;
}

std::vector<Target> resolve_targets(const std::vector<std::string> &texts) {
    std::vector<Target> all;
    for (const std::string &item : texts)
        for (size_t at = 0; at <= item.size();) {
            size_t end = std::min(item.find(',', at), item.size());
            for (const Target &t : resolve_targets(item.substr(at, end - at)))
                if (std::none_of(all.begin(), all.end(), [&](const Target &o) { return o.halide == t.halide; })) all.push_back(t);
            at = end + 1;
        }
    return all;
}

std::string c_compiler_for(const std::string &platform) {
#if defined(__x86_64__)
    if (platform == "x86-64-linux") return find_program({"cc", "gcc", "clang"});
#elif defined(__aarch64__)
    if (platform == "arm-64-linux") return find_program({"cc", "gcc", "clang"});
#endif
    if (platform == "arm-64-linux") return find_program({"aarch64-linux-gnu-gcc"});
    if (platform == "arm-32-linux") return find_program({"arm-linux-gnueabihf-gcc"});
    return "";
}

}  // namespace hconv
