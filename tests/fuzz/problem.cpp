// problem.cpp - parse(format(p)) == p for every string that parses; a sentence for every one that does not.
// SPDX-License-Identifier: MIT
#include "tests/fuzz/fuzz.h"

#include "runtime/variant.h"

#include <cmath>
#include <memory>

using namespace hconv;

// What every problem that is accepted promises: few tensors, each with sizes that fit 2^31 bytes.
static void claim_tensors(const hconv_problem &p) {
    const hconv_family *family = hconv_variant_of(&p)->family;
    for (auto list_of : {family->tensors, family->kernel_tensors}) {
        auto list = std::make_unique<hconv_tensor_list>();
        list_of(&p, list.get());
        claim(list->count >= 0 && list->count <= HCONV_MAX_TENSORS, "the list of tensors has room");
        for (int i = 0; i < list->count; ++i) {
            const hconv_tensor &t = list->at[i];
            double bytes = sizeof(float);
            claim(t.rank >= 0 && t.rank <= HCONV_MAX_RANK && t.name[0], "a tensor has a name and a rank");
            for (int d = 0; d < t.rank; ++d) {
                claim(t.extent[d] >= 0, "no extent is negative");
                bytes *= double(t.extent[d]);
            }
            claim(bytes < 2147483648.0, "a tensor stays under 2^31 bytes");
        }
    }
    int height = 0, width = 0;
    family->receptive_field(&p, &height, &width);
    double macs = family->multiply_adds(&p);
    claim(std::isfinite(macs) && macs >= 0, "multiply-adds are a number");
}

static void claim_round_trip(const hconv_problem &p, const char *text) {
    char once[HCONV_PROBLEM_BYTES], twice[HCONV_PROBLEM_BYTES], why[HCONV_WHY_BYTES] = "";
    hconv_problem again;
    claim(hconv_problem_format(&p, once, sizeof once) == HCONV_OK, "a problem that was parsed can be formatted");
    claim(hconv_problem_parse(once, &again, why, sizeof why) == HCONV_OK, "what was formatted can be parsed");
    claim(!std::memcmp(&again, &p, sizeof p), "parse(format(p)) == p");
    claim(hconv_problem_format(&again, twice, sizeof twice) == HCONV_OK && !std::strcmp(once, twice), "one canonical string");
    const size_t room = 1 + std::strlen(text) % std::strlen(once);
    std::unique_ptr<char[]> small(new char[room]);
    claim(hconv_problem_format(&p, small.get(), room) == HCONV_INVALID_ARGUMENT, "a string that does not fit is refused");
}

extern "C" int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    const std::string text(reinterpret_cast<const char *>(data), size);
    const size_t room = size % 7 == 3 ? 1 + size % 40 : HCONV_WHY_BYTES;
    std::unique_ptr<char[]> why(new char[room]());
    hconv_problem p, before;
    std::memset(&p, 0x5a, sizeof p);
    before = p;
    if (hconv_problem_parse(text.c_str(), &p, why.get(), room)) {
        claim_sentence(why.get(), room);
        claim(!std::memcmp(&p, &before, sizeof p), "a refused text leaves the result alone");
        return 0;
    }
    claim_tensors(p);
    claim_round_trip(p, text.c_str());
    return 0;
}
