// Batches whose sequences begin alike, in whole runs.
#include <gmock/gmock.h>

#include <nlohmann/json.hpp>
#include <string>

#include "tests/system/machines.hpp"

namespace systole::tests {
namespace {

using nlohmann::json;
using testing::HasSubstr;

workloads::Program program_of(const std::string& name, std::uint64_t shared,
                              std::uint64_t sequences = 3, std::uint64_t decode = 6) {
  return workloads::lower(kv_shape(), with_cache(name), 300, decode, nullptr, true, sequences,
                          shared);
}

json run(const workloads::Program& program, const sim::SimulateOptions& options = {},
         const std::string& machine = "fp16-kv-lpddr5") {
  return json::parse(simulate_in_child(program, configs::load_machine(machine), options));
}

std::uint64_t of(const json& result, const char* field) {
  return result.at("summary").at(field).get<std::uint64_t>();
}

TEST(KvPrefix, IsComputedAndKeptOnceAndCopiedWhereSequencesDiffer) {
  for (const char* name : {"fp16", "kivi2", "zipcache", "qserve-kv4", "kvquant-nuq3-1pct"}) {
    const json apart = run(program_of(name, 0)), together = run(program_of(name, 250));
    ASSERT_TRUE(together.contains("summary")) << name << together.dump();
    const json& sharing = together.at("summary").at("kv_sharing");
    EXPECT_EQ(sharing.at("prefix_tokens"), 250) << name;
    EXPECT_FALSE(apart.at("summary").contains("kv_sharing")) << name;
    EXPECT_EQ(of(together, "prefill_tokens"), 250u + 3 * 50) << name;
    EXPECT_LT(of(together, "prefill_cycles"), of(apart, "prefill_cycles")) << name;
    EXPECT_GT(sharing.at("pages_shared"), 0) << name;
    EXPECT_LE(sharing.at("pages_shared_at_end"), sharing.at("pages_shared")) << name;
    EXPECT_TRUE(together.at("notes").contains("shared prefix")) << name;
    if (std::string(name) != "zipcache") {
      EXPECT_GT(sharing.at("bytes_saved"), 0) << name;
    }
  }
}

TEST(KvPrefix, EveryByteOfAPlainCacheIsWrittenOnceSharedOrCopied) {
  const json apart = run(program_of("fp16", 0)), together = run(program_of("fp16", 250));
  const json& sharing = together.at("summary").at("kv_sharing");
  const std::uint64_t token = 2 * 4 * 128 * 2 * 3;  // both sides, heads, channels, bytes, layers
  // 250 tokens are three whole pages of 64 and one of 58, which two of three sequences copy.
  EXPECT_EQ(sharing.at("pages_shared"), 4 * 2 * 3);
  EXPECT_EQ(sharing.at("pages_shared_at_end"), 3 * 2 * 3);
  EXPECT_EQ(sharing.at("pages_copied"), 2 * 2 * 3);
  EXPECT_EQ(sharing.at("bytes_copied"), 2 * 58 * token);
  EXPECT_EQ(sharing.at("bytes_saved"), 2 * 192 * token);
  EXPECT_EQ(of(together, "kv_bytes"), of(apart, "kv_bytes") - 2 * 192 * token);
  EXPECT_EQ(of(together, "kv_bytes_written"), (250 + 3 * 56 + 2 * 58) * token);
  EXPECT_EQ(of(together, "kv_bytes_written"), of(together, "kv_bytes"));
}

TEST(KvPrefix, OfTheWholePromptPartsTheSequencesAtTheFirstToken) {
  const json result = run(program_of("fp16", 300));
  const json& sharing = result.at("summary").at("kv_sharing");
  EXPECT_EQ(of(result, "prefill_tokens"), 300u);
  EXPECT_EQ(sharing.at("pages_copied"), 2 * 2 * 3);
  EXPECT_EQ(of(result, "decode_tokens"), 18u);
}

TEST(KvPrefix, ReuseExtrapolationAndTheClosedFormChangeNoCount) {
  sim::SimulateOptions every, quick, closed;
  every.reuse = false;
  quick.extrapolate = true;
  closed.timing = sim::Timing::analytic;
  for (const char* name : {"fp16", "kivi2"}) {
    const workloads::Program program = program_of(name, 250);
    const json exact = run(program);
    EXPECT_TRUE(exact == run(program, every)) << name;
    EXPECT_TRUE(run(program, {}, "fp16-kv-hbm2e") == run(program, every, "fp16-kv-hbm2e")) << name;
    for (const sim::SimulateOptions& options : {quick, closed}) {
      const json other = run(program, options);
      for (const char* field :
           {"kv_bytes", "kv_bytes_read", "kv_bytes_written", "kv_burst_bytes_read",
            "kv_burst_bytes_written", "kv_sharing", "macs", "dram_bytes"}) {
        EXPECT_EQ(exact.at("summary").at(field), other.at("summary").at(field)) << name << field;
      }
    }
  }
}

TEST(KvPrefix, TakesLessMemoryThanSequencesApart) {
  const auto of = [](std::uint64_t shared) {
    return workloads::lower(kv_shape(), with_cache("fp16"), 3500, 100, nullptr, true, 16, shared);
  };
  EXPECT_LT(of(3400).footprint_bytes, of(0).footprint_bytes / 2);
}

TEST(KvPrefix, WhatCannotBeIsSaid) {
  const auto said = [](std::uint64_t shared, std::uint64_t sequences, std::uint64_t decode,
                       const char* name = "fp16") -> std::string {
    try {
      program_of(name, shared, sequences, decode);
    } catch (const ConfigError& error) {
      return error.what();
    }
    return "taken";
  };
  EXPECT_THAT(said(301, 2, 1), HasSubstr("a shared prefix of 301 tokens; the prompt has 300"));
  EXPECT_THAT(said(10, 1, 1), HasSubstr("expected at least 2 that share it"));
  EXPECT_THAT(said(300, 2, 0), HasSubstr("the sequences never differ"));
  EXPECT_THAT(said(10, 2, 1, "a2ats"), HasSubstr("in no pages that sequences could share"));
}

}  // namespace
}  // namespace systole::tests
