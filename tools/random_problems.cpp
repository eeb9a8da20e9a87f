// random_problems.cpp - see random_problems.h. A text is drawn word by word and key by key, with a few relations in mind
// (g divides ci and co, b divides h and w); what the parser refuses is drawn again.
// SPDX-License-Identifier: MIT
#include "tools/random_problems.h"

#include <algorithm>
#include <cstring>
#include <functional>
#include <map>
#include <set>
#include <sstream>
#include <stdexcept>

namespace hconv {

namespace {

constexpr double kMostMultiplyAdds = 2e6;  // of one problem: the reference takes some 20 ns each
constexpr double kMostElements = 1 << 18;  // of all its tensors
constexpr size_t kShapes = 36;             // of an open problem

class Random {
public:
    explicit Random(uint64_t seed) : state(seed) {}
    uint64_t next() {  // splitmix64
        uint64_t z = state += 0x9e3779b97f4a7c15u;
        z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
        z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
        return z ^ (z >> 31);
    }
    int pick(int least, int greatest) { return least + int(next() % uint64_t(greatest - least + 1)); }
    bool one_in(int n) { return pick(1, n) == 1; }
    int of(const std::vector<int> &values) { return values[size_t(pick(0, int(values.size()) - 1))]; }

    // The least, a vector's edges, odd ones, some more: what tiles, tails and clamps differ by.
    int edge() {
        const int vector = of({4, 8, 16});
        switch (pick(0, 6)) {
        case 0: return pick(1, 3);
        case 1: return vector - 1;
        case 2: return vector;
        case 3: return vector + 1;
        case 4: return 2 * vector + pick(-1, 1);
        case 5: return 2 * pick(0, 16) + 1;
        default: return pick(1, 24);
        }
    }

private:
    uint64_t state;
};

std::vector<std::string> split(const std::string &text) {
    std::istringstream in(text);
    std::vector<std::string> items;
    for (std::string item; in >> item;) items.push_back(item);
    return items;
}

int up_to_multiple(int value, int of) { return of > 0 ? (value + of - 1) / of * of : value; }

class Draw {
public:
    Draw(const hconv_variant &v, uint64_t seed, Care care, bool open)
        : variant(v), random(seed), careful(care == Care::possible), sparse(random.one_in(4)) {
        for (const std::string &item : split(v.keys)) allowed.insert(item.substr(0, item.find('=')));
        draw_words();
        if (open) draw_open();
        if (careful && allowed.count("g") && !random.one_in(3)) value("g");
    }

    std::string text() {
        std::string text = variant.name;
        for (const std::string &item : split(variant.keys)) {
            const std::string key = item.substr(0, item.find('='));
            const bool needed = item.find('=') == std::string::npos;
            const bool derived = item.back() == '*';  // what it would be depends on others: some problems need it
            if (!needed && !values.count(key) && !opened.count(key) && !given(derived)) continue;
            if (careful && ((key == "p" && has_word("same")) || (key == "s" && words.count("same")))) continue;
            for (const std::string &part : parts_of(key))
                text += "_" + part + (opened.count(part) ? "?" : std::to_string(value(part)));
        }
        for (const std::string &word : words) text += "_" + word;
        return text;
    }

private:
    bool has_word(const std::string &end) const {  // same: tfsame too
        return std::any_of(words.begin(), words.end(), [&](const std::string &word) {
            return word.size() >= end.size() && !word.compare(word.size() - end.size(), end.size(), end);
        });
    }
    bool listed(const std::string &item, const hconv_word &w) const {
        if (w.field == HCONV_FIELD(activation)) return item == "act";
        return item.back() == '*' ? !std::strncmp(w.name, item.c_str(), item.size() - 1) : item == w.name;
    }

