// tensor_file_test.cpp - the tensor files that numpy and safetensors write are read; damaged ones give a sentence.
// SPDX-License-Identifier: MIT
#include "tools/tensor_file.h"

#include <gtest/gtest.h>
#include <zlib.h>

#include <cstring>
#include <filesystem>
#include <fstream>
#include <unistd.h>

namespace {

namespace fs = std::filesystem;
using hconv::read_npy;
using hconv::read_tensor_file;

class TensorFiles : public ::testing::Test {
protected:
    void SetUp() override {
        const auto *info = ::testing::UnitTest::GetInstance()->current_test_info();
        folder = fs::temp_directory_path() / ("hconv_tensor_file_" + std::to_string(getpid()) + info->name());
        fs::remove_all(folder);
        fs::create_directories(folder);
    }
    void TearDown() override { fs::remove_all(folder); }
    std::string write(const std::string &name, const std::string &bytes) {
        std::ofstream(folder / name, std::ios::binary) << bytes;
        return (folder / name).string();
    }
    fs::path folder;
};

std::string little(uint64_t value, int count) {
    std::string s;
    for (int k = 0; k < count; ++k) s += char(value >> (8 * k));
    return s;
}

template <class T> std::string raw(const std::vector<T> &values) {
    return std::string(reinterpret_cast<const char *>(values.data()), values.size() * sizeof(T));
}

std::string npy(const std::string &header, const std::string &data, int major = 1) {
    return std::string("\x93NUMPY") + char(major) + '\0' + little(header.size(), major == 1 ? 2 : 4) + header + data;
}

std::string dict(const std::string &descr, const std::string &shape, bool fortran = false) {
    return "{'descr': '" + descr + "', 'fortran_order': " + (fortran ? "True" : "False") + ", 'shape': " + shape +
           ", }\n";
}

// The sentence of the exception that reading path raises; "" if none does.
std::string refusal(const std::string &path) {
    try {
        read_tensor_file(path);
    } catch (const std::runtime_error &error) {
        EXPECT_NE(std::string(error.what()).find(path), std::string::npos)
            << "the sentence names no file: " << error.what();
        return error.what();
    }
    return "";
}

void expect_refused(const std::string &path, const std::string &words) {
    EXPECT_NE(refusal(path).find(words), std::string::npos) << "got: '" << refusal(path) << "'";
}

std::string deflated(const std::string &bytes) {
    std::string out(compressBound(bytes.size()) + 16, '\0');
    z_stream z = {};
    deflateInit2(&z, 9, Z_DEFLATED, -MAX_WBITS, 8, Z_DEFAULT_STRATEGY);
    z.next_in = reinterpret_cast<Bytef *>(const_cast<char *>(bytes.data())), z.avail_in = uInt(bytes.size());
    z.next_out = reinterpret_cast<Bytef *>(&out[0]), z.avail_out = uInt(out.size());
    deflate(&z, Z_FINISH);
    out.resize(z.total_out);
    deflateEnd(&z);
    return out;
}

// An archive of one entry. size_claim: what the directory says its size is, if not the truth.
std::string zip(const std::string &name, const std::string &bytes, int method, uint64_t size_claim = 0) {
    std::string packed = method == 8 ? deflated(bytes) : bytes;
    uint64_t size = size_claim ? size_claim : bytes.size();
    uint32_t crc = uint32_t(crc32(0, reinterpret_cast<const Bytef *>(bytes.data()), uInt(bytes.size())));
    std::string sizes = little(crc, 4) + little(packed.size(), 4) + little(size, 4);
    std::string local = little(0x04034b50, 4) + little(20, 2) + little(0, 2) + little(method, 2) + little(0, 4) +
                        sizes + little(name.size(), 2) + little(0, 2) + name + packed;
    std::string central = little(0x02014b50, 4) + little(20, 2) + little(20, 2) + little(0, 2) + little(method, 2) +
                          little(0, 4) + sizes + little(name.size(), 2) + little(0, 2) + little(0, 2) + little(0, 4) +
                          little(0, 4) + little(0, 4) + name;
    return local + central + little(0x06054b50, 4) + little(0, 4) + little(1, 2) + little(1, 2) +
           little(central.size(), 4) + little(local.size(), 4) + little(0, 2);
}

const std::vector<float> kSix = {0, 1, 2, 3, 4, -5.5f};

TEST_F(TensorFiles, NpyRoundTrip) {
    for (std::vector<int64_t> shape : {std::vector<int64_t>{2, 3}, {6}, {1, 6, 1}, {}, {0, 4}}) {
        std::string path = (folder / "t.npy").string();
        hconv::write_npy(path, shape, kSix.data());
        hconv::Tensor t = read_npy(path);
        EXPECT_EQ(t.shape, shape);
        size_t count = 1;
        for (int64_t extent : shape) count *= size_t(extent);
        EXPECT_EQ(t.data, std::vector<float>(kSix.begin(), kSix.begin() + count));
        EXPECT_EQ((fs::file_size(path) - 4 * count) % 64, 0u);
    }
}

TEST_F(TensorFiles, NpyVersionsTypesAndOrders) {
    for (int major : {1, 2, 3})
        EXPECT_EQ(read_npy(write("v.npy", npy(dict("<f4", "(2, 3)"), raw(kSix), major))).data, kSix);
    std::vector<double> wide(kSix.begin(), kSix.end());
    EXPECT_EQ(read_npy(write("d.npy", npy(dict("<f8", "(6,)"), raw(wide)))).data, kSix);
    // Fortran order: the first index is the fastest.
    hconv::Tensor t = read_npy(write("f.npy", npy(dict("<f4", "(2, 3)", true), raw(kSix))));
    EXPECT_EQ(t.data, (std::vector<float>{0, 2, 4, 1, 3, -5.5f}));
}

TEST_F(TensorFiles, NpyRefusals) {
    std::string good = npy(dict("<f4", "(2, 3)"), raw(kSix));
    expect_refused((folder / "none.npy").string(), "no such file");
    expect_refused(write("empty.npy", ""), "truncated");
    expect_refused(write("text.npy", "this is some text, no array"), "no .npy file");
    expect_refused(write("short.npy", good.substr(0, good.size() - 1)), "truncated");
    expect_refused(write("head.npy", good.substr(0, 30)), "truncated");
    expect_refused(write("long.npy", good + "more"), "bytes of data");
    expect_refused(write("version.npy", npy(dict("<f4", "(6,)"), raw(kSix), 9)), "version 9");
    expect_refused(write("int.npy", npy(dict("<i8", "(3,)"), raw(kSix))), "type <i8");
    expect_refused(write("big.npy", npy(dict(">f4", "(6,)"), raw(kSix))), "type >f4");
    expect_refused(write("huge.npy", npy(dict("<f4", "(2147483648, 2147483648, 4)"), raw(kSix))), "2^31");
    expect_refused(write("giant.npy", npy(dict("<f4", "(99999999999999999999999, 1)"), raw(kSix))), "understood");
    expect_refused(write("minus.npy", npy(dict("<f4", "(-1, 6)"), raw(kSix))), "understood");
    expect_refused(write("key.npy", npy("{'descr': '<f4', 'shape': (6,), }", raw(kSix))), "understood");
    expect_refused(write("struct.npy", npy("{'descr': [('a', '<f4')], 'fortran_order': False, 'shape': (6,)}", "")),
                   "understood");
    expect_refused(write("x.txt", good), "none of");
}

TEST_F(TensorFiles, EveryTruncationOfEveryKindIsRefused) {
    std::string array = npy(dict("<f4", "(2, 3)"), raw(kSix));
    std::string header = R"({"w":{"dtype":"F32","shape":[2,3],"data_offsets":[0,24]}})";
    std::map<std::string, std::string> files = {{"t.npy", array},
                                                {"stored.npz", zip("w.npy", array, 0)},
                                                {"deflated.npz", zip("w.npy", array, 8)},
                                                {"t.safetensors", little(header.size(), 8) + header + raw(kSix)}};
    for (const auto &[name, bytes] : files) {
        EXPECT_EQ(refusal(write(name, bytes)), "") << name;
        for (size_t size = 0; size < bytes.size(); ++size)
            EXPECT_NE(refusal(write(name, bytes.substr(0, size))), "") << name << " cut to " << size << " bytes";
    }
}

// Whatever a byte is turned into, the file is read or refused with a sentence; the sanitizers watch.
TEST_F(TensorFiles, EveryDamagedByteIsSurvived) {
    std::string array = npy(dict("<f4", "(2, 3)"), raw(kSix));
    std::string header = R"({"w":{"dtype":"F32","shape":[2,3],"data_offsets":[0,24]}})";
    std::map<std::string, std::string> files = {{"t.npy", array},
                                                {"deflated.npz", zip("w.npy", array, 8)},
                                                {"t.safetensors", little(header.size(), 8) + header + raw(kSix)}};
    for (const auto &[name, bytes] : files)
        for (size_t at = 0; at < bytes.size(); ++at)
            for (int value : {0, 0x7f, 0xff, int('9')}) {
                std::string damaged = bytes;
                damaged[at] = char(value);
                refusal(write(name, damaged));
            }
}

TEST_F(TensorFiles, Npz) {
    std::string array = npy(dict("<f4", "(3, 2)"), raw(kSix));
    for (int method : {0, 8}) {
        hconv::TensorFile file = read_tensor_file(write("t.npz", zip("conv.weight.npy", array, method)));
        ASSERT_EQ(file.tensors.count("conv.weight"), 1u);
        EXPECT_EQ(file.tensors["conv.weight"].shape, (std::vector<int64_t>{3, 2}));
        EXPECT_EQ(file.tensors["conv.weight"].data, kSix);
    }
    expect_refused(write("bomb.npz", zip("w.npy", array, 8, 4000000000u)), "cannot have");
    expect_refused(write("size.npz", zip("w.npy", array, 8, array.size() + 1)), "damaged");
    expect_refused(write("method.npz", zip("w.npy", array, 12)), "method 12");
    std::string flipped = zip("w.npy", array, 0);
    flipped[flipped.find(raw(kSix)) + 5] ^= 1;
    expect_refused(write("crc.npz", flipped), "checksum");
}

// Entries that all point at the same bytes make a small file a large one.
TEST_F(TensorFiles, NpzWhoseEntriesOverlapIsRefused) {
    std::string one = zip("w.npy", npy(dict("<f4", "(4096,)"), std::string(4 * 4096, '\0')), 8);
    size_t start = one.find(little(0x02014b50, 4)), end = one.find(little(0x06054b50, 4));
    std::string entry = one.substr(start, end - start), directory;
    for (int k = 0; k < 100; ++k) directory += entry;
    std::string last = little(0x06054b50, 4) + little(0, 4) + little(100, 2) + little(100, 2) +
                       little(directory.size(), 4) + little(start, 4) + little(0, 2);
    EXPECT_EQ(refusal(write("one.npz", one)), "");
    expect_refused(write("hundred.npz", one.substr(0, start) + directory + last), "overlap");
}

TEST_F(TensorFiles, DeepJsonIsRefused) {
    std::string header(size_t(4) << 20, '[');
    expect_refused(write("deep.safetensors", little(header.size(), 8) + header), "no JSON object");
}

TEST_F(TensorFiles, SafetensorsAndWhatItSkips) {
    std::string header = R"({"__metadata__":{"format":"pt"},"w":{"dtype":"F32","shape":[2,3],"data_offsets":[0,24]},)"
                         R"("steps":{"dtype":"I64","shape":[],"data_offsets":[24,32]}})";
    hconv::TensorFile file =
        read_tensor_file(write("t.safetensors", little(header.size(), 8) + header + raw(kSix) + std::string(8, '\0')));
    EXPECT_EQ(file.tensors.size(), 1u);
    EXPECT_EQ(file.tensors["w"].data, kSix);
    EXPECT_NE(file.skipped["steps"].find("I64"), std::string::npos);
}

TEST_F(TensorFiles, SafetensorsRefusals) {
    auto with = [&](const std::string &header) {
        return write("t.safetensors", little(header.size(), 8) + header + raw(kSix));
    };
    expect_refused(with("[]"), "no JSON object");
    expect_refused(with("{"), "no JSON object");
    expect_refused(with(R"({"w":3})"), "no {dtype");
    expect_refused(with(R"({"w":{"dtype":"F32","shape":[2,3],"data_offsets":[0,28]}})"), "truncated");
    expect_refused(with(R"({"w":{"dtype":"F32","shape":[2,2],"data_offsets":[0,24]}})"), "needs 16 bytes");
    expect_refused(with(R"({"w":{"dtype":"F32","shape":[2,3],"data_offsets":[24,0]}})"), "before it begins");
    expect_refused(with(R"({"w":{"dtype":"F32","shape":[-2,3],"data_offsets":[0,24]}})"), "where a size belongs");
    expect_refused(with(R"({"w":{"dtype":"F32","shape":[4294967296,4294967296],"data_offsets":[0,0]}})"), "2^31");
    expect_refused(write("h.safetensors", little(UINT64_MAX, 8) + "{}"), "claims");
}

TEST_F(TensorFiles, Folder) {
    expect_refused(folder.string(), "no .npy file");
    write("a.b.npy", npy(dict("<f4", "(6,)"), raw(kSix)));
    write("count.npy", npy(dict("<i8", "()"), std::string(8, '\0')));
    write("README", "not a tensor");
    hconv::TensorFile file = read_tensor_file(folder.string());
    EXPECT_EQ(file.tensors.size(), 1u);
    EXPECT_EQ(file.tensors["a.b"].data, kSix);
    EXPECT_EQ(file.skipped.count("count"), 1u);
    EXPECT_THROW(read_npy(folder.string()), std::runtime_error);
    EXPECT_THROW(hconv::write_npy((folder / "no" / "such.npy").string(), {6}, kSix.data()), std::runtime_error);
}

} // namespace
