// record.cpp - a record of the kernel cache of any bytes is read or is none; what is read is written back and read the same.
// SPDX-License-Identifier: MIT
#include "tests/fuzz/fuzz.h"

#include "tools/cache.h"

using namespace hconv;

static bool same(const KernelRecord &a, const KernelRecord &b) {
    bool arguments = a.arguments.size() == b.arguments.size();
    for (size_t i = 0; arguments && i < a.arguments.size(); ++i)
        arguments = a.arguments[i].role == b.arguments[i].role && a.arguments[i].rank == b.arguments[i].rank;
    return arguments && a.names == b.names && a.problem == b.problem && a.schedule == b.schedule && a.rule == b.rule &&
           a.hash == b.hash && a.target.halide == b.target.halide && a.object_key == b.object_key && a.root == b.root &&
           a.slot == b.slot && a.min_h == b.min_h && a.min_w == b.min_w;
}

extern "C" int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    KernelRecord read, again;
    if (!parse_record(std::string(reinterpret_cast<const char *>(data), size), &read)) return 0;
    claim(read.names.size() == 2 * read.arguments.size(), "an argument has a name and a layout");
    claim(parse_record(record_text(read), &again), "what was written can be read");
    claim(same(read, again), "a record written and read is the same");
    return 0;
}
