// The shipped library: everything in it loads, is possible, and prints to a text that reads back.
#include "configs/library.hpp"

#include <gtest/gtest.h>

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
TEST(Library, ShipsRecipesThatLoadAndRoundTrip) {
  expect_all_load_and_round_trip<Recipe>(Kind::recipe, load_recipe);
}
TEST(Library, ShipsModelsThatLoadAndRoundTrip) {
  expect_all_load_and_round_trip<ModelShape>(Kind::model, load_model_shape);
}
TEST(Library, ShipsDramsThatLoadAndRoundTrip) {
  expect_all_load_and_round_trip<DramConfig>(Kind::dram, load_dram);
}
TEST(Library, ShipsEnergyTablesThatLoadAndRoundTrip) {
  expect_all_load_and_round_trip<EnergyTable>(Kind::energy, load_energy);
}

}  // namespace
}  // namespace systole::configs
