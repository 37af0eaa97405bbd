// NPY files: what NumPy wrote and reads, and what must be refused before anything is allocated.
#include "quant/golden/npy.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <array>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <string>

namespace systole::quant {
namespace {

using testing::HasSubstr;

std::vector<std::uint8_t> bytes_of_text(const std::string& text) {
  return {text.begin(), text.end()};
}

/// A version 1 file around a dictionary.
std::vector<std::uint8_t> file_of(const std::string& dictionary, std::size_t data_bytes) {
  std::string text("\x93NUMPY\x01\x00", 8);
  text += static_cast<char>(dictionary.size() & 0xFF);
  text += static_cast<char>(dictionary.size() >> 8);
  return bytes_of_text(text + dictionary + std::string(data_bytes, '\x01'));
}

void refused(const std::vector<std::uint8_t>& file, const char* why) {
  try {
    parse_npy(file);
    ADD_FAILURE() << "accepted; expected: " << why;
  } catch (const std::invalid_argument& error) {
    EXPECT_THAT(error.what(), HasSubstr(why));
  }
}

TEST(Npy, WhatIsWrittenReadsBack) {
  const std::vector<float> values{1.5f, -0.0f, 3e-40f, 4.0f, 5.0f, 6.0f};
  const Array array = array_of("x", {2, 3}, std::span<const float>(values));
  const NpyArray back = parse_npy(npy_file(array));
  EXPECT_EQ(back.shape, (std::vector<std::size_t>{2, 3}));
  EXPECT_EQ(array_of(back, "x", Element::fp32).words, array.words);
  EXPECT_EQ(npy_file(array).size() % 4, 0u);
  EXPECT_EQ((npy_file(array).size() - 24) % 64, 0u) << "the header ends at a multiple of 64";
}

TEST(Npy, FortranOrderIsPutInOrder) {
  auto file = file_of("{'descr': '|u1', 'fortran_order': True, 'shape': (2, 3), }", 0);
  for (const int v : {0, 3, 1, 4, 2, 5})
    file.push_back(static_cast<std::uint8_t>(v));  // by columns
  EXPECT_EQ(parse_npy(file).bytes, (std::vector<std::uint8_t>{0, 1, 2, 3, 4, 5}));
}

TEST(Npy, IntegersOfAnyWidthFitWhereTheirValuesDo) {
  const std::array<std::int32_t, 3> wide{-128, 127, 5};
  const NpyArray file =
      parse_npy(npy_file(array_of("x", {3}, std::span<const std::int32_t>(wide))));
  EXPECT_EQ(array_of(file, "x", Element::int8).words, (std::vector<std::uint32_t>{0x80, 0x7F, 5}));
  EXPECT_THROW(array_of(file, "x", Element::uint8), std::invalid_argument);
  EXPECT_THROW(array_of(file, "x", Element::fp32), std::invalid_argument);
}

TEST(NpyRefuses, DamagedHeaders) {
  refused({}, "does not begin with");
  refused(bytes_of_text("\x93NUMPY"), "truncated");
  refused(bytes_of_text(std::string("\x93NUMPY\x09\x00\x01\x00{", 11)), "version 9.0");
  refused(bytes_of_text(std::string("\x93NUMPY\x01\x00\xFF\xFF{", 11)), "a header of 65535 bytes");
  refused(file_of("{'descr': '<f4', 'shape': (2,)}", 8), "lacks one of");
  refused(file_of("{'descr': '<f4', 'descr': '<f4', 'shape': (2,)}", 8), "'descr' twice");
  refused(file_of("{'descr': '<f4', 'fortran_order': 1, 'shape': (2,)}", 8), "neither True");
  refused(file_of("{'descr': '>f4', 'fortran_order': False, 'shape': (2,)}", 8), "big-endian");
  refused(file_of("{'descr': '|O', 'fortran_order': False, 'shape': (2,)}", 8), "element type");
  refused(file_of("{'descr': [('a', '<f4')], 'fortran_order': False, 'shape': (2,)}", 8),
          "structured");
  refused(file_of("{'descr': '<f4', 'fortran_order': False, 'shape': (-2,)}", 8), "whole number");
}

TEST(NpyRefuses, ShapesThatTheDataIsNot) {
  refused(file_of("{'descr': '<f4', 'fortran_order': False, 'shape': (3,)}", 8), "need 12 bytes");
  refused(file_of("{'descr': '<f4', 'fortran_order': False, 'shape': (4294967296, 4294967296)}", 8),
          "more than 2^64");
  refused(file_of("{'descr': '<f4', 'fortran_order': False, 'shape': (99999999999999999999,)}", 8),
          "more than 64 bits");
  // An extent of 0 makes the others harmless, whatever they multiply to.
  EXPECT_EQ(parse_npy(file_of("{'descr': '<f4', 'fortran_order': True, "
                              "'shape': (0, 4294967296, 4294967296)}",
                              0))
                .elements(),
            0u);
}

// An independent reader and writer: NumPy itself, where it is installed.
TEST(Npy, NumPyReadsOursAndWeReadIts) {
  if (std::system("/usr/bin/python3 -c 'import numpy' >/dev/null 2>&1") != 0) {
    GTEST_SKIP() << "python3 with numpy is not installed";
  }
  const std::string folder = (std::filesystem::temp_directory_path() / "systole-npy-test").string();
  std::filesystem::create_directories(folder);
  const std::array<std::int16_t, 6> values{-3, 2, 1, 0, 300, -32768};
  const std::vector<std::int32_t> wide(values.begin(), values.end());
  const auto ours = npy_file(array_of("x", {3, 2}, std::span<const std::int32_t>(wide)));
  std::ofstream(folder + "/ours.npy", std::ios::binary)
      .write(reinterpret_cast<const char*>(ours.data()), static_cast<std::streamsize>(ours.size()));
  const std::string script =
      "/usr/bin/python3 -c \"import numpy as np, sys; d='" + folder +
      "/'; a=np.load(d+'ours.npy'); np.save(d+'same.npy', a); np.save(d+'half.npy', "
      "np.asfortranarray(a.astype('f2'))); sys.exit(a.tolist() != [[-3, 2], [1, 0], [300, "
      "-32768]])\"";
  ASSERT_EQ(std::system(script.c_str()), 0);
  const auto read = [&](const char* name) {
    std::ifstream file(folder + "/" + name, std::ios::binary);
    const std::string text(std::istreambuf_iterator<char>(file), {});
    return bytes_of_text(text);
  };
  EXPECT_EQ(read("same.npy"), ours) << "byte for byte what numpy.save writes";
  const NpyArray half = parse_npy(read("half.npy"));
  EXPECT_EQ(half.type, NpyType::float16);
  EXPECT_EQ(half.bytes[0] | half.bytes[1] << 8, 0xC200);  // -3
  std::filesystem::remove_all(folder);
}

}  // namespace
}  // namespace systole::quant
