// The shipped papers: every printed value at its digits, and what is said where that cannot be.
#include "sim/analytic/paper.hpp"

#include <gmock/gmock.h>

#include <algorithm>
#include <map>

#include "configs/library.hpp"
#include "configs/reader.hpp"
#include "sim/core/error.hpp"

namespace systole::analytic {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

PaperResult result_of(const std::string& name) { return reproduce(configs::load_paper(name)); }

void expect_all_equal(const PaperResult& result) {
  for (const PaperRow& row : result.rows) {
    if (!row.matched) continue;
    EXPECT_EQ(row.reproduced, row.published)
        << row.network << " " << row.machine << " " << row.metric << ": " << row.reproduced_value;
  }
}

TEST(Paper, ReproducesAll210ValuesOfAnt) {
  const PaperResult result = result_of("ant");
  expect_all_equal(result);
  EXPECT_EQ(result.tally(false).compared, 210u);
  EXPECT_EQ(result.tally(false).equal, 210u);
  EXPECT_EQ(result.tally(true).equal, 26u) << "and 26 of the means; see the file for the other 4";
  EXPECT_EQ(result.errata(), 4u);
}

TEST(Paper, ReproducesAll120ValuesOfMixpe) {
  const PaperResult result = result_of("mixpe");
  expect_all_equal(result);
  EXPECT_EQ(result.tally(false).compared, 120u);
  EXPECT_EQ(result.tally(false).equal, 120u);
  EXPECT_EQ(result.tally(true).equal, 6u);
  EXPECT_EQ(result.errata(), 24u) << "the energy columns headed Geomean";
}

TEST(Paper, ReproducesEveryCycleAndMicrojouleOfBitmodInBothVersions) {
  const PaperResult result = result_of("bitmod");
  expect_all_equal(result);
  std::map<std::string, std::size_t> by_metric;
  for (const PaperRow& row : result.rows) ++by_metric[row.metric];
  for (const char* metric : {"prefill_cycles", "generation_cycles", "prefill_onchip_uj",
                             "generation_onchip_uj", "prefill_energy_uj", "generation_energy_uj"}) {
    EXPECT_EQ(by_metric[metric], 60u) << metric << ": 30 as published, 30 of HEAD";
  }
}

// The notebook prints no DRAM energy; on-chip and total imply it to 1 uJ.
TEST(Paper, ReproducesTheDramEnergiesThatBitmodImplies) {
  const configs::PaperConfig paper = configs::load_paper("bitmod");
  const PaperResult result = reproduce(paper);
  std::map<std::string, double> published;
  for (const PaperRow& row : result.rows)
    published[row.network + "/" + row.machine + "/" + row.metric] = row.published_value;
  configs::PaperConfig dram = paper;
  for (configs::PublishedValues& values : dram.published) {
    std::map<std::string, std::string> implied;
    for (const auto& [metric, text] : values.values) {
      const std::size_t at = metric.find("_energy_uj");
      if (at == std::string::npos) continue;
      const std::string stage = metric.substr(0, at);
      const std::string key = values.network + "/" + values.machine + "/" + stage;
      implied[stage + "_dram_uj"] =
          std::to_string(published.at(key + "_energy_uj") - published.at(key + "_onchip_uj"));
    }
    values.values = implied;
  }
  std::size_t compared = 0;
  for (const PaperRow& row : reproduce(dram).rows) {
    EXPECT_NEAR(row.reproduced_value, row.published_value, 1.0)
        << row.network << " " << row.machine << " " << row.metric;
    ++compared;
  }
  EXPECT_EQ(compared, 120u) << "60 as published, 60 of HEAD";
}

TEST(Paper, ReproducesScaleSimsComputeCycles) {
  const PaperResult result = result_of("scale-sim");
  expect_all_equal(result);
  EXPECT_EQ(result.tally(false).equal, result.rows.size());
}

TEST(Paper, ComesWithin15PercentOfOlivesAverages) {
  const PaperResult result = result_of("olive");
  ASSERT_EQ(result.rows.size(), 6u);
  EXPECT_EQ(result.tally(true).within, 6u);
  for (const PaperRow& row : result.rows) {
    EXPECT_FALSE(row.note.empty()) << "a difference has a cause: " << row.machine << row.metric;
  }
}

// The totals behind the ratios, from an independent restatement of the model.
TEST(Paper, TakesTheKnownCycleTotalsOfAntAndOlive) {
  const auto totals = [](const char* paper, std::map<std::string, std::string> cycles,
                         const std::string& machine) {
    configs::PaperConfig config = configs::load_paper(paper);
    config.published.clear();
    for (const auto& [network, value] : cycles) {
      configs::PublishedValues values;
      values.network = network;
      values.machine = machine;
      values.values["cycles"] = value;
      config.published.push_back(values);
    }
    for (const PaperRow& row : reproduce(config).rows)
      EXPECT_EQ(row.reproduced, row.published) << row.network << " " << row.machine;
  };
  totals("ant",
         {{"VGG16", "245986176"},
          {"ResNet18", "33917312"},
          {"ResNet50", "69783144"},
          {"InceptionV3", "190728750"},
          {"ViT", "435784888"},
          {"BERT-MNLI", "194686184"},
          {"BERT-CoLA", "208841736"},
          {"BERT-SST-2", "169885702"}},
         "ANT-OS");
  totals("ant", {{"VGG16", "461250377"}, {"ResNet18", "55084916"}, {"BERT-MNLI", "280795056"}},
         "BiScaled");
  totals("ant", {{"InceptionV3", "749941302"}, {"ViT", "1238271082"}}, "AdaFloat");
  totals("mixpe", {{"ViT", "2505112"}, {"OPT-6.7B", "50671104"}, {"Llama2-13B", "98629440"}},
         "MixPE-W4A8");
  totals("mixpe", {{"ViT-Huge", "68692620"}, {"OPT-6.7B", "524922368"}}, "FP16");
  totals("olive",
         {{"BERT-base", "42471360"},
          {"BERT-large", "151003008"},
          {"GPT2-XL", "737288448"},
          {"OPT-6.7B", "3221231104"},
          {"BLOOM-7B1", "3019904160"}},
         "OliVe");
}

TEST(Paper, GivesAPhysicalTwinOfEveryPairThatIsPrinted) {
  const std::vector<PhysicalTwin> twins = physical_twins(configs::load_paper("ant"));
  ASSERT_EQ(twins.size(), 42u);
  const PhysicalTwin& vgg = twins[0];
  EXPECT_EQ(vgg.machine, "ANT-OS");
  EXPECT_EQ(vgg.pe, "ant");
  ASSERT_EQ(vgg.gemms.size(), 16u);
  EXPECT_EQ(vgg.gemms[0].m, 64u * 224 * 224);
  EXPECT_EQ(vgg.gemms[0].k, 27u);
  EXPECT_EQ(vgg.gemms[0].rows, 32u) << "8 bits: an element is one multiplier";
  EXPECT_EQ(vgg.gemms[1].rows, 64u) << "4 bits: two a side";
  const auto inception = std::ranges::find(twins, "InceptionV3", &PhysicalTwin::network);
  EXPECT_TRUE(std::ranges::any_of(inception->gemms, [](const TwinGemm& g) {
    return g.k == 7u * 128;
  })) << "a 1 x 7 kernel has seven values a channel, whatever the published model counts";
  EXPECT_EQ(physical_twins(configs::load_paper("bitmod")).size(), 2u * 60);
}

TEST(Paper, ShowsPhysicalValuesInTheUnitOfThePrintedOnes) {
  // Twice the cycles for every machine but the reference: ratios double, energies stay unknown.
  const auto timing = [](const PhysicalTwin& twin) -> std::optional<PhysicalTime> {
    if (twin.network == "ViT") return std::nullopt;
    return PhysicalTime{twin.machine == "AdaFloat" ? 100.0 : 200.0, "because"};
  };
  for (const PaperRow& row : reproduce(configs::load_paper("ant"), timing).rows) {
    if (row.metric != "time" || row.network == "ViT" || row.mean) {
      EXPECT_FALSE(row.tile_timing) << row.network << " " << row.metric;
    } else {
      EXPECT_EQ(row.tile_timing, row.machine == "AdaFloat" ? 1.0 : 2.0) << row.machine;
      EXPECT_THAT(row.note, HasSubstr("because"));
    }
  }
}

// --- what is refused -----------------------------------------------------------------------------

std::string refusal(const std::string& paper, const configs::Overrides& overrides) {
  try {
    reproduce(configs::load_paper(paper, overrides));
  } catch (const ConfigError& error) {
    return error.what();
  }
  return "accepted";
}

TEST(Paper, RefusesWhatItCannotMean) {
  EXPECT_THAT(refusal("ant", {"bitfusion.reference=AdaFloatt"}),
              HasSubstr("did you mean 'AdaFloat'"));
  EXPECT_THAT(refusal("ant", {"bitfusion.batch=0"}), HasSubstr("from 1 to 65536"));
  EXPECT_THAT(refusal("ant", {"bitfusion.weight.bytes=99999999"}), HasSubstr("at most 4194304"));
  EXPECT_THAT(refusal("ant", {"bitfusion.weight.bytes=64"}), HasSubstr("does not fit"));
  EXPECT_THAT(refusal("ant", {"model=bitmod"}), HasSubstr("unknown key 'bitfusion'"));
  EXPECT_THAT(refusal("ant", {"published=[{network: VGG16, machine: ANT-OS, values: {tim: 1}}]"}),
              HasSubstr("did you mean 'time'"));
  EXPECT_THAT(refusal("ant", {"published=[{network: VGG17, machine: ANT-OS, values: {time: 1}}]"}),
              HasSubstr("did you mean 'VGG16'"));
  EXPECT_THAT(refusal("ant", {"published=[{network: VGG16, machine: ANT-OS, values: {time: x}}]"}),
              HasSubstr("expected a number as printed"));
  EXPECT_THAT(
      refusal("ant", {"bitfusion.workloads=[{network: n, bits: {ANT-OS: 8}, blocks: [{layers: "
                      "[{in: 4, out: 4}]}]}]"}),
      HasSubstr("no bits of the reference 'AdaFloat'"));
  EXPECT_THAT(
      refusal("ant", {"bitfusion.workloads=[{network: n, bits: {AdaFloat: 8x2}, blocks: [{layers: "
                      "[{in: 4, out: 4}]}]}]"}),
      HasSubstr("2 widths for 1 layers"));
  EXPECT_THAT(
      refusal("ant", {"bitfusion.workloads=[{network: n, bits: {AdaFloat: 8}, blocks: [{layers: "
                      "[{rows: 65536, in: 1048576, out: 1048576}]}]}]"}),
      HasSubstr("expected at most"));
  EXPECT_THAT(refusal("bitmod", {"bitmod.buffers=[{bits: 1, read_pj: 1, write_pj: 1}]"}),
              HasSubstr("no prices for a port"));
  EXPECT_THAT(
      refusal("scale-sim", {"scale_sim.networks=[{name: AlexNet, layers: [{gemm: [1, 2]}]}]"}),
      HasSubstr("[m, n, k]"));
}

TEST(Runs, ExpandNumbersAndGroups) {
  using V = std::vector<std::uint32_t>;
  EXPECT_EQ(configs::expand_runs("8 4x3 (2 1x2)x2 16", 20), (V{8, 4, 4, 4, 2, 1, 1, 2, 1, 1, 16}));
  for (const char* bad : {"", " ", "x", "8x", "8x0", "0", "(8", "8)", "()", "(8)x", "8 x4", "-8",
                          "8,4", "((8))", "99999999999", "8x99999999999", "8x21", "(8 8)x11"}) {
    EXPECT_THROW(configs::expand_runs(bad, 20), ConfigError) << bad;
  }
}

}  // namespace
}  // namespace systole::analytic
