// Every shipped machine on one small program: figures that change only on purpose. After a change
// that is meant to move them, regenerate with
//
//   SYSTOLE_UPDATE_GOLDEN=1 ./systole test --filter Golden.EveryShippedMachine
//
// look at the difference, and say in the commit why it is right.
#include <gtest/gtest.h>

#include <cstdlib>
#include <fstream>
#include <nlohmann/json.hpp>
#include <sstream>

#include "tests/system/machines.hpp"

namespace systole::tests {
namespace {

using nlohmann::ordered_json;

/// A recipe that the machine's PE can execute.
std::string recipe_for(const configs::MachineConfig& machine) {
  if (machine.array.pe == "fp16-mac") return "fp16";
  if (machine.array.pe == "int8-mac" || machine.array.pe == "int8-dot") return "w8a8";
  if (machine.array.pe == "olive-dot") return "olive-w4a4-kv8";
  return "mixpe-w4a8";
}

/// The figures worth holding still: a line an operation, so that a difference is readable.
std::string figures_of(const std::string& result_json) {
  const auto result = ordered_json::parse(result_json);
  ordered_json golden;
  for (const char* key : {"cycles", "prefill_cycles", "decode_cycles", "energy_pj", "area_mm2",
                          "macs", "dram_bytes"}) {
    golden["summary"][key] = result.at("summary").at(key);
  }
  golden["events"] = result.at("events");
  for (const auto& row : result.at("operations")) {
    golden["cycles_by_cause"][row.at("phase").get<std::string>() + " " +
                              row.at("name").get<std::string>()] = row.at("cycles_by_cause").dump();
  }
  return golden.dump(1) + "\n";
}

TEST(Golden, EveryShippedMachineGivesItsCommittedFigures) {
  const bool update = std::getenv("SYSTOLE_UPDATE_GOLDEN") != nullptr;
  for (const std::string& name : configs::names(configs::Kind::machine)) {
    const auto machine = configs::load_machine(name);
    const std::string figures =
        figures_of(simulate_in_child(small_program(recipe_for(machine), 100, 3), machine));
    const std::string path =
        std::string(SYSTOLE_SOURCE_DIR) + "/tests/system/golden/" + name + ".json";
    if (update) {
      std::ofstream(path) << figures;
      continue;
    }
    std::ifstream file(path);
    std::stringstream committed;
    committed << file.rdbuf();
    EXPECT_EQ(committed.str(), figures)
        << name << ": see the head of golden_test.cpp for how to regenerate";
  }
}

}  // namespace
}  // namespace systole::tests
