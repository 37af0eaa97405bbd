// A program stepped on the embedded model's own operands, and what a tile is expected to do to
// them.
#include <gmock/gmock.h>

#include <cmath>
#include <nlohmann/json.hpp>

#include "pe/design.hpp"
#include "sim/core/random.hpp"
#include "sim/system/pass_kinds.hpp"
#include "tests/system/machines.hpp"
#include "workloads/captured_operands.hpp"
#include "workloads/model.hpp"
#include "workloads/observations.hpp"

namespace systole::tests {
namespace {

using nlohmann::json;
using ::testing::HasSubstr;
using ::testing::Not;

constexpr std::uint64_t kPrompt = 6;

const workloads::LlamaModel& embedded() {
  static const workloads::LlamaModel model =
      workloads::load_model(SYSTOLE_SOURCE_DIR "/workloads/embedded/systole-kjv-3m.gguf");
  return model;
}

std::vector<std::uint32_t> prompt() {
  auto ids = embedded().tokenizer->encode("In the beginning God created the heaven and", true);
  ids.resize(kPrompt);
  return ids;
}

struct Setting {
  std::string machine, recipe, pe;
  std::vector<std::string> overrides{};

  configs::MachineConfig config() const {
    std::vector<std::string> all = overrides;
    all.push_back("array.pe=" + pe);
    return configs::load_machine(machine, all);
  }
  configs::Recipe policies() const { return configs::load_recipe(recipe); }
  std::uint32_t chunk() const {
    const auto array = config().array;
    return array.dataflow == configs::Dataflow::output_stationary ? 0 : array.rows;
  }
  workloads::FunctionalExecutor executor() const {
    return workloads::FunctionalExecutor(embedded(), policies(), 1, workloads::Kernels::fast,
                                         chunk());
  }
  workloads::Program program() const {
    return workloads::lower(embedded().shape, policies(), kPrompt, 1);
  }
};

json run(const Setting& setting, sim::Timing timing, workloads::OperandSource* operands,
         bool reuse = true, std::optional<Observations> seen = std::nullopt) {
  sim::SimulateOptions options;
  options.reuse = reuse;
  options.timing = timing;
  options.operands = operands;
  options.observations = std::move(seen);
  const std::string text = simulate_in_child(setting.program(), setting.config(), options);
  if (!text.starts_with("{")) {
    ADD_FAILURE() << setting.pe << ": " << text;
    return {};
  }
  return json::parse(text);
}

json on_model(const Setting& setting, bool reuse = true) {
  auto executor = setting.executor();
  workloads::CapturedOperands operands(executor, prompt());
  return run(setting, sim::Timing::pe, &operands, reuse);
}

std::uint64_t event(const json& result, const std::string& name) {
  return result.at("events").value(name, std::uint64_t{0});
}

double array_pj(const json& result) {
  for (const json& part : result.at("components")) {
    if (part.at("name") == "array") return part.at("dynamic_pj");
  }
  return 0;
}

std::uint64_t passes(const json& result) {
  std::uint64_t sum = 0;
  for (const char* kind : {"", "_zero", "_hold", "_traced"}) {
    sum += event(result, std::string("array.mac_pass") + kind);
  }
  return sum;
}

const std::vector<Setting>& settings() {
  static const std::vector<Setting> all = {
      {"mixpe-16x16", "w8a8", "int8-mac"},
      {"mixpe-16x16", "w8a8", "int8-mac", {"array.dataflow=input_stationary"}},
      {"mixpe-32x32-os", "mixpe-w4a8", "mixpe-w4a8"},
      {"mixpe-16x16", "mixpe-w4a8", "mixpe-w4a8"},
      {"mixpe-16x16", "mixpe-w4a8-zp", "mixpe-w4a8"},
      {"mixpe-16x16", "olive-w4a4-kv8", "olive"},
      {"mixpe-16x16", "ant-w4a4-kv8", "ant"},
      {"mixpe-16x16", "w8a8", "stripes", {"clock_mhz=190"}},
      {"mixpe-16x16", "w8a8", "bitfusion", {"clock_mhz=190"}},
      {"mixpe-16x16", "fp16", "fp16-mac", {"clock_mhz=190"}},
      {"mixpe-16x16", "w4a16", "fp16-mac", {"clock_mhz=190"}},
  };
  return all;
}

TEST(ModelOperands, GiveTheExecutorsOutputsInTheCyclesOfTheTileTiming) {
  for (const Setting& setting : settings()) {
    SCOPED_TRACE(setting.pe + " " + setting.recipe);
    const json stepped = on_model(setting);
    if (stepped.is_null()) continue;
    const std::string on = stepped["notes"]["stepped operands"];
    EXPECT_THAT(on, HasSubstr("model: systole-kjv-3m under " + setting.recipe));
    EXPECT_THAT(on, HasSubstr("attention.context"));
    EXPECT_THAT(on, Not(HasSubstr("random codes")));
    // Integer sums were put through the dequantiser and compared; that throws when they differ.
    const bool integer = setting.pe != "fp16-mac";
    const std::string timing = stepped["notes"]["timing"];
    EXPECT_EQ(timing.find("; 0 outputs") == std::string::npos, integer) << timing;
    const json tiled = run(setting, sim::Timing::tile, nullptr);
    EXPECT_EQ(stepped["summary"]["cycles"], tiled["summary"]["cycles"]);
    EXPECT_EQ(passes(stepped), passes(tiled));
  }
}

TEST(ModelOperands, ReusedTimesChangeNoFigure) {
  const Setting setting{"mixpe-16x16", "w8a8", "int8-mac"};
  EXPECT_EQ(on_model(setting, true), on_model(setting, false));
}

TEST(ModelOperands, DecideTheCyclesOfDataDependentDesigns) {
  const Setting setting{"mixpe-32x32-os", "w8a8", "olaccel", {"energy=legacy-ant"}};
  const json stepped = on_model(setting);
  const json random = run(setting, sim::Timing::pe, nullptr);
  ASSERT_FALSE(stepped.is_null() || random.is_null());
  EXPECT_NE(stepped["summary"]["cycles"], random["summary"]["cycles"]);
  EXPECT_THAT(random["notes"]["stepped operands"].get<std::string>(), HasSubstr("random codes"));
  // The tile timing expects about the same stalls from what the run saw: outliers as independent,
  // attention's as those of the linear layers.
  auto executor = setting.executor();
  const json tiled =
      run(setting, sim::Timing::tile, nullptr, true, workloads::observe(executor, prompt()));
  const json blind = run(setting, sim::Timing::tile, nullptr);
  const auto error = [&](const json& result) {
    return std::abs(result["summary"]["cycles"].get<double>() /
                        stepped["summary"]["cycles"].get<double>() -
                    1.0);
  };
  EXPECT_LT(error(tiled), 0.02);
  EXPECT_LT(error(tiled), error(blind));
}

/// One bit of one word of one weight is wrong.
class Flipped final : public workloads::OperandSource {
 public:
  explicit Flipped(workloads::OperandSource& source) : source_(source) {}
  void begin(std::size_t step, std::uint64_t tokens) override { source_.begin(step, tokens); }
  std::string describe() const override { return source_.describe(); }
  const workloads::ProductOperands* find(const workloads::ProductName& name,
                                         quant::Format stationary, quant::Format moving) override {
    const auto* found = source_.find(name, stationary, moving);
    if (name.layer != 1 || name.operation != "ffn_up" || found == nullptr) return found;
    wrong_ = *found;
    wrong_.stationary.at(1234) ^= 2;
    return &wrong_;
  }

