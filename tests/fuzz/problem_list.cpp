// problem_list.cpp - a list of problems is read into problems with every size known, or refused with a sentence that names
// the line.
// SPDX-License-Identifier: MIT
#include "tests/fuzz/fuzz.h"

#include "tools/problem_list.h"

#include <sstream>
#include <stdexcept>

using namespace hconv;

extern "C" int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    std::istringstream lines(std::string(reinterpret_cast<const char *>(data), size));
    std::vector<ListedProblem> list;
    try {
        list = read_problem_lines(lines, "the-list");
    } catch (const std::invalid_argument &e) {
        claim(!std::strncmp(e.what(), "the-list:", 9), "a refusal names its line");
        return 0;
    }
    for (const ListedProblem &p : list) {
        claim(p.times >= 1, "a problem is listed at least once");
        claim(Problem::parse(p.text()).text() == p.text(), "the canonical string is canonical");
        claim(!p.sizes.empty(), "a problem has sizes");
        for (const Problem &sized : p.sizes) claim(!sized.open(), "every size is known");
    }
    return 0;
}