    // At most one word a field; each flag is a field of its own.
    void draw_words() {
        std::map<std::pair<size_t, int32_t>, std::vector<std::string>> fields;
        const std::vector<std::string> items = split(variant.words);
        for (const hconv_word *table : {variant.family->words, hconv_common_words})
            for (const hconv_word *w = table; w && w->name; ++w)
                for (const std::string &item : items)
                    if (listed(item, *w))
                        fields[{w->field, w->field == HCONV_FIELD(flags) ? w->value : 0}].push_back(w->name);
        for (const auto &[field, names] : fields) {
            const bool rare = sparse || field.first == HCONV_FIELD(flags) || field.first == HCONV_FIELD(same);
            if (random.one_in(rare ? 4 : 2)) words.insert(names[size_t(random.pick(0, int(names.size()) - 1))]);
        }
    }
    void draw_open() {
        std::vector<std::string> sizes;
        for (const char *key : {"n", "h", "w"})
            if (allowed.count(key)) sizes.push_back(key);
        while (opened.empty())
            for (const std::string &key : sizes)
                if (!random.one_in(key == "n" ? 2 : 4)) opened.insert(key);
    }

    bool given(bool derived) { return sparse ? random.one_in(8) : derived ? !random.one_in(8) : random.one_in(2); }

    std::vector<std::string> parts_of(const std::string &key) {
        const char *const *spellings = hconv_key_spellings(key.c_str(), key.size());
        int count = 0;
        while (spellings && spellings[count]) ++count;
        return !count || random.pick(0, 2) ? std::vector<std::string>{key} : split(spellings[random.pick(0, count - 1)]);
    }

    // A key's value, drawn when first asked for; what it depends on is drawn before.
    int value(const std::string &part) {
        auto known = values.find(part);
        if (known != values.end()) return known->second;
        int drawn = draw(part);
        if (!careful && random.one_in(6)) drawn = random.of({0, 1, 5, 6, 7, 64, 65537, 1 << 30});
        return values[part] = drawn;
    }
    // What channels must be multiples of.
    int unit() const {
        auto g = values.find("g");
        return careful && !as_channels && g != values.end() ? g->second : 1;
    }

    int draw(const std::string &part) {
        static const std::map<std::string, std::function<int(Draw &)>> keys{
            {"n", [](Draw &d) { return d.allowed.count("h") || d.allowed.count("w") ? d.random.pick(1, 3) : d.random.edge(); }},
            {"ci", [](Draw &d) { return d.channels(); }},
            {"co", [](Draw &d) { return d.outputs(); }},
            {"g", [](Draw &d) { return d.groups(); }},
            {"cil", [](Draw &d) { return d.share(d.value("ci")); }},
            {"col", [](Draw &d) { return d.share(d.value("co")); }},
            {"h", [](Draw &d) { return d.size(); }},
            {"w", [](Draw &d) { return d.size(); }},
            {"b", [](Draw &d) { return d.random.of({1, 2, 2, 3, 4, 5}); }},
            {"lev", [](Draw &d) { return d.random.of({1, 2, 2, 3, 3, 4, 5, 6, 7, 8}); }},
            {"hid", [](Draw &d) { return d.random.of({1, 2, 5, 16, 17, 20}); }},
            {"ex", [](Draw &d) { return d.random.of({1, 2, 3, 5, 8}); }},
        };
        auto own = keys.find(part);
        if (own != keys.end()) return own->second(*this);
        switch (part[0]) {
        case 'k': return random.of({1, 2, 3, 3, 3, 4, 5, 5, 6, 7, 9, 11});
        case 's': return random.of({1, 2, 2, 3, 4, 5});
        case 'd': return random.of({1, 2, 2, 3, 4});
        case 'p': return padding();
        case 'o': return random.pick(0, 3);
        default: return random.pick(1, 4);  // a key that only its variant knows
        }
    }
    int groups() {
        as_channels = careful && random.one_in(3);
        return as_channels ? value("ci") : random.of({1, 2, 2, 3, 4, 5, 7, 8});
    }
    int channels() { return up_to_multiple(random.edge(), unit()); }
    int outputs() {
        const int ci = value("ci");
        const bool multiple = as_channels || !allowed.count("g") ? random.one_in(2) : random.one_in(4);
        if (multiple) return std::min(ci, 1 << 28) * random.pick(1, 3);
        if (random.one_in(6)) return random.of({40, 48, 63, 64, 65});
        return up_to_multiple(random.edge(), as_channels ? ci : unit());
    }
    int share(int channels) {
        return random.of({0, channels, channels / 2, 1, random.pick(0, channels), random.pick(0, channels)}) / unit() * unit();
    }
    int size() {
        const int drawn = random.one_in(8) ? random.pick(33, 70) : random.edge();
        return words.count("after") ? drawn : up_to_multiple(drawn, careful && allowed.count("b") ? block() : 1);
    }
    int block() {
        if (!values.count("b")) values["b"] = draw("b");
        return values["b"];
    }
    int padding() {
        int64_t window = 1, dilation = 1;
        for (const auto &[part, drawn] : values)
            if (part[0] == 'k') window = drawn;
            else if (part[0] == 'd') dilation = drawn;
        const int reach = int(std::clamp<int64_t>(dilation * (window - 1), 0, 64));
        return random.of({0, reach / 2, reach / 2, reach, random.pick(0, reach + 2)});
    }

