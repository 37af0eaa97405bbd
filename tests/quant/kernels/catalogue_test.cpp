// The catalogue names every kernel, once, where it is.
#include "quant/kernels/catalogue.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <iterator>
#include <set>

namespace systole::quant {
namespace {

std::string text_of(const std::filesystem::path& path) {
  std::ifstream file(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(file), {}};
}

std::filesystem::path root() { return SYSTOLE_SOURCE_DIR; }

TEST(KernelCatalogue, NamesEachKernelOnceAndSaysEverything) {
  std::set<std::string_view> names;
  for (const KernelInfo& kernel : kernel_catalogue()) {
    EXPECT_TRUE(names.insert(kernel.name).second) << kernel.name;
    for (const std::string_view field :
         {kernel.definition, kernel.accumulator, kernel.order, kernel.dequantised, kernel.overflow,
          kernel.source, kernel.differs, kernel.header}) {
      EXPECT_FALSE(field.empty()) << kernel.name;
      EXPECT_EQ(field.find('\n'), std::string_view::npos) << kernel.name;
    }
    ASSERT_TRUE(find_kernel(kernel.name).has_value());
    EXPECT_NE(contract_line(kernel).find(kernel.accumulator), std::string::npos);
  }
  EXPECT_FALSE(find_kernel("gemm_of_nothing").has_value());
}

TEST(KernelCatalogue, PointsToHeadersThatDeclareTheKernel) {
  for (const KernelInfo& kernel : kernel_catalogue()) {
    const std::string text = text_of(root() / kernel.header);
    EXPECT_NE(text.find(" " + std::string(kernel.name) + "("), std::string::npos)
        << kernel.header << " does not declare " << kernel.name;
  }
}

TEST(KernelCatalogue, MissesNoHeaderThatDefinesAKernel) {
  // What a header marks NORMATIVE is a kernel, except for the helpers listed.
  const std::set<std::string> helpers = {"exact.hpp"};
  std::set<std::string_view> headers;
  for (const KernelInfo& kernel : kernel_catalogue()) headers.insert(kernel.header);
  for (const auto& entry : std::filesystem::directory_iterator(root() / "quant/kernels")) {
    const std::string name = entry.path().filename();
    if (entry.path().extension() != ".hpp" || helpers.contains(name)) continue;
    if (text_of(entry.path()).find("NORMATIVE") == std::string::npos) continue;
    EXPECT_TRUE(headers.contains("quant/kernels/" + name)) << name;
  }
}

}  // namespace
}  // namespace systole::quant
