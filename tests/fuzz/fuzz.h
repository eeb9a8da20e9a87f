// fuzz.h - what the fuzz targets share: a claim that ends the program when it does not hold, and the input as small numbers.
// SPDX-License-Identifier: MIT
// A target is one file with LLVMFuzzerTestOneInput: it turns bytes into a call and claims what must hold for any bytes.
#pragma once

#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <string>

namespace hconv {

inline void claim(bool holds, const char *what) {
    if (holds) return;
    std::fprintf(stderr, "claim broken: %s\n", what);
    std::abort();
}

// A refusal says something, and ends its sentence inside its room.
inline void claim_sentence(const char *why, size_t room) {
    claim(std::memchr(why, 0, room) != nullptr, "the sentence ends inside its room");
    claim(room < 2 || why[0], "a refusal has a sentence");
}

// The input from front to back; zeros once it has ended.
class Input {
public:
    Input(const uint8_t *data, size_t size) : at(data), left(size) {}
    bool empty() const { return left == 0; }
    uint8_t byte() {
        if (!left) return 0;
        --left;
        return *at++;
    }
    template<typename T>
    T number() {
        T value = 0;
        for (size_t i = 0; i < sizeof(T); ++i) value = T(value | T(byte()) << (8 * i));
        return value;
    }
    std::string text(size_t most) {
        std::string s;
        while (s.size() < most && left) s += char(byte());
        return s;
    }

private:
    const uint8_t *at;
    size_t left;
};

}  // namespace hconv
