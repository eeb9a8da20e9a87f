// golden_cases.cpp - the recipes: what problems a kind of golden case is made of.
// SPDX-License-Identifier: MIT
#include "golden_cases.h"

#include "tools/separable.h"
#include "variant.h"

#include <nlohmann/json.hpp>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <regex>
#include <stdexcept>

namespace hconv::goldens {

namespace fs = std::filesystem;
using nlohmann::json;

namespace {

// Thrown by recipes: this case is beyond what the build can run.
struct Skip : std::runtime_error {
    using std::runtime_error::runtime_error;
};

// A case while it is being read.
struct Draft {
    Case c;
    json hyper;
    Tensors parameters, expected;
    hconv_layout layout;
    Tensors values; // shapes of all values so far, in logical order; data only of the inputs

    int64_t extent(const std::string &value, int dimension) const { return values.at(value).shape.at(dimension); }
    bool has(const std::string &value) const { return values.count(value) != 0; }
};

// A problem string, item by item.
struct Text {
    std::string s;
    explicit Text(const std::string &variant) : s(variant) {}
    Text &key(const std::string &name, int64_t value) {
        s += "_" + name + std::to_string(value);
        return *this;
    }
    Text &word(const std::string &name, bool wanted = true) {
        if (wanted) s += "_" + name;
        return *this;
    }
};

struct Pair {
    int64_t h, w;
};

Pair pair_of(const json &hyper, const char *name, int64_t otherwise) {
    if (!hyper.contains(name)) return {otherwise, otherwise};
    const json &value = hyper[name];
    if (value.is_array() && value.size() == 2) return {value[0].get<int64_t>(), value[1].get<int64_t>()};
    if (value.is_array()) return {value.at(0).get<int64_t>(), value.at(0).get<int64_t>()};
    return {value.get<int64_t>(), value.get<int64_t>()};
}

// k, s, d, p, g of a torch.nn convolution's arguments. lines: 1-D, rows stay as they are.
void window_keys(Text &t, const json &hyper, bool lines = false) {
    if (hyper.value("padding_mode", "zeros") != "zeros")
        throw Skip("padding_mode " + hyper["padding_mode"].get<std::string>() + ": only zeros are in the contract");
    Pair k = pair_of(hyper, "kernel_size", 1), s = pair_of(hyper, hyper.contains("strides") ? "strides" : "stride", 1);
    Pair d = pair_of(hyper, "dilation", 1);
    if (lines) k.h = s.h = d.h = 1;
    t.key("kh", k.h).key("kw", k.w).key("sh", s.h).key("sw", s.w).key("dh", d.h).key("dw", d.w);
    if (hyper.value("groups", 1) != 1) t.key("g", hyper["groups"]);
    bool named = hyper.contains("padding") && hyper["padding"].is_string();
    if (named && hyper["padding"] == "same") t.word("same");
    else if (named && hyper["padding"] != "valid")
        throw Skip("padding '" + hyper["padding"].get<std::string>() + "' is unknown");
    if (named) return;
    Pair p = pair_of(hyper, "padding", 0);
    t.key("ph", lines ? 0 : p.h).key("pw", p.w);
}

std::vector<int64_t> logical_shape(const hconv_tensor &t) { return {t.extent, t.extent + t.rank}; }

int64_t count_of(const std::vector<int64_t> &shape) {
    int64_t count = 1;
    for (int64_t extent : shape) count *= extent;
    return count;
}

// Gives every tensor of the step's problem its shape; complains about what is missing or of another size.
void fit(Draft &d, Step &step) {
    hconv_tensor_list list;
    hconv_variant_of(&step.problem)->family->tensors(&step.problem, &list);
    for (int k = 0; k < list.count; ++k) {
        const hconv_tensor &t = list.at[k];
        std::vector<int64_t> shape = logical_shape(t);
        if (t.role == HCONV_OUTPUT) {
            auto to = step.outputs.find(t.name);
            if (to != step.outputs.end()) d.values[to->second].shape = shape;
            continue;
        }
        bool parameter = t.role == HCONV_PARAMETER;
        if (parameter && t.optional && !step.parameters.count(t.name)) continue;
        if (!parameter && !step.inputs.count(t.name)) step.inputs[t.name] = t.name;
        Tensors &from = parameter ? step.parameters : d.values;
        auto found = from.find(parameter ? t.name : step.inputs[t.name]);
        if (found == from.end()) throw std::runtime_error(step.text + " wants " + t.name + ", which the case has not");
        if (t.repeat > 1 && count_of(found->second.shape) * t.repeat == count_of(shape)) continue;
        if (count_of(found->second.shape) != count_of(shape))
            throw std::runtime_error(std::string(t.name) + " has another shape than " + step.text + " wants");
        found->second.shape = shape;
    }
}

// Appends a step. outputs: the problem's tensor -> the value it makes.
void add_step(Draft &d, Text text, const Tensors &parameters, const std::map<std::string, std::string> &inputs,
              const std::map<std::string, std::string> &outputs) {
    Step step;
    char why[HCONV_WHY_BYTES] = "", canonical[HCONV_PROBLEM_BYTES];
    text.word("nchw", d.layout == HCONV_NCHW && text.s.compare(0, 6, "linear") != 0);
    if (hconv_problem_parse(text.s.c_str(), &step.problem, why, sizeof why))
        throw std::runtime_error(text.s + ": " + why);
    if (hconv_problem_format(&step.problem, canonical, sizeof canonical))
        throw std::runtime_error(text.s + " has no canonical form");
    step.text = canonical, step.parameters = parameters, step.inputs = inputs, step.outputs = outputs;
    fit(d, step);
    d.c.steps.push_back(std::move(step));
}

// The parameters below prefix, without it.
Tensors below(const Tensors &all, const std::string &prefix) {
    Tensors some;
    for (const auto &[name, tensor] : all)
        if (name.compare(0, prefix.size(), prefix) == 0) some[name.substr(prefix.size())] = tensor;
    return some;
}

void put(Tensors &to, const std::string &prefix, const Tensors &from) {
    for (const auto &[name, tensor] : from) to[prefix + name] = tensor;
}

Tensor number(double value) { return {{1}, {float(value)}}; }

void conv_step(Draft &d, const json &hyper, const Tensors &parameters, const std::string &in, const std::string &out) {
    bool lines = d.values.at(in).shape.size() == 3;
    Text t("conv2d");
    t.key("n", d.extent(in, 0)).key("ci", d.extent(in, 1));
    t.key("h", lines ? 1 : d.extent(in, 2)).key("w", d.extent(in, lines ? 2 : 3));
    t.key("co", hyper.at("out_channels"));
    window_keys(t, hyper, lines);
    add_step(d, t.word("nobias", !parameters.count("bias")), parameters, {{"x", in}}, {{"y", out}});
}

void conv_recipe(Draft &d) { conv_step(d, d.hyper, d.parameters, "x", "y"); }

void conv_chain_recipe(Draft &d) {
    const json &layers = d.hyper.at("layers");
    std::string in = "x";
    for (size_t k = 0; k < layers.size(); ++k) {
        std::string out = k + 1 == layers.size() ? "y" : "layer " + std::to_string(k);
        conv_step(d, layers[k], below(d.parameters, std::to_string(k) + "."), in, out);
        in = out;
    }
}

void transposed_recipe(Draft &d) {
    bool lines = d.values.at("x").shape.size() == 3;
    Text t("transposed");
    t.key("n", d.extent("x", 0)).key("ci", d.extent("x", 1));
    t.key("h", lines ? 1 : d.extent("x", 2)).key("w", d.extent("x", lines ? 2 : 3));
    t.key("co", d.hyper.at("out_channels"));
    window_keys(t, d.hyper, lines);
    Pair more = pair_of(d.hyper, "output_padding", 0);
    t.key("oph", lines ? 0 : more.h).key("opw", more.w);
    add_step(d, t.word("nobias", !d.parameters.count("bias")), d.parameters, {}, {{"y", "y"}});
}

// The window is hyper's "depthwise", or hyper itself under timm's names (conv_dw, conv_pw, one norm at the end), where no
// padding means ((s - 1) + d (k - 1)) / 2 on every side.
void separable_recipe(Draft &d) {
    bool timm = !d.hyper.contains("depthwise");
    json window = timm ? d.hyper : d.hyper["depthwise"];
    Tensors parameters;
    for (const auto &[name, tensor] : d.parameters) {
        std::string standard = name;
        if (timm && name.compare(0, 8, "conv_dw.") == 0) standard = "depthwise_conv." + name.substr(8);
        if (timm && name.compare(0, 8, "conv_pw.") == 0) standard = "pointwise_conv." + name.substr(8);
        parameters[standard] = tensor;
    }
    if (timm && !window.contains("padding"))
        window["padding"] = (window.value("stride", 1) - 1 + window.value("dilation", 1) * (int(window.at("kernel_size")) - 1)) / 2;
    window["groups"] = 1;
    Text t("depthwise_separable");
    t.key("n", d.extent("x", 0)).key("ci", d.extent("x", 1)).key("h", d.extent("x", 2)).key("w", d.extent("x", 3));
    t.key("co", parameters.at("pointwise_conv.weight").shape.at(0));
    t.key("m", parameters.at("depthwise_conv.weight").shape.at(0) / d.extent("x", 1));
    window_keys(t, window);
    t.word("dwnobias", !parameters.count("depthwise_conv.bias")).word("pwnobias", !parameters.count("pointwise_conv.bias"));
    if (parameters.count("bn.weight")) t.word("bn").word("relu");
    add_step(d, t, parameters, {}, {{"y", "y"}});
}

void linear_recipe(Draft &d) {
    Tensor &x = d.values.at("x");
    int64_t features = x.shape.empty() ? 0 : x.shape.back();
    if (features <= 0) throw std::runtime_error("x has no features");
    x.shape = {count_of(x.shape) / features, features};
    Text t("linear");
    t.key("n", x.shape[0]).key("ci", features).key("co", d.hyper.at("out_features"));
    add_step(d, t.word("nobias", !d.parameters.count("bias")), d.parameters, {}, {{"y", "y"}});
}

struct Maps { // names of values; empty = there is no such map
    std::string high, low;
};

// One octave convolution between named maps; words: dialect, norm, residual, activation. co_low: of the co outputs.
void octave_step(Draft &d, const json &hyper, const std::string &words, const Tensors &parameters, const Maps &in,
                 const Maps &out, int64_t co, int64_t co_low, const std::map<std::string, std::string> &residual = {}) {
    bool high = !in.high.empty(), low = !in.low.empty(), bias = false;
    for (const auto &[name, tensor] : parameters)
        bias |= name == "bias" || (name[0] == 'c' && name.find(".bias") != std::string::npos);
    int64_t ci_low = low ? d.extent(in.low, 1) : 0;
    Text t("octave");
    t.key("n", d.extent(high ? in.high : in.low, 0)).key("ci", (high ? d.extent(in.high, 1) : 0) + ci_low);
    t.key("h", high ? d.extent(in.high, 2) : 2 * d.extent(in.low, 2));
    t.key("w", high ? d.extent(in.high, 3) : 2 * d.extent(in.low, 3));
    t.key("co", co).key("cil", ci_low).key("col", co_low);
    window_keys(t, hyper);
    t.word("nobias", !bias);
    t.s += words;
    std::map<std::string, std::string> inputs = residual, outputs;
    if (high) inputs["x_h"] = in.high;
    if (low) inputs["x_l"] = in.low;
    if (co_low < co) outputs["y_h"] = out.high;
    if (co_low > 0) outputs["y_l"] = out.low;
    add_step(d, t, parameters, inputs, outputs);
}

int64_t channels(const Tensors &tensors, const std::string &name) {
    auto found = tensors.find(name);
    return found == tensors.end() || found->second.shape.size() < 2 ? 0 : found->second.shape[1];
}

void octave_whole(Draft &d, const std::string &words, const Tensors &parameters) {
    int64_t high = channels(d.expected, "y_h"), low = channels(d.expected, "y_l");
    Maps in = {d.has("x_h") ? "x_h" : "", d.has("x_l") ? "x_l" : ""};
    octave_step(d, d.hyper, words, parameters, in, {"y_h", "y_l"}, high + low, low);
}

void octave_article_recipe(Draft &d) { octave_whole(d, "", d.parameters); }
void octave_fb_recipe(Draft &d) { octave_whole(d, "_fb", d.parameters); }
void octave_dli_recipe(Draft &d) { octave_whole(d, "_dli", d.parameters); }

// lxtGH's OctaveConv2 is dli's four convolutions at stride 1; at stride 2 it pools as the article does.
void octave_lxt2_recipe(Draft &d) {
    if (pair_of(d.hyper, "stride", 1).h != 1) throw Skip("OctaveConv2 at stride 2 is none of the three dialects");
    Tensors parameters;
    put(parameters, "conv_", d.parameters);
    octave_whole(d, "_dli", parameters);
}

// Conv_BN_ACT of octconv.pytorch: parameters conv.conv_*, bn_h.*, bn_l.*.
Tensors octave_norm_parameters(const Tensors &all, const std::string &prefix, const json &hyper) {
    Tensors mine = below(all, prefix), parameters = below(mine, "conv.");
    for (const char *norm : {"bn_h.", "bn_l."}) {
        Tensors tensors = below(mine, norm);
        put(parameters, norm, tensors);
        if (!tensors.empty()) parameters[std::string(norm) + "eps"] = number(hyper.value("bn_eps", 1e-5));
    }
    return parameters;
}

int64_t length(const Tensors &tensors, const std::string &name) {
    auto found = tensors.find(name);
    return found == tensors.end() ? 0 : int64_t(found->second.data.size());
}

void octave_chain_recipe(Draft &d) {
    if (d.hyper.value("act", "ReLU") != "ReLU") throw Skip("only ReLU is known between the layers of a chain");
    const std::regex form(R"((\d+)->(\d+) k(\d+) p(\d+)(?: s(\d+))? \((\S+),(\S+)\))");
    Maps in = {d.has("x_h") ? "x_h" : "x", d.has("x_l") ? "x_l" : ""};
    const json &layers = d.hyper.at("layers");
    for (size_t k = 0; k < layers.size(); ++k) {
        std::smatch m;
        std::string text = layers[k], prefix(1, char('a' + k));
        if (!std::regex_match(text, m, form)) throw Skip("layer '" + text + "' is not understood");
        json hyper = {{"kernel_size", std::stoi(m[3])}, {"padding", std::stoi(m[4])}};
        hyper["stride"] = m[5].matched ? std::stoi(m[5]) : 1;
        Tensors parameters = octave_norm_parameters(d.parameters, prefix + ".", d.hyper);
        int64_t high = length(parameters, "bn_h.weight"), low = length(parameters, "bn_l.weight");
        bool last = k + 1 == layers.size();
        Maps out = last ? Maps{low ? "y_h" : "y", "y_l"} : Maps{prefix + " high", prefix + " low"};
        octave_step(d, hyper, "_dli_bn_relu", parameters, in, out, high + low, low);
        in = {high ? out.high : "", low ? out.low : ""};
    }
}

// Bottleneck of octconv.pytorch: 1 x 1, 3 x 3, 1 x 1, then the identity is added.
void octave_block_recipe(Draft &d) {
    for (const auto &[name, tensor] : d.parameters)
        if (name.find("downsample") != std::string::npos)
            throw Skip("a block with a downsampling branch has no recipe");
    Maps in = {d.has("x_h") ? "x_h" : "", d.has("x_l") ? "x_l" : ""}, first = in;
    for (int k = 1; k <= 3; ++k) {
        std::string prefix = "conv" + std::to_string(k);
        Tensors parameters = octave_norm_parameters(d.parameters, prefix + ".", d.hyper);
        int64_t high = length(parameters, "bn_h.weight"), low = length(parameters, "bn_l.weight");
        json hyper = {{"kernel_size", k == 2 ? 3 : 1}, {"padding", k == 2 ? 1 : 0}};
        hyper["stride"] = k == 2 ? d.hyper.value("stride", 1) : 1;
        std::map<std::string, std::string> residual;
        if (k == 3 && high) residual[low ? "residual_h" : "residual"] = first.high;
        if (k == 3 && low) residual["residual_l"] = first.low;
        Maps out = k == 3 ? Maps{"y_h", "y_l"} : Maps{prefix + " high", prefix + " low"};
        octave_step(d, hyper, k == 3 ? "_dli_bn_res_relu" : "_dli_bn_relu", parameters, in, out, high + low, low,
                    residual);
        in = {high ? out.high : "", low ? out.low : ""};
    }
}

// words: norm, residual, activation. parameters: those of ODConv2d, and bn.*.
void odconv_step(Draft &d, const json &hyper, const std::string &words, Tensors parameters,
                 const std::map<std::string, std::string> &inputs, const std::string &out) {
    const std::string &x = inputs.at("x");
    if (d.values.at(x).shape.size() != 4) throw Skip("odconv in one dimension has no problem string");
    if (!parameters.count("weight") || !parameters.count("attention.fc.weight"))
        throw std::runtime_error("the case has no weight, or no attention.fc.weight");
    if (hyper.contains("temperature")) {
        if (!hyper["temperature"].is_number()) throw Skip("temperature is one number for all attentions");
        parameters["temperature"] = number(hyper["temperature"]);
    }
    parameters["attention.bn.eps"] = number(hyper.value("bn_eps", 1e-5));
    const std::vector<int64_t> &weight = parameters["weight"].shape;
    Text t("odconv");
    t.key("n", d.extent(x, 0)).key("ci", d.extent(x, 1)).key("h", d.extent(x, 2)).key("w", d.extent(x, 3));
    t.key("co", weight.at(1)).key("ex", weight.at(0)).key("hid", parameters["attention.fc.weight"].shape.at(0));
    window_keys(t, hyper);
    t.s += words;
    add_step(d, t, parameters, inputs, {{"y", out}});
}

void odconv_recipe(Draft &d) { odconv_step(d, d.hyper, "", d.parameters, {{"x", "x"}}, "y"); }

// InvertedResidual of OSVAI/ODConv: conv.<k>.0 and .1 are ODConv and norm of a ConvBNReLU6; the last two stand alone.
void odconv_block_recipe(Draft &d) {
    int64_t ratio = d.hyper.at("expand_ratio"), stride = d.hyper.at("stride"), inner = d.extent("x", 1) * ratio;
    int steps = ratio == 1 ? 2 : 3;
    bool identity = stride == 1 && d.hyper.at("inp") == d.hyper.at("oup");
    std::string in = "x";
    for (int k = 0; k < steps; ++k) {
        bool last = k == steps - 1, spatial = k == steps - 2;
        std::string here = "conv." + std::to_string(k), next = "conv." + std::to_string(k + 1);
        Tensors parameters = below(d.parameters, last ? here + "." : here + ".0.");
        put(parameters, "bn.", below(d.parameters, last ? next + "." : here + ".1."));
        json hyper = {{"kernel_size", spatial ? 3 : 1}, {"padding", spatial ? 1 : 0}};
        hyper["stride"] = spatial ? stride : 1, hyper["groups"] = spatial ? inner : 1;
        if (d.hyper.contains("temperature")) hyper["temperature"] = d.hyper["temperature"];
        std::map<std::string, std::string> inputs = {{"x", in}};
        if (last && identity) inputs["residual"] = "x";
        std::string out = last ? "y" : here;
        odconv_step(d, hyper, !last ? "_bn_relu6" : identity ? "_bn_res" : "_bn", parameters, inputs, out);
        in = out;
    }
}

// n, ci, h, w of a value; in one dimension h is 1.
Text &sizes_of(Text &t, const Draft &d, const std::string &in) {
    bool lines = d.values.at(in).shape.size() == 3;
    t.key("n", d.extent(in, 0)).key("ci", d.extent(in, 1));
    return t.key("h", lines ? 1 : d.extent(in, 2)).key("w", d.extent(in, lines ? 2 : 3));
}

void rowcol_step(Draft &d, int64_t kh, int64_t kw, int64_t pairs, const Tensors &parameters) {
    if (d.hyper.value("border", "zero") != "zero") throw Skip("rowcol's borders are zeros");
    Pair s = pair_of(d.hyper, "stride", 1), p = pair_of(d.hyper, "padding", 0);
    Text t("rowcol");
    sizes_of(t, d, "x").key("kh", kh).key("kw", kw).key("sh", s.h).key("sw", s.w).key("ph", p.h).key("pw", p.w).key("r", pairs);
    add_step(d, t.word("nobias", !parameters.count("bias")), parameters, {}, {{"y", "y"}});
}

void rowcol_recipe(Draft &d) { rowcol_step(d, d.hyper.at("kernel_col"), d.hyper.at("kernel_row"), 1, d.parameters); }

// A depthwise convolution whose windows are taken apart.
void rowcol_full_recipe(Draft &d) {
    const Tensor &weight = d.parameters.at("weight");
    int64_t channels = weight.shape.at(0), kh = weight.shape.at(2), kw = weight.shape.at(3);
    Separated s = separate(weight.data.data(), int(channels), int(kh), int(kw));
    if (s.pairs != d.hyper.at("true_rank"))
        throw std::runtime_error("the windows come apart into " + std::to_string(s.pairs) + " pairs");
    Tensors parameters = d.parameters;
    parameters.erase("weight");
    parameters["col.weight"] = {{channels * s.pairs, 1, kh, 1}, s.column};
    parameters["row.weight"] = {{channels * s.pairs, 1, 1, kw}, s.row};
    rowcol_step(d, kh, kw, s.pairs, parameters);
    d.c.rounded = true;
}

// "bior2.2" is the word bior22.
Text &wavelet_keys(Text &t, const Draft &d) {
    std::string wavelet = d.hyper.value("wt_type", "db1");
    wavelet.erase(std::remove(wavelet.begin(), wavelet.end(), '.'), wavelet.end());
    t.key("k", d.hyper.at("kernel_size")).key("s", d.hyper.value("stride", 1)).key("lev", d.hyper.value("wt_levels", 1));
    return t.word(wavelet).word("nobias", !d.parameters.count("base_conv.bias"));
}

void wtconv_recipe(Draft &d) {
    Text t("wtconv");
    add_step(d, wavelet_keys(sizes_of(t, d, "x"), d), d.parameters, {}, {{"y", "y"}});
}

void wtconv1d_recipe(Draft &d) {
    Text t("wtconv1d");
    t.key("n", d.extent("x", 0)).key("ci", d.extent("x", 1)).key("w", d.extent("x", 2));
    add_step(d, wavelet_keys(t, d), d.parameters, {}, {{"y", "y"}});
}

// timm's padding: '' is (s - 1 + d (k - 1)) / 2 on every side, 'same' is TensorFlow's.
void timm_window_keys(Text &t, json hyper) {
    if (!hyper.contains("padding") || !hyper["padding"].is_string()) return window_keys(t, hyper);
    std::string padding = hyper["padding"];
    Pair k = pair_of(hyper, "kernel_size", 1), s = pair_of(hyper, "stride", 1), d = pair_of(hyper, "dilation", 1);
    hyper.erase("padding");
    if (padding.empty()) hyper["padding"] = {(s.h - 1 + d.h * (k.h - 1)) / 2, (s.w - 1 + d.w * (k.w - 1)) / 2};
    else if (padding != "same" && padding != "valid") throw Skip("padding '" + padding + "' is unknown");
    window_keys(t, hyper);
    t.word("tfsame", padding == "same");
}

// A CondConv2d, routed where routing is a value.
void condconv_step(Draft &d, const json &hyper, const std::string &words, const Tensors &parameters,
                   const std::map<std::string, std::string> &inputs, const std::string &out) {
    Text t("condconv");
    sizes_of(t, d, inputs.at("x")).key("co", hyper.at("out_channels")).key("ex", hyper.at("num_experts"));
    timm_window_keys(t, hyper);
    t.word("routed", inputs.count("routing")).word("nobias", !parameters.count("bias"));
    t.s += words;
    add_step(d, t, parameters, inputs, {{"y", out}});
}

void condconv_recipe(Draft &d) {
    Tensors parameters = below(d.parameters, "conv.");
    put(parameters, "route.", below(d.parameters, "route."));
    condconv_step(d, d.hyper, "", parameters, {{"x", "x"}}, "y");
}

void condconv_routed_recipe(Draft &d) {
    condconv_step(d, d.hyper, "", d.parameters, {{"x", "x"}, {"routing", "routing"}}, "y");
}

// CondConvResidual of timm: one routing, of the block's input, for three convolutions. The pooling before it is a
// depthwise window as large as the map.
void condconv_block_recipe(Draft &d) {
    const int64_t in = d.hyper.at("in_chs"), out = d.hyper.at("out_chs");
    const int64_t inner = in * d.hyper.at("exp_ratio").get<int64_t>();
    const int64_t h = d.extent("x", 2), w = d.extent("x", 3), experts = d.hyper.at("num_experts");
    Text pool("depthwise"), routing("linear");
    sizes_of(pool, d, "x").key("kh", h).key("kw", w).word("nobias");
    Tensor mean{{in, 1, h, w}, std::vector<float>(size_t(in * h * w), 1.0f / float(h * w))};
    add_step(d, pool, {{"weight", mean}}, {{"x", "x"}}, {{"y", "pooled"}});
    routing.key("n", d.extent("x", 0)).key("ci", in).key("co", experts).word("sigmoid");
    add_step(d, routing, below(d.parameters, "routing_fn."), {{"x", "pooled"}}, {{"y", "routing"}});
    std::string from = "x";
    for (int k = 1; k <= 3; ++k) {
        const char *names[] = {"conv_pw", "conv_dw", "conv_pwl"};
        Tensors parameters = below(d.parameters, std::string(names[k - 1]) + ".");
        put(parameters, "bn.", below(d.parameters, "bn" + std::to_string(k) + "."));
        parameters["bn.eps"] = number(d.hyper.value("bn_eps", 1e-5));
        json hyper = {{"num_experts", experts}, {"out_channels", k == 3 ? out : inner}, {"groups", k == 2 ? inner : 1}};
        hyper["kernel_size"] = k == 2 ? d.hyper.at("dw_kernel_size").get<int64_t>() : 1, hyper["padding"] = "";
        std::map<std::string, std::string> inputs = {{"x", from}, {"routing", "routing"}};
        bool residual = k == 3 && in == out;
        if (residual) inputs["residual"] = "x";
        condconv_step(d, hyper, k < 3 ? "_bn_relu" : residual ? "_bn_res" : "_bn", parameters, inputs,
                      k < 3 ? names[k - 1] : "y");
        from = names[k - 1];
    }
}

void dynamicconv_recipe(Draft &d) {
    Tensors parameters = d.parameters;
    if (d.hyper.contains("temperature")) parameters["temperature"] = number(d.hyper["temperature"]);
    Text t("dynamicconv");
    sizes_of(t, d, "x").key("co", d.hyper.at("out_planes")).key("ex", d.hyper.at("K"));
    t.key("hid", parameters.at("attention.fc1.weight").shape.at(0));
    window_keys(t, d.hyper, d.values.at("x").shape.size() == 3);
    add_step(d, t.word("nobias", !parameters.count("bias")), parameters, {}, {{"y", "y"}});
}

void spd_only_recipe(Draft &d) {
    Text t("spd");
    add_step(d, sizes_of(t, d, "x").key("b", d.hyper.value("scale", 2)).word("only"), {}, {}, {{"y", "y"}});
}

// Conv of YOLOv5, convolution without bias, norm and activation, on either side of SPD; prefix: of its parameters.
void spd_conv_step(Draft &d, const std::string &prefix, bool after) {
    const std::string act = d.hyper.value("act", "none");
    if (act != "none" && act != "SiLU") throw Skip("activation " + act + " is not known here");
    Tensors parameters = below(d.parameters, prefix + "conv.");
    put(parameters, "bn.", below(d.parameters, prefix + "bn."));
    parameters["bn.eps"] = number(d.hyper.value("bn_eps", 1e-5));
    Text t("spd");
    window_keys(sizes_of(t, d, "x").key("co", d.hyper.at("out_channels")), d.hyper);
    t.word("after", after).word("nobias").word("bn").word("silu", act == "SiLU");
    add_step(d, t, parameters, {}, {{"y", "y"}});
}

void spd_conv_recipe(Draft &d) { spd_conv_step(d, "conv.", false); }
void conv_spd_recipe(Draft &d) { spd_conv_step(d, "0.", true); }

// BottleNeck of resnet50_spd.py: 1 x 1, then 3 x 3 with SPD and a norm behind it, then 1 x 1; the shortcut has a
// stride.
void spd_block_recipe(Draft &d) {
    if (d.hyper.at("stride") != 2) throw Skip("a block without SPD has no recipe");
    const int64_t inner = d.hyper.at("out_channels"), outer = 4 * inner;
    auto with_norm = [&](const std::string &conv, const std::string &norm) {
        Tensors parameters = below(d.parameters, conv + ".");
        put(parameters, "bn.", below(d.parameters, norm + "."));
        return parameters;
    };
    auto step = [&](Text t, const std::string &layer, const std::string &norm,
                    const std::map<std::string, std::string> &inputs, const std::string &out) { add_step(d, t, with_norm(layer, norm), inputs, {{"y", out}}); };
    const std::string f = "residual_function.";
    auto text = [&](const char *variant, const std::string &in, int64_t co) {
        Text t(variant);
        return sizes_of(t, d, in).key("co", co).word("nobias").word("bn");
    };
    step(text("pointwise", "x", inner).word("relu"), f + "0", f + "1", {{"x", "x"}}, "first");
    step(text("spd", "first", inner).key("k", 3).key("p", 1).word("after").word("relu"), f + "3", f + "5",
         {{"x", "first"}}, "second");
    step(text("pointwise", "x", outer).key("s", 2), "shortcut.0", "shortcut.1", {{"x", "x"}}, "shortcut");
    step(text("pointwise", "second", outer).word("res").word("relu"), f + "7", f + "8",
         {{"x", "second"}, {"residual", "shortcut"}}, "y");
}

// A kind that is known but has no recipe names the variant it waits for.
struct Kind {
    const char *name, *variant;
    void (*recipe)(Draft &);
};
const Kind kKinds[] = {
    {"conv2d", "conv2d", conv_recipe},
    {"conv2d_depthwise", "depthwise", conv_recipe},
    {"conv2d_dilated", "dilated", conv_recipe},
    {"conv2d_grouped", "grouped", conv_recipe},
    {"conv2d_pointwise", "pointwise", conv_recipe},
    {"conv1d", "conv2d", conv_recipe},
    {"conv2d_chain", "conv2d", conv_chain_recipe},
    {"linear", "linear", linear_recipe},
    {"octave", "octave", octave_dli_recipe},
    {"octave_fb", "octave", octave_fb_recipe},
    {"octave_seed001", "octave", octave_article_recipe},
    {"octave_lxt2", "octave", octave_lxt2_recipe},
    {"octave_chain", "octave", octave_chain_recipe},
    {"octave_block", "octave", octave_block_recipe},
    {"odconv2d", "odconv", odconv_recipe},
    {"odconv_block", "odconv", odconv_block_recipe},
    {"conv_transpose2d", "transposed", transposed_recipe},
    {"conv_transpose1d", "transposed", transposed_recipe},
    {"depthwise_separable", "depthwise_separable", separable_recipe},
    {"depthwise_separable_bn_relu", "depthwise_separable", separable_recipe},
    {"rowcol_separable", "rowcol", rowcol_recipe},
    {"rowcol_full2d", "rowcol", rowcol_full_recipe},
    {"spd", "spd", spd_only_recipe},
    {"spd_conv", "spd", spd_conv_recipe},
    {"conv_spd", "spd", conv_spd_recipe},
    {"spd_block", "spd", spd_block_recipe},
    {"wtconv2d", "wtconv", wtconv_recipe},
    {"wtconv1d", "wtconv1d", wtconv1d_recipe},
    {"condconv", "condconv", condconv_recipe},
    {"condconv_routed", "condconv", condconv_routed_recipe},
    {"condconv_block", "condconv", condconv_block_recipe},
    {"dynamic_conv2d", "dynamicconv", dynamicconv_recipe},
    {"dynamic_conv1d", "dynamicconv", dynamicconv_recipe},
};

void apply_recipe(Draft &d) {
    for (const Kind &kind : kKinds) {
        if (d.c.kind != kind.name) continue;
        bool known = false;
        for (const hconv_variant &variant : hconv_variants) known |= std::string(kind.variant) == variant.name;
        if (!known) throw Skip(std::string("needs variant ") + kind.variant + ", which is not in variants.def");
        if (!kind.recipe) break;
        kind.recipe(d);
        return;
    }
    throw Skip("kind '" + d.c.kind + "' has no recipe in golden_cases.cpp");
}

Tensor in_layout(const Tensor &t, hconv_layout layout) {
    if (t.shape.size() < 3 || layout == HCONV_NCHW) return t;
    Tensor out{t.shape, std::vector<float>(t.data.size())};
    std::rotate(out.shape.begin() + 1, out.shape.begin() + 2, out.shape.end());
    int64_t n = t.shape[0], c = t.shape[1], pixels = t.data.empty() ? 0 : int64_t(t.data.size()) / (n * c);
    for (int64_t i = 0; i < n; ++i)
        for (int64_t k = 0; k < c; ++k)
            for (int64_t at = 0; at < pixels; ++at)
                out.data[(i * pixels + at) * c + k] = t.data[(i * c + k) * pixels + at];
    return out;
}

// The arrays of case.json's section, by name.
Tensors read_arrays(const fs::path &folder, const json &arrays, const char *section) {
    Tensors tensors;
    if (!arrays.contains(section)) return tensors;
    for (const auto &[name, array] : arrays[section].items()) {
        std::string file = array.at("file");
        if (fs::path(file).filename() != file)
            throw std::runtime_error("array " + name + " lies outside the case's folder");
        tensors[name] = read_npy((folder / file).string());
    }
    return tensors;
}

// Expected outputs take the logical shape of the value they are compared with, then its layout.
void finish(Draft &d) {
    for (auto &[name, tensor] : d.expected) {
        auto made = d.values.find(name);
        if (made == d.values.end()) throw std::runtime_error("no step makes output " + name);
        if (count_of(made->second.shape) != count_of(tensor.shape))
            throw std::runtime_error("output " + name + " has another shape than the problem's");
        tensor.shape = made->second.shape;
        d.c.outputs[name] = in_layout(tensor, d.layout);
    }
    for (auto &[name, tensor] : d.c.inputs) {
        tensor.shape = d.values[name].shape;
        tensor = in_layout(tensor, d.layout);
    }
}

Case read_case(const fs::path &folder, hconv_layout layout) {
    Draft d;
    d.c.name = folder.filename().string(), d.layout = layout;
    try {
        std::ifstream in(folder / "case.json");
        json whole = json::parse(in);
        d.c.kind = whole.at("variant").get<std::string>();
        d.hyper = whole.value("hyper", json::object());
        const json &arrays = whole.at("arrays");
        d.c.inputs = read_arrays(folder, arrays, "input");
        d.parameters = read_arrays(folder, arrays, "param");
        d.expected = read_arrays(folder, arrays, "output");
        d.values = d.c.inputs;
        apply_recipe(d);
        finish(d);
    } catch (const json::exception &error) {
        d.c.broken = std::string("case.json: ") + error.what();
    } catch (const Skip &skip) {
        d.c.skip = skip.what();
    } catch (const std::exception &error) {
        d.c.broken = error.what();
    }
    return d.c;
}

} // namespace

std::vector<Case> read_cases(const std::string &folder, hconv_layout layout) {
    std::vector<fs::path> folders;
    std::error_code error;
    for (const fs::directory_entry &entry : fs::directory_iterator(folder, error))
        if (fs::exists(entry.path() / "case.json")) folders.push_back(entry.path());
    if (folders.empty()) throw std::runtime_error(folder + " holds no golden case: no <case>/case.json below it");
    std::sort(folders.begin(), folders.end());
    std::vector<Case> cases;
    for (const fs::path &each : folders) cases.push_back(read_case(each, layout));
    return cases;
}

// A 1 x 1 map may feed what takes rows of channels.
static void drop_ones(const hconv_problem &p, Tensors &inputs) {
    hconv_tensor_list list;
    hconv_variant_of(&p)->family->tensors(&p, &list);
    for (int k = 0; k < list.count; ++k)
        if (list.at[k].role == HCONV_INPUT && list.at[k].rank == 2)
            inputs[list.at[k].name].shape = logical_shape(list.at[k]);
}

Tensors run_case(const Case &c, const std::function<Tensors(const Step &, const Tensors &)> &run) {
    Tensors values = c.inputs;
    for (const Step &step : c.steps) {
        Tensors tensors = step.parameters;
        for (const auto &[name, value] : step.inputs) tensors[name] = values.at(value);
        drop_ones(step.problem, tensors);
        Tensors made = run(step, tensors);
        for (const auto &[name, value] : step.outputs) values[value] = std::move(made.at(name));
    }
    Tensors outputs;
    for (const auto &[name, tensor] : c.outputs) outputs[name] = values.at(name);
    return outputs;
}

} // namespace hconv::goldens
