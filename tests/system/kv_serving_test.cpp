// Several sequences, and what stands for what in long KV runs.
#include <gmock/gmock.h>

#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "tests/system/machines.hpp"

namespace systole::tests {
namespace {

using nlohmann::json;
using testing::HasSubstr;

/// A layer of the size whose loops repeat themselves.
configs::ModelShape wide_shape() {
  configs::ModelShape shape = kv_shape();
  shape.layers = 2;
  shape.hidden = 1024;
  shape.intermediate = 2048;
  shape.heads = shape.kv_heads = 8;
  return shape;
}

workloads::Program batch_of(const std::string& name, std::uint64_t sequences) {
  return workloads::lower(kv_shape(), with_cache(name), 300, 3, nullptr, true, sequences);
}

json run(const workloads::Program& program, const sim::SimulateOptions& options,
         const std::string& machine = "fp16-kv-lpddr5") {
  return json::parse(simulate_in_child(program, configs::load_machine(machine), options));
}

const json& row(const json& result, const std::string& name, const std::string& phase) {
  for (const json& row : result.at("operations")) {
    if (row.at("name") == name && row.at("phase") == phase) return row;
  }
  throw std::runtime_error("no row " + name);
}

TEST(KvBatch, CacheTrafficAndDecodingScaleAndWeightsDoNot) {
  for (const char* name : {"fp16", "kivi2", "zipcache"}) {
    const json one = run(batch_of(name, 1), {}), five = run(batch_of(name, 5), {});
    for (const char* field :
         {"kv_bytes", "kv_bytes_read", "kv_bytes_written", "kv_burst_bytes_read",
          "kv_burst_bytes_written", "macs", "prefill_tokens", "decode_tokens"}) {
      EXPECT_EQ(five.at("summary").at(field), 5 * one.at("summary").at(field).get<std::uint64_t>())
          << name << ' ' << field;
    }
    // Weights are read once a decode step, however many sequences there are.
    EXPECT_EQ(row(five, "ffn_up", "decode").at("dram_read_bytes").at("weights"),
              row(one, "ffn_up", "decode").at("dram_read_bytes").at("weights"))
        << name;
    EXPECT_EQ(row(five, "attention", "decode").at("cycles"),
              5 * row(one, "attention", "decode").at("cycles").get<std::uint64_t>())
        << name;
    // The same work of the dequantiser over fewer cycles each.
    const double busy = one.at("summary").at("dequant_utilisation");
    const double shared = five.at("summary").at("dequant_utilisation");
    const double cycles = one.at("summary").at("decode_cycles");
    const double together = five.at("summary").at("decode_cycles");
    EXPECT_NEAR(shared, 5 * busy * cycles / together, 1e-12) << name;
    EXPECT_LT(together, 5 * cycles) << name;
    EXPECT_EQ(five.at("summary").at("sequences"), 5) << name;
    EXPECT_FALSE(one.at("summary").contains("sequences")) << name;
  }
}

TEST(KvBatch, SequencesThatAreReusedAreThoseThatAreSimulated) {
  sim::SimulateOptions every;
  every.reuse = false;
  for (const char* machine : {"fp16-kv-lpddr5", "fp16-kv-hbm2e"}) {
    EXPECT_EQ(run(batch_of("kivi2", 3), {}, machine), run(batch_of("kivi2", 3), every, machine))
        << machine;
  }
}

TEST(KvBatch, WhatDoesNotFitIsSaid) {
  auto machine = configs::load_machine("fp16-kv-lpddr5");
  machine.memory.dram.capacity_bytes = std::uint64_t{1} << 20;
  const std::string said = simulate_in_child(batch_of("fp16", 64), machine);
  EXPECT_THAT(said, HasSubstr("and 64 sequences (")) << said;
  EXPECT_THAT(said, HasSubstr("of KV cache) needs")) << said;
  sim::SimulateOptions stepped;
  stepped.timing = sim::Timing::pe;
  EXPECT_THAT(simulate_in_child(batch_of("fp16", 2), machine, stepped),
              HasSubstr("--timing pe steps one sequence; found 2"));
  EXPECT_THROW(batch_of("fp16", 0), ConfigError);
}

TEST(KvBatch, TheClosedFormCountsTheSameBytes) {
  sim::SimulateOptions closed;
  closed.timing = sim::Timing::analytic;
  const json timed = run(batch_of("kivi2", 3), {}), peak = run(batch_of("kivi2", 3), closed);
  for (const char* field : {"kv_bytes_read", "kv_bytes_written", "macs", "decode_tokens"}) {
    EXPECT_EQ(timed.at("summary").at(field), peak.at("summary").at(field)) << field;
  }
  EXPECT_LE(peak.at("summary").at("decode_cycles"), timed.at("summary").at("decode_cycles"));
}

TEST(KvExtrapolation, KeepsEveryCountAndStaysWithinItsBound) {
  sim::SimulateOptions quick;
  quick.extrapolate = true;
  // Nine steps are interpolated, of three the first stands for all.
  for (const auto& [name, steps] : {std::pair("fp16", 9u), {"kivi2", 9u}, {"qserve-kv4", 3u}}) {
    const workloads::Program program =
        workloads::lower(wide_shape(), with_cache(name), 3000, steps, nullptr, true);
    const json exact = run(program, {}), some = run(program, quick);
    EXPECT_FALSE(exact.at("notes").contains("extrapolated")) << name;
    EXPECT_TRUE(some.at("notes").contains("extrapolated")) << name;
    for (const char* field :
         {"kv_bytes", "kv_bytes_read", "kv_bytes_written", "kv_burst_bytes_read",
          "kv_burst_bytes_written", "macs", "dram_bytes"}) {
      EXPECT_EQ(exact.at("summary").at(field), some.at("summary").at(field)) << name << field;
    }
    for (const char* field : {"prefill_cycles", "decode_cycles"}) {
      const double whole = exact.at("summary").at(field), part = some.at("summary").at(field);
      EXPECT_NEAR(part / whole, 1.0, 2e-3) << name << ' ' << field;
    }
  }
}

TEST(KvExtrapolation, WithoutReuseEverythingIsSimulated) {
  sim::SimulateOptions every, quick;
  every.reuse = quick.reuse = false;
  quick.extrapolate = true;
  const workloads::Program program =
      workloads::lower(kv_shape(), with_cache("kivi2"), 1500, 4, nullptr, true);
  EXPECT_EQ(run(program, every), run(program, quick));
}

}  // namespace
}  // namespace systole::tests
