// tensor_file.cpp - see tensor_file.h.
// SPDX-License-Identifier: MIT
// Formats: numpy.lib.format (NEP 1), PKWARE's APPNOTE for the .zip inside .npz, the safetensors format description.
#include "tools/tensor_file.h"

#include <nlohmann/json.hpp>
#ifndef HCONV_INFLATES  // 0: for a target without zlib; compressed .npz files are refused
#define HCONV_INFLATES 1
#endif
#if HCONV_INFLATES
#include <zlib.h>
#endif

#include <cerrno>
#include <climits>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <limits>
#include <stdexcept>

namespace hconv {

namespace fs = std::filesystem;

namespace {

constexpr int64_t kMostElements = INT64_C(1) << 31;
constexpr size_t kMostRank = 32, kMostHeader = 100u << 20;

[[noreturn]] void fail(const std::string &where, const std::string &what) {
    throw std::runtime_error(where + ": " + what);
}

// A piece of a file in memory, with the words that name it in errors.
struct Bytes {
    const unsigned char *data;
    size_t size;
    std::string where;

    uint64_t little(size_t at, int count, const char *what) const {
        if (at > size || size - at < size_t(count)) fail(where, std::string("truncated inside ") + what);
        uint64_t value = 0;
        for (int k = count; k-- > 0;) value = value << 8 | data[at + k];
        return value;
    }
    Bytes part(size_t at, size_t count, const char *what) const {
        if (at > size || size - at < count) fail(where, std::string("truncated inside ") + what);
        return {data + at, count, where};
    }
};

std::vector<unsigned char> read_file(const std::string &path) {
    std::error_code error;
    fs::file_status status = fs::status(path, error);
    if (!fs::exists(status)) fail(path, "there is no such file");
    if (!fs::is_regular_file(status)) fail(path, "is no regular file");
    std::ifstream in(path, std::ios::binary);
    if (!in) fail(path, std::string("cannot be opened: ") + std::strerror(errno));
    in.seekg(0, std::ios::end);
    std::streamoff size = in.tellg();
    if (size < 0) fail(path, "its size cannot be read");
    std::vector<unsigned char> bytes(static_cast<size_t>(size));
    in.seekg(0);
    in.read(reinterpret_cast<char *>(bytes.data()), size);
    if (in.gcount() != size) fail(path, "could not be read to its end");
    return bytes;
}

// Product of the extents; refuses what no tensor here may have.
int64_t element_count(const std::vector<int64_t> &shape, const std::string &where) {
    int64_t count = 1;
    if (shape.size() > kMostRank)
        fail(where, "has " + std::to_string(shape.size()) + " dimensions; at most 32 are read");
    for (int64_t extent : shape)
        if (extent == 0) return 0;
    for (int64_t extent : shape) {
        if (extent < 0 || extent > kMostElements / count)
            fail(where, "its shape has more than 2^31 elements, or a negative extent");
        count *= extent;
    }
    return count;
}

// Little-endian floats of 4 or 8 bytes, whose number the caller has checked.
std::vector<float> read_floats(const Bytes &bytes, int64_t count, int width) {
    std::vector<float> values(static_cast<size_t>(count));
    for (int64_t i = 0; i < count; ++i) {
        uint64_t bits = bytes.little(size_t(i) * width, width, "its data");
        double wide;
        uint32_t narrow = uint32_t(bits);
        if (width == 4) std::memcpy(&values[i], &narrow, 4);
        else std::memcpy(&wide, &bits, 8), values[i] = float(wide);
    }
    return values;
}

void expect_bytes(const Bytes &data, int64_t count, int width) {
    uint64_t needed = uint64_t(count) * width;
    if (data.size == needed) return;
    fail(data.where, (data.size < needed ? "truncated: its shape needs " : "its shape needs ") +
                         std::to_string(needed) + " bytes of data, the file has " + std::to_string(data.size));
}

std::vector<float> from_fortran_order(const std::vector<float> &values, const std::vector<int64_t> &shape) {
    std::vector<float> out(values.size());
    std::vector<int64_t> at(shape.size(), 0);
    for (float value : values) { // at counts with the first index fastest
        int64_t index = 0;
        for (size_t d = 0; d < shape.size(); ++d) index = index * shape[d] + at[d];
        out[index] = value;
        for (size_t d = 0; d < shape.size() && ++at[d] == shape[d]; ++d) at[d] = 0;
    }
    return out;
}

// {'descr': '<f4', 'fortran_order': False, 'shape': (2, 3), }
class NpyHeader {
public:
    NpyHeader(std::string text, const std::string &where) : text_(std::move(text)), where_(where) {
        bool seen[3] = {false, false, false};
        expect('{');
        while (!take('}')) {
            std::string key = string();
            expect(':');
            if (key == "descr") descr = string(), seen[0] = true;
            else if (key == "fortran_order") fortran_order = truth(), seen[1] = true;
            else if (key == "shape") shape = tuple(), seen[2] = true;
            else wrong();
            if (!take(',')) {
                expect('}');
                break;
            }
        }
        if (!seen[0] || !seen[1] || !seen[2]) wrong();
    }

