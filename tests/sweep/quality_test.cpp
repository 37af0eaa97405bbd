// Sweeps with a perplexity and with two fidelities, end to end.
#include <gmock/gmock.h>

#include <cstdlib>
#include <string>

#include "tests/cli/process.hpp"

namespace systole::tests {
namespace {

using testing::HasSubstr;

constexpr const char* kStudy =
    "name: two\nsummary: a test\n"
    "base: {machine: mixpe-128x128, recipe: mixpe-w4a8, model: qwen3-0.6b, prefill: 64,\n"
    "       decode: 1, prompt: cached}\n"
    "fidelity: {screen: analytic, confirm: tile, points: 3}\n"
    "quality: {model: systole-kjv-3m, documents: 2}\n"
    "axes:\n"
    "  recipe: [mixpe-w4a8, w8a8]\n"
    "  machine.memory.dram.channels: [8, 16]\n"
    "  machine.array.cols: [64, 128]\n"
    "constraints: [perplexity <= 1000]\n"
    "objectives: [minimise: tpot_ms, minimise: perplexity]\n";

/// The first number behind `"name": ` and behind `place`.
double number_in(const std::string& json, const std::string& name, const std::string& place = "") {
  const std::size_t at = json.find("\"" + name + "\":", json.find(place));
  EXPECT_NE(at, std::string::npos) << name << " is not in " << json.substr(0, 400);
  return at == std::string::npos ? 0 : std::atof(json.c_str() + at + name.size() + 3);
}

TEST(SweepQuality, IsWhatEvalMeasuresAndTheSameOnEveryPathToTheFile) {
  const TemporaryFolder folder;
  const std::string file = folder.write("two.yaml", kStudy);
  std::string bytes;
  for (const char* jobs : {"1", "2"}) {
    const std::string out = folder.path(std::string("runs") + jobs);
    const Outcome outcome = run_systole("sweep " + file + " --out " + out + " --jobs " + jobs);
    ASSERT_EQ(outcome.exit_code, 0) << outcome.errors;
    EXPECT_THAT(outcome.output, HasSubstr("order of both timings, TPOT: Spearman"));
    EXPECT_THAT(outcome.output, HasSubstr("11 points computed"));  // 8 screened, 3 confirmed
    EXPECT_THAT(outcome.output, HasSubstr("3 simulated"));
    const std::string merged = folder.path(std::string("all") + jobs + ".h5");
    ASSERT_EQ(run_systole("sweep merge " + out + " --quiet --out " + merged).exit_code, 0);
    if (bytes.empty()) bytes = read_file(merged);
    EXPECT_EQ(read_file(merged), bytes);
  }
  const std::string json =
      run_systole("sweep export " + folder.path("all1.h5") + " --json -").output;
  const Outcome eval = run_systole("eval --recipe mixpe-w4a8 --limit 2 --quiet --json -");
  ASSERT_EQ(eval.exit_code, 0) << eval.errors;
  const double measured = number_in(eval.output, "perplexity");
  EXPECT_GT(measured, 1);
  EXPECT_DOUBLE_EQ(number_in(json, "perplexity", "\"points\": ["), measured)
      << "the first point has the first recipe";
  EXPECT_THAT(json, HasSubstr("perplexity of systole-kjv-3m on its own text"));
}

TEST(SweepQuality, FaultsAreOneMessageAndExitTwo) {
  const TemporaryFolder folder;
  std::string text = kStudy;
  text.replace(text.find("systole-kjv-3m"), 14, "llama-2-7b");
  Outcome outcome =
      run_systole("sweep " + folder.write("shape.yaml", text) + " --out " + folder.path("shape"));
  EXPECT_EQ(outcome.exit_code, 2);
  EXPECT_THAT(outcome.errors, HasSubstr("quality.text: missing"));
  text = kStudy;
  text.erase(text.find("quality:"), text.find("axes:") - text.find("quality:"));
  outcome =
      run_systole("sweep " + folder.write("none.yaml", text) + " --out " + folder.path("none"));
  EXPECT_EQ(outcome.exit_code, 2);
  EXPECT_THAT(outcome.errors, HasSubstr("quality: missing; expected the model whose perplexity"));
}

}  // namespace
}  // namespace systole::tests