    const hconv_variant &variant;
    Random random;
    const bool careful, sparse;
    bool as_channels = false;
    std::set<std::string> allowed, opened, words;
    std::map<std::string, int> values;
};

bool affordable(const Problem &p) {
    double elements = 0;
    for (const hconv_tensor &t : p.tensors()) {
        double each = 1;
        for (int i = 0; i < t.rank; ++i) each *= double(t.extent[i]);
        elements += each;
    }
    return p.kind().family->multiply_adds(&p) <= kMostMultiplyAdds && elements <= kMostElements;
}

void draw_sizes(ListedProblem &p, Random &random) {
    std::set<std::string> seen;
    const bool map = p.problem.h == HCONV_OPEN || p.problem.w == HCONV_OPEN;
    for (int tries = 0; p.sizes.size() < kShapes && tries < 40 * int(kShapes); ++tries) {
        Problem sized = p.problem;
        const Sizes s{map ? random.pick(1, 3) : random.edge(), random.edge(), random.one_in(6) ? random.pick(33, 90) : random.edge()};
        if (fill_open(sized, s) && affordable(sized) && seen.insert(sized.text()).second) p.sizes.push_back(sized);
    }
}

// The first draw that is a problem of this variant, small enough for the reference.
ListedProblem draw_problem(const hconv_variant &v, uint64_t seed, bool open) {
    Random random(seed);
    for (int tries = 0; tries < 100000; ++tries) {
        ListedProblem p;
        char why[HCONV_WHY_BYTES];
        const std::string text = random_text(v, random.next(), Care::possible, open);
        if (hconv_problem_parse(text.c_str(), &p.problem, why, sizeof why) || &p.problem.kind() != &v) continue;
        if (open) draw_sizes(p, random);
        else if (affordable(p.problem)) p.sizes.push_back(p.problem);
        if (!p.sizes.empty()) return p;
    }
    throw std::logic_error(std::string("100000 draws gave no problem of ") + v.name);
}

std::vector<const hconv_variant *> variants_of(const std::vector<std::string> &names) {
    std::vector<const hconv_variant *> found;
    for (const std::string &name : names) {
        const size_t before = found.size();
        for (const hconv_variant &v : hconv_variants)
            if (name == "all" || name == v.name) found.push_back(&v);
        if (found.size() == before)
            throw std::invalid_argument("--variant " + name + " is no variant; hconv list variants names them all, 'all' is all of them");
    }
    return found;
}

}  // namespace

std::string random_text(const hconv_variant &v, uint64_t seed, Care care, bool open) { return Draw(v, seed, care, open).text(); }

std::vector<ListedProblem> random_problems(const std::vector<std::string> &names, size_t count, uint64_t seed) {
    const std::vector<const hconv_variant *> variants = variants_of(names);
    std::vector<ListedProblem> problems;
    std::set<std::string> seen;
    Random random(seed);
    size_t sizes = 0, repeated = 0;
    for (size_t i = 0; sizes < count && repeated < 1000; ++i) {
        const size_t turn = i % variants.size();
        ListedProblem p = draw_problem(*variants[turn], random.next(), (turn + i / variants.size()) % 2);
        if (!seen.insert(p.text()).second) {
            ++repeated;
            continue;
        }
        if (p.sizes.size() > count - sizes) p.sizes.resize(count - sizes);
        sizes += p.sizes.size();
        problems.push_back(p);
    }
    return problems;
}

}  // namespace hconv
