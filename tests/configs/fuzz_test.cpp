// Damaged files: whatever is done to the text, the reader returns a valid struct or throws
// ConfigError.
#include <gtest/gtest.h>

#include <cstdlib>
#include <random>
#include <string>
#include <vector>

#include "configs/library.hpp"
#include "configs/reader.hpp"
#include "configs/tree.hpp"
#include "sim/core/error.hpp"

namespace systole::configs {
namespace {

std::string pick(const std::vector<std::string>& words, std::mt19937& random) {
  return words[random() % words.size()];
}

/// One to four random edits: bytes flipped, inserted, removed, pieces copied, words of YAML dropped
/// in.
std::string mutate(std::string text, std::mt19937& random) {
  static const std::vector<std::string> kWords = {": ",
                                                  "- ",
                                                  "{",
                                                  "}",
                                                  "[",
                                                  "]",
                                                  "\n",
                                                  "\"",
                                                  "'",
                                                  "#",
                                                  "&a ",
                                                  "*a",
                                                  "!!x",
                                                  "---\n",
                                                  "...\n",
                                                  "? ",
                                                  "|\n",
                                                  ">\n",
                                                  "%YAML 9.9\n",
                                                  "\t",
                                                  "<<: ",
                                                  "base",
                                                  "010",
                                                  "1e9",
                                                  "-1",
                                                  "99999999999999999999",
                                                  "nan",
                                                  "0x7f",
                                                  "~",
                                                  "\xff\xfe",
                                                  "\xf0\x9f",
                                                  "\\x",
                                                  "\r",
                                                  "base: mixpe-128x128\n",
                                                  "base: hbm2-2.0\n",
                                                  "tensors: ",
                                                  "name: ",
                                                  "\xe2\x80\xa8"};
  const unsigned edits = 1 + random() % 4;
  for (unsigned e = 0; e < edits; ++e) {
    const std::size_t at = text.empty() ? 0 : random() % text.size();
    const std::size_t length = std::min<std::size_t>(1 + random() % 20, text.size() - at);
    switch (random() % 7) {
      case 0:
        if (!text.empty()) text[at] = static_cast<char>(random() % 256);
        break;
      case 1:
        text.insert(at, pick(kWords, random));
        break;
      case 2:
        text.erase(at, length);
        break;
      case 3:
        text.insert(at, text.substr(random() % (text.size() + 1), length));
        break;
      case 4:
        text.resize(at);
        break;
      case 5:
        text.replace(at, length, pick(kWords, random));
        break;
      default:
        text.insert(at, std::string(1 + random() % 300, "[{ -\n:"[random() % 6]));
        break;
    }
  }
  return text;
}

template <class Config>
void survive(const std::string& original, unsigned cases) {
  unsigned accepted = 0;
  for (unsigned seed = 0; seed < cases; ++seed) {
    std::mt19937 random(seed);
    const std::string text = mutate(original, random);
    try {
      const Config config = read_text<Config>(text, "fuzz.yaml");
      EXPECT_TRUE(problems(config).empty()) << "seed " << seed;
      EXPECT_EQ(read_text<Config>(show(config), "shown.yaml"), config) << "seed " << seed;
      ++accepted;
    } catch (const ConfigError& error) {
      EXPECT_NE(std::string(error.what()).find("fuzz.yaml"), std::string::npos)
          << "seed " << seed << ": " << error.what();
    }
  }
  EXPECT_GT(accepted, 0u) << "some edits fall into comments and texts";
  EXPECT_LT(accepted, cases);
}

TEST(Fuzz, DamagedModelsAreReadOrRefused) {
  survive<ModelShape>(read_text_file(path_of(Kind::model, "llama-2-7b")), 3000);
}
TEST(Fuzz, DamagedRecipesAreReadOrRefused) {
  survive<Recipe>(read_text_file(path_of(Kind::recipe, "mixpe-w4a8")), 3000);
}
TEST(Fuzz, DamagedDramsAreReadOrRefused) {
  survive<DramConfig>(read_text_file(path_of(Kind::dram, "hbm2-2.0")), 2000);
  survive<TierConfig>(read_text_file(path_of(Kind::tier, "ssd-nvme")), 2000);
  survive<MachineConfig>(read_text_file(path_of(Kind::machine, "edge-rram-tiered")), 200);
}
TEST(Fuzz, DamagedMachinesAreReadOrRefused) {
  survive<MachineConfig>(read_text_file(path_of(Kind::machine, "mixpe-16x16")), 600);
}
TEST(Fuzz, DamagedEnergyTablesAreReadOrRefused) {
  survive<EnergyTable>(read_text_file(path_of(Kind::energy, "nangate45")), 300);
}

TEST(Fuzz, DamagedPapersAreReadOrRefused) {
  survive<PaperConfig>(read_text_file(path_of(Kind::paper, "olive")), 500);
  survive<PaperConfig>(read_text_file(path_of(Kind::paper, "scale-sim")), 300);
}

TEST(Fuzz, DamagedOverridesAreAppliedOrRefused) {
  const std::string text = read_text_file(path_of(Kind::model, "llama-2-7b"));
  for (unsigned seed = 0; seed < 2000; ++seed) {
    std::mt19937 random(seed);
    const std::string override_text = mutate("layers=12", random);
    try {
      (void)read_text<ModelShape>(text, "fuzz.yaml", {override_text});
    } catch (const ConfigError& error) {
      EXPECT_NE(std::string(error.what()), "") << "seed " << seed;
    }
  }
}

}  // namespace
}  // namespace systole::configs
