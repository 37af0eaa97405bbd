// What the strict reader says, word for word: a message is part of the interface.
#include "configs/reader.hpp"

#include <gtest/gtest.h>
#include <unistd.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <string>

#include "configs/echo.hpp"
#include "configs/library.hpp"
#include "sim/core/error.hpp"

namespace systole::configs {
namespace {

const std::string kModel =
    "name: m\n"             // line 1
    "summary: a model\n"    // 2
    "source: test\n"        // 3
    "layers: 2\n"           // 4
    "hidden: 64\n"          // 5
    "intermediate: 128\n"   // 6
    "heads: 4\n"            // 7
    "kv_heads: 2\n"         // 8
    "vocab: 100\n"          // 9
    "max_positions: 32\n";  // 10

/// The text with the line that sets `key` replaced (or appended when there is none).
std::string with(std::string text, const std::string& key, const std::string& line) {
  const std::size_t begin = text.find(key + ":");
  if (begin == std::string::npos) return text + line + "\n";
  return text.replace(begin, text.find('\n', begin) - begin, line);
}

template <class Config>
std::string error_of(const std::string& text, const Overrides& overrides = {}) {
  try {
    read_text<Config>(text, "f.yaml", overrides);
  } catch (const ConfigError& error) {
    return error.what();
  }
  return "no error";
}
std::string model_error(const std::string& text, const Overrides& overrides = {}) {
  return error_of<ModelShape>(text, overrides);
}

TEST(Reader, ReadsFixedMappingsAndRemembersWhereTheyStand) {
  const std::string text =
      "base: mixpe-16x16\nname: x\nmapping:\n  objective: edp\n  fixed:\n"
      "    attn_q: {tile: {m: 64}, order: sums_outer}\n";
  const auto machine = read_text<MachineConfig>(text, "m.yaml", {"mapping.fixed.all.tile.n=32"});
  EXPECT_EQ(machine.mapping.objective, Objective::edp);
  ASSERT_EQ(machine.mapping.fixed.size(), 2u);
  const FixedMapping& named = machine.mapping.fixed.at("attn_q");
  EXPECT_EQ(named.tile, (TileConfig{64, 0, 0}));
  EXPECT_EQ(named.order, LoopOrder::sums_outer);
  EXPECT_EQ(named.origin.place, "m.yaml:6:13");
  EXPECT_EQ(machine.mapping.fixed.at("all").tile.n, 32u);
  // Shown, read and echoed as it is.
  EXPECT_EQ(read_text<MachineConfig>(show(machine), "shown.yaml"), machine);
  const KeyValues pairs = echo(machine);
  EXPECT_EQ(std::ranges::count(pairs, std::pair<std::string, std::string>(
                                          "mapping.fixed.attn_q.order", "sums_outer")),
            1);
}

TEST(Reader, FillsAStructAndLeavesDefaults) {
  const ModelShape m = read_text<ModelShape>(kModel, "f.yaml");
  EXPECT_EQ(m.name, "m");
  EXPECT_EQ(m.layers, 2u);
  EXPECT_EQ(m.rope_theta, 10000.0);
  EXPECT_EQ(m.head_dim, 16u) << "0 means hidden / heads, and is resolved";
  EXPECT_FALSE(m.tied_embedding);
}

TEST(Reader, NamesAnUnknownKeyAndTheNearestKnownOne) {
  EXPECT_EQ(model_error(kModel + "rope_teta: 1\n"),
            "f.yaml:11:1: rope_teta: unknown key 'rope_teta'; did you mean 'rope_theta'?");
  EXPECT_EQ(
      model_error(kModel + "zzzzzzzzzzzzzz: 1\n"),
      "f.yaml:11:1: zzzzzzzzzzzzzz: unknown key 'zzzzzzzzzzzzzz'; expected one of name, summary, "
      "source, layers, hidden, intermediate, experts, experts_per_token, heads, kv_heads, "
      "head_dim, vocab, max_positions, sliding_window, rope_theta, norm_epsilon, tied_embedding");
}

TEST(Reader, RefusesADuplicateKey) {
  EXPECT_EQ(model_error(kModel + "layers: 3\n"),
            "f.yaml:11:1: layers: duplicate key; the first one is at line 4");
  EXPECT_EQ(error_of<Recipe>("name: r\nsummary: s\nsource: t\n"
                             "tensors: []\ncompute: {dequantise: after, dequantise: before}\n"),
            "f.yaml:5:30: compute.dequantise: duplicate key; the first one is at line 5");
}

TEST(Reader, ListensThroughTheValueOfADuplicateKey) {
  EXPECT_EQ(model_error(kModel + "layers: {a: {b: 1, b: {c: 1, c: 2}}, a: [1]}\n"),
            "f.yaml:11:1: layers: duplicate key; the first one is at line 4\n"
            "f.yaml:11:20: layers.a.b: duplicate key; the first one is at line 11\n"
            "f.yaml:11:30: layers.a.b.c: duplicate key; the first one is at line 11\n"
            "f.yaml:11:38: layers.a: duplicate key; the first one is at line 11");
}

TEST(Reader, ReportsEveryFaultAtOnce) {
  EXPECT_EQ(
      model_error("name: m\nlayers: 0\nhidden: wide\nheads: [4]\nlayrs: 3\ntied_embedding: 1\n"),
      "f.yaml:1:1: summary: missing; expected one line for `systole list`\n"
      "f.yaml:1:1: source: missing; expected where the numbers come from; what is assumed\n"
      "f.yaml:2:9: layers: found '0'; expected a whole number from 1 to 1000\n"
      "f.yaml:3:9: hidden: found 'wide'; expected a whole number from 1 to 131072\n"
      "f.yaml:1:1: intermediate: missing; expected width inside the SwiGLU\n"
      "f.yaml:4:8: heads: found a list; expected a whole number from 1 to 1024\n"
      "f.yaml:1:1: kv_heads: missing; expected key and value heads; divides heads\n"
      "f.yaml:1:1: vocab: missing; expected tokens, padding rows included\n"
      "f.yaml:1:1: max_positions: missing; expected longest sequence\n"
      "f.yaml:6:17: tied_embedding: found '1'; expected true or false\n"
      "f.yaml:5:1: layrs: unknown key 'layrs'; did you mean 'layers'?");
}

TEST(Reader, ShowsAtMostFiftyFaultsAndCountsTheRest) {
  std::string text = kModel;
  for (int i = 0; i < 70; ++i) text += "x" + std::to_string(i) + ": 1\n";
  const std::string error = model_error(text);
  EXPECT_EQ(std::ranges::count(error, '\n'), 50);
  EXPECT_TRUE(error.ends_with("\n... and 20 more faults")) << error;
}

TEST(Reader, TakesWholeNumbersInPlainDecimalDigitsOnly) {
  const auto layers = [](const std::string& value) {
    return model_error(with(kModel, "layers", "layers: " + value));
  };
  const std::string expected = "; expected a whole number from 1 to 1000";
  EXPECT_EQ(layers("12"), "no error");
  EXPECT_EQ(layers("010"), "f.yaml:4:9: layers: found '010'" + expected +
                               " without a leading zero (octal or decimal?)");
  EXPECT_EQ(layers("1e2"),
            "f.yaml:4:9: layers: found '1e2'" + expected + ", written in digits: 100");
  EXPECT_EQ(layers("2.0"), "f.yaml:4:9: layers: found '2.0'" + expected + ", written in digits: 2");
  for (const std::string bad : {"2.5", "-1", "+1", "0x10", "0b1", "1_000", "12k", ".inf", "true",
                                "1001", "99999999999999999999999999"}) {
    EXPECT_EQ(layers(bad), "f.yaml:4:9: layers: found '" + bad + "'" + expected);
  }
  EXPECT_EQ(layers("'12'"), "f.yaml:4:9: layers: found the text '12'" + expected);
  EXPECT_EQ(layers("~"), "f.yaml:4:1: layers: found nothing" + expected);
  EXPECT_EQ(layers("{a: 1}"), "f.yaml:4:9: layers: found a map" + expected);
}

TEST(Reader, TakesFiniteNumbersInRange) {
  const auto theta = [](const std::string& value) {
    return model_error(kModel + "rope_theta: " + value + "\n");
  };
  const std::string expected = "; expected a number above 0";
  for (const std::string good : {"1", "1.5", "1e6", "5e-1", ".5"})
    EXPECT_EQ(theta(good), "no error");
  EXPECT_EQ(theta("0010"),
            "f.yaml:11:13: rope_theta: found '0010'" + expected + " without a leading zero");
  for (const std::string bad :
       {"0", "-1", "1e999", "nan", "inf", ".inf", "0x1p3", "1.5.2", "1,5", "abc"}) {
    EXPECT_EQ(theta(bad), "f.yaml:11:13: rope_theta: found '" + bad + "'" + expected);
  }
}

TEST(Reader, TakesTrueAndFalseOnly) {
  EXPECT_EQ(model_error(kModel + "tied_embedding: true\n"), "no error");
  EXPECT_EQ(model_error(kModel + "tied_embedding: yes\n"),
            "f.yaml:11:17: tied_embedding: found 'yes'; expected true or false");
}

TEST(Reader, TakesTextThatLooksLikeANumberAsText) {
  EXPECT_EQ(read_text<ModelShape>(with(kModel, "name", "name: 010"), "f.yaml").name, "010");
  EXPECT_EQ(model_error(with(kModel, "name", "name:")),
            "f.yaml:1:1: name: found nothing; expected text");
  EXPECT_EQ(model_error(with(kModel, "name", "name: [a]")),
            "f.yaml:1:7: name: found a list; expected text");
}

TEST(Reader, RefusesWhatIsNotOnePlainYamlMap) {
  EXPECT_EQ(model_error(""), "f.yaml: the file is empty; expected a map of settings");
  EXPECT_EQ(model_error("# nothing\n"), "f.yaml: the file is empty; expected a map of settings");
  EXPECT_EQ(model_error("just text"),
            "f.yaml:1:1: found 'just text' at the top; expected a map of settings");
  EXPECT_EQ(model_error("- a\n"),
            "f.yaml:1:1: found a list at the top; expected a map of settings");
  EXPECT_EQ(model_error("name: a\n---\nname: b\n"),
            "f.yaml: several documents (---); expected one");
  EXPECT_EQ(model_error("name: &x a\n"),
            "f.yaml:1:7: found an anchor (&name); expected plain values only");
  EXPECT_EQ(model_error("name: &x a\nsource: *x\n"),
            "f.yaml:1:7: found an anchor (&name); expected plain values only");
  EXPECT_EQ(model_error("name: !!str a\n"),
            "f.yaml:1:7: found the tag 'tag:yaml.org,2002:str'; expected plain values only");
  EXPECT_EQ(
      model_error("[a]: b\n"),
      "f.yaml:1:1: found a list or map where a name should be, or a bracket that is not closed");
  EXPECT_EQ(model_error("~: b\n"), "f.yaml:1:1: found an empty key; expected a name");
  EXPECT_EQ(model_error("name: [a\n"),
            "f.yaml:2:1: not valid YAML: end of sequence flow not found");
  EXPECT_EQ(model_error("name: a\n  b: c\n"), "f.yaml:2:4: not valid YAML: illegal map value");
}

TEST(Reader, LimitsNestingAndSizes) {
  EXPECT_EQ(model_error("name: " + std::string(100, '[') + std::string(100, ']')),
            "f.yaml:1:38: found nesting deeper than 32 levels");
  EXPECT_EQ(model_error(std::string(5 * 1024 * 1024, ' ')),
            "f.yaml: 5242880 bytes; expected at most 4194304");
  std::string many = "name: [";
  for (int i = 0; i < 200'000; ++i) many += "1,";
  EXPECT_EQ(model_error(many + "]"), "f.yaml:1:400002: found more than 200000 values in one file");
}

TEST(Reader, ShortensAndEscapesWhatItQuotes) {
  EXPECT_EQ(model_error(with(kModel, "layers", "layers: \"a\\tb" + std::string(100, 'c') + "\"")),
            "f.yaml:4:9: layers: found the text 'a\\x09b" + std::string(57, 'c') +
                "...'; expected a whole number from 1 to 1000");
  EXPECT_EQ(model_error(kModel + "\"k\\ey\": 1\n").substr(0, 41),
            "f.yaml:11:1: k\\x1by: unknown key 'k\\x1by'");
}

TEST(Reader, PlacesBrokenRelationsAtTheValueToChange) {
  EXPECT_EQ(model_error(with(kModel, "kv_heads", "kv_heads: 3")),
            "f.yaml:8:11: kv_heads: found 3; expected a divisor of heads, 4");
  EXPECT_EQ(model_error(with(kModel, "hidden", "hidden: 66")),
            "f.yaml:1:1: head_dim: missing; expected a value, because hidden 66 is not a multiple "
            "of heads 4");
}

// --- recipes -----------------------------------------------------------------------------------
std::string recipe_error(const std::string& tensors, const Overrides& overrides = {}) {
  return error_of<Recipe>("name: r\nsummary: s\nsource: t\ntensors:" + tensors + "\n", overrides);
}

TEST(Reader, ReadsTensorsByTarget) {
  const Recipe r = read_text<Recipe>(
      "name: r\nsummary: s\nsource: t\n"
      "tensors: [{target: weight, format: int4, granularity: group, group: 32, scale: fp16}]\n"
      "compute: {dequantise: before}\n",
      "f.yaml");
  EXPECT_EQ(r[Target::weight].format, quant::Format::int4);
  EXPECT_EQ(r[Target::weight].group, 32u);
  EXPECT_EQ(r[Target::weight].scale, quant::Format::fp16);
  EXPECT_EQ(r[Target::head], quant::QuantSpec{}) << "a tensor not named is fp32";
  EXPECT_EQ(r.dequantise, Dequantise::before);
}

TEST(Reader, RefusesTensorListsItCannotKeyByTarget) {
  EXPECT_EQ(recipe_error(" weight"),
            "f.yaml:4:10: tensors: found 'weight'; expected a list of "
            "{target: NAME, format: ...}");
  EXPECT_EQ(recipe_error(" [a]"),
            "f.yaml:4:11: tensors[0]: found 'a'; expected {target: NAME, format: ...}");
  EXPECT_EQ(recipe_error(" [{format: int4}]"),
            "f.yaml:4:11: tensors[0].target: missing; expected the name of a tensor");
  EXPECT_EQ(recipe_error(" [{target: [x], format: int4}]"),
            "f.yaml:4:11: tensors[0].target: found a list; expected the name of a tensor");
  EXPECT_EQ(recipe_error(" [{target: key, format: fp16}, {target: key, format: fp32}]"),
            "f.yaml:4:49: tensors[1].target: a second policy for 'key'; expected one");
  EXPECT_EQ(recipe_error(" [{target: wieght, format: int4}]"),
            "f.yaml:4:20: tensors.wieght: unknown key 'wieght'; did you mean 'weight'?");
  EXPECT_EQ(recipe_error(" [{target: head, format: int99}]"),
            "f.yaml:4:34: tensors.head.format: found 'int99'; expected one of the 85 of `systole "
            "list formats`; did you mean 'int9'?");
  EXPECT_EQ(recipe_error(" [{target: head, granularity: channel}]"),
            "f.yaml:4:11: tensors.head.format: missing; expected as stored and multiplied, see "
            "`systole list formats`");
}

// --- names of other files, bases ---------------------------------------------------------------
class ReaderFiles : public ::testing::Test {
 protected:
  void SetUp() override {
    folder_ = std::filesystem::temp_directory_path() /
              ("systole_reader_" + std::to_string(::getpid()) + "_" +
               std::string(::testing::UnitTest::GetInstance()->current_test_info()->name()));
    std::filesystem::remove_all(folder_);
    std::filesystem::create_directories(folder_);
  }
  void TearDown() override { std::filesystem::remove_all(folder_); }

  std::string write(const std::string& name, const std::string& text) const {
    const std::string path = (folder_ / name).string();
    std::ofstream(path, std::ios::binary) << text;
    return path;
  }
  template <class Load>
  std::string error_from(Load load) const {
    try {
      load();
    } catch (const ConfigError& error) {
      std::string text = error.what();
      for (std::size_t at; (at = text.find(folder_.string() + "/")) != std::string::npos;) {
        text.erase(at, folder_.string().size() + 1);
      }
      return text;
    }
    return "no error";
  }

  std::filesystem::path folder_;
};

TEST_F(ReaderFiles, LaysAFileOnItsBase) {
  write("base.yaml", kModel);
  const std::string path = write("over.yaml", "base: ./base.yaml\nname: bigger\nlayers: 3\n");
  const ModelShape m = load_model_shape(path);
  EXPECT_EQ(m.name, "bigger");
  EXPECT_EQ(m.layers, 3u);
  EXPECT_EQ(m.hidden, 64u);
  EXPECT_EQ(m.summary, "a model");
}

TEST_F(ReaderFiles, LaysAFileOnAShippedBase) {
  const std::string path =
      write("m.yaml",
            "base: mixpe-128x128\nname: mine\nmemory: {dram: {channels: 3}}\narray: {rows: 64}\n");
  const MachineConfig shipped = load_machine("mixpe-128x128");
  MachineConfig expected = shipped;
  expected.name = "mine";
  expected.memory.channels = 3;
  expected.array.rows = 64;
  EXPECT_EQ(load_machine(path), expected);
}

TEST_F(ReaderFiles, WantsANameOfItsOwnOfADerivedFile) {
  const std::string path = write("m.yaml", "base: llama-2-7b\nlayers: 3\n");
  EXPECT_EQ(error_from([&] { load_model_shape(path); }),
            "m.yaml:1:1: name: missing; expected as --machine, --recipe, ... and reports say it");
}

TEST_F(ReaderFiles, PlacesAFaultOfABaseInTheBase) {
  write("base.yaml", with(kModel, "layers", "layers: 0"));
  const std::string path = write("over.yaml", "base: base.yaml\nname: bigger\nhidden: 0\n");
  EXPECT_EQ(error_from([&] { load_model_shape(path); }),
            "base.yaml:4:9: layers: found '0'; expected a whole number from 1 to 1000\n"
            "over.yaml:3:9: hidden: found '0'; expected a whole number from 1 to 131072");
}

TEST_F(ReaderFiles, RefusesBasesThatAreMissingCircularOrTooDeep) {
  EXPECT_EQ(error_from([&] { load_model_shape(write("a.yaml", "base: llama-2-7c\nname: a\n")); }),
            "a.yaml:1:7: base: unknown model 'llama-2-7c'; did you mean 'llama-2-7b'?");
  EXPECT_EQ(error_from([&] { load_model_shape(write("b.yaml", "base: ./none.yaml\nname: a\n")); }),
            "b.yaml:1:7: base: ./none.yaml: no such file");
  write("c.yaml", "base: d.yaml\nname: c\n");
  const std::string circle = write("d.yaml", "base: c.yaml\nname: d\n");
  EXPECT_NE(error_from([&] { load_model_shape(circle); }).find("a circle of bases"),
            std::string::npos);
  for (int i = 0; i < 12; ++i) {
    write("e" + std::to_string(i) + ".yaml",
          "base: e" + std::to_string(i + 1) + ".yaml\nname: e\n");
  }
  EXPECT_NE(error_from([&] {
              load_model_shape((folder_ / "e0.yaml").string());
            }).find("more than 8 bases on top of each other"),
            std::string::npos);
  EXPECT_NE(error_from([&] {
              load_model_shape(write("f.yaml", "base: [a]\nname: f\n"));
            }).find("f.yaml:1:7: base: found a list; expected a name or path"),
            std::string::npos);
}

TEST_F(ReaderFiles, RefusesWhatIsNotAFile) {
  EXPECT_EQ(error_from([&] { load_model_shape("./no/such.yaml"); }),
            "./no/such.yaml: no such file");
  EXPECT_EQ(error_from([&] { load_model_shape("/dev/zero"); }),
            "/dev/zero: not a regular file; expected a YAML file");
  EXPECT_EQ(error_from([&] { load_model_shape(folder_.string()); }),
            folder_.string() + ": not a regular file; expected a YAML file");
  EXPECT_EQ(error_from([&] {
              load_model_shape(write("big.yaml", std::string(4 * 1024 * 1024 + 1, '#')));
            }),
            "big.yaml: more than 4194304 bytes; a configuration is smaller");
  EXPECT_EQ(error_from([&] { load_model_shape("llama-2-7"); }),
            "unknown model 'llama-2-7'; did you mean 'llama-2-7b'?");
}

TEST_F(ReaderFiles, TakesATableInlineByNameOrByPath) {
  const std::string dram = write("mine.yaml", show(load_dram("hbm2-2.0")));
  const MachineConfig expected = load_machine("mixpe-128x128");
  for (const std::string& value : {std::string("{base: hbm2-2.0, channels: 16}"),
                                   std::string("{base: ./mine.yaml, channels: 16}")}) {
    const std::string path = write(
        "m.yaml", "base: mixpe-128x128\nname: mixpe-128x128\nmemory: {dram: " + value + "}\n");
    EXPECT_EQ(load_machine(path), expected);
  }
  const std::string path =
      write("n.yaml", "base: mixpe-128x128\nname: x\nmemory: {dram: hbm3-6.4}\n");
  EXPECT_EQ(load_machine(path).memory.dram, load_dram("hbm3-6.4"));
  EXPECT_EQ(load_machine(path).memory.channels, 1u) << "a bare name is one channel";
}

TEST_F(ReaderFiles, NamesWhatIsWrongWithATable) {
  const auto error = [&](const std::string& line) {
    return error_from(
        [&] { load_machine(write("m.yaml", "base: mixpe-128x128\nname: x\n" + line + "\n")); });
  };
  EXPECT_EQ(error("energy: nangate54"),
            "m.yaml:3:9: energy: unknown energy table 'nangate54'; did you mean 'nangate45'?");
  EXPECT_EQ(error("energy: [1]"),
            "m.yaml:3:9: energy: found a list; expected the name of one (see `systole list`) or a "
            "map of its values");
  EXPECT_EQ(error("memory: {dram: {base: hbm2-2.0, chanels: 4}}"),
            "m.yaml:3:33: memory.dram.chanels: unknown key 'chanels'; did you mean 'channels'?");
  EXPECT_EQ(
      error("memory: {dram: {base: {a: 1}}}"),
      "m.yaml:3:23: memory.dram.base: found a map; expected the name of a shipped DRAM or a path");
  EXPECT_EQ(error("energy: {pes: {mine: {area_um2: 1}}}"),
            "m.yaml:3:22: energy.pes.mine.mac_pj: missing; expected one multiply-accumulate pass, "
            "registers "
            "included\n"
            "m.yaml:3:22: energy.pes.mine.leakage_uw: missing; expected of one PE; 0: the source "
            "gives none\n"
            "m.yaml:3:22: energy.pes.mine.max_clock_mhz: missing; expected what the synthesis met; "
            "0: not stated\n"
            "m.yaml:3:22: energy.pes.mine.source: missing; expected how the figures were made");
  EXPECT_EQ(error("energy: {sram_points: [{bytes: 64}, 3]}").substr(0, 78),
            "m.yaml:3:24: energy.sram_points[0].word_bytes: missing; expected one access\nm.");
}

// --- overrides ---------------------------------------------------------------------------------
TEST(Overrides, ReachEveryDepth) {
  const MachineConfig m = load_machine(
      "mixpe-128x128", {"memory.dram.channels=4", "array.rows=64", "memory.dram.cl=15", "name=mine",
                        "array.dataflow=output_stationary", "energy.pes.mixpe-w4a8.mac_pj=2.5"});
  EXPECT_EQ(m.memory.channels, 4u);
  EXPECT_EQ(m.array.rows, 64u);
  EXPECT_EQ(m.memory.dram.cl, 15u);
  EXPECT_EQ(m.memory.dram.cwl, 5u);
  EXPECT_EQ(m.name, "mine");
  EXPECT_EQ(m.array.dataflow, Dataflow::output_stationary);
  EXPECT_EQ(m.energy.pes.at("mixpe-w4a8").mac_pj, 2.5);
  EXPECT_EQ(m.energy.pes.at("int8-mac").mac_pj, 1.538);
}

TEST(Overrides, TheLastOneWins) {
  EXPECT_EQ(load_machine("mixpe-128x128", {"array.rows=64", "array.rows=32"}).array.rows, 32u);
}

TEST(Overrides, ReplaceATableOrOnlyItsBase) {
  const MachineConfig m = load_machine("mixpe-128x128", {"memory.dram.base=hbm3-6.4"});
  EXPECT_EQ(m.memory.dram, load_dram("hbm3-6.4"));
  EXPECT_EQ(m.memory.channels, 16u);
  const MachineConfig n = load_machine("mixpe-128x128", {"memory.dram=ddr4-3200"});
  EXPECT_EQ(n.memory.dram, load_dram("ddr4-3200"));
  EXPECT_EQ(n.memory.channels, 1u);
  const MachineConfig o =
      load_machine("mixpe-128x128", {"memory.dram=ddr4-3200", "memory.dram.channels=2"});
  EXPECT_EQ(o.memory.dram, load_dram("ddr4-3200"));
  EXPECT_EQ(o.memory.channels, 2u);
  EXPECT_EQ(load_machine("mixpe-128x128", {"energy=nangate45-lstp"}).energy,
            load_energy("nangate45-lstp"));
  EXPECT_EQ(load_machine("mixpe-128x128", {"memory.dram={base: ddr4-3200, channels: 2}"}), o);
}

TEST(Overrides, ReachTensorsByTarget) {
  const Recipe r =
      load_recipe("mixpe-w4a8", {"tensors.weight.group=32", "tensors.head.format=int6"});
  EXPECT_EQ(r[Target::weight].group, 32u);
  EXPECT_EQ(r[Target::weight].format, quant::Format::int4);
  EXPECT_EQ(r[Target::head].format, quant::Format::int6);
  EXPECT_EQ(
      load_recipe("fp32", {"tensors=[{target: weight, format: fp16}]"})[Target::weight].format,
      quant::Format::fp16);
}

TEST(Overrides, AreNamedInTheirFaults) {
  EXPECT_EQ(model_error(kModel, {"layers=0"}),
            "--set layers=0: layers: found '0'; expected a whole number from 1 to 1000");
  EXPECT_EQ(model_error(kModel, {"layrs=1"}),
            "--set layrs=1: layrs: unknown key 'layrs'; did you mean 'layers'?");
  EXPECT_EQ(model_error(kModel, {"kv_heads=3"}),
            "--set kv_heads=3: kv_heads: found 3; expected a divisor of heads, 4");
  EXPECT_EQ(model_error(kModel, {"layers.x=1"}),
            "--set layers.x=1: layers: found a map; expected a whole number from 1 to 1000");
  EXPECT_EQ(
      model_error(kModel, {"a.b.c=1"}),
      "--set a.b.c=1: a: unknown key 'a'; expected one of name, summary, source, layers, hidden, "
      "intermediate, experts, experts_per_token, heads, kv_heads, head_dim, vocab, max_positions, "
      "sliding_window, rope_theta, norm_epsilon, tied_embedding");
  for (const std::string bad : {"layers", "=1", "layers=", ""}) {
    EXPECT_EQ(model_error(kModel, {bad}), "--set " + bad + ": expected path.to.key=value");
  }
  EXPECT_EQ(model_error(kModel, {"a..b=1"}),
            "--set a..b=1: a..b: not a path of keys; expected path.to.key=value");
  EXPECT_EQ(model_error(kModel, {"layers=[1"}),
            "--set layers=[1:1:1: found a list or map where a name should be, or a bracket that is "
            "not closed");
  EXPECT_EQ(model_error(kModel, {"base=llama-2-7b"}).substr(0, 61),
            "--set base=llama-2-7b: base: unknown key 'base'; did you mean");
  EXPECT_EQ(
      error_of<EnergyTable>(show(load_energy("nangate45")), {"sram_points.bytes=1"}),
      "--set sram_points.bytes=1: sram_points.bytes: a list has no keys; set the list as a whole");
}

TEST(Overrides, AllFaultsOfAllOverridesAreReportedAtOnce) {
  EXPECT_EQ(model_error(kModel, {"layers=x", "heads", "vocab=-1"}),
            "--set heads: expected path.to.key=value\n"
            "--set layers=x: layers: found 'x'; expected a whole number from 1 to 1000\n"
            "--set vocab=-1: vocab: found '-1'; expected a whole number from 1 to 16777216");
}

}  // namespace
}  // namespace systole::configs
