// Papers' machines as ours: what samples of a large product say of the whole.
#include "sim/system/physical_twin.hpp"

#include <gtest/gtest.h>

#include <cstdlib>

#include "tests/system/machines.hpp"

namespace systole::tests {
namespace {

using analytic::PhysicalTwin;

/// A product on an array of 32 x 32 with 64 KiB each way, large enough to be sampled.
PhysicalTwin twin_of(std::uint64_t m, std::uint64_t n, std::uint64_t k, std::uint32_t bandwidth,
                     configs::PaperDataflow dataflow) {
  PhysicalTwin twin;
  twin.network = twin.machine = "test";
  twin.pe = "int8-mac";
  twin.rows = twin.cols = 32;
  twin.dataflow = dataflow;
  twin.weight_bytes = twin.activation_bytes = 65536;
  twin.output_bytes = 32768;
  twin.dram_bits_per_cycle = bandwidth;
  twin.clock_mhz = 500;
  twin.gemms = {{}};
  twin.gemms[0].m = m;
  twin.gemms[0].n = n;
  twin.gemms[0].k = k;
  twin.gemms[0].times = 3;
  twin.gemms[0].weight_bits = twin.gemms[0].activation_bits = 8;
  return twin;
}

double cycles_of(const PhysicalTwin& twin, bool whole) {
  const std::string text = in_child([&] {
    Progress ignored;
    const auto times = sim::time_twins({&twin, 1}, ignored, whole);
    const analytic::PhysicalTime& time = times.at(0).value();
    return std::to_string(time.cycles) + " " + time.causes;
  });
  EXPECT_FALSE(text.starts_with("failed")) << text;
  EXPECT_EQ(text.find("sampled") != std::string::npos, !whole) << text;
  return std::strtod(text.c_str(), nullptr);
}

TEST(PhysicalTwin, SamplesOfALargeProductTellTheWhole) {
  using enum configs::PaperDataflow;
  const PhysicalTwin twins[] = {
      twin_of(200000, 64, 576, 256, ws), twin_of(40000, 512, 512, 512, os),
      twin_of(1, 88064, 8192, 512, ws),  twin_of(25088, 300, 777, 1024, is),
      twin_of(6304, 3072, 768, 256, os), twin_of(802816, 33, 27, 512, os),
  };
  for (const PhysicalTwin& twin : twins) {
    const double whole = cycles_of(twin, true), sampled = cycles_of(twin, false);
    EXPECT_NEAR(sampled / whole, 1.0, 0.005)
        << twin.gemms[0].m << " x " << twin.gemms[0].n << " x " << twin.gemms[0].k;
  }
}

}  // namespace
}  // namespace systole::tests