 private:
  workloads::OperandSource& source_;
  workloads::ProductOperands wrong_;
};

TEST(ModelOperands, OneWrongBitOfOneWeightIsFound) {
  const Setting setting{"mixpe-16x16", "w8a8", "int8-mac"};
  auto executor = setting.executor();
  workloads::CapturedOperands operands(executor, prompt());
  Flipped flipped(operands);
  sim::SimulateOptions options;
  options.timing = sim::Timing::pe;
  options.operands = &flipped;
  EXPECT_THAT(simulate_in_child(setting.program(), setting.config(), options),
              HasSubstr("layer 1, ffn_up: output "));
}

TEST(ModelOperands, RefuseWhatWouldTakeHoursAndSayHowToShortenIt) {
  const Setting setting{"mixpe-16x16", "w8a8", "int8-mac"};
  auto executor = setting.executor();
  workloads::CapturedOperands operands(executor, prompt());
  sim::SimulateOptions options;
  options.timing = sim::Timing::pe;
  options.operands = &operands;
  const auto program = workloads::lower(configs::load_model_shape("llama-2-7b"),
                                        configs::load_recipe("w8a8"), 256, 4);
  const std::string text = simulate_in_child(
      program, configs::load_machine("int8-128x94", {"memory.dram.channels=8"}), options);
  EXPECT_THAT(text, HasSubstr("PE-steps"));
  EXPECT_THAT(text, HasSubstr("--prefill"));
}

TEST(ObservedOperands, ExpectAboutWhatTheArrayIsSeenToDo) {
  struct Case {
    Setting setting;
    double energy;  ///< relative; attention and parts of wide words are not observed
  };
  for (const auto& [setting, tolerance] :
       {Case{{"mixpe-16x16", "mixpe-w4a8", "mixpe-w4a8"}, 0.05},
        Case{{"mixpe-32x32-os", "mixpe-w4a8", "mixpe-w4a8"}, 0.05},
        Case{{"mixpe-16x16", "w8a8", "int8-mac"}, 0.05},
        Case{{"mixpe-32x32-os", "w8a8", "int8-mac"}, 0.05},
        Case{{"mixpe-16x16", "w8a8", "bitfusion", {"clock_mhz=190"}}, 0.05},
        Case{{"mixpe-16x16", "olive-w4a4-kv8", "olive"}, 0.08},
        Case{{"mixpe-16x16", "w4a16", "fp16-mac", {"clock_mhz=190"}}, 0.08}}) {
    SCOPED_TRACE(setting.machine + " " + setting.pe + " " + setting.recipe);
    const json stepped = on_model(setting);
    auto executor = setting.executor();
    const json tiled =
        run(setting, sim::Timing::tile, nullptr, true, workloads::observe(executor, prompt()));
    const json blind = run(setting, sim::Timing::tile, nullptr);
    ASSERT_FALSE(stepped.is_null() || tiled.is_null() || blind.is_null());
    EXPECT_EQ(passes(tiled), passes(stepped));
    EXPECT_NEAR(array_pj(tiled) / array_pj(stepped), 1.0, tolerance);
    EXPECT_EQ(event(blind, "array.mac_pass"), passes(blind));
    EXPECT_GT(array_pj(blind), array_pj(tiled));
    EXPECT_GT(array_pj(blind), array_pj(stepped));
  }
}

TEST(ObservedOperands, ZerosAndQuietOperandsCostLess) {
  const Setting setting{"mixpe-16x16", "w8a8", "int8-mac"};
  const auto energy = [&](double zeros, double bits) {
    Observations seen;
    for (OperandStatistics* operand : {&seen.weight, &seen.activation}) {
      operand->zeros = zeros;
      operand->code_bits = 8;
      operand->along_k = operand->across = Toggles{bits, 0};
    }
    return array_pj(run(setting, sim::Timing::tile, nullptr, true, seen));
  };
  EXPECT_LT(energy(0.5, 4), energy(0.1, 4));
  EXPECT_LT(energy(0.1, 2), energy(0.1, 4));
}

TEST(ObservedOperands, KindsOfPassesAreDisjointIntegersForEveryDesign) {
  Random random(3);
  const auto share = [&] { return static_cast<double>(random.uniform(0, 1000)) / 1000.0; };
  for (const pe::PeDesign& design : pe::all_designs()) {
    for (int i = 0; i < 60; ++i) {
      configs::ArrayConfig array;
      array.pe = design.name;
      array.rows = array.cols = 16;
      array.dataflow = static_cast<configs::Dataflow>(random.uniform(0, 2));
      if (!design.works_in(array.dataflow)) continue;
      const pe::Mode& mode = design.modes[static_cast<std::size_t>(
          random.uniform(0, static_cast<std::int64_t>(design.modes.size()) - 1))];
      pe::GemmShape shape{static_cast<std::uint64_t>(random.uniform(1, 99)),
                          static_cast<std::uint64_t>(random.uniform(1, 99)),
                          static_cast<std::uint64_t>(random.uniform(1, 300))};
      shape.weight = mode.weight;
      shape.activation = mode.activation;
      LinearObservations seen;
      for (OperandStatistics* operand : {&seen.weight, &seen.activation}) {
        operand->zeros = random.uniform(0, 4) == 0 ? 1.0 : share();
        operand->code_bits = 4;
        if (random.uniform(0, 3) != 0) operand->along_k = Toggles{4 * share(), 1};
        if (random.uniform(0, 3) != 0) operand->across = Toggles{4 * share(), 1};
      }
      const std::uint64_t passes = pe::array_work(array, design, shape).mac_passes;
      const sim::PassKinds kinds = sim::expected_passes(array, design, shape, passes, seen);
      EXPECT_LE(kinds.zero + kinds.hold + kinds.traced, passes) << design.name;
      EXPECT_TRUE(kinds.traced == 0 || kinds.zero + kinds.traced == passes) << design.name;
      EXPECT_LE(kinds.toggles,
                kinds.traced * (design.weight_port_bits + design.activation_port_bits))
          << design.name;
      EXPECT_TRUE(kinds.hold == 0 || array.dataflow != configs::Dataflow::output_stationary);
    }
  }
}

}  // namespace
}  // namespace systole::tests
