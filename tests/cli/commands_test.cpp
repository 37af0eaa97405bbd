// The commands that scripts depend on, verbatim, and what their JSON holds.
#include <gmock/gmock.h>

#include <algorithm>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <nlohmann/json.hpp>

#include "tests/cli/process.hpp"

namespace systole::tests {
namespace {

using nlohmann::json;
using ::testing::HasSubstr;
namespace fs = std::filesystem;

json run_json(const std::string& arguments) {
  const TemporaryFolder folder;
  const std::string file = folder.path("out.json");
  const Outcome outcome = run_systole(arguments + " --json " + file);
  EXPECT_EQ(outcome.exit_code, 0) << outcome.errors;
  return json::parse(read_file(file), nullptr, false);
}

TEST(Run, GivesEveryHeadlineFigureOfTheEmbeddedModel) {
  const json summary = run_json("run").at("summary");
  for (const char* key : {"perplexity", "ttft_ms", "tpot_ms", "cycles", "energy_pj", "area_mm2"}) {
    ASSERT_TRUE(summary.at(key).is_number()) << key;
    EXPECT_GT(summary.at(key).get<double>(), 0.0) << key;
  }
  EXPECT_EQ(summary.at("machine"), "mixpe-128x128");
  EXPECT_EQ(summary.at("recipe"), "mixpe-w4a8");
  EXPECT_EQ(summary.at("model"), "systole-kjv-3m");
}

TEST(Run, IsTheSameByteForByteAtAnyThreadCount) {
  const TemporaryFolder folder;
  // The output names must be equal: the command line is part of the result.
  const auto run = [&](int threads) {
    const Outcome outcome =
        run_systole("run --quiet --threads " + std::to_string(threads) + " --json -");
    EXPECT_EQ(outcome.exit_code, 0) << outcome.errors;
    json result = json::parse(outcome.output, nullptr, false);
    result["summary"].erase("command");
    return result.dump();
  };
  EXPECT_EQ(run(1), run(3));
}

TEST(Run, PrintsAsciiWhereTheLocaleHasNoUtf8) {
  const auto printed = [](const char* locale) {
    ::setenv("LC_ALL", locale, 1);
    const Outcome outcome = run_systole("run --no-eval --prefill 8 --decode 1");
    ::unsetenv("LC_ALL");
    EXPECT_EQ(outcome.exit_code, 0) << outcome.errors;
    return outcome.output;
  };
  const auto other = [](char c) { return static_cast<unsigned char>(c) > 126; };
  EXPECT_EQ(std::ranges::count_if(printed("C"), other), 0);
  EXPECT_GT(std::ranges::count_if(printed("C.UTF-8"), other), 0);
}

TEST(Compare, PutsKvCachesSideBySideAndSaysWhatBinds) {
  const TemporaryFolder folder;
  const std::string page = folder.path("kv.html"), table = folder.path("kv.csv");
  const json result = run_json(
      "compare --kv fp16,kivi2,qserve-kv4 --machines fp16-kv-lpddr5,fp16-kv-hbm2e --batch 1,3 "
      "--model llama-2-7b --prefill 512 --decode 3 --quiet --html " +
      page + " --csv " + table);
  ASSERT_EQ(result.at("points").size(), 12u);
  for (const json& point : result.at("points")) {
    SCOPED_TRACE(point.at("kv").dump() + point.at("machine").dump() + point.at("batch").dump());
    std::uint64_t cycles = 0;
    std::string most;
    for (const auto& [resource, count] : point.at("cycles_by_resource").items()) {
      cycles += count.get<std::uint64_t>();
      if (most.empty() || count > point.at("cycles_by_resource").at(most)) most = resource;
    }
    EXPECT_EQ(cycles, point.at("run").at("summary").at("decode_cycles"));
    EXPECT_EQ(point.at("bound_by").get<std::string>().substr(0, most.size()), most);
    EXPECT_EQ(point.at("tpot_ms"), point.at("run").at("summary").at("tpot_ms"));
    EXPECT_GT(point.at("row_hit_rate"), 0.5);
    EXPECT_LE(point.at("row_hit_rate"), 1.0);
    EXPECT_GE(point.at("kv_burst_bytes_read_per_step"), point.at("kv_bytes_read_per_step"));
    EXPECT_EQ(point.at("dequant_utilisation") > 0, point.at("kv") != "fp16");
    EXPECT_TRUE(point.at("fits"));
  }
  // The same work three times over, weights once.
  const json &one = result.at("points").at(1), &three = result.at("points").at(7);
  ASSERT_EQ(three.at("batch"), 3);
  EXPECT_EQ(three.at("kv_bytes_read_per_step"), 3 * one.at("kv_bytes_read_per_step").get<double>());
  EXPECT_LT(three.at("tpot_ms"), 3 * one.at("tpot_ms").get<double>());
  const std::string html = read_file(page), csv = read_file(table);
  EXPECT_THAT(html, HasSubstr("Time a token, by what each cycle waits for"));
  EXPECT_THAT(html, HasSubstr(one.at("bound_by").get<std::string>()));
  EXPECT_EQ(std::count(csv.begin(), csv.end(), '\n'), 13);
}

TEST(Compare, KvPointsBeyondTheDramAreMarked) {
  const json result = run_json(
      "compare --kv fp16 --machines fp16-kv-lpddr5 --batch 64 --model llama-2-7b --prefill 8192 "
      "--decode 1 --quiet");
  const json& point = result.at("points").at(0);
  EXPECT_FALSE(point.at("fits"));
  EXPECT_GT(point.at("needed_bytes"), point.at("capacity_bytes"));
  EXPECT_GT(point.at("tpot_ms"), 0);
}

TEST(Compare, GivesEveryPeItsArrayRecipeAndErrorBars) {
  const TemporaryFolder folder;
  const std::string page = folder.path("page.html");
  const json result = run_json(
      "compare --equal-area 1 --pes mixpe-w4a8,int8-mac,bitmod --model systole-kjv-3m "
      "--recipe-per-pe --prefill 8 --decode 1 --quiet --html " +
      page);
  EXPECT_EQ(result.at("summary").at("base_pe"), "int8-mac");
  ASSERT_EQ(result.at("rows").size(), 3u);
  for (const json& row : result.at("rows")) {
    SCOPED_TRACE(row.at("pe"));
    EXPECT_LE(row.at("array_mm2").get<double>(), 1.0);
    EXPECT_EQ(row.at("recipe"), row.at("run").at("summary").at("recipe"));
    EXPECT_GT(row.at("proxy_perplexity").get<double>(),
              0.99 * result.at("summary").at("proxy_perplexity_fp32").get<double>());
    double both = 0;
    for (const char* name : {"prefill", "decode"}) {
      const json& phase = row.at(name);
      both += phase.at("energy_pj").get<double>();
      EXPECT_LE(phase.at("time_low_ms"), phase.at("time_ms"));
      EXPECT_GE(phase.at("time_high_ms"), phase.at("time_ms"));
      EXPECT_GE(phase.at("energy_with_glitches_pj"), phase.at("energy_pj"));
      EXPECT_GE(phase.at("energy_high_pj"), phase.at("energy_with_glitches_pj"));
      EXPECT_LE(phase.at("time_profiles_low_ms"), phase.at("time_ms"));
    }
    const double whole = row.at("run").at("summary").at("energy_pj").get<double>();
    EXPECT_NEAR(both, whole, 1e-6 * whole) << "the phases sum to the run";
  }
  EXPECT_EQ(result.at("rows").at(2).at("dataflow"), "output_stationary") << "BitMoD knows no other";
  EXPECT_FALSE(result.at("rows").at(0).at("profiles").empty());
  EXPECT_THAT(read_file(page), HasSubstr("</html>"));
}

TEST(Run, WritesAResultThatReportReadsBack) {
  const TemporaryFolder folder;
  const std::string h5 = folder.path("a.h5"), page = folder.path("page.html"),
                    text = folder.path("a.json");
  ASSERT_EQ(run_systole("run --no-eval --out " + h5 + " --json " + text).exit_code, 0);
  ASSERT_TRUE(fs::exists(h5));
  const Outcome report = run_systole("report " + h5 + " " + h5 + " --html " + page);
  EXPECT_EQ(report.exit_code, 0) << report.errors;
  EXPECT_THAT(read_file(page), HasSubstr("</html>"));
  const Outcome again = run_systole("report " + h5 + " --json -");
  EXPECT_EQ(again.output, read_file(text));
}

TEST(Run, TimesTheCacheOfEachSystemInTheNamedRecipesPlace) {
  double fp16 = 0;
  for (const char* kv :
       {"fp16", "kivi2", "kvquant-nuq3-1pct", "qserve-kv4", "rotatekv2", "zipcache"}) {
    const json summary = run_json(std::string("run --model llama-2-7b --prefill 1000 --decode 1 "
                                              "--machine fp16-kv-lpddr5 --quiet --kv ") +
                                  kv)
                             .at("summary");
    for (const char* key : {"kv_bytes", "kv_bytes_read", "kv_bytes_written"}) {
      ASSERT_TRUE(summary.at(key).is_number_unsigned()) << key;
      EXPECT_GT(summary.at(key).get<std::uint64_t>(), 0u) << kv << ' ' << key;
    }
    EXPECT_EQ(summary.at("recipe"), std::string("fp16+") + kv);
    const double bytes = summary.at("kv_bytes");
    if (fp16 == 0) fp16 = bytes;
    EXPECT_TRUE(bytes == fp16 || bytes < fp16 / 2) << kv;
    EXPECT_EQ(summary.at("dequant_utilisation").get<double>() > 0, bytes < fp16) << kv;
  }
  const Outcome unknown = run_systole("run --model llama-2-7b --kv kivi3");
  EXPECT_EQ(unknown.exit_code, 2);
  EXPECT_THAT(unknown.errors, HasSubstr("kivi"));
}

/// The row of a memory.
json memory_of(const json& result, const std::string& name) {
  for (const json& row : result.at("tiers")) {
    if (row.at("name") == name) return row;
  }
  return {};
}

TEST(Run, AnEdgeMachineReadsItsFrozenWeightsFromRramAndWearsNothing) {
  const json result = run_json(
      "run --machine edge-rram-tiered --model smollm2-135m --prefill 300 --decode 4 --quiet");
  const json rram = memory_of(result, "rram"), sram = memory_of(result, "sram"),
             dram = memory_of(result, "dram");
  EXPECT_EQ(rram.at("capacity_bytes"), 134217728);
  EXPECT_GT(rram.at("read_bytes").at("weights").get<double>(), 5 * 50e6);
  EXPECT_EQ(rram.at("line_writes"), 0);
  EXPECT_EQ(rram.at("lifetime_years"), 0.0);
  // 44 of the prompt's tokens are older than the 256 that SRAM keeps; 32 are whole pages.
  EXPECT_GT(dram.at("written_bytes").at("kv_cache").get<double>(), 0);
  EXPECT_GT(sram.at("written_bytes").at("kv_cache").get<double>(),
            4 * dram.at("written_bytes").at("kv_cache").get<double>());
  EXPECT_GT(sram.at("written_bytes").at("activations").get<double>(), 0);
}

TEST(Run, AHostBehindPcieTakesOldTokensAndHalfTheLayersOfALargeModel) {
  const TemporaryFolder folder;
  const std::string h5 = folder.path("tiered.h5");
  const json result = run_json(
      "run --machine mixpe-128x128-host-tiered --model llama-2-7b --prefill 1200 --decode 1 "
      "--quiet "
      "--out " +
      h5);
  const json host = memory_of(result, "host");
  EXPECT_GT(host.at("placed_bytes").get<double>(), 1.6e9);
  EXPECT_GT(host.at("read_bytes").at("kv_cache").get<double>(), 0);
  EXPECT_GT(host.at("link_fraction").get<double>(), 0);
  EXPECT_GT(memory_of(result, "dram").at("written_bytes").at("weights").get<double>(), 1e9);
  const Outcome report = run_systole("report " + h5);
  EXPECT_THAT(report.output, HasSubstr("Memories"));
  const Outcome wrong = run_systole(
      "run --machine mixpe-128x128-host-tiered --set \"memory.placement=[{class: kv_cache, tier: "
      "hots}]\"");
  EXPECT_EQ(wrong.exit_code, 2);
  EXPECT_THAT(wrong.errors, HasSubstr("did you mean 'host'"));
}

TEST(Run, TimesALargeShapeWithoutWeights) {
  const json result = run_json(
      "run --model llama-2-7b --machine mixpe-128x128 --recipe mixpe-w4a8 --prefill 2048 --decode "
      "64");
  const json& summary = result.at("summary");
  EXPECT_TRUE(summary.at("perplexity").is_null());
  // 32 layers of 202.4 M weights on 2048 tokens, and attention: data.md, dependencies.md.
  double macs = 0, bytes = 0, cycles = 0;
  for (const json& row : result.at("operations")) {
    macs += row.at("macs").get<double>();
    cycles += row.at("cycles").get<double>();
    EXPECT_FALSE(row.at("bound").get<std::string>().empty());
    for (const char* direction : {"dram_read_bytes", "dram_write_bytes"}) {
      for (const json& part : row.at(direction)) bytes += part.get<double>();
    }
  }
  EXPECT_GT(macs, 1.44e13);
  EXPECT_EQ(cycles, summary.at("cycles").get<double>());
  EXPECT_GE(cycles, macs / (128.0 * 128.0)) << "faster than the array";
  EXPECT_GE(cycles, bytes / summary.at("peak_dram_bytes_per_cycle").get<double>())
      << "faster than DRAM";
}

TEST(Eval, GivesThePerplexityOfData32) {
  const std::string shared = SYSTOLE_SHARED_DIR;
  if (!fs::exists(shared + "/data/llm/stories260K")) GTEST_SKIP() << "shared/data is absent";
  const json summary =
      run_json("eval --model " + shared + "/data/llm/stories260K/stories260K.bin --tokenizer " +
               shared + "/data/llm/stories260K/tok512.bin --recipe fp32 --text " + shared +
               "/data/text/tinystories/eval50.txt --split '<|endoftext|>'")
          .at("summary");
  EXPECT_NEAR(summary.at("perplexity").get<double>(), 3.7360, 0.0005);
  EXPECT_NEAR(summary.at("nll").get<double>(), 1.31801, 0.0002);
  EXPECT_EQ(summary.at("tokens"), 16993);
}

TEST(Eval, ContinuesAPrompt) {
  // golden.json beside the model: an independent implementation's greedy text. The prompt's space
  // is kept.
  const Outcome outcome =
      run_systole("eval --recipe fp32 --prompt 'In the beginning' --generate 8");
  EXPECT_EQ(outcome.exit_code, 0) << outcome.errors;
  EXPECT_THAT(outcome.output, HasSubstr("In the beginning of the first year"));
}

TEST(Eval, SaysWhatIsStored) {
  const json summary = run_json("eval --recipe kivi2 --limit 1 --max-context 256").at("summary");
  EXPECT_EQ(summary.at("text"), "eval.txt of systole-kjv-3m");
  EXPECT_EQ(summary.at("stored_bits_per_weight"), 32.0);
  // 256 tokens of KIVI at 2 bits, g32: keys are flushed in blocks of 128, so all are coded (3
  // bits); of the values the newest 128 are whole: (3 + 16) / 2.
  EXPECT_DOUBLE_EQ(summary.at("stored_bits_per_kv").get<double>(), (3.0 + 9.5) / 2);
  // 4 layers x 2 x 2 heads x 64 elements.
  EXPECT_DOUBLE_EQ(summary.at("kv_bytes_per_token").get<double>(), 4 * 2 * 128 * 6.25 / 8);
}

TEST(Eval, OliveKeepsWhatOutliersBreakAtFourBits) {
  const auto perplexity = [](const std::string& recipe) {
    return run_json("eval --inject-outliers 64 --limit 2 --max-context 256 --recipe " + recipe)
        .at("summary")
        .at("perplexity")
        .get<double>();
  };
  const double real = perplexity("fp32");
  const double olive = perplexity("olive-w4a4-tensor");
  const double integer = perplexity("w4a4-tensor");
  EXPECT_LT(olive, 3 * real);
  EXPECT_GT(integer, 10 * olive);
}

TEST(Output, ADeviceIsWrittenToAndNotReplaced) {
  // As root a rename over /dev/null once made a file of it.
  if (!fs::is_character_file("/dev/full")) GTEST_SKIP() << "no /dev/full here";
  const Outcome outcome = run_systole("verify --suite packing --cases 5 --quiet --json /dev/full");
  EXPECT_EQ(outcome.exit_code, 2);
  EXPECT_THAT(outcome.errors, HasSubstr("/dev/full: cannot be written"));
  EXPECT_TRUE(fs::is_character_file("/dev/full"));
}

TEST(Eval, CalibratesOnATextOfItsOwn) {
  const json summary =
      run_json("eval --recipe gptq-w3-g32 --limit 1 --max-context 128").at("summary");
  EXPECT_LT(summary.at("perplexity").get<double>(), 15);
  EXPECT_DOUBLE_EQ(summary.at("stored_bits_per_weight").get<double>(), 3 + 16.0 / 32 + 3.0 / 32);
}

TEST(Eval, ADraftChangesNoToken) {
  const std::string prompt = "eval --prompt 'And it came to pass' --generate 24 --recipe ";
  // The verifier of specmquant-w8w4 is the prefill format of phase-w8w4's weights; its own greedy
  // text is that of the feedback recipe before any switch: compare with plain decoding.
  EXPECT_EQ(run_systole(prompt + "specmquant-w8w4").output, run_systole(prompt + "w8-g128").output);
}

TEST(List, MakesTheReferencePage) {
  std::ifstream file(std::string(SYSTOLE_SOURCE_DIR) + "/quant/REFERENCE.md");
  const std::string page((std::istreambuf_iterator<char>(file)), std::istreambuf_iterator<char>());
  EXPECT_EQ(run_systole("list reference").output, page)
      << "mend with: systole list reference > quant/REFERENCE.md";
}

TEST(Verify, FindsNoDifference) {
  const json summary = run_json("verify --suite all --seed 1 --cases 60").at("summary");
  EXPECT_GT(summary.at("cases").get<double>(), 300);
  EXPECT_GT(summary.at("elements").get<double>(), 10000);
  EXPECT_EQ(summary.at("mismatches"), 0);
  EXPECT_GT(summary.at("elements_per_second").get<double>(), 0);
}

// SCALE-Sim v2's cycles of GPT-2 shaped products on its own 128 x 128 machines (shared/golden), and
// the one cycle a product that it leaves out (SCALE-Sim#125).
TEST(Dram, GivesEveryHeadlineFigureOfAPattern) {
  const json s = run_json("dram --standard ddr4-3200 --pattern seq --bytes 1048576").at("summary");
  EXPECT_EQ(s.at("bytes"), 1048576);
  EXPECT_EQ(s.at("requests"), 16384);
  EXPECT_NEAR(s.at("bandwidth_fraction").get<double>(), 0.95, 0.02);
  EXPECT_GT(s.at("row_hit_rate").get<double>(), 0.98);
  for (const char* key : {"cycles", "mean_latency_cycles", "energy_pj", "requests_per_second"}) {
    EXPECT_GT(s.at(key).get<double>(), 0.0) << key;
  }
  double parts = 0;
  for (const auto& part : s.at("energy")) parts += part.get<double>();
  EXPECT_NEAR(parts / s.at("energy_pj").get<double>(), 1, 1e-9);
}

TEST(Dram, PlaysTracesOfBothFormatsAlike) {
  const TemporaryFolder folder;
  std::string ramulator, dramsim3;
  for (int i = 0; i < 500; ++i) {
    const std::string address = std::to_string(i * 8256);
    ramulator += (i % 3 == 0 ? "ST " : "LD ") + address + "\n";
    dramsim3 += address + (i % 3 == 0 ? " WRITE 0\n" : " READ 0\n");
  }
  const auto play = [&](const std::string& trace, const std::string& format) {
    json s = run_json("dram --standard LPDDR5-6400 --format " + format + " --trace " +
                      folder.write(format, trace))
                 .at("summary");
    for (const char* key : {"trace", "requests_per_second"}) s.erase(key);
    return s;
  };
  const json a = play(ramulator, "ramulator");
  EXPECT_EQ(a, play(dramsim3, "dramsim3"));
  EXPECT_EQ(a.at("requests"), 500);
  EXPECT_EQ(a.at("written_bytes"), 167 * 64);
}

TEST(Dram, ChannelsShareTheBytesAndTheTime) {
  const json one = run_json("dram --standard HBM2 --pattern seq --bytes 4194304").at("summary");
  const json four =
      run_json("dram --standard HBM2 --pattern seq --bytes 4194304 --channels 4").at("summary");
  EXPECT_EQ(one.at("bytes"), four.at("bytes"));
  EXPECT_NEAR(one.at("cycles").get<double>() / four.at("cycles").get<double>(), 4, 0.2);
}

TEST(Dram, PoliciesDifferAsTheirSimulatorsDo) {
  // dram.md section 3, b_tile64 under RBC: 0.434 (Ramulator) and 0.916 (DRAMsim3) of peak.
  const std::string work =
      "dram --standard DDR4-3200 --pattern tile --chunk 64 --bytes 4194304 --map RBC ";
  const auto fraction = [&](const std::string& policy) {
    return run_json(work + "--policy " + policy)
        .at("summary")
        .at("bandwidth_fraction")
        .get<double>();
  };
  EXPECT_NEAR(fraction("shared-window"), 0.434, 0.01);
  EXPECT_NEAR(fraction("per-bank-queues"), 0.916, 0.02);
}

TEST(Gemm, TakesScaleSimsCyclesWhereFoldsAreSerial) {
  struct Row {
    const char* shape;
    std::uint64_t weight_stationary, output_stationary;
  };
  for (const Row& row : {Row{"256x2304x768", 68903, 36791}, Row{"256x256x64", 1275, 1271},
                         Row{"256x768x3072", 91871, 39911}, Row{"1x64x256", 765, 509}}) {
    for (const std::string dataflow : {"ws", "os"}) {
      const auto summary = run_json("gemm --pe int8-mac --array 128x128 --overlap serial --shape " +
                                    std::string(row.shape) + " --dataflow " + dataflow)["summary"];
      const std::uint64_t theirs = dataflow == "ws" ? row.weight_stationary : row.output_stationary;
      EXPECT_EQ(summary["cycles"], theirs + 1) << row.shape << " " << dataflow;
      EXPECT_EQ(summary["stream_cycles"].get<std::uint64_t>() +
                    summary["fill_drain_cycles"].get<std::uint64_t>(),
                summary["cycles"]);
    }
  }
}

TEST(Gemm, TheClockedArrayTakesTheCyclesOfTheClosedForm) {
  for (const char* rest :
       {"--pe olive --dataflow is", "--pe bitfusion --dataflow ws --overlap serial",
        "--pe bitmod --dataflow os", "--pe int4-dot --dataflow os --interconnect broadcast",
        "--pe stripes --dataflow ws --overlap ideal", "--pe olaccel --dataflow os --drain 3"}) {
    const std::string command = std::string("gemm --shape 21x34x70 --array 6x8 ") + rest;
    const json tile = run_json(command + " --timing tile")["summary"];
    const json clocked = run_json(command + " --timing pe")["summary"];
    if (std::string(rest).find("olaccel") == std::string::npos) {
      EXPECT_EQ(clocked["cycles"], tile["cycles"]) << rest;
    } else {
      EXPECT_GE(clocked["cycles"], tile["cycles"]) << "outliers of the operands";
    }
    EXPECT_LE(run_json(command + " --timing analytic")["summary"]["cycles"], tile["cycles"]);
  }
}

TEST(Gemm, TakesAListOfLayers) {
  const TemporaryFolder folder;
  const std::string file =
      folder.write("layers.csv", "Layer,M,N,K,\nfirst,4,8,4,\nsecond,64,24,40,\n");
  const json document = run_json("gemm --topology " + file +
                                 " --format scale-sim-mnk --pe int8-mac --array 4x8 "
                                 "--dataflow is --overlap serial");
  ASSERT_EQ(document["layers"].size(), 2u);
  EXPECT_EQ(document["layers"][0]["layer"], "first");
  // SCALE-Sim v2 reports 21 and 3039 (golden, a4x8_is).
  EXPECT_EQ(document["layers"][0]["cycles"], 22);
  EXPECT_EQ(document["layers"][1]["cycles"], 3040);
  EXPECT_EQ(document["summary"]["cycles"], 3062);
}

TEST(Run, TimesByEveryRegisterByTilesAndByPeaks) {
  const std::string command =
      "run --machine mixpe-16x16 --prefill 8 --decode 1 --no-eval --quiet --timing ";
  const json tile = run_json(command + "tile"), pe = run_json(command + "pe"),
             analytic = run_json(command + "analytic");
  EXPECT_EQ(pe["summary"]["cycles"], tile["summary"]["cycles"]);
  EXPECT_LT(analytic["summary"]["cycles"], tile["summary"]["cycles"]);
  EXPECT_EQ(analytic["summary"]["macs"], tile["summary"]["macs"]);
}

TEST(Run, OverlapIsTheMachinesOrTheCommands) {
  const auto cycles = [](const char* overlap) {
    return run_json(std::string("run --prefill 8 --decode 1 --no-eval --quiet --overlap ") +
                    overlap)["summary"]["cycles"]
        .get<std::uint64_t>();
  };
  const std::uint64_t serial = cycles("serial"), preload = cycles("preload"),
                      ideal = cycles("ideal");
  EXPECT_GT(serial, preload);
  EXPECT_GT(preload, ideal);
}

// Zeros of the real run: a share of the passes is gated, and none is lost.
TEST(Run, CountsPassesByWhatOperandsDoWhereItComputesValues) {
  const json seen = run_json("run --prefill 8 --decode 0 --quiet");
  const json blind = run_json("run --prefill 8 --decode 0 --quiet --no-eval");
  const auto count = [](const json& document, const char* event) {
    return document["events"].value(event, std::uint64_t{0});
  };
  EXPECT_EQ(count(blind, "array.mac_pass_zero"), 0u);
  EXPECT_GT(count(seen, "array.mac_pass_zero"), 0u);
  EXPECT_GT(count(seen, "array.operand_toggle"), 0u);
  EXPECT_EQ(count(seen, "array.mac_pass") + count(seen, "array.mac_pass_zero") +
                count(seen, "array.mac_pass_hold") + count(seen, "array.mac_pass_traced"),
            count(blind, "array.mac_pass"));
  EXPECT_TRUE(seen["notes"].contains("observations"));
  EXPECT_TRUE(blind["notes"].contains("observed operands"));
}

TEST(Run, SaysOnWhichOperandsItStepsTheArray) {
  const std::string run = "run --machine mixpe-16x16 --prefill 2 --decode 0 --timing pe --quiet";
  const std::string own = run_json(run)["notes"]["stepped operands"];
  EXPECT_TRUE(own.starts_with("model: systole-kjv-3m under mixpe-w4a8")) << own;
  const std::string none = run_json(run + " --no-eval")["notes"]["stepped operands"];
  EXPECT_TRUE(none.starts_with("random codes")) << none;
}

TEST(Paper, ReproducesEveryShippedPaper) {
  for (const char* name : {"ant", "mixpe", "bitmod", "olive", "scale-sim"}) {
    const json document = run_json(std::string("paper --no-tile ") + name);
    const json& summary = document["summary"];
    EXPECT_EQ(summary["values_within"], summary["values"]) << name;
    EXPECT_EQ(summary["means_within"], summary["means"]) << name;
    EXPECT_EQ(document["rows"].size(), summary["values"].get<std::size_t>() +
                                           summary["means"].get<std::size_t>() +
                                           summary["errata"].get<std::size_t>());
    for (const char* key :
         {"network", "accelerator", "metric", "published", "reproduced", "tile_timing", "note"})
      EXPECT_TRUE(document["rows"][0].contains(key)) << key;
  }
  EXPECT_EQ(run_json("paper --no-tile ant")["summary"]["values_equal"], 210);
  EXPECT_EQ(run_json("paper --no-tile mixpe")["summary"]["values_equal"], 120);
}

TEST(Paper, WritesPageTableAndTerminalText) {
  const TemporaryFolder folder;
  const Outcome outcome = run_systole("paper ant --no-tile --html " + folder.path("ant.html") +
                                      " --csv " + folder.path("ant.csv"));
  EXPECT_EQ(outcome.exit_code, 0) << outcome.errors;
  EXPECT_THAT(outcome.output, HasSubstr("210 of 210 values equal at their printed digits"));
  EXPECT_THAT(read_file(folder.path("ant.html")), HasSubstr("210 of 210"));
  EXPECT_THAT(read_file(folder.path("ant.csv")), HasSubstr("VGG16,ANT-OS,time,0.20,0.20,true"));
}

// A paper that the model does not reproduce says so with its exit code, like a check that fails.
TEST(Paper, ExitsWithOneWhereAValueDiffers) {
  const TemporaryFolder folder;
  const std::string file =
      folder.write("mine.yaml",
                   "base: scale-sim\nname: mine\npublished:\n"
                   "  - {network: AlexNet, machine: 128x128 OS, values: {layer_00: 14808}}\n");
  const Outcome outcome = run_systole("paper --no-tile " + file);
  EXPECT_EQ(outcome.exit_code, 1);
  EXPECT_THAT(outcome.output, HasSubstr("0 of 1 values equal"));
  EXPECT_THAT(outcome.output, HasSubstr("14807 (14808)"));
}

TEST(List, NamesEveryKind) {
  for (const char* kind : {"machines", "recipes", "models", "pes", "drams", "tiers", "energy",
                           "papers", "formats", "kernels"}) {
    const Outcome outcome = run_systole(std::string("list ") + kind);
    EXPECT_EQ(outcome.exit_code, 0) << outcome.errors;
    EXPECT_FALSE(outcome.output.empty()) << kind;
  }
}

TEST(Show, PrintsEveryNameThatListPrints) {
  for (const char* kind :
       {"machines", "recipes", "models", "pes", "drams", "tiers", "energy", "papers"}) {
    std::istringstream lines(run_systole(std::string("list ") + kind).output);
    for (std::string line; std::getline(lines, line);) {
      const std::string name = line.substr(0, line.find(' '));
      EXPECT_EQ(run_systole("show " + name).exit_code, 0) << name;
    }
  }
}

TEST(Help, ExplainsEveryCommand) {
  for (const char* command : {"run", "eval", "verify", "list", "show", "report", "paper"}) {
    const Outcome outcome = run_systole(std::string(command) + " --help");
    EXPECT_EQ(outcome.exit_code, 0) << outcome.errors;
    EXPECT_THAT(outcome.output, HasSubstr("Usage: systole " + std::string(command)));
    EXPECT_THAT(outcome.output, HasSubstr("Examples:"));
  }
}

}  // namespace
}  // namespace systole::tests
