// The problem string: parse(format(p)) == p over random problems of every variant, canonical names, and for every kind of
// mistake a sentence that names the token. Nothing crashes on garbage.
// SPDX-License-Identifier: MIT
#include "runtime/variant.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cstring>
#include <map>
#include <random>
#include <sstream>
#include <string>
#include <vector>

namespace {

using Random = std::mt19937; // its sequence is fixed by the standard; distributions are not, so none is used

int pick(Random &random, int least, int greatest) {
    return least + static_cast<int>(random() % static_cast<unsigned>(greatest - least + 1));
}

std::vector<std::string> split(const std::string &text) {
    std::istringstream in(text);
    std::vector<std::string> items;
    for (std::string item; in >> item;) items.push_back(item);
    return items;
}

// The words a variant may have: "db*" stands for those of its family that begin so.
std::vector<std::string> words_of(const hconv_variant &v) {
    std::vector<std::string> words;
    for (const std::string &item : split(v.words)) {
        std::string stem = item.substr(0, item.size() - 1);
        if (item.back() != '*') words.push_back(item);
        for (const hconv_word *w = v.family->words; item.back() == '*' && w && w->name; ++w)
            if (!std::strncmp(w->name, stem.c_str(), stem.size())) words.push_back(w->name);
    }
    return words;
}

struct Parsed {
    hconv_status status;
    hconv_problem problem;
    std::string why;
};

Parsed parse(const std::string &text) {
    Parsed p{};
    char why[HCONV_WHY_BYTES] = "";
    p.status = hconv_problem_parse(text.c_str(), &p.problem, why, sizeof why);
    p.why = why;
    return p;
}

std::string format(const hconv_problem &p) {
    char text[HCONV_PROBLEM_BYTES];
    return hconv_problem_format(&p, text, sizeof text) == HCONV_OK ? text : "(format failed)";
}

std::string canonical(const std::string &text) {
    Parsed p = parse(text);
    return p.status == HCONV_OK ? format(p.problem) : p.why;
}

bool same(const hconv_problem &a, const hconv_problem &b) { return !std::memcmp(&a, &b, sizeof a); }

// p is complete: its string means p, and is the string of what it means.
void expect_round_trip(const hconv_problem &p, const std::string &origin) {
    std::string text = format(p);
    Parsed again = parse(text);
    ASSERT_EQ(again.status, HCONV_OK) << origin << " -> " << text << ": " << again.why;
    ASSERT_TRUE(same(again.problem, p)) << origin << " -> " << text << " -> " << format(again.problem);
    ASSERT_EQ(format(again.problem), text) << origin;
}

const char *const activations[] = {"relu",        "relu6", "leaky",    "prelu",   "silu", "hardswish",
                                   "hardsigmoid", "gelu",  "gelutanh", "sigmoid", "tanh"};

// A value for a key: mostly one that makes a problem possible, sometimes none that does.
std::string value_of(Random &random, const std::string &key) {
    static const std::map<std::string, int> greatest = {{"n", 4}, {"h", 40}, {"w", 40}, {"k", 7}, {"s", 3}, {"d", 3},
                                                        {"p", 4}};
    static const int channels[] = {1, 2, 4, 8, 12, 16, 24, 32, 64, 320};
    if (pick(random, 0, 60) == 0) return std::to_string(random());
    if ((key == "n" || key[0] == 'h' || key == "w") && key.size() == 1 && pick(random, 0, 7) == 0) return "?";
    auto found = greatest.find(key.substr(0, 1));
    if (found != greatest.end() && (key.size() == 1 || std::strchr("ksdp", key[0])))
        return std::to_string(pick(random, key[0] == 'p' ? 0 : 1, found->second));
    if (key == "g") return std::to_string(1 << pick(random, 0, 4));
    return std::to_string(channels[pick(random, 0, 9)]);
}

// One of the spellings of a key: k, or kh and kw, ...
std::vector<std::string> spelling(Random &random, const std::string &key) {
    if (key.size() > 1 || !std::strchr("ksdp", key[0]) || pick(random, 0, 2)) return {key};
    if (key == "p" && pick(random, 0, 1)) return {"pt", "pb", "pl", "pr"};
    return {key + "h", key + "w"};
}

std::string random_text(Random &random, const hconv_variant &v) {
    std::vector<std::string> items;
    for (const std::string &key : split(v.keys)) {
        bool has_default = key.find('=') != std::string::npos;
        if (has_default && pick(random, 0, 1)) continue;
        for (const std::string &part : spelling(random, key.substr(0, key.find('='))))
            items.push_back(part + value_of(random, part));
    }
    const std::vector<std::string> words = words_of(v);
    for (const std::string &word : words) {
        if (pick(random, 0, words.size() > 30 ? 60 : 5)) continue;
        items.push_back(word == "act" ? activations[pick(random, 0, 10)] : word);
    }
    for (size_t i = items.size(); i > 1; --i) std::swap(items[i - 1], items[random() % i]);
    std::string text = v.name;
    bool glued = false; // h8w8 is two keys in one item; words stand alone
    for (const std::string &item : items) {
        bool key = item.find_first_of("0123456789?") != std::string::npos && item != "relu6";
        text += glued && key && pick(random, 0, 2) == 0 ? item : "_" + item;
        glued = key;
    }
    return text;
}

TEST(Parser, EveryRandomProblemSurvivesTheRoundTrip) {
    Random random(20260101);
    for (const hconv_variant &v : hconv_variants) {
        int good = 0, tries = 0;
        for (; good < 1000 && tries < 50000; ++tries) {
            std::string text = random_text(random, v);
            Parsed p = parse(text);
            if (p.status != HCONV_OK) {
                ASSERT_EQ(p.status, HCONV_INVALID_ARGUMENT) << text;
                ASSERT_FALSE(p.why.empty()) << text;
                continue;
            }
            ++good;
            expect_round_trip(p.problem, text);
            if (HasFatalFailure()) return;
        }
        EXPECT_EQ(good, 1000) << v.name << ": " << tries << " tries";
    }
}

// Filled by hand, any field may hold anything: either it is refused with a sentence, or its string means the same problem.
TEST(Parser, EveryStructFilledByHandIsRefusedOrSurvivesTheRoundTrip) {
    Random random(7);
    const size_t fields = (sizeof(hconv_problem) - offsetof(hconv_problem, variant)) / sizeof(int32_t);
    int good = 0;
    for (int trial = 0; trial < 40000; ++trial) {
        hconv_problem p;
        char why[HCONV_WHY_BYTES] = "";
        const hconv_variant &v = hconv_variants[trial % HCONV_VARIANT_COUNT];
        Parsed start = parse(random_text(random, v));
        if (start.status != HCONV_OK) continue;
        p = start.problem;
        for (int changes = pick(random, 1, 3); changes; --changes) {
            static const int32_t values[] = {-1, 0, 1, 2, 3, 4, 5, 7, 8, 16, 100, 65536, 1 << 29, 0x7fffffff, INT32_MIN};
            int32_t value = values[pick(random, 0, 14)];
            size_t field = random() % fields;
            std::memcpy(reinterpret_cast<char *>(&p.variant) + field * sizeof value, &value, sizeof value);
        }
        hconv_problem before = p;
        hconv_status status = hconv_problem_complete(&p, why, sizeof why);
        char text[HCONV_PROBLEM_BYTES];
        ASSERT_EQ(hconv_problem_format(&before, text, sizeof text), status) << why;
        if (status != HCONV_OK) {
            ASSERT_EQ(status, HCONV_INVALID_ARGUMENT);
            ASSERT_NE(why[0], 0);
            continue;
        }
        ++good;
        expect_round_trip(p, format(start.problem) + ", changed by hand");
        if (HasFatalFailure()) return;
    }
    EXPECT_GT(good, 2000);
}

TEST(Parser, CompletingTwiceChangesNothing) {
    Random random(3);
    for (int trial = 0; trial < 20000; ++trial) {
        Parsed p = parse(random_text(random, hconv_variants[trial % HCONV_VARIANT_COUNT]));
        if (p.status != HCONV_OK) continue;
        hconv_problem again = p.problem;
        ASSERT_EQ(hconv_problem_complete(&again, nullptr, 0), HCONV_OK) << format(p.problem);
        ASSERT_TRUE(same(again, p.problem)) << format(p.problem) << " -> " << format(again);
    }
}

const struct { const char *given, *canonical; } canonical_names[] = {
    // Defaults are left out, keys come in table order, then words.
    {"conv2d_ci64_h56_co64_k3_p1", "conv2d_ci64_h56_co64_k3_p1"},
    {"conv2d_k3_p1_co64_h56w56_n1_ci64_s1_d1_g1", "conv2d_ci64_h56_co64_k3_p1"},
    {"conv2d_k3s2p1_ci3_co8_h9w8", "conv2d_ci3_h9_w8_co8_k3_s2_p1"},
    {"conv2d_relu6_nobias_ci3_nchw_h9_co8_k3_f32", "conv2d_ci3_h9_co8_k3_nchw_nobias_relu6"},
    {"conv2d_fast_tanh_res_bn_ci3_h9_co8_k3", "conv2d_ci3_h9_co8_k3_bn_res_tanh_fast"},
    // The shortest spelling that fits.
    {"conv2d_ci3_h9_co8_kh3_kw3", "conv2d_ci3_h9_co8_k3"},
    {"conv2d_ci3_h9_co8_kh3_kw5", "conv2d_ci3_h9_co8_kh3_kw5"},
    {"conv2d_ci3_h9_co8_k3_sh1_sw2", "conv2d_ci3_h9_co8_k3_sw2"},
    {"conv2d_ci3_h9_co8_k3_pt1_pb1_pl1_pr1", "conv2d_ci3_h9_co8_k3_p1"},
    {"conv2d_ci3_h9_co8_k3_pt1_pb1_pl2_pr2", "conv2d_ci3_h9_co8_k3_ph1_pw2"},
    {"conv2d_ci3_h9_co8_k3_pt0_pb1_pl0_pr1", "conv2d_ci3_h9_co8_k3_pb1_pr1"},
    {"conv2d_ci3_h9_co8_k3_pw1", "conv2d_ci3_h9_co8_k3_pw1"},
    // The name follows from the sizes.
    {"dilated_ci3_h9_co8_k3", "conv2d_ci3_h9_co8_k3"},
    {"conv2d_ci3_h9_co8_k3_d2", "dilated_ci3_h9_co8_k3_d2"},
    {"grouped_ci4_h9_co8_k3_d2_g2", "grouped_ci4_h9_co8_k3_d2_g2"},
    {"conv2d_ci4_h9_co8_k3_d2_g2", "grouped_ci4_h9_co8_k3_d2_g2"},
    {"conv2d_ci4_h9_co4_k3_g4", "depthwise_ci4_h9_k3"},
    {"grouped_ci4_h9_co12_k3_g4", "depthwise_ci4_h9_co12_k3"},
    {"depthwise_ci1_h9_co12_k3", "conv2d_ci1_h9_co12_k3"},
    {"conv2d_ci4_h9_co8_k1_s2", "pointwise_ci4_h9_co8_s2"},
    {"conv2d_ci4_h9_co8_k1_p1", "conv2d_ci4_h9_co8_k1_p1"},
    {"dilated_ci4_h9_co8_k1_d3", "pointwise_ci4_h9_co8"},
    {"linear_ci10_co3_relu", "linear_ci10_co3_relu"},
    {"linear_n?_ci10_co3", "linear_n?_ci10_co3"},
    // 1-D.
    {"conv2d_ci3_h1_w20_co8_kh1_kw3_pw1", "conv2d_ci3_h1_w20_co8_kh1_kw3_pw1"},
    // same, tfsame: pads where the sizes allow.
    {"conv2d_ci3_h9_co8_k3_same", "conv2d_ci3_h9_co8_k3_p1"},
    {"conv2d_ci3_h9_co8_k4_same", "conv2d_ci3_h9_co8_k4_pt1_pb2_pl1_pr2"},
    {"conv2d_ci3_h?_co8_k3_d2_same", "dilated_ci3_h?_co8_k3_d2_p2"},
    {"conv2d_ci3_h8_co8_k3_s2_tfsame", "conv2d_ci3_h8_co8_k3_s2_pb1_pr1"},
    {"conv2d_ci3_h9_co8_k3_s2_tfsame", "conv2d_ci3_h9_co8_k3_s2_p1"},
    {"conv2d_ci3_h9_w8_co8_k1_s2_tfsame", "pointwise_ci3_h9_w8_co8_s2"},
    {"conv2d_ci3_h?_co8_k3_tfsame", "conv2d_ci3_h?_co8_k3_p1"},
    {"conv2d_ci3_h?_co8_k3_s2_tfsame", "conv2d_ci3_h?_co8_k3_s2_tfsame"},
    // Open sizes.
    {"conv2d_n?_ci3_h?_co8_k3", "conv2d_n?_ci3_h?_co8_k3"},
    {"conv2d_ci3_h?_w8_co8_k3", "conv2d_ci3_h?_w8_co8_k3"},
    {"conv2d_ci3_h8w?_co8_k3", "conv2d_ci3_h8_w?_co8_k3"},
    // Keys and words of one variant.
    {"octave_ci8_h8_co8_k3_p1_cil4_col2_fb", "octave_ci8_h8_co8_k3_p1_cil4_col2_fb"},
    {"octave_ci8_h8_co8_k3_p1_cil0_col0", "octave_ci8_h8_co8_k3_p1"},
    {"odconv_ci64_h8_co8_k3_ex4_hid16", "odconv_ci64_h8_co8_k3"},
    {"odconv_ci512_h8_co8_k3_ex2_hid32", "odconv_ci512_h8_co8_k3_ex2"},
    {"odconv_ci512_h8_co8_k3_hid16", "odconv_ci512_h8_co8_k3_hid16"},
    {"transposed_ci3_h8_co4_k4_s2_oph1_opw1", "transposed_ci3_h8_co4_k4_s2_op1"},
    {"transposed_ci3_h8_co4_k4_s2_opw1_oph0", "transposed_ci3_h8_co4_k4_s2_opw1"},
    {"transposed_ci3_h8_co4_k1_d3_s2", "transposed_ci3_h8_co4_k1_s2"},
    {"depthwise_separable_relu_ci3_h8_co4_k3_m1_mrelu6_dwnobias", "depthwise_separable_ci3_h8_co4_k3_dwnobias_mrelu6_relu"},
    {"depthwise_separable_ci3_h8_co4_k4_same_m2", "depthwise_separable_ci3_h8_co4_k4_pt1_pb2_pl1_pr2_m2"},
};

TEST(Parser, OneProblemHasOneString) {
    for (const auto &c : canonical_names) EXPECT_EQ(canonical(c.given), c.canonical) << c.given;
}

TEST(Parser, EveryFieldIsWhatTheStringSays) {
    hconv_problem p = parse("grouped_n2_ci6_h30_w20_co9_kh3_kw4_sh2_sw1_dh1_dw2_pt1_pb2_pl3_pr0_g3_nchw_nobias_bn_res_gelu_"
                            "fast").problem;
    EXPECT_EQ(p.struct_size, sizeof p);
    EXPECT_EQ(p.variant, HCONV_VARIANT_grouped);
    EXPECT_EQ((std::vector<int32_t>{p.n, p.ci, p.h, p.w, p.co}), (std::vector<int32_t>{2, 6, 30, 20, 9}));
    EXPECT_EQ((std::vector<int32_t>{p.kh, p.kw, p.stride_h, p.stride_w, p.dilation_h, p.dilation_w, p.groups}),
              (std::vector<int32_t>{3, 4, 2, 1, 1, 2, 3}));
    EXPECT_EQ((std::vector<int32_t>{p.pad_top, p.pad_bottom, p.pad_left, p.pad_right}),
              (std::vector<int32_t>{1, 2, 3, 0}));
    EXPECT_EQ(p.layout, HCONV_NCHW);
    EXPECT_EQ(p.activation, HCONV_GELU);
    EXPECT_EQ(p.flags, static_cast<uint32_t>(HCONV_NO_BIAS | HCONV_NORM | HCONV_RESIDUAL | HCONV_FAST));
    for (int i = 0; i < 11; ++i)
        EXPECT_EQ(parse(std::string("linear_ci3_co4_") + activations[i]).problem.activation, HCONV_RELU + i);
}

// Each string has one mistake; the sentence holds every one of the words behind it.
const struct { const char *text; std::vector<const char *> says; } mistakes[] = {
    {"", {"variant"}},
    {"_", {"variant"}},
    {"conv3d_ci3", {"'conv3d'", "conv2d"}},
    {"Conv2d_ci3_h8_co4_k3", {"'Conv2d'", "conv2d"}},
    {"conv2dx_ci3_h8_co4_k3", {"'conv2dx'"}},
    {"depthwize_ci3_h8_k3", {"'depthwize'", "depthwise"}},
    {"conv2d", {"conv2d needs"}},
    {"conv2d_", {"empty"}},
    {"conv2d_ci3__h8_co4_k3", {"empty"}},
    {"conv2d_ci3_h8_co4_k3_", {"empty"}},
    {"conv2d_ci3_h8_co4_k3_relux", {"'relux'", "relu", "words"}},
    {"conv2d_ci3_h8_co4_k3_q7", {"'q7'", "keys"}},
    {"conv2d_ci3_h8_co4_k3_strid2", {"'strid2'"}},
    {"conv2d_ci3_h8_co4_k3_p", {"'p'"}},
    {"conv2d_ci3_h8_co4_k3_p-1", {"'p-1'"}},
    {"conv2d_ci3_h8_co4_k3_p1.5", {"'p1.5'"}},
    {"conv2d_ci3_h8_co4_k3_p1 ", {"'p1 '"}},
    {" conv2d_ci3_h8_co4_k3", {"' conv2d'"}},
    {"conv2d_ci3_h8_co4_k3_S2", {"'S2'"}},
    {"conv2d_ci3_h8_co4_k3_7", {"'7'"}},
    {"conv2d_ci3_h8_co4_k3_?", {"'?'"}},
    {"conv2d_ci3_h8_co4_k3_relu_relu", {"'relu'", "activation"}},
    {"conv2d_ci3_h8_co4_k3_relu_tanh", {"'tanh'", "activation"}},
    {"conv2d_ci3_h8_co4_k3_bn_bn", {"'bn'", "twice"}},
    {"conv2d_ci3_h8_co4_k3_same_tfsame", {"'tfsame'"}},
    {"conv2d_ci3_ci3_h8_co4_k3", {"'ci'", "twice"}},
    {"conv2d_ci3_h8_co4_k3_kh3", {"'kh'", "twice"}},
    {"conv2d_ci3_h8_co4_k3_ph1_pt1", {"'pt'", "twice"}},
    {"conv2d_ci0_h8_co4_k3", {"ci", "0"}},
    {"conv2d_ci3_h8_co4_k0", {"k", "0"}},
    {"conv2d_ci3_h8_co4_k65537", {"k", "65537"}},
    {"conv2d_ci3_h8_co4_k3_s0", {"s", "0"}},
    {"conv2d_ci3_h99999999999999999999999_co4_k3", {"h", "1073741824"}},
    {"conv2d_ci3_h8_co4_k3_n2147483648", {"n", "1073741824"}},
    {"conv2d_ci?_h8_co4_k3", {"'ci?'", "n, h and w"}},
    {"conv2d_ci3_h8_co4_k?", {"'k?'"}},
    {"conv2d_ci3_h8_co4_k3_f16", {"'f16'", "f32"}},
    {"conv2d_ci3_h8_co4_k3_bf16", {"'bf16'", "f32"}},
    {"conv2d_ci3_h8_co4_k3_i8", {"'i8'", "f32"}},
    {"conv2d_h8_co4_k3", {"ci"}},
    {"conv2d_ci3_h8_k3", {"co"}},
    {"conv2d_ci3_h8_co4", {"k"}},
    {"conv2d_ci3_h8_co4_kh3", {"kw"}},
    {"conv2d_ci3_h8_co4_kw3", {"kh"}},
    {"conv2d_ci3_co4_k3", {"conv2d needs", "h"}},
    {"octave_ci3_co4_k3", {"octave needs", "h"}},
    {"pointwise_ci3_co4", {"pointwise needs", "h"}},
    {"linear_co4", {"ci"}},
    {"linear_ci4_co4_k3", {"'k3'", "linear"}},
    {"linear_ci4_co4_h3", {"'h3'", "linear"}},
    {"pointwise_ci4_h8_co4_k3", {"'k3'", "pointwise"}},
    {"pointwise_ci4_h8_co4_same", {"'same'", "pointwise"}},
    {"depthwise_ci4_h8_k3_g2", {"'g2'", "depthwise"}},
    {"depthwise_ci4_h8_co6_k3", {"co6", "ci4"}},
    {"grouped_ci6_h8_co4_k3_g4", {"g4", "ci6"}},
    {"conv2d_ci3_h8_co4_k3_s2_same", {"same", "stride"}},
    {"conv2d_ci3_h8_co4_k3_p1_same", {"same", "pad"}},
    {"conv2d_ci3_h8_co4_k9", {"window", "9", "8"}},
    {"conv2d_ci3_h8_w2_co4_k3", {"window", "w"}},
    {"conv2d_ci3_h8_co4_k3_d4", {"window"}},
    {"conv2d_ci1024_h8192_co4_k3", {"x", "2^31"}},
    {"linear_ci65536_co65536", {"weight", "2^31"}},
    {"conv2d_ci3_h8_co4_k3_cil2", {"'cil2'", "conv2d"}},
    {"conv2d_ci3_h8_co4_k3_fb", {"'fb'", "conv2d"}},
    {"octave_ci8_h8_co8_k3_p1_cil9", {"cil9", "ci8"}},
    {"octave_ci8_h8_co8_k3_p1_s3", {"stride", "3"}},
    {"octave_ci8_h8_co8_k3_p1_fb_dli", {"'dli'"}},
    {"odconv_ci8_h8_co8_kh3_kw5", {"kh3", "kw5"}},
    {"odconv_ci8_h8_co8_k3_nobias", {"'nobias'", "odconv"}},
    {"odconv_ci8_h8_co8_k3_ex0", {"ex", "0"}},
    {"condconv_ci8_h8_co8_k3_ex0", {"ex", "0"}},
    {"dynamicconv_ci8_h8_co8_k3_ex0", {"ex", "0"}},
    {"condconv_ci8_h8_co6_k3_g4", {"g4", "ci8", "co6"}},
    {"spd_ci3_h7_co4_k3_p1", {"b2", "7x7"}},
    {"spd_ci3_h8_w9_co4_k3_b4", {"b4", "8x9"}},
    {"spd_ci3_h9_co4_k3_p1_after", {"b2", "output", "9x9"}},
    {"spd_ci3_h9_only", {"b2", "9x9"}},
    {"spd_ci3_h8_k3_g5", {"co"}},
    {"spd_ci3_h8_co4_k3_g8", {"g8", "co4", "ci3"}},
    {"spd_ci3_h8_co4_k3_only", {"only", "co"}},
    {"octave_ci8_h8_co8_k3_g8_p1_cil8", {"high", "cil8", "col0", "g8"}},
    {"octave_ci8_h8_co8_k3_g3_p1", {"g3", "ci8"}},
    {"octave_ci8_h8_co8_k3_g4_p1_cil2_col4", {"g4", "cil2", "col4"}},
    {"octave_ci8_h4_co8_k4_cil4_col4", {"kh4", "h4", "path"}},
    {"rowcol_ci8_h8_k3_r0", {"r", "0"}},
    {"wtconv_ci8_h8_k3_lev9", {"lev", "9"}},
    {"wtconv_ci8_h8_kh3_kw5", {"kh3", "kw5"}},
    {"wtconv_ci8_h8_k3_db2_db3", {"'db3'"}},
    {"wtconv1d_ci8_w3_k3_s4", {"w3", "s4"}},
    {"transposed_ci3_h4_co4_k3_s2_op2", {"oph2", "stride", "dilation"}},
    {"transposed_ci3_h4_co4_k4_s2_op1_opw1", {"'opw'", "twice"}},
    {"transposed_ci3_h1_co4_k3_p2", {"padding", "no output"}},
    {"transposed_ci3_h4_co4_k3_g2", {"g2", "ci3", "co4"}},
    {"transposed_ci3_h4_co4_k3_same", {"'same'", "transposed"}},
    {"depthwise_separable_ci3_h8_co4_k3_nobias", {"'nobias'", "dwnobias", "pwnobias"}},
    {"depthwise_separable_ci3_h8_co4_k3_mrelu_msilu", {"'msilu'"}},
    {"depthwise_separable_ci100000_h8_co4_k3_m100000", {"m100000", "ci100000"}},
};

TEST(Parser, EveryMistakeIsNamed) {
    for (const auto &c : mistakes) {
        Parsed p = parse(c.text);
        EXPECT_EQ(p.status, HCONV_INVALID_ARGUMENT) << "'" << c.text << "' -> " << format(p.problem);
        for (const char *word : c.says)
            EXPECT_NE(p.why.find(word), std::string::npos) << "'" << c.text << "' should name " << word << ": " << p.why;
    }
}

// An item that a variant has no key or word for is refused by name, for every variant and every token there is.
TEST(Parser, EveryTokenOfAnotherVariantIsRefusedByName) {
    std::vector<std::string> tokens;
    for (const hconv_variant &v : hconv_variants) {
        for (const std::string &key : split(v.keys)) tokens.push_back(key.substr(0, key.find('=')));
        for (const std::string &word : words_of(v)) tokens.push_back(word);
    }
    for (const hconv_variant &v : hconv_variants) {
        std::vector<std::string> own;
        for (const std::string &key : split(v.keys)) own.push_back(key.substr(0, key.find('=')));
        for (const std::string &word : words_of(v)) own.push_back(word);
        for (const std::string &token : tokens) {
            if (std::find(own.begin(), own.end(), token) != own.end() || token == "act") continue;
            for (const std::string &item : {token, token + "1"}) {
                Parsed p = parse(std::string(v.name) + "_" + item);
                EXPECT_EQ(p.status, HCONV_INVALID_ARGUMENT) << v.name << "_" << item;
                EXPECT_NE(p.why.find("'" + item + "'"), std::string::npos) << v.name << "_" << item << ": " << p.why;
            }
        }
    }
}

TEST(Parser, LimitsAreInclusive) {
    EXPECT_EQ(parse("conv2d_ci1_h65536_w1_co1_kh65536_kw1").status, HCONV_OK);
    EXPECT_EQ(parse("conv2d_ci1_h4_co1_k3_p65536_s65536").status, HCONV_OK);
    EXPECT_EQ(parse("linear_ci1_co1_n536870911").status, HCONV_OK);                      // 2^31 - 4 bytes
    EXPECT_EQ(parse("linear_ci1_co1_n536870912").status, HCONV_INVALID_ARGUMENT);        // 2^31 bytes
    EXPECT_EQ(parse("conv2d_ci1_h?_co1_k65536_d65536").status, HCONV_INVALID_ARGUMENT);  // reach over 2^30
    EXPECT_EQ(parse("conv2d_ci1_h?_co1_k65536_d65536_same").status, HCONV_INVALID_ARGUMENT);
    EXPECT_EQ(parse("conv2d_ci1_h?_co1_k9_d65536_same").status, HCONV_INVALID_ARGUMENT); // pads over 65536
}

TEST(Parser, ArgumentsMayBeMissing) {
    hconv_problem p, untouched;
    char text[HCONV_PROBLEM_BYTES], why[HCONV_WHY_BYTES];
    std::memset(&p, 0x5a, sizeof p);
    untouched = p;
    EXPECT_EQ(hconv_problem_parse(nullptr, &p, why, sizeof why), HCONV_INVALID_ARGUMENT);
    EXPECT_EQ(hconv_problem_parse("conv2d", nullptr, why, sizeof why), HCONV_INVALID_ARGUMENT);
    EXPECT_EQ(hconv_problem_parse("conv2d_q", &p, nullptr, 0), HCONV_INVALID_ARGUMENT);
    EXPECT_EQ(hconv_problem_parse("conv2d_q", &p, nullptr, 100), HCONV_INVALID_ARGUMENT);
    EXPECT_TRUE(same(p, untouched)) << "a failed parse must leave the result alone";
    for (size_t bytes = 0; bytes < 80; ++bytes) { // the sentence is cut, never longer than its place
        char small[81];
        std::memset(small, '#', sizeof small);
        EXPECT_EQ(hconv_problem_parse("conv2d_q", &p, small, bytes), HCONV_INVALID_ARGUMENT);
        if (bytes) {
            EXPECT_LT(std::strlen(small), bytes);
        }
        EXPECT_EQ(small[bytes], '#');
    }
    ASSERT_EQ(hconv_problem_parse("conv2d_ci3_h8_co4_k3", &p, nullptr, 0), HCONV_OK);
    EXPECT_EQ(hconv_problem_format(nullptr, text, sizeof text), HCONV_INVALID_ARGUMENT);
    EXPECT_EQ(hconv_problem_format(&p, nullptr, 10), HCONV_INVALID_ARGUMENT);
    for (size_t bytes = 0; bytes <= sizeof "conv2d_ci3_h8_co4_k3"; ++bytes) {
        std::memset(text, '#', sizeof text);
        EXPECT_EQ(hconv_problem_format(&p, text, bytes),
                  bytes == sizeof "conv2d_ci3_h8_co4_k3" ? HCONV_OK : HCONV_INVALID_ARGUMENT);
        EXPECT_EQ(text[bytes], '#');
    }
    p.struct_size = 4;
    EXPECT_EQ(hconv_problem_format(&p, text, sizeof text), HCONV_INVALID_ARGUMENT);
}

// The longest string there can be: every key at its greatest, every word at its longest, whatever the sizes allow.
TEST(Parser, TheLongestStringFits) {
    for (const hconv_variant &v : hconv_variants) {
        size_t length = std::strlen(v.name);
        for (const std::string &key : split(v.keys)) {
            std::string name = key.substr(0, key.find('='));
            length += name == "p" ? 4 * std::strlen("_pt65536") : std::strchr("ksd", name[0]) && name.size() == 1
                          ? 2 * std::strlen("_kh65536") : name.size() + std::strlen("_1073741824");
        }
        for (const std::string &word : split(v.words)) length += 1 + (word == "act" ? 11 : word.size());
        EXPECT_LT(length, static_cast<size_t>(HCONV_PROBLEM_BYTES)) << v.name;
    }
}

// Random bytes, random mixtures of tokens, very long ones: a status and a sentence, never a crash.
TEST(Parser, GarbageIsRefused) {
    Random random(99);
    static const char alphabet[] = "_?0123456789abcdefghijklmnopqrstuvwxyz%s\n\t\xff\x80@:*=.-";
    std::vector<std::string> tokens = {"_", "?", "0", "4294967296", "relu", "relu6", "same", "f32", "k", "h", "__"};
    for (const hconv_variant &v : hconv_variants) {
        tokens.push_back(v.name);
        for (const std::string &key : split(v.keys)) tokens.push_back("_" + key.substr(0, key.find('=')) + "3");
    }
    for (int trial = 0; trial < 20000; ++trial) {
        std::string text = trial % 3 ? hconv_variants[trial % HCONV_VARIANT_COUNT].name : "";
        int items = pick(random, 0, 40);
        for (int i = 0; i < items; ++i)
            if (trial % 2) text += alphabet[random() % (sizeof alphabet - 1)];
            else text += tokens[random() % tokens.size()];
        Parsed p = parse(text);
        if (p.status == HCONV_OK) expect_round_trip(p.problem, text);
        else ASSERT_FALSE(p.why.empty()) << text;
    }
    for (const char *unit : {"a", "_", "9", "?", "_k3", "k", "_relu", "\xff", "%n"}) {
        std::string text = "conv2d_";
        while (text.size() < 1000000) text += unit;
        EXPECT_EQ(parse(text).status, HCONV_INVALID_ARGUMENT);
        EXPECT_EQ(parse(text.substr(7)).status, HCONV_INVALID_ARGUMENT);
        EXPECT_EQ(parse("linear_ci3_co4_n" + text.substr(7)).status, HCONV_INVALID_ARGUMENT);
    }
}

} // namespace
