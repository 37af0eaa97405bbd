// JSON of results against reports/*.schema.json, the files that ship.
#include <gmock/gmock.h>

#include <cmath>

#include "reports/equal_area.hpp"
#include "reports/json.hpp"
#include "reports/kv_comparison.hpp"
#include "reports/paper.hpp"
#include "reports/recipe_table.hpp"
#include "reports/sweep.hpp"
#include "tests/reports/sample_results.hpp"
#include "tests/reports/schema_checker.hpp"

namespace systole::reports {
namespace {

using Json = nlohmann::json;
using ::testing::ElementsAre;
using ::testing::EndsWith;
using ::testing::IsEmpty;

Json result_schema() { return shipped_schema("result.schema.json"); }

TEST(ResultSchema, HoldsForEveryResult) {
  const Json schema = result_schema();
  for (const RunResult& r : {sample_small(), sample_7b(), sample_7b(SampleMachine::fp16)}) {
    EXPECT_THAT(schema_faults(schema, Json::parse(to_json(r))), IsEmpty())
        << "a new key belongs in reports/result.schema.json";
  }
}

TEST(ResultSchema, IsOfTheVersionThatIsWritten) {
  EXPECT_EQ(result_schema().at("properties").at("schema_version").at("enum"),
            Json::array({kJsonSchemaVersion}));
  EXPECT_EQ(Json::parse(to_json(RunResult{})).at("schema_version"), kJsonSchemaVersion);
}

TEST(ResultSchema, DescribesEveryFigureOfTheSummary) {
  for (const auto& [key, schema] :
       result_schema().at("properties").at("summary").at("properties").items()) {
    EXPECT_TRUE(schema.contains("description")) << key;
  }
}

TEST(ResultSchema, FindsWhatIsWrong) {
  const Json schema = result_schema(), good = Json::parse(to_json(sample_small()));
  const auto faults = [&](const auto& change) {
    Json bad = good;
    change(bad);
    return schema_faults(schema, bad);
  };
  EXPECT_THAT(faults([](Json& j) { j["summary"].erase("cycles"); }),
              ElementsAre("$.summary.cycles: missing"));
  EXPECT_THAT(faults([](Json& j) { j["summary"]["cycles"] = 1.5; }),
              ElementsAre("$.summary.cycles: is no \"integer\""));
  EXPECT_THAT(faults([](Json& j) { j["summary"]["seed"] = -1; }),
              ElementsAre("$.summary.seed: below 0"));
  EXPECT_THAT(faults([](Json& j) { j["components"][0]["colour"] = "red"; }),
              ElementsAre("$.components[0].colour: not in the schema"));
  EXPECT_THAT(faults([](Json& j) { j["operations"][1]["phase"] = "training"; }),
              ElementsAre("$.operations[1].phase: is none of [\"prefill\",\"decode\"]"));
  EXPECT_THAT(faults([](Json& j) { j["schema_version"] = 2; }).size(), 1u);
}

/// A kind of document that is no single run.
struct Kind {
  std::string schema;  ///< its file
  std::uint64_t version = 0;
  Json document;                    ///< with every member that there can be
  std::vector<std::string> places;  ///< of objects whose members are all required
  std::string run;                  ///< place of a run inside, empty without one
};

Kind several_results() {
  const std::vector<RunResult> results = {sample_small(), sample_7b(SampleMachine::fp16)};
  return {"results.schema.json",
          kResultsJsonSchemaVersion,
          Json::parse(to_json(results)),
          {""},
          "/results/0"};
}

Kind paper() {
  PaperResult result{"p", "A paper", "a source", "Table 1", "a note", 0, {}};
  for (const char* network : {"net", "mean"}) {
    PaperRow& row = result.rows.emplace_back();
    row.network = network;
    row.machine = "ours";
    row.metric = "time";
    row.published = row.reproduced = "0.20";
    row.reproduced_value = 0.2013;
    row.equal = true;
    row.mean = row.network == "mean";
  }
  result.rows[0].tile_timing = 0.25;
  return {"paper.schema.json",
          kPaperJsonSchemaVersion,
          Json::parse(paper_to_json(result)),
          {"", "/summary", "/rows/0", "/rows/1"},
          ""};
}

Kind recipe_table() {
  RecipeTable table;
  table.reference.recipe = "fp32";
  table.reference.perplexity = 10;
  table.rows.resize(3);
  table.rows[0].perplexity = 10.5;
  table.rows[0].kl = 0.01;
  table.rows[2].refusal = "heads of 48 channels";
  return {"recipe_table.schema.json",
          kRecipeTableJsonSchemaVersion,
          Json::parse(recipe_table_to_json(table)),
          {"", "/summary", "/rows/0", "/rows/1", "/rows/2"},
          ""};
}

Kind equal_area() {
  EqualAreaResult result;
  result.reference_perplexity = 10.7;
  result.notes = {{"bars", "what they span"}};
  for (const char* pe : {"mixpe-w4a8", "int8-mac"}) {
    EqualAreaRow& row = result.rows.emplace_back();
    row.pe = pe;
    row.run = sample_7b();
  }
  EqualAreaRow& row = result.rows[0];
  row.quality = Quality{10.8, 2.38, 100, "text"};
  row.prefill.tokens = 2048;
  row.prefill.time_ms = {317, {300, 333}, {317, 317}};
  row.prefill.utilisation = 0.4;
  row.profiles = {{"asap7", 7, 0.71, 0.84, false, "a synthesis"},
                  {"another", 45, std::nullopt, std::nullopt, true, "a paper"}};
  return {"equal_area.schema.json",
          kEqualAreaJsonSchemaVersion,
          Json::parse(equal_area_to_json(result)),
          {"", "/summary", "/rows/0", "/rows/0/prefill", "/rows/0/profiles/1", "/rows/1"},
          "/rows/0/run"};
}

Kind kv_comparison() {
  KvComparisonResult result;
  result.systems = {"kivi2"};
  result.machines = {"m"};
  result.batches = {1, 8};
  result.notes = {{"what binds", "most of the cycles"}};
  for (const std::uint64_t batch : result.batches) {
    KvPoint& point = result.points.emplace_back();
    point.kv = "kivi2";
    point.machine = "m";
    point.batch = batch;
    point.steps = 2;
    point.run = sample_7b();
  }
  result.points[0].stages = {{"unpack", 100, 10}};
  return {"kv_comparison.schema.json",
          kKvComparisonJsonSchemaVersion,
          Json::parse(kv_comparison_to_json(result)),
          {"", "/summary", "/points/0", "/points/0/stages/unpack", "/points/0/cycles_by_resource",
           "/points/1"},
          "/points/0/run"};
}

/// Two timings of two arrays, of which one is too large to be built.
Kind sweep() {
  SweepResult result;
  result.base = {{"machine", "mixpe-128x128"}};
  result.axes = {{"timing", "", {"analytic", "tile"}, false, true},
                 {"array.rows", "", {"64", "128", "256"}, true}};
  result.derived = {"machine.dequantiser.lanes"};
  result.conditions = {"machine.array.rows <= 256"};
  result.constraints = {"area_mm2 <= 60"};
  result.objectives = {{"tpot_ms", false}, {"tops_per_watt", true}};
  std::vector<SweepPoint> points;
  for (std::uint32_t id = 0; id < 6; ++id) {
    SweepPoint& point = points.emplace_back();
    point.id = id;
    point.axis = {id / 3, id % 3};
    point.derived = {NAN};
    point.record.figures.fill(NAN);
    point.violations = {0};
    if (id % 3 == 2) {
      point.record.status = PointStatus::refused;
      point.record.message = "too large";
      continue;
    }
    point.record.figures.at(find_figure("tpot_ms")) = 10.0 + id;
    point.record.figures.at(find_figure("tops_per_watt")) = 1.0 + id;
  }
  result.points = std::make_shared<ListedPoints>(points);
  std::string text;
  sweep_to_json(result, summarise(result), [&](std::string_view piece) { text += piece; });
  return {"sweep.schema.json",
          kSweepJsonSchemaVersion,
          Json::parse(text),
          {"", "/fidelity/0", "/axes/0", "/figures/0", "/effects/tpot_ms/1", "/points/0",
           "/points/0/figures", "/points/2"},
          ""};
}

std::vector<Kind> kinds() {
  return {several_results(), paper(), recipe_table(), equal_area(), kv_comparison(), sweep()};
}

TEST(Schemas, HoldForTheirDocuments) {
  for (const Kind& kind : kinds()) {
    EXPECT_THAT(schema_faults(shipped_schema(kind.schema), kind.document), IsEmpty())
        << "a new key belongs in reports/" << kind.schema;
  }
}

TEST(Schemas, AreOfTheVersionThatIsWritten) {
  for (const Kind& kind : kinds()) {
    SCOPED_TRACE(kind.schema);
    EXPECT_EQ(shipped_schema(kind.schema).at("properties").at("schema_version").at("enum"),
              Json::array({kind.version}));
    EXPECT_EQ(kind.document.at("schema_version"), kind.version);
  }
}

/// Calls `visit` with the name and the schema of every member that `schema` names.
template <class Visit>
void each_member(const Json& schema, const Visit& visit) {
  if (!schema.is_structured()) return;
  for (const auto& [keyword, inner] : schema.items()) {
    if (schema.is_object() && keyword == "properties") {
      for (const auto& [name, member] : inner.items()) visit(name, member);
    }
    each_member(inner, visit);
  }
}

TEST(Schemas, DescribeEveryMember) {
  for (const Kind& kind : kinds()) {
    each_member(shipped_schema(kind.schema), [&](const std::string& name, const Json& member) {
      EXPECT_TRUE(member.contains("description")) << name << " in " << kind.schema;
    });
  }
}

TEST(Schemas, FindWhatIsMissingOrUnknown) {
  for (const Kind& kind : kinds()) {
    const Json schema = shipped_schema(kind.schema);
    for (const std::string& place : kind.places) {
      SCOPED_TRACE(kind.schema + ": " + place);
      const Json::json_pointer at(place);
      for (const auto& [name, value] : kind.document.at(at).items()) {
        Json missing = kind.document;
        missing.at(at).erase(name);
        EXPECT_THAT(schema_faults(schema, missing),
                    ElementsAre(EndsWith("." + name + ": missing")));
      }
      Json unknown = kind.document;
      unknown.at(at)["colour"] = "red";
      EXPECT_THAT(schema_faults(schema, unknown),
                  ElementsAre(EndsWith(".colour: not in the schema")));
    }
  }
}

TEST(Schemas, HoldTheRunsInADocumentToTheRunsOwn) {
  for (const Kind& kind : kinds()) {
    if (kind.run.empty()) continue;
    Json bad = kind.document;
    bad.at(Json::json_pointer(kind.run))["summary"].erase("cycles");
    EXPECT_THAT(schema_faults(shipped_schema(kind.schema), bad),
                ElementsAre(EndsWith(".summary.cycles: missing")));
  }
}

}  // namespace
}  // namespace systole::reports
