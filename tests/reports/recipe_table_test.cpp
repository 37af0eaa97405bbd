// Recipes side by side on the terminal, as page, JSON and CSV: well-formed, escaped, and the same
// everywhere; which of them no other beats.
#include "reports/recipe_table.hpp"

#include <gmock/gmock.h>

#include <nlohmann/json.hpp>
#include <sstream>

#include "html_checker.hpp"
#include "reports/format.hpp"

namespace systole::reports {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::Not;

RecipeRow row_of(const std::string& recipe, double bits_per_weight, double bits_per_kv,
                 double perplexity) {
  RecipeRow row;
  row.recipe = recipe;
  row.summary = "what " + recipe + " does";
  row.weights = bits_per_weight < 32;
  row.cache = bits_per_kv < 32;
  row.perplexity = perplexity;
  row.nll = 2.5;
  row.bits_per_weight = bits_per_weight;
  row.bits_per_kv = bits_per_kv;
  row.weight_bytes = bits_per_weight * 1e6;
  row.kv_bytes_per_token = bits_per_kv * 100;
  return row;
}

RecipeTable sample() {
  RecipeTable table;
  table.model = "a model";
  table.text = "a text";
  table.texts = 2;
  table.tokens = 300;
  table.kv_tokens = 64;
  table.reference = row_of("fp32", 32, 32, 10);
  table.rows = {row_of("w8", 8.1, 32, 10.01), row_of("w4", 4.1, 32, 10.09),
                row_of("w4-worse", 4.5, 32, 11), row_of("w2", 2.1, 32, 300),
                row_of("kv4", 32, 4.5, 10.02)};
  table.rows[0].kl = 0.01;
  table.rows.push_back(row_of("strange", 3, 32, 0));
  table.rows.back().refusal = "heads of 48 channels";
  return table;
}

std::vector<std::string> names(const std::vector<const RecipeRow*>& rows) {
  std::vector<std::string> result;
  for (const RecipeRow* row : rows) result.push_back(row->recipe);
  return result;
}

TEST(RecipeTable, ItsFrontIsWhatNoOtherBeatsInBoth) {
  const RecipeTable table = sample();
  EXPECT_THAT(names(front_of(table, &RecipeRow::weights, &RecipeRow::bits_per_weight)),
              ElementsAre("w2", "w4", "w8"));
  EXPECT_THAT(names(front_of(table, &RecipeRow::cache, &RecipeRow::bits_per_kv)),
              ElementsAre("kv4"));
  const auto smallest = [&](double change) {
    return smallest_within(table, &RecipeRow::weights, &RecipeRow::bits_per_weight, change);
  };
  EXPECT_EQ(smallest(0.01)->recipe, "w4");
  EXPECT_EQ(smallest(0.005)->recipe, "w8");
  EXPECT_EQ(smallest(0.0001), nullptr);
}

TEST(RecipeTable, KeepsToTheWidthOfTheTerminalAndSortsByPerplexity) {
  for (const unsigned width : {60u, 80u, 133u}) {
    std::istringstream lines(recipe_table_to_terminal(sample(), false, width));
    for (std::string line; std::getline(lines, line);)
      EXPECT_LE(display_width(line), width) << line;
  }
  const std::string text = recipe_table_to_terminal(sample(), false, 100);
  EXPECT_LT(text.find("\nw8 "), text.find("\nkv4 "));
  EXPECT_LT(text.find("\nw4-worse "), text.find("\nw2 "));
  EXPECT_THAT(text, HasSubstr("strange: heads of 48 channels"));
  EXPECT_THAT(text, HasSubstr("w4 with 4.10 bits a weight (+0.900 %)"));
  EXPECT_THAT(text, Not(HasSubstr("\x1b")));
  EXPECT_THAT(recipe_table_to_terminal(sample(), true, 100), HasSubstr("\x1b["));
}

TEST(RecipeTable, MakesAWellFormedPageThatLoadsNothing) {
  const std::string page = recipe_table_to_html(sample());
  EXPECT_EQ(html_fault(page), "");
  EXPECT_EQ(html_fault(recipe_table_to_html(RecipeTable{})), "");
  RecipeTable one = sample();
  one.rows.resize(1);
  EXPECT_EQ(html_fault(recipe_table_to_html(one)), "");
  EXPECT_EQ(html_load(page), "");
  const std::string text = html_text(page);
  for (const char* shown : {"w4-worse", "+0.900 %", "4.10", "450 B", "heads of 48 channels"})
    EXPECT_THAT(text, HasSubstr(shown));
  EXPECT_THAT(page, HasSubstr("data-view=\"within 25 %\"")) << "w2 would press the others flat";
}

TEST(RecipeTable, APageHasEachRecipeAndItsSource) {
  RecipeTable table = sample();
  EXPECT_THAT(recipe_table_to_html(table), Not(HasSubstr("Recipes and their sources")));
  table.rows[1].source = "a paper's table 3";
  table.rows[1].config = {{"name", "w4"}, {"tensors.weight.group", "128"}};
  const std::string page = recipe_table_to_html(table);
  EXPECT_EQ(html_fault(page), "");
  EXPECT_THAT(html_text(page), HasSubstr("Source: a paper's table 3"));
  EXPECT_THAT(html_text(page), HasSubstr("tensors.weight.group"));
}

TEST(RecipeTable, EscapesTexts) {
  const std::string evil = "<script>alert(1)</script>\"'&";
  RecipeTable table = sample();
  table.model = table.text = table.command = evil;
  for (RecipeRow& row : table.rows) row.recipe = row.summary = evil;
  table.rows.back().refusal = evil;
  const std::string page = recipe_table_to_html(table);
  EXPECT_EQ(html_fault(page), "");
  EXPECT_THAT(page, Not(HasSubstr("alert(1)</script>")));
}

TEST(RecipeTable, WritesTheSameRowsAsJsonAndCsv) {
  const auto json = nlohmann::json::parse(recipe_table_to_json(sample()));
  ASSERT_EQ(json["rows"].size(), 6u);
  EXPECT_EQ(json["summary"]["reference_perplexity"], 10);
  EXPECT_EQ(json["rows"][1]["stored_bits_per_weight"], 4.1);
  EXPECT_NEAR(json["rows"][1]["perplexity_change"].get<double>(), 0.009, 1e-12);
  EXPECT_TRUE(json["rows"][5]["perplexity"].is_null());
  EXPECT_EQ(json["rows"][0]["kl_divergence"], 0.01);
  EXPECT_TRUE(json["rows"][1]["kl_divergence"].is_null());
  EXPECT_EQ(json["rows"][5]["note"], "heads of 48 channels");
  const std::string csv = recipe_table_to_csv(sample());
  EXPECT_THAT(csv, HasSubstr("recipe,weights,activations,kv_cache,stored_bits_per_weight,"));
  EXPECT_THAT(csv, HasSubstr("\r\nkv4,false,false,true,32,4.5,32000000,450,2.5,10.02,"));
  EXPECT_THAT(csv, HasSubstr("\r\nstrange,true,false,false,,,,,,,,,heads of 48 channels\r\n"));
}

}  // namespace
}  // namespace systole::reports
