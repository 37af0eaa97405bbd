#include "pe/design.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <map>

#include "configs/library.hpp"
#include "sim/core/error.hpp"

namespace systole::pe {
namespace {

using quant::Format;
using testing::AllOf;
using testing::HasSubstr;

template <class Action>
std::string config_error_of(Action action) {
  try {
    action();
  } catch (const ConfigError& error) {
    return error.what();
  }
  return "no ConfigError";
}

/// Multiply-accumulates a PE and cycle; 0 where the design does not take the pair.
double rate(const char* design, Format weight, Format activation) {
  const Mode* mode = find_design(design).mode(weight, activation);
  return mode == nullptr ? 0 : mode->macs_per_cycle();
}

// accelerators.md §6.0, row by row. The unit is one PE; Loom's lane group is sixteen of ours.
TEST(Throughput, IsThatOfTheCitedDesigns) {
  struct Row {
    const char* design;
    double w4a4, w4a8, w8a8, w4a16, w8a16, unit;
  };
  constexpr double kNone = 0;
  const Row rows[] = {{"int8-mac", 1, 1, 1, kNone, kNone, 1},
                      {"bitfusion", 4, 2, 1, 1, 0.5, 1},
                      {"olive", 1, 0.5, 0.25, kNone, kNone, 1},
                      {"tender", 1, 0.5, 0.25, kNone, kNone, 1},
                      {"mixpe-w4a8", 1, 1, 0.5, kNone, kNone, 1},
                      {"stripes", 4, 2, 2, 1, 1, 1},
                      {"loom", 16, 8, 4, 4, 2, 16},
                      {"lut-tensor-core", 1, 1, 0.5, kNone, kNone, 1},
                      {"abq", 1.0 / 16, 1.0 / 32, 1.0 / 64, kNone, kNone, 1.0 / 128}};
  for (const Row& row : rows) {
    EXPECT_EQ(rate(row.design, Format::int4, Format::int4) * row.unit, row.w4a4) << row.design;
    EXPECT_EQ(rate(row.design, Format::int4, Format::int8) * row.unit, row.w4a8) << row.design;
    EXPECT_EQ(rate(row.design, Format::int8, Format::int8) * row.unit, row.w8a8) << row.design;
    EXPECT_EQ(rate(row.design, Format::int4, Format::int16) * row.unit, row.w4a16) << row.design;
    EXPECT_EQ(rate(row.design, Format::int8, Format::int16) * row.unit, row.w8a16) << row.design;
  }
  // Float activations.
  EXPECT_EQ(rate("fp16-mac", Format::fp16, Format::fp16), 1);
  EXPECT_EQ(rate("mixpe-w4a16", Format::int4, Format::fp16), 1);
  EXPECT_EQ(rate("mixpe-w4a16", Format::int8, Format::fp16), 0.5);
  EXPECT_EQ(rate("bitmod", Format::bitmod4, Format::fp16), 2);
  EXPECT_EQ(rate("bitmod", Format::bitmod3, Format::fp16), 2);
  EXPECT_EQ(rate("bitmod", Format::int8, Format::fp16), 1);
  EXPECT_EQ(rate("bitmod", Format::int6, Format::fp16), 4.0 / 3);
  EXPECT_EQ(rate("figna-w4", Format::int4, Format::fp16), 1);
  EXPECT_EQ(rate("figna-w8", Format::int8, Format::fp16), 1);
  EXPECT_EQ(rate("figlut", Format::int4, Format::fp16), 1);
  EXPECT_EQ(rate("figlut", Format::int8, Format::fp16), 0.5);
  // The tensor-core ratio, FP4 : FP8 : FP16 = 4 : 2 : 1.
  EXPECT_EQ(rate("mx-dot", Format::mxfp4, Format::mxfp4),
            2 * rate("mx-dot", Format::mxfp8_e4m3, Format::mxfp8_e4m3));
  EXPECT_EQ(rate("fp8-dot", Format::fp8_e4m3, Format::fp8_e4m3),
            2 * rate("fp16-dot", Format::fp16, Format::fp16));
  // 2-bit operands make a BitFusion unit sixteen multipliers; 16 x 16 takes four passes.
  EXPECT_EQ(rate("bitfusion", Format::int2, Format::int2), 16);
  EXPECT_EQ(rate("bitfusion", Format::int16, Format::int16), 0.25);
}

TEST(MixPe, TakesFourBitWeightsInOnePassAndWiderOnesInTwo) {
  const PeDesign& design = find_design("mixpe-w4a8");
  EXPECT_EQ(design.require_mode(Format::int2, Format::int8).parts(), 1u);
  EXPECT_EQ(design.require_mode(Format::int4, Format::int4).parts(), 1u);
  EXPECT_EQ(design.require_mode(Format::int5, Format::int8).parts(), 2u);
  EXPECT_EQ(design.require_mode(Format::int8, Format::int2).parts(), 2u);
  EXPECT_EQ(design.mode(Format::fp16, Format::int8), nullptr);
  EXPECT_EQ(design.modes.size(), 49u);
}

TEST(Fp16Mac, TakesFp16Only) {
  const PeDesign& design = find_design("fp16-mac");
  EXPECT_EQ(design.accumulator, "fp32");
  EXPECT_THAT(config_error_of([&] { design.require_mode(Format::int4, Format::fp16); }),
              AllOf(HasSubstr("'fp16-mac' cannot multiply int4 (weight) by fp16 (activation)"),
                    HasSubstr("it takes fp16 x fp16")));
}

TEST(Designs, SayWhatTheyAreOnce) {
  std::map<std::string, int> names;
  for (const PeDesign& design : all_designs()) {
    ++names[design.name];
    EXPECT_FALSE(design.summary.empty()) << design.name;
    EXPECT_FALSE(design.source.empty()) << design.name;
    EXPECT_FALSE(design.accumulator.empty()) << design.name;
    EXPECT_FALSE(design.modes.empty()) << design.name;
    EXPECT_NE(design.engine, nullptr) << design.name;
    EXPECT_GE(design.stages, 1u) << design.name;
  }
  for (const auto& [name, count] : names) EXPECT_EQ(count, 1) << name;
  EXPECT_GE(names.size(), 36u);
}

TEST(Designs, EveryEnergyTablePricesDesignsThatExist) {
  for (const configs::Entry& entry : configs::list(configs::Kind::energy)) {
    for (const auto& [pe, price] : configs::load_energy(entry.name).pes) {
      EXPECT_NO_THROW(find_design(pe)) << entry.name;
    }
  }
}

TEST(Designs, AnUnknownNameGetsTheNearestOne) {
  EXPECT_THAT(config_error_of([] { find_design("mixpe-w4a4"); }),
              AllOf(HasSubstr("mixpe-w4a4"), HasSubstr("did you mean 'mixpe-w4a8'")));
}

}  // namespace
}  // namespace systole::pe
