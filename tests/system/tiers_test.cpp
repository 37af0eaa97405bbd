// Programs over several memories: whose bytes lie where, what moves, what it costs; every byte is
// accounted for, and nothing changes where nothing lies elsewhere.
#include <gmock/gmock.h>

#include <nlohmann/json.hpp>
#include <numeric>
#include <string>
#include <vector>

#include "configs/validate.hpp"
#include "memory/kv_cache.hpp"
#include "tests/system/machines.hpp"

namespace systole::tests {
namespace {

using nlohmann::json;

/// 16 B lines, slower than any DRAM; wears.
constexpr const char* kSlow =
    "memory.tiers=[{name: nvm, tier: {name: slow, summary: s, source: s, kind: cells, "
    "capacity_bytes: 67108864, granularity_bytes: 32, banks: 8, queue: 16, read_latency_ns: 100, "
    "write_latency_ns: 1000, read_bandwidth_gbs: 3.2, write_bandwidth_gbs: 0.4, read_pj_per_byte: "
    "4, "
    "write_pj_per_byte: 80, standby_mw: 2, endurance_writes: 1000000, wear_region_bytes: 32, "
    "energy_source: s}}]";
constexpr const char* kHost = "memory.tiers=[{name: host, tier: host-ddr5-pcie4}]";

configs::MachineConfig machine(const std::vector<std::string>& overrides = {},
                               const std::string& base = "mixpe-16x16") {
  return configs::load_machine(base, overrides);
}

json run(const configs::MachineConfig& config, const workloads::Program& program,
         bool reuse = true) {
  sim::SimulateOptions options;
  options.reuse = reuse;
  const std::string text = simulate_in_child(program, config, options);
  if (text.starts_with("failed: ")) ADD_FAILURE() << text;
  return json::parse(text);
}
json run(const configs::MachineConfig& config, bool reuse = true) {
  return run(config, small_program(), reuse);
}

std::uint64_t cycles(const json& result) { return result.at("summary").at("cycles"); }

/// Of the memory's row; "read" or "written".
std::uint64_t bytes(const json& result, const std::string& tier, const std::string& way,
                    const std::string& traffic) {
  for (const json& row : result.at("tiers")) {
    if (row.at("name") == tier) return row.at(way + "_bytes").at(traffic);
  }
  ADD_FAILURE() << "no tier " << tier;
  return 0;
}
std::uint64_t figure(const json& result, const std::string& tier, const std::string& key) {
  for (const json& row : result.at("tiers")) {
    if (row.at("name") == tier) return row.at(key);
  }
  return 0;
}

/// Of all memories together.
std::uint64_t all_bytes(const json& result, const std::string& way, const std::string& traffic) {
  std::uint64_t sum = 0;
  if (result.contains("tiers")) {
    for (const json& row : result.at("tiers")) {
      sum += row.at(way + "_bytes").at(traffic).get<std::uint64_t>();
    }
    return sum;
  }
  const std::string column = way == "read" ? "dram_read_bytes" : "dram_write_bytes";
  for (const json& row : result.at("operations")) {
    sum += row.at(column).at(traffic).get<std::uint64_t>();
  }
  return sum;
}

double component(const json& result, const std::string& name, const std::string& part) {
  for (const json& row : result.at("components")) {
    if (row.at("name") == name) return row.at(part);
  }
  return 0;
}

TEST(Tiers, ATierThatNothingLiesInCostsItsStandbyAndNotACycle) {
  const json plain = run(machine());
  const json tiered = run(machine({kSlow}));
  EXPECT_EQ(cycles(plain), cycles(tiered));
  EXPECT_EQ(plain.at("events"), tiered.at("events"));
  EXPECT_EQ(component(tiered, "tier_nvm", "dynamic_pj"), 0);
  const double seconds = static_cast<double>(cycles(tiered)) / 500e6;
  EXPECT_NEAR(component(tiered, "tier_nvm", "static_pj"), 2e-3 * seconds * 1e12, 1);
  EXPECT_EQ(figure(tiered, "dram", "placed_bytes"), figure(tiered, "dram", "placed_bytes"));
}

TEST(Tiers, EveryByteThatOneMemoryServesSeveralServeTogether) {
  const json plain = run(machine());
  for (const char* rules :
       {"memory.placement=[{class: weights, tier: nvm}]",
        "memory.placement=[{class: embeddings, tier: nvm}, {class: weights, last_layer: 0, tier: "
        "nvm}]",
        "memory.placement=[{class: keys, tier: nvm}, {class: activations, tier: nvm}]",
        "memory.placement=[{tier: nvm}]"}) {
    const json tiered = run(machine({kSlow, rules}));
    for (const char* way : {"read", "written"}) {
      for (const char* traffic : {"weights", "activations", "kv_cache"}) {
        EXPECT_EQ(all_bytes(plain, way, traffic), all_bytes(tiered, way, traffic))
            << rules << way << traffic;
      }
    }
    EXPECT_GT(cycles(tiered), cycles(plain)) << rules;
    EXPECT_EQ(plain.at("summary").at("kv_bytes_read"), tiered.at("summary").at("kv_bytes_read"));
    EXPECT_EQ(plain.at("summary").at("macs"), tiered.at("summary").at("macs"));
  }
}

TEST(Tiers, EnergyPartsSumAndATiersDynamicEnergyIsItsBytesAtItsPrice) {
  const json tiered = run(machine({kSlow, "memory.placement=[{class: weights, tier: nvm}]"}));
  double sum = 0;
  for (const json& part : tiered.at("components")) {
    sum += part.at("dynamic_pj").get<double>() + part.at("static_pj").get<double>();
  }
  EXPECT_NEAR(sum, tiered.at("summary").at("energy_pj").get<double>(), 1e-9 * sum);
  const double read = tiered.at("events").at("tier_nvm.read_byte");
  EXPECT_DOUBLE_EQ(component(tiered, "tier_nvm", "dynamic_pj"), 4 * read);
  // Whole accesses: at least what was asked for.
  EXPECT_GE(read, static_cast<double>(bytes(tiered, "nvm", "read", "weights")));
  double rows = 0;
  for (const json& row : tiered.at("operations")) {
    if (row.at("energy_pj").contains("tier_nvm")) {
      rows += row.at("energy_pj").at("tier_nvm").get<double>();
    }
  }
  EXPECT_NEAR(rows, 4 * read, 1e-6 * rows);
}

TEST(Tiers, RulesTakeLayersAndTheFirstThatFitsWins) {
  const json one = run(machine({kSlow,
                                "memory.placement=[{class: weights, first_layer: 1, last_layer: 1, "
                                "tier: dram}, {class: weights, tier: nvm}]"}));
  const json all = run(machine({kSlow, "memory.placement=[{class: weights, tier: nvm}]"}));
  // Layers are alike: without the middle one two thirds of the layers' weights are there. Head and
  // final norm are of no layer, so that only the second rule fits them.
  const std::uint64_t placed_all = figure(all, "nvm", "placed_bytes");
  const std::uint64_t placed = figure(one, "nvm", "placed_bytes");
  const json none = run(machine(
      {kSlow, "memory.placement=[{class: weights, first_layer: 0, last_layer: 2, tier: nvm}]"}));
  EXPECT_EQ(placed_all - placed, figure(none, "nvm", "placed_bytes") / 3);
}

TEST(Tiers, WhatDoesNotFitSpillsExactlyAndIsReadWhereItLies) {
  const json all = run(machine({kSlow, "memory.placement=[{class: weights, tier: nvm}]"}));
  const std::uint64_t wanted = figure(all, "nvm", "placed_bytes");
  const std::string small =
      std::string(kSlow).substr(0, std::string(kSlow).size() - 2) + ", capacity_bytes: 204800}]";
  const json spilled = run(machine({small, "memory.placement=[{class: weights, tier: nvm}]"}));
  EXPECT_EQ(figure(spilled, "nvm", "placed_bytes") + figure(spilled, "nvm", "spilled_bytes"),
            wanted);
  EXPECT_EQ(figure(spilled, "nvm", "capacity_bytes"), 204800u);
  EXPECT_GT(figure(spilled, "nvm", "placed_bytes"), 204800u - 4096);
  EXPECT_EQ(figure(all, "dram", "placed_bytes") + wanted,
            figure(spilled, "dram", "placed_bytes") + figure(spilled, "nvm", "placed_bytes"));
  for (const char* way : {"read", "written"}) {
    EXPECT_EQ(all_bytes(all, way, "weights"), all_bytes(spilled, way, "weights"));
  }
  EXPECT_LT(bytes(spilled, "nvm", "read", "weights"), bytes(all, "nvm", "read", "weights"));
}

TEST(Tiers, ReuseOfEqualLayersChangesNoFigure) {
  for (const std::vector<std::string>& overrides :
       {std::vector<std::string>{kSlow,
                                 "memory.placement=[{class: kv_cache, older_than: 8, page_tokens: "
                                 "4, tier: nvm}, {class: weights, first_layer: 2, tier: nvm}]"},
        std::vector<std::string>{kSlow, "memory.placement=[{class: weights, tier: nvm}]",
                                 "memory.prefetch={staging_bytes: 65536, chunk_bytes: 4096}"}}) {
    EXPECT_EQ(run(machine(overrides), true), run(machine(overrides), false));
  }
}

// 40 prompt tokens, then 8: 2 KV heads of 64, int8 with a scale (fp32) a token and head.
TEST(Tiers, OldTokensMovePageByPageOnceEach) {
  const workloads::Program program = small_program("mixpe-w4a8", 40, 8);
  const json plain = run(machine(), program);
  const json aged = run(
      machine({kSlow,
               "memory.placement=[{class: kv_cache, older_than: 30, page_tokens: 4, tier: nvm}]"}),
      program);
  const std::uint64_t token = program.kv_bytes_per_token;  // all layers, keys and values
  // The prompt writes its first 8 tokens (10, down to a page) there at once; at 42 and 46 tokens
  // another page of 4 goes there.
  EXPECT_EQ(bytes(aged, "nvm", "written", "kv_cache"), 16 * token);
  EXPECT_EQ(all_bytes(aged, "written", "kv_cache"),
            all_bytes(plain, "written", "kv_cache") + 8 * token);
  EXPECT_EQ(all_bytes(aged, "read", "kv_cache"), all_bytes(plain, "read", "kv_cache") + 8 * token);
  EXPECT_GT(cycles(aged), cycles(plain));
  // What is held there at the end: 18 tokens are old enough, 16 down to a page.
  EXPECT_EQ(figure(aged, "nvm", "placed_bytes"), 16 * token);
}

TEST(Tiers, SinksStayInTheFastTier) {
  const workloads::Program program = small_program("mixpe-w4a8", 40, 8);
  const json aged =
      run(machine({kSlow,
                   "memory.placement=[{class: kv_cache, salience: sinks, tokens: 5, tier: dram}, "
                   "{class: kv_cache, older_than: 30, page_tokens: 4, tier: nvm}]"}),
          program);
  EXPECT_EQ(bytes(aged, "nvm", "written", "kv_cache"), (16 - 5) * program.kv_bytes_per_token);
}

// Both systems keep two classes of tokens; the better coded one has pages of its own.
TEST(Tiers, SalientTokensLieInTheirTierTheOthersInTheirs) {
  for (const char* name : {"mikv", "zipcache"}) {
    const workloads::Program program =
        workloads::lower(kv_shape(), with_cache(name), 190, 15, nullptr, true);
    // What the caches themselves read and write, by the pool it lies in.
    std::uint64_t read[2] = {0, 0}, written[2] = {0, 0};
    for (const workloads::Step& step : program.steps) {
      for (const workloads::Segment& segment : step.segments) {
        for (const workloads::Operation& op : segment.operations) {
          for (const auto* side : {&op.stationary_cache, &op.context_cache, &op.written_cache}) {
            if (!*side) continue;
            const KvGeometry& geometry = *(*side)->geometry;
            const KvGeometry::Pool& high = geometry.pools.at(1);
            const auto count = [&](const std::vector<memory::Transfer>& transfers,
                                   std::uint64_t(&sums)[2]) {
              for (const memory::Transfer& t : transfers) {
                const bool salient = (t.address >= high.offset &&
                                      t.address < high.offset + high.pages * high.page.bytes) ||
                                     (t.address >= high.fixed_offset &&
                                      t.address < high.fixed_offset + high.fixed_bytes);
                sums[salient] += segment.repeats * t.bytes;
              }
            };
            memory::KvCache cache(geometry, 0, 32);
            cache.restore((*side)->before);
            if (side == &op.written_cache) {
              const memory::KvMoves moves = cache.append((*side)->after - (*side)->before);
              count(moves.reads, read);
              count(moves.writes, written);
            } else {
              count(cache.read(0, geometry.layout.heads, 0, cache.attended()), read);
              // ZipCache's probe passes over the keys once more.
              if (side == &op.stationary_cache && op.scored_rows > 0 && !op.scores_own) {
                count(cache.read(0, geometry.layout.heads, 0, cache.attended()), read);
              }
            }
          }
        }
      }
    }
    ASSERT_GT(read[1], 0u) << name;
    const json alone = run(machine({}, "fp16-kv-lpddr5"), program);
    for (const auto& [fast, slow] : {std::pair("dram", "host"), std::pair("host", "dram")}) {
      const std::string rules =
          "memory.placement=[{class: kv_cache, salience: salient, tier: " + std::string(fast) +
          "}, {class: kv_cache, tier: " + slow + "}]";
      const json tiered = run(machine({kHost, rules}, "fp16-kv-lpddr5"), program);
      EXPECT_EQ(bytes(tiered, fast, "read", "kv_cache"), read[1])
          << name << ", salient in " << fast;
      EXPECT_EQ(bytes(tiered, slow, "read", "kv_cache"), read[0]) << name << ", others in " << slow;
      EXPECT_EQ(bytes(tiered, fast, "written", "kv_cache"), written[1]) << name << fast;
      EXPECT_EQ(bytes(tiered, slow, "written", "kv_cache"), written[0]) << name << slow;
      EXPECT_EQ(all_bytes(tiered, "read", "kv_cache"), all_bytes(alone, "read", "kv_cache"));
      EXPECT_EQ(all_bytes(tiered, "written", "kv_cache"), all_bytes(alone, "written", "kv_cache"));
    }
  }
}

TEST(Tiers, WearIsTheLinesWrittenOverAllLayersAndSteps) {
  const workloads::Program program = small_program("mixpe-w4a8", 40, 8);
  const json worn =
      run(machine({kSlow, "memory.placement=[{class: kv_cache, tier: nvm}]"}), program);
  EXPECT_EQ(32 * figure(worn, "nvm", "line_writes"),
            worn.at("events").at("tier_nvm.write_byte").get<std::uint64_t>());
  // Lines of one region each: none is written more often than a token's neighbours begin in it.
  EXPECT_GE(figure(worn, "nvm", "most_region_writes"), 1u);
  EXPECT_LE(figure(worn, "nvm", "most_region_writes"), 3u);
  for (const json& row : worn.at("tiers")) {
    if (row.at("name") != "nvm") continue;
    const double seconds = static_cast<double>(cycles(worn)) / 500e6;
    const double most = row.at("most_region_writes");
    EXPECT_NEAR(row.at("lifetime_years").get<double>(),
                1e6 / (most / seconds) / (365.25 * 24 * 3600), 1e-12);
  }
}

TEST(Tiers, PrefetchHidesASlowTierAndMovesItsBytesTwiceMore) {
  // Where the array is busy for longer than the next layer's weights are under way.
  const std::string rule = "memory.placement=[{class: weights, tier: host}]";
  const workloads::Program program = small_program("mixpe-w4a8", 200, 2);
  const auto with = [&](const char* prefetch) {
    std::vector<std::string> overrides = {kHost, rule, "memory.weight.capacity_bytes=8192",
                                          "mapping.fixed={all: {tile: {m: 32}}}"};
    if (*prefetch != 0) overrides.emplace_back(prefetch);
    return run(machine(overrides), program);
  };
  const json direct = with("");
  const json staged = with("memory.prefetch={staging_bytes: 4194304, chunk_bytes: 4096}");
  const json half = with("memory.prefetch={staging_bytes: 131072, chunk_bytes: 4096}");
  EXPECT_LT(cycles(staged), cycles(direct));
  EXPECT_LT(cycles(half), cycles(direct));
  EXPECT_LE(cycles(staged), cycles(half));
  // Half a staging of 64 KiB for each of two layers in each of three steps.
  EXPECT_EQ(bytes(half, "dram", "written", "weights"), 3 * 2 * 65536u);
  EXPECT_EQ(bytes(direct, "dram", "written", "weights"), 0u);
  EXPECT_GT(bytes(staged, "dram", "written", "weights"), 3 * 2 * 65536u);
  // The staging is there besides the program.
  EXPECT_EQ(figure(half, "dram", "placed_bytes"), figure(direct, "dram", "placed_bytes") + 131072);
}

TEST(Tiers, APreemptedSequenceGoesOutAndComesBackWhole) {
  const workloads::Program program = small_program("mixpe-w4a8", 40, 6);
  const json swapped =
      run(machine({kHost, "memory.swap={every_steps: 3, tier: host}"}, "mixpe-32x32-os"), program);
  const json plain = run(machine({}, "mixpe-32x32-os"), program);
  // After steps 3 and 6, with 43 and 46 tokens.
  const std::uint64_t moved = (43 + 46) * program.kv_bytes_per_token;
  EXPECT_EQ(bytes(swapped, "host", "written", "kv_cache"), moved);
  EXPECT_EQ(bytes(swapped, "host", "read", "kv_cache"), moved);
  EXPECT_EQ(bytes(swapped, "dram", "written", "kv_cache"),
            all_bytes(plain, "written", "kv_cache") + moved);
  std::uint64_t out = 0, in = 0, rest = 0;
  for (const json& row : swapped.at("operations")) {
    const std::uint64_t spent = row.at("cycles");
    (row.at("name") == "kv_swap_out" ? out : row.at("name") == "kv_swap_in" ? in : rest) += spent;
  }
  EXPECT_GT(out, 0u);
  EXPECT_GT(in, 0u);
  EXPECT_EQ(rest, cycles(plain));
  EXPECT_GT(swapped.at("events").at("tier_host.link_down_bit").get<std::uint64_t>(), 8 * moved);
}

TEST(Tiers, RetrievedRowsComeFromTheHostAndTheirIndexFromTheFastTier) {
  configs::Recipe recipe = configs::load_recipe("fp16");
  const configs::Recipe kv = configs::load_recipe("a2ats");
  for (const auto target : {configs::Target::key, configs::Target::value})
    recipe[target] = kv[target];
  const workloads::Program program = workloads::lower(small_shape(), recipe, 600, 2, nullptr, true);
  const json plain = run(machine({}, "fp16-kv-lpddr5"), program);
  const json tiered =
      run(machine({kHost,
                   "memory.placement=[{class: kv_cache, salience: index, tier: dram}, {class: "
                   "kv_cache, salience: sinks, tokens: 8, tier: dram}, {class: kv_cache, "
                   "older_than: 64, page_tokens: 1, tier: host}]"},
                  "fp16-kv-lpddr5"),
          program);
  // A step fetches 3 % of the tokens' rows of 128 B a head besides sinks and window; 3 layers, 2
  // heads, keys and values; the rest of what it reads (index, codebook, sinks, window) is in DRAM.
  std::uint64_t fetched = 0;
  for (const std::uint64_t tokens : {601u, 602u}) {
    KvLayout layout = program.steps.back().segments.at(1).operations.front().written_cache
                          ? KvLayout{}
                          : KvLayout{};
    for (const auto& op : program.steps.back().segments.at(1).operations) {
      if (op.stationary_cache) layout = op.stationary_cache->geometry->layout;
    }
    fetched += kv_attended(layout, tokens) - layout.sinks - layout.window;
  }
  const std::uint64_t row = 64 * 2;
  // One token a step grows old besides: read from DRAM, written to the host.
  EXPECT_EQ(bytes(tiered, "host", "read", "kv_cache"), fetched * row * 2 * 3 * 2);
  EXPECT_EQ(bytes(tiered, "host", "written", "kv_cache"), (600 - 64 - 8 + 2) * row * 2 * 3 * 2);
  EXPECT_EQ(all_bytes(tiered, "read", "kv_cache"),
            all_bytes(plain, "read", "kv_cache") + 2 * row * 2 * 3 * 2);
  EXPECT_GT(cycles(tiered), cycles(plain));
}

TEST(Tiers, ATierThatIsSlowerThroughoutNeverMakesARunFaster) {
  std::uint64_t last = 0;
  for (const char* bandwidth : {"6.4", "3.2", "1.6", "0.8"}) {
    std::string slow = kSlow;
    const std::size_t at = slow.find("read_bandwidth_gbs: 3.2");
    slow.replace(at + 20, 3, bandwidth);
    const std::uint64_t now =
        cycles(run(machine({slow, "memory.placement=[{class: weights, tier: nvm}]"})));
    EXPECT_GE(now, last) << bandwidth;
    last = now;
  }
}

TEST(Tiers, TheMemoryThatIsWaitedForLongestBinds) {
  const json tiered = run(machine({kSlow, "memory.placement=[{class: weights, tier: nvm}]"}));
  std::uint64_t waited = 0, dram = 0;
  for (const json& row : tiered.at("tiers")) {
    EXPECT_EQ(row.at("binds").get<bool>(), row.at("name") == "nvm");
    waited += row.at("wait_cycles").get<std::uint64_t>();
    EXPECT_LE(row.at("busy_fraction").get<double>(), 1.0);
  }
  for (const json& row : tiered.at("operations")) {
    dram += row.at("cycles_by_cause").at("dram").get<std::uint64_t>();
  }
  EXPECT_EQ(waited, dram);
}

TEST(MemoryAttention, KeepsTheMacsLeavesTheCacheWhereItIsAndIsFasterAtTheBanks) {
  const workloads::Program program = small_program("mixpe-w4a8", 1000, 2);
  const auto with = [&](const std::string& place) {
    return run(machine({"memory.pim={place: " + place +
                        ", macs_per_clock: 16, mac_pj: 0.5, read_pj_per_bit: 1, source: test}"}),
               program);
  };
  const json plain = run(machine(), program);
  const json bank = with("bank"), channel = with("channel");
  const auto decode = [](const json& result) {
    for (const json& row : result.at("operations")) {
      if (row.at("name") == "attention" && row.at("phase") == "decode") return row;
    }
    return json();
  };
  for (const json* result : {&bank, &channel}) {
    EXPECT_EQ(decode(*result).at("macs"), decode(plain).at("macs"));
    EXPECT_EQ(decode(*result).at("dram_read_bytes").at("kv_cache"), 0u);
    EXPECT_EQ(result->at("events").at("pim.mac").get<std::uint64_t>(),
              decode(plain).at("macs").get<std::uint64_t>());
    // Scores, probabilities, queries and contexts: fewer bytes than the cache.
    const std::uint64_t vectors = decode(*result).at("dram_read_bytes").at("activations");
    EXPECT_GT(vectors, 0u);
    EXPECT_LT(vectors, decode(plain).at("dram_read_bytes").at("kv_cache").get<std::uint64_t>());
    EXPECT_DOUBLE_EQ(component(*result, "pim", "dynamic_pj"),
                     0.5 * result->at("events").at("pim.mac").get<double>() +
                         result->at("events").at("pim.read_bit").get<double>() +
                         machine().memory.dram.activate_pj *
                             result->at("events").at("pim.activate").get<double>());
    // Prefill is the array's as before.
    EXPECT_EQ(result->at("summary").at("prefill_cycles"), plain.at("summary").at("prefill_cycles"));
  }
  const auto time = [&](const json& result) { return decode(result).at("cycles").get<int>(); };
  EXPECT_LT(time(bank), time(channel));
  EXPECT_LT(time(channel), time(plain));
}

TEST(Tiers, WhatCannotBeIsRefusedWithItsName) {
  const auto refused = [](const std::vector<std::string>& overrides) {
    try {
      machine(overrides);
    } catch (const ConfigError& error) {
      return std::string(error.what());
    }
    return std::string("accepted");
  };
  using testing::HasSubstr;
  EXPECT_THAT(refused({kSlow, "memory.placement=[{class: weights, tier: nvn}]"}),
              HasSubstr("unknown tier of this machine 'nvn'; did you mean 'nvm'"));
  EXPECT_THAT(refused({"memory.tiers=[{name: a, tier: rram-embeded}]"}),
              HasSubstr("did you mean 'rram-embedded'"));
  EXPECT_THAT(refused({"memory.placement=[{class: weights, tier: dram}]"}),
              HasSubstr("rules without tiers"));
  EXPECT_THAT(refused({kSlow, "memory.placement=[{class: weight, tier: nvm}]"}),
              HasSubstr("'weights'"));
  EXPECT_THAT(refused({kSlow, "memory.placement=[{class: weights, older_than: 3, tier: nvm}]"}),
              HasSubstr("memory.placement[0].older_than: given for class weights"));
  EXPECT_THAT(refused({kSlow, "memory.placement=[{class: keys, salience: sinks, tier: nvm}]"}),
              HasSubstr("memory.placement[0].tokens"));
  EXPECT_THAT(refused({"memory.tiers=[{name: dram, tier: sram-16mb}]"}),
              HasSubstr("a second tier 'dram'"));
  EXPECT_THAT(refused({"memory.tiers=[{name: a, tier: sram-16mb, channels: 2}]"}),
              HasSubstr("memory.tiers[0].channels"));
  EXPECT_THAT(refused({"memory.tiers=[{name: a, tier: {base: sram-16mb, name: b, banks: 0}}]"}),
              HasSubstr("banks"));
  EXPECT_THAT(
      refused({"memory.tiers=[{name: a, tier: {base: sram-16mb, name: b, dram: hbm2-2.0}}]"}),
      HasSubstr("dram: given for a tier of cells"));
  EXPECT_THAT(refused({"memory.prefetch={staging_bytes: 4096}"}),
              HasSubstr("without tiers to prefetch from"));
  EXPECT_THAT(refused({"memory.swap={every_steps: 2, tier: host}"}), HasSubstr("'host'"));
  EXPECT_THAT(refused({"memory.pim={place: bank}"}), HasSubstr("memory.pim.source: missing"));
  EXPECT_THAT(refused({"memory.pim={mac_pj: 2}"}), HasSubstr("memory.pim.place: found none"));
  EXPECT_THAT(refused({kSlow, "memory.pim={place: bank, source: s}",
                       "memory.placement=[{class: kv_cache, tier: nvm}]"}),
              HasSubstr("memory.placement[0].tier"));
  // Only a run knows how much there is to place.
  const std::string text =
      simulate_in_child(workloads::lower(configs::load_model_shape("llama-2-70b"),
                                         configs::load_recipe("mixpe-w4a8"), 8, 0),
                        machine({kSlow}));
  EXPECT_THAT(text, HasSubstr("do not fit; DRAM and all tiers together have"));
}

}  // namespace
}  // namespace systole::tests
