// Whole runs with a write-combining buffer for coded KV caches.
#include <gmock/gmock.h>

#include <nlohmann/json.hpp>
#include <string>

#include "configs/validate.hpp"
#include "tests/system/machines.hpp"

namespace systole::tests {
namespace {

using nlohmann::json;
using testing::HasSubstr;

workloads::Program program_of(const std::string& name, std::uint64_t sequences = 1) {
  return workloads::lower(kv_shape(), with_cache(name), 300, 40, nullptr, true, sequences);
}

configs::MachineConfig machine_with(std::uint64_t bytes) {
  auto machine = configs::load_machine("fp16-kv-lpddr5");
  machine.kv_dequantiser.combining_bytes = bytes;
  return machine;
}

json run(const workloads::Program& program, std::uint64_t bytes,
         const sim::SimulateOptions& options = {}) {
  return json::parse(simulate_in_child(program, machine_with(bytes), options));
}

std::uint64_t event(const json& result, const char* name) {
  return result.at("events").value(std::string("kv_dequantiser.") + name, std::uint64_t{0});
}

TEST(KvCombining, KvquantsWritesCostTheBytesTheyAreAndNotABurstAWord) {
  const workloads::Program program = program_of("kvquant-nuq3-1pct");
  const json off = run(program, 0), on = run(program, 1u << 24);
  const auto summary = [](const json& result, const char* field) {
    return result.at("summary").at(field).get<double>();
  };
  const double saved =
      summary(off, "kv_burst_bytes_written") - summary(on, "kv_burst_bytes_written");
  // Of keys alone 48 words of 4 bytes a token (4 heads of 128 channels, 3 bits), each of which
  // costs a burst of 32: 40 tokens, 3 layers, less the prompt's last burst of every row.
  EXPECT_GE(saved, (40.0 - 8) * 3 * 48 * (32 - 4));
  EXPECT_LT(summary(on, "kv_burst_bytes_written"), 1.1 * summary(on, "kv_bytes_written"));
  EXPECT_LT(summary(on, "decode_cycles"), summary(off, "decode_cycles"));
  EXPECT_EQ(summary(on, "kv_bytes"), summary(off, "kv_bytes"));
  // All that was asked for is written or still there.
  EXPECT_EQ(event(on, "combined_write_byte"), summary(off, "kv_bytes_written"));
  // What is read comes from memory or from the buffer.
  EXPECT_EQ(
      event(on, "combined_read_byte") + on.at("summary").at("kv_bytes_read").get<std::uint64_t>(),
      off.at("summary").at("kv_bytes_read"));
  EXPECT_GT(event(on, "combined_read_byte"), 0u);
  EXPECT_TRUE(on.at("notes").contains("write combining"));
  EXPECT_FALSE(off.at("notes").contains("write combining"));
}

TEST(KvCombining, ABufferTooSmallForTheRowsSavesNothingAndLosesNothing) {
  const workloads::Program program = program_of("kvquant-nuq3-1pct");
  const json off = run(program, 0), on = run(program, 4096);
  EXPECT_EQ(
      event(on, "combined_read_byte") + on.at("summary").at("kv_bytes_read").get<std::uint64_t>(),
      off.at("summary").at("kv_bytes_read"));
  EXPECT_EQ(event(on, "combined_write_byte"), off.at("summary").at("kv_bytes_written"));
}

TEST(KvCombining, ReuseBatchesAndExtrapolationChangeNoCount) {
  sim::SimulateOptions every, quick;
  every.reuse = false;
  quick.extrapolate = true;
  for (const char* name : {"kvquant-nuq3-1pct", "kivi2"}) {
    const json exact = run(program_of(name, 2), 1u << 18);
    EXPECT_EQ(exact, run(program_of(name, 2), 1u << 18, every)) << name;
    const json some = run(program_of(name, 2), 1u << 18, quick);
    for (const char* field : {"kv_bytes_read", "kv_bytes_written", "kv_burst_bytes_read",
                              "kv_burst_bytes_written", "dram_bytes"}) {
      EXPECT_EQ(exact.at("summary").at(field), some.at("summary").at(field)) << name << field;
    }
    // Two sequences share the buffer: twice of it does for each what it does for one alone.
    const json one = run(program_of(name, 1), 1u << 17);
    for (const char* field : {"kv_bytes_read", "kv_bytes_written", "kv_burst_bytes_written"}) {
      EXPECT_EQ(exact.at("summary").at(field), 2 * one.at("summary").at(field).get<std::uint64_t>())
          << name << field;
    }
  }
}

TEST(KvCombining, TheBufferHasAnAreaAndItsBytesAPrice) {
  const auto part_of = [](const json& result) {
    for (const json& part : result.at("components")) {
      if (part.at("name") == "kv_dequantiser") return part;
    }
    return json();
  };
  const workloads::Program program = program_of("kvquant-nuq3-1pct");
  const json off = part_of(run(program, 0)), on = part_of(run(program, 1u << 20));
  EXPECT_GT(on.at("area_mm2"), off.at("area_mm2"));
  EXPECT_GT(on.at("dynamic_pj"), off.at("dynamic_pj"));
}

TEST(KvCombining, TiersAreRefused) {
  try {
    configs::load_machine("edge-rram-tiered", {"kv_dequantiser.combining_bytes=4096"});
    FAIL() << "taken";
  } catch (const ConfigError& error) {
    EXPECT_THAT(error.what(), HasSubstr("kv_dequantiser.combining_bytes"));
    EXPECT_THAT(error.what(), HasSubstr("expected 0, or no tiers"));
  }
}

}  // namespace
}  // namespace systole::tests
