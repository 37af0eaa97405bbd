#include "reports/json.hpp"

#include <gmock/gmock.h>

#include <bit>
#include <cmath>
#include <limits>
#include <nlohmann/json.hpp>

#include "reports/csv.hpp"
#include "reports/format.hpp"
#include "reports/views.hpp"
#include "tests/reports/random_result.hpp"
#include "tests/reports/sample_results.hpp"

namespace systole::reports {
namespace {

using Json = nlohmann::ordered_json;
using ::testing::HasSubstr;
using ::testing::StartsWith;

Json parsed(const RunResult& r) { return Json::parse(to_json(r)); }

TEST(Json, SummaryHasTheKeysThatScriptsDependOn) {
  for (const RunResult& r : {sample_small(), sample_7b(), RunResult{}}) {
    const Json summary = parsed(r).at("summary");
    for (const char* key : {"perplexity", "ttft_ms", "tpot_ms", "cycles", "energy_pj", "area_mm2",
                            "machine", "recipe", "model", "nll", "tokens"}) {
      EXPECT_TRUE(summary.contains(key)) << key;
    }
  }
}

TEST(Json, SummaryEqualsTheResultToTheLastBit) {
  const RunResult r = sample_small();
  const Json s = parsed(r).at("summary");
  EXPECT_EQ(s.at("perplexity").get<double>(), r.quality->perplexity);
  EXPECT_EQ(s.at("nll").get<double>(), r.quality->nll);
  EXPECT_EQ(s.at("kl_divergence").get<double>(), r.quality->kl);
  EXPECT_EQ(s.at("tokens").get<std::uint64_t>(), r.quality->tokens);
  EXPECT_EQ(s.at("ttft_ms").get<double>(), r.ttft_ms);
  EXPECT_EQ(s.at("tpot_ms").get<double>(), *r.tpot_ms);
  EXPECT_EQ(s.at("cycles").get<std::uint64_t>(), r.cycles);
  EXPECT_EQ(s.at("energy_pj").get<double>(), r.energy_pj);
  EXPECT_EQ(s.at("area_mm2").get<double>(), r.area_mm2);
  EXPECT_EQ(s.at("machine").get<std::string>(), r.machine);
  EXPECT_EQ(s.at("utilisation").get<double>(), *r.utilisation());
  EXPECT_EQ(s.at("bandwidth_share").get<double>(), *r.bandwidth_share());
  EXPECT_EQ(s.at("tokens_per_joule").get<double>(), *r.tokens_per_joule());
  EXPECT_EQ(s.at("tops_per_watt").get<double>(), *r.tops_per_watt());
  EXPECT_EQ(s.at("tops_per_mm2").get<double>(), *r.tops_per_mm2());
  EXPECT_EQ(s.at("dram_bytes").get<std::uint64_t>(), r.total_dram_bytes());
}

TEST(Json, PrintsBandsOfPartsAndTheRangeOfTheWhole) {
  RunResult r = sample_small();
  r.components.front().energy_band = 0.25;
  r.components.front().dynamic_high_pj = 2 * r.components.front().dynamic_pj;
  const Json root = parsed(r);
  const Json& part = root.at("components").at(0);
  EXPECT_EQ(part.at("energy_band").get<double>(), 0.25);
  EXPECT_EQ(part.at("area_band").get<double>(), 0);
  EXPECT_EQ(part.at("dynamic_high_pj").get<double>(), 2 * part.at("dynamic_pj").get<double>());
  EXPECT_EQ(root.at("summary").at("energy_low_pj").get<double>(), r.energy_range_pj().low);
  EXPECT_EQ(root.at("summary").at("energy_high_pj").get<double>(), r.energy_range_pj().high);
  EXPECT_LT(r.energy_range_pj().low, r.energy_pj);
}

TEST(Json, AbsentFiguresAreNull) {
  RunResult r = sample_7b();
  r.tpot_ms.reset();
  const Json s = parsed(r).at("summary");
  for (const char* key : {"perplexity", "nll", "tokens", "tpot_ms", "tokens_per_second"}) {
    EXPECT_TRUE(s.at(key).is_null()) << key;
  }
}

TEST(Json, NotFiniteFiguresAreNull) {
  RunResult r = sample_small();
  r.ttft_ms = std::numeric_limits<double>::quiet_NaN();
  r.energy_pj = std::numeric_limits<double>::infinity();
  r.operations[0].energy_pj["dram"] = -std::numeric_limits<double>::infinity();
  const Json json = parsed(r);
  EXPECT_TRUE(json.at("summary").at("ttft_ms").is_null());
  EXPECT_TRUE(json.at("summary").at("energy_pj").is_null());
  EXPECT_TRUE(json.at("operations").at(0).at("energy_pj").at("dram").is_null());
}

TEST(Json, HoldsTheMappingsEstimateAgainstTheSimulation) {
  for (const Json& row : parsed(sample_7b()).at("operations")) {
    const Json& mapping = row.at("mapping");
    ASSERT_EQ(mapping.is_null(), row.at("kind") != "gemm");
    if (mapping.is_null()) continue;
    EXPECT_EQ(mapping.at("chosen").at("tile").at("k"), row.at("k"));
    EXPECT_EQ(mapping.at("simulated_cycles"), row.at("cycles"));
    EXPECT_LE(mapping.at("estimated_cycles"), row.at("cycles"));
    EXPECT_EQ(mapping.at("runner_up").at("tile").at("n"), 256);
  }
}

TEST(Json, OperationsAndComponentsSumToTheSummary) {
  const Json json = parsed(sample_7b());
  std::uint64_t cycles = 0, causes = 0, bytes = 0;
  for (const Json& row : json.at("operations")) {
    cycles += row.at("cycles").get<std::uint64_t>();
    for (const Json& cause : row.at("cycles_by_cause")) causes += cause.get<std::uint64_t>();
    for (const char* direction : {"dram_read_bytes", "dram_write_bytes"}) {
      for (const Json& part : row.at(direction)) bytes += part.get<std::uint64_t>();
    }
  }
  EXPECT_EQ(cycles, json.at("summary").at("cycles").get<std::uint64_t>());
  EXPECT_EQ(causes, cycles);
  EXPECT_EQ(bytes, json.at("summary").at("dram_bytes").get<std::uint64_t>());
  double energy = 0;
  for (const Json& part : json.at("components")) {
    energy += part.at("dynamic_pj").get<double>() + part.at("static_pj").get<double>();
  }
  EXPECT_NEAR(energy / json.at("summary").at("energy_pj").get<double>(), 1, 1e-12);
}

TEST(Json, KeepsItsOrderAndItsBytes) {
  EXPECT_EQ(to_json(sample_7b()), to_json(sample_7b()));
  const std::string text = to_json(sample_7b());
  EXPECT_THAT(text, StartsWith("{\n  \"summary\": {\n    \"machine\": \"mixpe-128x128\",\n"));
  std::size_t at = 0;
  for (const char* key : {"\n  \"summary\"", "\n  \"operations\"", "\n  \"components\"",
                          "\n  \"events\"", "\n  \"config\"", "\n  \"notes\""}) {
    const std::size_t found = text.find(key);
    ASSERT_NE(found, std::string::npos) << key;
    EXPECT_GE(found, at);
    at = found;
  }
}

TEST(Json, ParsesForRandomResults) {
  for (std::uint64_t seed = 1; seed <= 150; ++seed) {
    const RunResult r = RandomResult(seed)();
    const Json json = parsed(r);
    EXPECT_EQ(json.at("operations").size(), r.operations.size()) << "seed " << seed;
    if (std::isfinite(r.area_mm2)) {
      EXPECT_EQ(std::bit_cast<std::uint64_t>(json.at("summary").at("area_mm2").get<double>()),
                std::bit_cast<std::uint64_t>(r.area_mm2))
          << "seed " << seed;
    }
  }
}

/// What JSON says, formatted, is what the terminal and the page print.
TEST(Json, AgreesWithTheHeadlineOfTerminalAndPage) {
  const RunResult r = sample_small();
  const Json s = parsed(r).at("summary");
  const std::vector<Figure> figures = headline(r);
  const auto real = [&](const char* key) { return s.at(key).get<double>(); };
  ASSERT_EQ(figures.size(), 8u);
  EXPECT_EQ(figures[0].value, number(real("perplexity"), 4));
  EXPECT_EQ(figures[1].value, format_time_ms(real("ttft_ms")));
  EXPECT_EQ(figures[2].value, format_time_ms(real("tpot_ms")));
  EXPECT_EQ(figures[3].value, format_energy_pj(real("energy_pj")));
  EXPECT_EQ(figures[4].value, format_area_mm2(real("area_mm2")));
  EXPECT_EQ(figures[5].value, format_share(real("utilisation")));
  EXPECT_EQ(figures[6].value, format_share(real("bandwidth_share")));
  EXPECT_EQ(figures[7].value, format_count(real("cycles")));
}

TEST(Csv, HasOneLineARowAndUnitsInItsHeader) {
  const RunResult r = sample_small();
  const std::string csv = operations_to_csv(r);
  EXPECT_EQ(static_cast<std::size_t>(std::count(csv.begin(), csv.end(), '\n')),
            r.operations.size() + 1);
  EXPECT_THAT(csv, StartsWith("phase,name,kind,repeats,m,n,k,"));
  EXPECT_THAT(csv, HasSubstr(",compute_cycles,fill_drain_cycles,"));
  EXPECT_THAT(csv, HasSubstr(",dram_read_weights_bytes,"));
  EXPECT_THAT(csv, HasSubstr(",energy_array_pj,energy_dequantiser_pj,"));
  EXPECT_THAT(csv, HasSubstr("\r\nprefill,attn_q,gemm,6,256,288,288,int4 g128,int8 token,"));
}

TEST(Csv, QuotesWhatNeedsIt) {
  RunResult r;
  r.operations.emplace_back().name = "a,\"b\"\nc";
  EXPECT_THAT(operations_to_csv(r), HasSubstr("\r\n,\"a,\"\"b\"\"\nc\",,"));
}

TEST(Views, MergesRowsOfEqualNameWithoutLosingAnything) {
  RunResult r = sample_7b();
  OperationRow layer = r.operations[2];
  layer.bound = "scratchpad";
  layer.weight_format = "fp16";
  layer.cycles += 1;  // the dearer of the two names the bound
  r.operations.push_back(layer);
  const std::vector<OperationRow> rows = merged_operations(r, "prefill");
  std::uint64_t expected = 0;
  for (const OperationRow& row : r.operations) expected += row.phase == "prefill" ? row.cycles : 0;
  EXPECT_EQ(cycles_of(rows), expected);
  EXPECT_EQ(rows.size(), 17u);
  EXPECT_EQ(rows[2].repeats, 64u);
  EXPECT_EQ(rows[2].bound, "scratchpad");
  EXPECT_EQ(rows[2].weight_format, "mixed");
  EXPECT_EQ(rows[2].m, 2048u);
}

TEST(Samples, SumUp) {
  for (const SampleMachine machine :
       {SampleMachine::mixpe_w4a8, SampleMachine::int8, SampleMachine::fp16}) {
    EXPECT_NO_THROW(sample_7b(machine).check_sums());
    EXPECT_NO_THROW(sample_small(machine).check_sums());
  }
}

}  // namespace
}  // namespace systole::reports
