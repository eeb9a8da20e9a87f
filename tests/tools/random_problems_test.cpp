// random_problems_test.cpp - the generator behind hconv check --random: it repeats itself, leaves nothing out, and what is no
// problem is refused with a sentence that names a key, a word or a tensor.
// SPDX-License-Identifier: MIT
#include "tools/random_problems.h"

#include <gtest/gtest.h>

#include <map>
#include <regex>
#include <set>
#include <sstream>
#include <stdexcept>

namespace {

using hconv::Care;
using hconv::ListedProblem;
using hconv::Problem;
using hconv::random_problems;
using hconv::random_text;

constexpr uint64_t kDraws = 5000;

std::vector<std::string> split(const std::string &text, char at) {
    std::istringstream in(text);
    std::vector<std::string> items;
    for (std::string item; std::getline(in, item, at);) items.push_back(item);
    return items;
}

// The items of a text: "k3" -> k, 3; "relu" -> relu, "".
std::map<std::string, std::string> items_of(const hconv_variant &v, const std::string &text) {
    std::map<std::string, std::string> items;
    for (const std::string &item : split(text.substr(std::string(v.name).size() + 1), '_')) {
        const size_t digits = item.find_first_of("0123456789?");
        const bool key = digits != std::string::npos && item.find_first_not_of("0123456789?", digits) == std::string::npos;
        items[item] = "";
        if (key) items[item.substr(0, digits)] = item.substr(digits);
    }
    return items;
}

// Every spelling of a key: k, kh, kw.
std::vector<std::string> parts_of(const std::string &key) {
    std::vector<std::string> parts;
    const char *const *spellings = hconv_key_spellings(key.c_str(), key.size());
    for (; spellings && *spellings; ++spellings)
        for (const std::string &part : split(*spellings, ' ')) parts.push_back(part);
    return parts.empty() ? std::vector<std::string>{key} : parts;
}

// The words a variant may have, those of tables only.
std::vector<std::string> words_of(const hconv_variant &v) {
    std::vector<std::string> words;
    for (const std::string &item : split(v.words, ' '))
        for (const hconv_word *table : {v.family->words, hconv_common_words})
            for (const hconv_word *w = table; w && w->name; ++w) {
                const std::string name = w->name;
                const bool activation = w->field == HCONV_FIELD(activation);
                if (activation ? item == "act" : item.back() == '*' ? !name.compare(0, item.size() - 1, item, 0, item.size() - 1) : item == name)
                    words.push_back(name);
            }
    return words;
}

std::vector<std::string> keys_of(const hconv_variant &v) {
    std::vector<std::string> keys;
    for (const std::string &item : split(v.keys, ' ')) keys.push_back(item.substr(0, item.find('=')));
    return keys;
}

TEST(RandomProblems, TheSameSeedGivesTheSameList) {
    auto lines = [](uint64_t seed) {
        std::vector<std::string> all;
        for (const ListedProblem &p : random_problems({"all"}, 300, seed)) all.push_back(line_of(p));
        return all;
    };
    EXPECT_EQ(lines(5), lines(5));
    EXPECT_NE(lines(5), lines(6));
}

TEST(RandomProblems, AsManySizesAsAskedForAndEveryVariantInTurn) {
    std::set<std::string> variants, texts;
    size_t count = 0, open = 0, kernels = 0;
    for (const ListedProblem &p : random_problems({"all"}, 600, 1)) {
        EXPECT_TRUE(texts.insert(p.text()).second) << p.text();
        for (const Problem &sized : p.sizes) EXPECT_FALSE(sized.open()) << sized.text();
        variants.insert(p.problem.kind().name);
        count += p.sizes.size(), open += p.problem.open(), ++kernels;
        auto again = hconv::read_problems({line_of(p)});
        ASSERT_EQ(again.size(), 1u);
        EXPECT_EQ(line_of(again[0]), line_of(p));
    }
    EXPECT_EQ(count, 600u);
    EXPECT_EQ(variants.size(), size_t(HCONV_VARIANT_COUNT));
    EXPECT_GT(open, kernels / 3);
    EXPECT_LT(open, kernels * 2 / 3);
    for (const ListedProblem &p : random_problems({"octave", "spd"}, 100, 2))
        EXPECT_TRUE(p.problem.family() == "octave" || p.problem.family() == "spd") << p.text();
    EXPECT_THROW(random_problems({"conv3d"}, 1, 1), std::invalid_argument);
}

// Of what the parser takes as this variant: every key and each of its parts, every word, every open size, the sizes at the
// edges of vectors.
TEST(RandomProblems, EveryKeyAndWordIsDrawn) {
    for (const hconv_variant &v : hconv_variants) {
        std::map<std::string, std::set<std::string>> drawn;
        uint64_t problems = 0;
        for (uint64_t seed = 0; seed < kDraws; ++seed) {
            hconv_problem p;
            const std::string text = random_text(v, seed, Care::possible, seed % 2);
            if (hconv_problem_parse(text.c_str(), &p, nullptr, 0) || hconv_variant_of(&p) != &v) continue;
            ++problems;
            for (const auto &[item, value] : items_of(v, text)) drawn[item].insert(value);
        }
        EXPECT_GT(problems, kDraws / 25) << v.name << ": most draws should be problems";
        for (const std::string &key : keys_of(v))
            for (const std::string &part : parts_of(key)) {
                // one window, one stride for all axes
                const bool one_axis = v.family == hconv_variants[HCONV_VARIANT_wtconv].family && part != key;
                EXPECT_TRUE(one_axis || drawn.count(part)) << v.name << ": " << part;
            }
        for (const std::string &word : words_of(v)) EXPECT_TRUE(drawn.count(word)) << v.name << ": " << word;
        for (const char *size : {"n", "h", "w"})
            EXPECT_TRUE(!drawn.count(size) || drawn[size].count("?")) << v.name << ": " << size << "?";
        for (const char *edge : {"1", "2", "3", "7", "8", "9", "15", "16", "17"})
            for (const char *key : {"ci", "w"}) { // ci1 is no problem of a variant that has groups
                const bool possible = drawn.count(key) && drawn[key].count("1");
                EXPECT_TRUE(!possible || drawn[key].count(edge)) << v.name << ": " << key << edge;
            }
    }
}

// Whatever the grammar allows is a problem, or a sentence names what is wrong with it.
TEST(RandomProblems, WhatIsImpossibleIsNamed) {
    for (const hconv_variant &v : hconv_variants) {
        std::string names;
        for (const std::string &key : keys_of(v))
            for (const std::string &part : parts_of(key)) names += (names.empty() ? "" : "|") + part;
        std::string words;
        for (const std::string &word : words_of(v))
            if (word.size() > 3) words += (words.empty() ? "" : "|") + word;
        const std::regex named("(^|[^a-z])(" + names + ")([0-9]| is )|key (" + names + ") |tensor [a-z]|'[^']+'|\\b(" + words + ")\\b");
        int refused = 0;
        for (uint64_t seed = 0; seed < kDraws / 2; ++seed) {
            hconv_problem p;
            char why[HCONV_WHY_BYTES] = "";
            const std::string text = random_text(v, seed, Care::none, seed % 4 == 0);
            if (!hconv_problem_parse(text.c_str(), &p, why, sizeof why)) continue;
            ++refused;
            ASSERT_TRUE(std::regex_search(why, named)) << text << ": " << why;
        }
        EXPECT_GT(refused, 100) << v.name;
    }
}

} // namespace
