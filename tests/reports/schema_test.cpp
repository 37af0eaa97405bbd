// JSON of results against reports/result.schema.json, the file that ships.
#include <gmock/gmock.h>

#include <fstream>

#include "reports/json.hpp"
#include "tests/reports/sample_results.hpp"
#include "tests/reports/schema_checker.hpp"

namespace systole::reports {
namespace {

using Json = nlohmann::json;
using ::testing::ElementsAre;
using ::testing::IsEmpty;

Json shipped_schema() {
  return Json::parse(std::ifstream(SYSTOLE_SOURCE_DIR "/reports/result.schema.json"));
}

TEST(ResultSchema, HoldsForEveryResult) {
  const Json schema = shipped_schema();
  for (const RunResult& r : {sample_small(), sample_7b(), sample_7b(SampleMachine::fp16)}) {
    EXPECT_THAT(schema_faults(schema, Json::parse(to_json(r))), IsEmpty())
        << "a new key belongs in reports/result.schema.json";
  }
}

TEST(ResultSchema, IsOfTheVersionThatIsWritten) {
  EXPECT_EQ(shipped_schema().at("properties").at("schema_version").at("enum"),
            Json::array({kJsonSchemaVersion}));
  EXPECT_EQ(Json::parse(to_json(RunResult{})).at("schema_version"), kJsonSchemaVersion);
}

TEST(ResultSchema, DescribesEveryFigureOfTheSummary) {
  for (const auto& [key, schema] :
       shipped_schema().at("properties").at("summary").at("properties").items()) {
    EXPECT_TRUE(schema.contains("description")) << key;
  }
}

TEST(ResultSchema, FindsWhatIsWrong) {
  const Json schema = shipped_schema(), good = Json::parse(to_json(sample_small()));
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

}  // namespace
}  // namespace systole::reports