    std::string descr;
    bool fortran_order = false;
    std::vector<int64_t> shape;

private:
    [[noreturn]] void wrong() const { fail(where_, "its .npy header cannot be understood: " + text_.substr(0, 80)); }
    void spaces() {
        while (at_ < text_.size() && (text_[at_] == ' ' || text_[at_] == '\n')) ++at_;
    }
    bool take(char c) {
        spaces();
        bool there = at_ < text_.size() && text_[at_] == c;
        at_ += there;
        return there;
    }
    void expect(char c) {
        if (!take(c)) wrong();
    }
    std::string string() {
        spaces();
        if (at_ >= text_.size() || (text_[at_] != '\'' && text_[at_] != '"')) wrong();
        size_t end = text_.find(text_[at_], at_ + 1);
        if (end == std::string::npos) wrong();
        std::string s = text_.substr(at_ + 1, end - at_ - 1);
        at_ = end + 1;
        return s;
    }
    bool truth() {
        spaces();
        for (const char *word : {"True", "False"})
            if (!text_.compare(at_, std::strlen(word), word)) {
                at_ += std::strlen(word);
                return *word == 'T';
            }
        wrong();
    }
    std::vector<int64_t> tuple() {
        std::vector<int64_t> values;
        expect('(');
        while (!take(')')) {
            spaces();
            size_t start = at_;
            int64_t value = 0;
            for (; at_ < text_.size() && text_[at_] >= '0' && text_[at_] <= '9'; ++at_) {
                if (value > kMostElements) wrong();
                value = value * 10 + (text_[at_] - '0');
            }
            if (at_ == start || values.size() > kMostRank) wrong();
            values.push_back(value);
            if (!take(',')) {
                expect(')');
                break;
            }
        }
        return values;
    }

