// The shipped library: everything in it loads, is possible, and prints to a text that reads back.
#include "configs/library.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <set>

#include "configs/echo.hpp"
#include "configs/meanings.hpp"
#include "sim/core/error.hpp"

namespace systole::configs {
namespace {

template <class Config, class Load>
void expect_all_load_and_round_trip(Kind kind, Load load) {
  const std::vector<Entry> entries = list(kind);
  EXPECT_FALSE(entries.empty());
  for (const Entry& entry : entries) {
    SCOPED_TRACE(entry.path);
    const Config config = load(entry.name, Overrides{});
    EXPECT_EQ(config.name, entry.name) << "a file is called as the name in it";
    EXPECT_EQ(config.summary, entry.summary);
    EXPECT_FALSE(config.source.empty());
    EXPECT_TRUE(problems(config).empty());
    const std::string text = show(config);
    EXPECT_EQ(read_text<Config>(text, "shown.yaml"), config) << text;
    EXPECT_EQ(show(read_text<Config>(text, "shown.yaml")), text);
  }
}

TEST(Library, ShipsMachinesThatLoadAndRoundTrip) {
  expect_all_load_and_round_trip<MachineConfig>(Kind::machine, load_machine);
}
/// Of a machine and a recipe all that an echo names is explained; names of PEs and the like have
/// dots, lists have numbers.
TEST(Meanings, AreKnownOfEveryKeyOfAnEcho) {
  const Recipe recipe = load_recipe("mixpe-w4a8");
  for (const std::string& name : names(Kind::machine)) {
    const KeyValues echoed = echo(load_machine(name), recipe);
    const std::vector<std::string_view> texts = meanings(echoed);
    ASSERT_EQ(texts.size(), echoed.size());
    for (std::size_t i = 0; i < texts.size(); ++i) {
      EXPECT_NE(texts[i], "") << name << ": " << echoed[i].first;
    }
  }
  const KeyValues strange = {
      {"", ""}, {"memory.dram.channel", "1"}, {"energy.pes", ""}, {"array[", ""}};
  EXPECT_EQ(meanings(strange)[0], "");
  EXPECT_EQ(meanings(strange)[1], "");
  EXPECT_EQ(meanings(strange)[3], "");
  EXPECT_EQ(meanings({{"memory.dram.channels", "4"}})[0],
            "independent channels (HBM: pseudo channels)");
}

TEST(Library, ShipsRecipesThatLoadAndRoundTrip) {
  expect_all_load_and_round_trip<Recipe>(Kind::recipe, load_recipe);
}
TEST(Library, ShipsModelsThatLoadAndRoundTrip) {
  expect_all_load_and_round_trip<ModelShape>(Kind::model, load_model_shape);
}
TEST(Library, ShipsDramsThatLoadAndRoundTrip) {
  expect_all_load_and_round_trip<DramConfig>(Kind::dram, load_dram);
}
TEST(Library, ShipsMemoryTiersThatLoadAndRoundTrip) {
  expect_all_load_and_round_trip<TierConfig>(Kind::tier, load_tier);
}

TEST(Library, KeepsTheBanksOfItsTiersBusyForNoLongerThanAnAccessTakes) {
  for (const std::string& name : names(Kind::tier)) {
    const TierConfig tier = load_tier(name);
    if (tier.kind != TierKind::cells) continue;
    const double bytes = static_cast<double>(tier.granularity_bytes) * tier.banks;
    EXPECT_LE(bytes / tier.read_bandwidth_gbs, tier.read_latency_ns) << name;
    EXPECT_LE(bytes / tier.write_bandwidth_gbs, tier.write_latency_ns) << name;
    EXPECT_GE(tier.write_latency_ns, tier.read_latency_ns) << name;
  }
}
TEST(Library, ShipsEnergyTablesThatLoadAndRoundTrip) {
  expect_all_load_and_round_trip<EnergyTable>(Kind::energy, load_energy);
}

TEST(Library, ShipsPapersThatLoadAndRoundTrip) {
  expect_all_load_and_round_trip<PaperConfig>(Kind::paper, load_paper);
}

double array_mm2(const MachineConfig& m) {
  return m.array.rows * m.array.cols * m.energy.pes.at(m.array.pe).area_um2 * 1e-6;
}

TEST(Library, ComparesThreeElementsAtEqualAreaMemoryAndUnits) {
  const MachineConfig mixpe = load_machine("mixpe-128x128");
  for (const std::string name : {"int8-128x94", "fp16-64x58"}) {
    const MachineConfig other = load_machine(name);
    EXPECT_NEAR(array_mm2(other) / array_mm2(mixpe), 1.0, 0.01) << name;
    EXPECT_EQ(other.memory, mixpe.memory);
    EXPECT_EQ(other.vector, mixpe.vector);
    EXPECT_EQ(other.dequantiser, mixpe.dequantiser);
    EXPECT_EQ(other.energy, mixpe.energy);
    EXPECT_NE(other.array.pe, mixpe.array.pe);
  }
}

TEST(Library, GivesItsMachinesScratchpadsThatKeepUpWithTheArray) {
  for (const std::string& name : names(Kind::machine)) {
    const MachineConfig m = load_machine(name);
    const auto bandwidth = [](const ScratchpadConfig& s) {
      return std::uint64_t{s.banks} * s.word_bytes;
    };
    const std::uint64_t operand_bytes = m.array.pe == "fp16-mac" ? 2 : 1;
    EXPECT_GE(bandwidth(m.memory.activation), m.array.rows * operand_bytes) << name;
    EXPECT_GE(bandwidth(m.memory.weight), m.array.cols * operand_bytes) << name;
    if (m.array.dataflow == Dataflow::weight_stationary) {
      EXPECT_GE(bandwidth(m.memory.output), 2ull * 4 * m.array.cols) << name << ": sums in and out";
    }
  }
}

TEST(Library, PricesEveryBankOfItsMachinesFromAPointNotAFit) {
  for (const std::string& name : names(Kind::machine)) {
    const MachineConfig m = load_machine(name);
    for (const ScratchpadConfig* s : {&m.memory.weight, &m.memory.activation, &m.memory.output}) {
      EXPECT_TRUE(std::ranges::any_of(m.energy.sram_points,
                                      [&](const SramPoint& p) {
                                        return p.bytes == s->capacity_bytes / s->banks &&
                                               p.word_bytes == s->word_bytes;
                                      }))
          << name << ": bank of " << s->capacity_bytes / s->banks << " bytes";
    }
  }
}

TEST(Library, FitsItsSramPointsWithinTheErrorItStates) {
  for (const std::string name : {"nangate45", "nangate45-lstp"}) {
    const EnergyTable e = load_energy(name);
    const auto value = [](const SramFit& f, const SramPoint& p) {
      return f.c * std::pow(static_cast<double>(p.bytes) / 65536.0, f.size_exponent) *
             std::pow(p.word_bytes / 32.0, f.word_exponent);
    };
    for (const SramPoint& p : e.sram_points) {
      if (p.word_bytes < 16 || p.word_bytes > 64) continue;
      EXPECT_NEAR(value(e.sram_read_pj, p) / p.read_pj, 1.0, 0.65);
      EXPECT_NEAR(value(e.sram_write_pj, p) / p.write_pj, 1.0, 0.60);
      EXPECT_NEAR(value(e.sram_leakage_mw, p) / p.leakage_mw, 1.0, 0.12);
      EXPECT_NEAR(value(e.sram_area_mm2, p) / p.area_mm2, 1.0, 0.60);
      EXPECT_NEAR(value(e.sram_access_ns, p) / p.access_ns, 1.0, 0.35);
    }
  }
}

TEST(Library, HoldsLlama2InTheMemoryOfTheComparedMachines) {
  const ModelShape llama = load_model_shape("llama-2-7b");
  const MachineConfig m = load_machine("fp16-64x58");
  EXPECT_GT(m.memory.dram.capacity_bytes * m.memory.channels, 2 * llama.parameters());
}

TEST(Library, PricesWhatTheVectorUnitCounts) {
  for (const std::string& name : names(Kind::energy)) {
    const EnergyTable e = load_energy(name);
    EXPECT_TRUE(e.ops.contains("fp32_add") && e.ops.contains("fp32_mul")) << name;
  }
}

TEST(Library, KnowsTheParametersThatTheModelsAreNamedAfter) {
  const auto billions = [](const std::string& name) {
    return static_cast<double>(load_model_shape(name).parameters()) * 1e-9;
  };
  EXPECT_NEAR(billions("llama-2-7b"), 6.738, 0.001);
  EXPECT_NEAR(billions("llama-3.1-8b"), 8.030, 0.001);
  EXPECT_NEAR(billions("llama-3.1-405b"), 405.85, 0.01);
  EXPECT_NEAR(billions("llama-3.2-1b"), 1.236, 0.001);
  EXPECT_NEAR(billions("mistral-7b-v0.3"), 7.248, 0.001);
  EXPECT_NEAR(billions("smollm2-135m"), 0.1345, 0.0001);
  EXPECT_NEAR(billions("tinyllama-1.1b"), 1.100, 0.001);
}

TEST(Library, StatesThePeakBandwidthOfItsDrams) {
  const auto gigabytes = [](const std::string& name) {
    return load_dram(name).peak_bytes_per_second() * 1e-9;
  };
  EXPECT_NEAR(gigabytes("ddr4-3200"), 25.6, 0.01);
  EXPECT_NEAR(gigabytes("ddr5-4800"), 19.2, 0.05);
  EXPECT_NEAR(gigabytes("lpddr5-6400"), 12.8, 0.01);
  EXPECT_NEAR(gigabytes("gddr6-14"), 28.0, 0.1);
  EXPECT_NEAR(gigabytes("hbm2-2.0"), 16.0, 0.01);
  EXPECT_NEAR(gigabytes("hbm2e-3.2"), 25.6, 0.01);
  EXPECT_NEAR(gigabytes("hbm3-6.4"), 25.6, 0.01);
}

TEST(Library, ListsEveryProcessingElementOfEveryTable) {
  std::set<std::string> found;
  for (const Entry& entry : list_pes()) {
    found.insert(entry.name);
    EXPECT_THAT(entry.summary, ::testing::HasSubstr("pJ/MAC"));
  }
  for (const char* name : {"fp16-mac", "int8-mac", "mixpe-w4a8", "olive", "axcore", "int16-mac"}) {
    EXPECT_TRUE(found.contains(name)) << name;
  }
}

TEST(Library, PrintsThePublishedProfilesAsTheirSourcesHaveThem) {
  const auto pe = [](const char* table, const char* name) {
    return load_energy(table).pes.at(name);
  };
  EXPECT_NEAR(pe("horowitz-45", "int8-mac").mac_pj, 0.2 + 0.1, 1e-12);
  EXPECT_NEAR(pe("bitfusion-45", "int8-mac").mac_pj, 148845e-9 / 500e6 * 1e12, 1e-6);
  EXPECT_NEAR(pe("axcore-28", "axcore").mac_pj, 0.112625, 1e-9);
  EXPECT_NEAR(pe("bitmod-28", "fp16-mac").mac_pj, 0.77 * 1.5, 1e-9);
  EXPECT_NEAR(pe("legacy-ant", "fp16-mac").mac_pj, 839982e-9 / 500e6 * 1e12, 1e-5);
  EXPECT_EQ(load_energy("legacy-ant").sram_node_nm, 28);
  for (const std::string& table : names(Kind::energy)) {
    for (const auto& [name, price] : load_energy(table).pes) {
      EXPECT_GT(price.source.size(), 20u) << table << " " << name;
    }
  }
}

TEST(Library, NamesTheTablesThatPriceAPe) {
  const std::vector<std::string> figna = {"asap7", "axcore-28", "nangate45", "nangate45-lstp",
                                          "sg13g2"};
  EXPECT_EQ(tables_with_pe("figna-w4"), figna);
  EXPECT_THAT(tables_with_pe("olive"), ::testing::IsSupersetOf({"bitmod-28", "nangate45"}));
  EXPECT_TRUE(tables_with_pe("teleporter").empty());
  EXPECT_EQ(no_price_message("t", "p", {"a", "b", "c"}),
            "energy table 't' has no price for PE 'p'; a, b and c have one");
  EXPECT_EQ(no_price_message("t", "p", {}),
            "energy table 't' has no price for PE 'p', nor has any shipped table");
}

TEST(Library, ShowsEverythingThatHasAName) {
  const std::string both = show("mixpe-w4a8");  // a recipe and a processing element
  EXPECT_THAT(both, ::testing::HasSubstr("# recipe mixpe-w4a8"));
  EXPECT_THAT(both, ::testing::HasSubstr("# PE mixpe-w4a8 of energy table nangate45 "));
  EXPECT_THAT(show("hbm2-2.0"), ::testing::HasSubstr("cl: 14"));
  EXPECT_THAT(show("mixpe-128x128"), ::testing::HasSubstr("# array, scratchpads, vector unit"));
  try {
    (void)show("mixpe-128x182");
    FAIL();
  } catch (const ConfigError& error) {
    EXPECT_STREQ(error.what(), "unknown name 'mixpe-128x182'; did you mean 'mixpe-128x128'?");
  }
}

TEST(Library, IsFoundThroughTheEnvironment) {
  const auto folder =
      std::filesystem::temp_directory_path() / ("systole_library_" + std::to_string(::getpid()));
  std::filesystem::remove_all(folder);
  std::filesystem::create_directories(folder / "models");
  std::ofstream(folder / "models" / "tiny.yaml")
      << "name: tiny\nsummary: s\nsource: t\nlayers: 1\nhidden: 8\nintermediate: 8\nheads: 2\n"
         "kv_heads: 1\nvocab: 9\nmax_positions: 4\n";
  ::setenv("SYSTOLE_CONFIG_DIR", folder.c_str(), 1);
  EXPECT_EQ(names(Kind::model), std::vector<std::string>{"tiny"});
  EXPECT_EQ(load_model_shape("tiny").head_dim, 4u);
  try {
    (void)names(Kind::recipe);
    ADD_FAILURE();
  } catch (const ConfigError& error) {
    EXPECT_EQ(std::string(error.what()), (folder / "recipes").string() +
                                             ": cannot be listed (No such file or directory); "
                                             "expected the shipped library there, see "
                                             "SYSTOLE_CONFIG_DIR");
  }
  ::unsetenv("SYSTOLE_CONFIG_DIR");
  std::filesystem::remove_all(folder);
}

TEST(Echo, NamesEveryValueByItsPathInFieldOrder) {
  const KeyValues values = echo(load_machine(
      "mixpe-128x128", {"memory.dram.channels=4", "memory.weight.capacity_bytes=524288"}));
  const auto value = [&](const std::string& key) {
    const auto it = std::ranges::find(values, key, &std::pair<std::string, std::string>::first);
    return it == values.end() ? "absent" : it->second;
  };
  EXPECT_EQ(values.front(), (std::pair<std::string, std::string>("name", "mixpe-128x128")));
  EXPECT_EQ(value("memory.dram.channels"), "4");
  EXPECT_EQ(value("memory.dram.read_pj_per_bit"), "2.71");
  EXPECT_EQ(value("array.dataflow"), "weight_stationary");
  EXPECT_EQ(value("memory.weight.capacity_bytes"), "524288");
  EXPECT_EQ(value("energy.pes.mixpe-w4a8.mac_pj"), "1.148");
  EXPECT_EQ(value("energy.sram_points[0].bytes"), "1024");
  std::set<std::string> keys;
  for (const auto& [key, text] : values) EXPECT_TRUE(keys.insert(key).second) << key;

  const KeyValues recipe = echo(load_recipe("mixpe-w4a8"));
  EXPECT_THAT(recipe, ::testing::Contains(::testing::Pair("tensors.weight.group", "128")));
  EXPECT_THAT(recipe, ::testing::Contains(::testing::Pair("compute.dequantise", "after")));
}

TEST(Echo, ValuesGivenBackAsOverridesChangeNothing) {
  const MachineConfig m = load_machine("mixpe-32x32-os");
  Overrides overrides;
  for (const auto& [key, value] : echo(m)) {
    if (key.find('[') == std::string::npos && value.find_first_of(":#,'\"") == std::string::npos) {
      overrides.push_back(key + "=" + value);
    }
  }
  EXPECT_GT(overrides.size(), 60u);
  EXPECT_EQ(load_machine("mixpe-32x32-os", overrides), m);
}

TEST(Show, QuotesTextThatYamlWouldMisread) {
  ModelShape m = load_model_shape("llama-2-7b");
  for (const std::string text :
       {"true", "12", "a: b", "# no", "say \"x\" \\ y", "line\nbreak", "tab\there", "-", "null",
        "~", "[a", " leading", "trailing ", "caf\xc3\xa9", "\x01\x7f"}) {
    m.summary = text;
    EXPECT_EQ(read_text<ModelShape>(show(m), "shown.yaml").summary, text);
  }
}

}  // namespace
}  // namespace systole::configs