    const std::string text_;
    const std::string &where_;
    size_t at_ = 0;
};

// An array of another type throws nothing: it leaves why.
Tensor parse_npy(const Bytes &file, std::string *why) {
    if (file.size < 10 || std::memcmp(file.data, "\x93NUMPY", 6))
        fail(file.where,
             file.size < 10 ? "truncated: shorter than a .npy header" : "is no .npy file (it begins otherwise)");
    int major = file.data[6], width = major == 1 ? 2 : 4;
    if (major < 1 || major > 3)
        fail(file.where, "has .npy version " + std::to_string(major) + "; 1, 2 and 3 are known");
    size_t length = file.little(8, width, "its header");
    if (length > kMostHeader) fail(file.where, "its .npy header claims " + std::to_string(length) + " bytes");
    Bytes text = file.part(8 + width, length, "its header");
    NpyHeader header(std::string(reinterpret_cast<const char *>(text.data), text.size), file.where);
    Tensor t{header.shape, {}};
    int64_t count = element_count(t.shape, file.where);
    size_t start = 8 + width + length;
    Bytes data = file.part(start, file.size - start, "its data");
    if (header.descr != "<f4" && header.descr != "<f8") {
        *why = "its numbers are of type " + header.descr.substr(0, 20) +
               "; convert it: array.astype('<f4') makes the float32 that is wanted";
        return t;
    }
    int bytes = header.descr == "<f4" ? 4 : 8;
    expect_bytes(data, count, bytes);
    t.data = read_floats(data, count, bytes);
    if (header.fortran_order && t.shape.size() > 1) t.data = from_fortran_order(t.data, t.shape);
    return t;
}

// A file that is one array, which must be of floats.
Tensor only_npy(const Bytes &file) {
    std::string why;
    Tensor t = parse_npy(file, &why);
    if (!why.empty()) fail(file.where, why);
    return t;
}

void keep(TensorFile &file, const std::string &name, Tensor &&tensor, const std::string &why) {
    if (why.empty()) file.tensors[name] = std::move(tensor);
    else file.skipped[name] = why;
}

std::string without_npy(const std::string &name) {
    size_t end = name.size() < 4 ? 0 : name.size() - 4;
    return end && name.compare(end, 4, ".npy") == 0 ? name.substr(0, end) : std::string();
}

struct ZipEntry {
    std::string name;
    int method;
    uint64_t packed, size, offset;
    uint32_t crc;
};

// The end-of-central-directory record: 22 bytes and a comment of at most 65535.
size_t find_end_record(const Bytes &zip) {
    for (size_t back = 22; back <= zip.size && back <= 22 + 65535; ++back)
        if (zip.little(zip.size - back, 4, "the archive") == 0x06054b50) return zip.size - back;
    fail(zip.where, "is no .npz file, or truncated: the archive's directory is not at its end");
}

std::vector<ZipEntry> zip_entries(const Bytes &zip) {
    size_t end = find_end_record(zip), count = zip.little(end + 10, 2, "the archive"),
           at = zip.little(end + 16, 4, "the archive");
    std::vector<ZipEntry> entries;
    uint64_t packed = 0;
    for (size_t k = 0; k < count; ++k) {
        if (zip.little(at, 4, "the archive's directory") != 0x02014b50)
            fail(zip.where, "the archive's directory is damaged");
        ZipEntry e;
        e.method = int(zip.little(at + 10, 2, "the archive's directory"));
        e.crc = uint32_t(zip.little(at + 16, 4, "the archive's directory"));
        e.packed = zip.little(at + 20, 4, "the archive's directory");
        e.size = zip.little(at + 24, 4, "the archive's directory");
        size_t name = zip.little(at + 28, 2, "the archive's directory");
        size_t extra = zip.little(at + 30, 2, "the archive's directory");
        size_t comment = zip.little(at + 32, 2, "the archive's directory");
        e.offset = zip.little(at + 42, 4, "the archive's directory");
        Bytes text = zip.part(at + 46, name, "the archive's directory");
        e.name.assign(reinterpret_cast<const char *>(text.data), text.size);
        if (zip.little(at + 8, 2, "the archive's directory") & 1) fail(zip.where, "is encrypted");
        if (e.packed == UINT32_MAX || e.size == UINT32_MAX || e.offset == UINT32_MAX)
            fail(zip.where, "has an entry of 4 GiB or more; a tensor must stay under 2^31 bytes");
        packed += e.packed; // a file of entries that share their bytes unpacks to anything
        if (packed > zip.size) fail(zip.where, "the archive's entries overlap");
        entries.push_back(e);
        at += 46 + name + extra + comment;
    }
    return entries;
}

std::vector<unsigned char> zip_extract(const Bytes &zip, const ZipEntry &e) {
    std::string where = zip.where + ", entry " + e.name;
    if (zip.little(e.offset, 4, "an entry") != 0x04034b50) fail(where, "the archive is damaged here");
    size_t start = e.offset + 30 + zip.little(e.offset + 26, 2, "an entry") + zip.little(e.offset + 28, 2, "an entry");
    Bytes packed = zip.part(start, e.packed, "an entry's data");
    // No deflate stream is longer than 1032 times its packed bytes.
    if (e.size > e.packed * 1032 + 64) fail(where, "claims a size that its data cannot have");
    std::vector<unsigned char> out(e.size);
    if (e.method == 0 && e.packed == e.size) {
        std::copy(packed.data, packed.data + packed.size, out.begin());
#if HCONV_INFLATES
    } else if (e.method == 8) {
        z_stream z = {};
        z.next_in = const_cast<unsigned char *>(packed.data), z.avail_in = uInt(packed.size);
        z.next_out = out.data(), z.avail_out = uInt(out.size());
        if (inflateInit2(&z, -MAX_WBITS) != Z_OK) fail(where, "zlib could not start");
        int status = inflate(&z, Z_FINISH);
        uLong made = z.total_out;
        inflateEnd(&z);
        if (status != Z_STREAM_END || made != e.size) fail(where, "its compressed data is damaged");
#endif
    } else {
        fail(where, "compression method " + std::to_string(e.method) + " is not read; numpy writes 0 and 8");
    }
#if HCONV_INFLATES
    if (crc32(crc32(0, nullptr, 0), out.data(), uInt(out.size())) != e.crc) fail(where, "its checksum does not fit");
#endif
    return out;
}

TensorFile parse_npz(const Bytes &zip) {
    TensorFile file;
    for (const ZipEntry &e : zip_entries(zip)) {
        std::string name = without_npy(e.name), why;
        if (name.empty()) continue;
        std::vector<unsigned char> bytes = zip_extract(zip, e);
        Tensor t = parse_npy({bytes.data(), bytes.size(), zip.where + ", entry " + e.name}, &why);
        keep(file, name, std::move(t), why);
    }
    return file;
}

int64_t whole(const nlohmann::json &value, const std::string &where) {
    if (!value.is_number_unsigned() || value.get<uint64_t>() > uint64_t(INT64_MAX))
        fail(where, "its header has something else where a size belongs");
    return int64_t(value.get<uint64_t>());
}

void parse_entry(TensorFile &file, const std::string &name, const nlohmann::json &entry, const Bytes &data) {
    std::string where = data.where + ", tensor " + name.substr(0, 80);
    if (!entry.is_object() || !entry.contains("dtype") || !entry.contains("shape") || !entry.contains("data_offsets") ||
        !entry["dtype"].is_string() || !entry["shape"].is_array() || !entry["data_offsets"].is_array() ||
        entry["data_offsets"].size() != 2)
        fail(where, "its header entry is no {dtype, shape, data_offsets}");
    std::string dtype = entry["dtype"];
    Tensor t;
    if (dtype != "F32" && dtype != "F64")
        return keep(file, name, std::move(t),
                    "its numbers are of type " + dtype.substr(0, 20) + "; F32 and F64 are read");
    for (const nlohmann::json &extent : entry["shape"]) t.shape.push_back(whole(extent, where));
    int64_t begin = whole(entry["data_offsets"][0], where), end = whole(entry["data_offsets"][1], where);
    if (begin > end) fail(where, "its data ends before it begins");
    Bytes part = data.part(size_t(begin), size_t(end - begin), "the data");
    part.where = where;
    int64_t count = element_count(t.shape, where);
    expect_bytes(part, count, dtype == "F32" ? 4 : 8);
    t.data = read_floats(part, count, dtype == "F32" ? 4 : 8);
    keep(file, name, std::move(t), "");
}

TensorFile parse_safetensors(const Bytes &bytes) {
    uint64_t length = bytes.little(0, 8, "the length of its header");
    if (length > kMostHeader)
        fail(bytes.where, "is no .safetensors file: its header claims " + std::to_string(length) + " bytes");
    Bytes text = bytes.part(8, length, "its header"),
          data = bytes.part(8 + length, bytes.size - 8 - length, "its data");
    nlohmann::json header = nlohmann::json::parse(text.data, text.data + text.size, nullptr, false);
    if (!header.is_object()) fail(bytes.where, "is no .safetensors file: its header is no JSON object");
    TensorFile file;
    for (const auto &[name, entry] : header.items())
        if (name != "__metadata__") parse_entry(file, name, entry, data);
    return file;
}

TensorFile read_folder(const std::string &path) {
    TensorFile file;
    for (const fs::directory_entry &entry : fs::directory_iterator(path)) {
        std::string name = without_npy(entry.path().filename().string()), why;
        if (name.empty()) continue;
        std::vector<unsigned char> bytes = read_file(entry.path().string());
        Tensor t = parse_npy({bytes.data(), bytes.size(), entry.path().string()}, &why);
        keep(file, name, std::move(t), why);
    }
    if (file.tensors.empty() && file.skipped.empty()) fail(path, "this folder holds no .npy file");
    return file;
}

} // namespace

Tensor read_npy(const std::string &path) {
    std::vector<unsigned char> bytes = read_file(path);
    return only_npy({bytes.data(), bytes.size(), path});
}

TensorFile read_tensor_file(const std::string &path) {
    std::error_code error;
    if (fs::is_directory(path, error)) return read_folder(path);
    std::string extension = fs::path(path).extension().string();
    if (extension != ".npy" && extension != ".npz" && extension != ".safetensors")
        fail(path, "is none of .npy, .npz, .safetensors and a folder of .npy files");
    return read_tensor_bytes(path, read_file(path));
}

TensorFile read_tensor_bytes(const std::string &path, const std::vector<unsigned char> &bytes) {
    Bytes whole_file = {bytes.data(), bytes.size(), path};
    std::string extension = fs::path(path).extension().string();
    if (extension == ".npz") return parse_npz(whole_file);
    if (extension == ".safetensors") return parse_safetensors(whole_file);
    TensorFile file;
    file.tensors[fs::path(path).stem().string()] = only_npy(whole_file);
    return file;
}

std::string npy_bytes(const std::vector<int64_t> &shape, const float *data) {
    std::string header = "{'descr': '<f4', 'fortran_order': False, 'shape': (";
    size_t count = 1;
    for (size_t d = 0; d < shape.size(); ++d) {
        header += (d ? " " : "") + std::to_string(shape[d]) + (d + 1 < shape.size() || shape.size() == 1 ? "," : "");
        count *= size_t(shape[d]);
    }
    header += "), }";
    header.append(63 - (10 + header.size()) % 64, ' ');
    header += '\n';
    std::string bytes("\x93NUMPY\x01\x00", 8);
    bytes += char(header.size() & 255), bytes += char(header.size() >> 8);
    bytes += header;
    size_t start = bytes.size();
    bytes.resize(start + 4 * count);
    for (size_t i = 0; i < count; ++i) {
        uint32_t bits;
        std::memcpy(&bits, data + i, 4);
        for (int k = 0; k < 4; ++k) bytes[start + 4 * i + k] = char(bits >> (8 * k));
    }
    return bytes;
}

void write_npy(const std::string &path, const std::vector<int64_t> &shape, const float *data) {
    std::string bytes = npy_bytes(shape, data);
    std::ofstream out(path, std::ios::binary | std::ios::trunc);
    out.write(bytes.data(), std::streamsize(bytes.size()));
    out.close();
    if (!out) fail(path, std::string("cannot be written: ") + std::strerror(errno));
}

} // namespace hconv
