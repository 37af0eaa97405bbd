// Every kind of bad input gives one clear message and exit code 2, before anything is written.
#include <gmock/gmock.h>

#include <functional>
#include <string>

#include "tests/cli/process.hpp"

namespace systole::tests {
namespace {

using ::testing::HasSubstr;
using ::testing::StartsWith;

std::string embedded(const std::string& name) {
  return std::string(SYSTOLE_SOURCE_DIR) + "/workloads/embedded/" + name;
}

/// Little-endian, as GGUF and llama2.c store numbers.
template <class T>
std::string bytes_of(T value) {
  return {reinterpret_cast<const char*>(&value), sizeof value};
}

struct BadInput {
  const char* name;
  /// Makes the files it needs in the folder and returns the arguments.
  std::function<std::string(const TemporaryFolder&)> arguments;
  /// What the message must contain.
  const char* message;
};

std::ostream& operator<<(std::ostream& out, const BadInput& input) { return out << input.name; }

std::string with_machine(const TemporaryFolder& folder, const std::string& yaml) {
  return "run --no-eval --machine " + folder.write("machine.yaml", yaml);
}

const BadInput kBadInputs[] = {
    {"unknown_command", [](auto&) { return "rum"; }, "did you mean 'run'"},
    {"unknown_option", [](auto&) { return "run --prefil 3"; }, "did you mean '--prefill'"},
    {"option_without_value", [](auto&) { return "run --prefill"; }, "prefill"},
    {"word_too_many", [](auto&) { return "run fast"; }, "unexpected argument 'fast'"},
    {"number_is_text", [](auto&) { return "run --prefill many"; },
     "expected a whole number, found 'many'"},
    {"number_is_negative", [](auto&) { return "run --prefill=-5"; },
     "expected a whole number, found '-5'"},
    {"no_prompt", [](auto&) { return "run --prefill 0"; }, "0 tokens"},
    {"prompt_neither_run_nor_cached", [](auto&) { return "run --prompt cache"; },
     "did you mean 'cached'"},
    {"cached_prompt_and_nothing_after_it",
     [](auto&) { return "run --prompt cached --decode 0 --no-eval"; },
     "decode: found 0 and the prompt cached; expected 1 or more"},
    {"more_tokens_than_positions", [](auto&) { return "run --prefill 510 --decode 30"; }, "512"},
    {"absurd_tokens", [](auto&) { return "run --prefill 99999999999999999999"; }, "whole number"},
    {"too_many_threads", [](auto&) { return "run --threads 100000"; }, "at most 256"},
    {"unknown_machine", [](auto&) { return "run --machine mixpe-128x182"; },
     "did you mean 'mixpe-128x128'"},
    {"unknown_recipe", [](auto&) { return "run --recipe mixpe-w4a9"; },
     "did you mean 'mixpe-w4a8'"},
    {"unknown_model", [](auto&) { return "run --model llama-2-7c"; }, "did you mean 'llama-2-7b'"},
    {"compare_kv_without_machines", [](auto&) { return "compare --kv fp16"; },
     "expected --machines M,N,...; see `systole list machines`"},
    {"compare_kv_twice", [](auto&) { return "compare --kv fp16,fp16 --machines fp16-kv-lpddr5"; },
     "--kv: 'fp16' is named twice"},
    {"compare_kv_and_pes",
     [](auto&) { return "compare --kv fp16 --machines fp16-kv-lpddr5 --pes int8-mac"; },
     "--kv compares caches"},
    {"compare_batch_without_kv",
     [](auto&) { return "compare --equal-area 9.7 --pes int8-mac --batch 2"; },
     "go with --kv A,B,..."},
    {"compare_kv_batch_is_text",
     [](auto&) { return "compare --kv fp16 --machines fp16-kv-lpddr5 --batch few"; },
     "numbers of sequences with commas"},
    {"compare_kv_without_decode",
     [](auto&) { return "compare --kv fp16 --machines fp16-kv-lpddr5 --decode 0"; },
     "0 decode steps; expected at least 1"},
    {"run_no_sequences", [](auto&) { return "run --model llama-2-7b --batch 0"; },
     "0 sequences; expected 1 to 1024"},
    {"compare_without_area", [](auto&) { return "compare --pes int8-mac"; },
     "expected --equal-area MM2"},
    {"compare_area_is_text", [](auto&) { return "compare --equal-area big --pes int8-mac"; },
     "expected square millimetres above 0"},
    {"compare_area_is_negative", [](auto&) { return "compare --equal-area=-1 --pes int8-mac"; },
     "expected square millimetres above 0"},
    {"compare_without_pes", [](auto&) { return "compare --equal-area 9.7"; }, "expected --pes"},
    {"compare_unknown_pe", [](auto&) { return "compare --equal-area 9.7 --pes int8-max"; },
     "did you mean 'int8-mac'"},
    {"compare_pe_twice", [](auto&) { return "compare --equal-area 9.7 --pes olive,olive"; },
     "named twice"},
    {"compare_pe_without_price",
     [](auto&) { return "compare --equal-area 9.7 --pes mixpe-w4a8 --energy bitmod-28"; },
     "has no price for PE 'mixpe-w4a8'"},
    {"compare_pe_without_area",
     [](auto&) { return "compare --equal-area 9.7 --pes fp16-mac --energy axcore-28"; },
     "states no area of PE 'fp16-mac'"},
    {"compare_area_too_small", [](auto&) { return "compare --equal-area 0.001 --pes int8-mac"; },
     "0.001 mm2 hold 1 PEs 'int8-mac'"},
    {"compare_pe_without_recipe", [](auto&) { return "compare --equal-area 9.7 --pes gobo"; },
     "PE 'gobo' has no recipe"},
    {"compare_two_kinds_of_recipe",
     [](auto&) { return "compare --equal-area 9.7 --pes int8-mac --recipe w8a8 --recipe-per-pe"; },
     "expected it without --recipe-per-pe"},
    {"compare_recipes_that_are_none",
     [](auto& f) {
       return "compare --equal-area 9.7 --pes int8-mac --recipes " +
              f.write("r.yaml", "recipes: {int8-mac: [w8a8]}\n");
     },
     "recipes.int8-mac: found a list; expected the name of a recipe"},
    {"compare_proxy_without_weights",
     [](auto&) { return "compare --equal-area 9.7 --pes int8-mac --proxy llama-2-7b"; },
     "has no weights to evaluate"},
    {"no_paper", [](auto&) { return "paper"; }, "expected a name; see `systole list papers`"},
    {"unknown_paper", [](auto&) { return "paper bitmud"; }, "did you mean 'bitmod'"},
    {"two_papers", [](auto&) { return "paper ant mixpe"; }, "found 'mixpe' as well"},
    {"paper_of_widths_that_are_none",
     [](auto& f) {
       return "paper " + f.write("mine.yaml",
                                 "base: ant\nname: mine\nbitfusion:\n  workloads:\n"
                                 "    - {network: n, bits: {AdaFloat: 8x}, blocks: [{layers: "
                                 "[{in: 4, out: 4}]}]}\n");
     },
     "bits.AdaFloat: expected at most 4096 widths such as"},
    {"paper_page_that_cannot_be_written",
     [](auto&) { return "paper ant --html /nonexistent/page.html"; }, "/nonexistent/page.html"},
    {"model_file_missing", [](auto& f) { return "run --model " + f.path("none.gguf"); },
     "none.gguf"},
    {"model_is_a_folder", [](auto&) { return "run --model /tmp/"; }, "not a regular file"},
    {"gguf_truncated",
     [](auto& f) {
       const std::string whole = read_file(embedded("systole-kjv-3m.gguf"));
       return "run --model " + f.write("cut.gguf", whole.substr(0, whole.size() / 2));
     },
     "cut.gguf"},
    {"gguf_absurd_counts",
     [](auto& f) {
       return "run --model " + f.write("absurd.gguf", "GGUF" + bytes_of<std::uint32_t>(3) +
                                                          bytes_of<std::uint64_t>(1ull << 60) +
                                                          bytes_of<std::uint64_t>(1ull << 60));
     },
     "absurd.gguf"},
    {"gguf_other_version",
     [](auto& f) {
       return "run --model " +
              f.write("old.gguf", "GGUF" + bytes_of<std::uint32_t>(1) + std::string(16, '\0'));
     },
     "version"},
    {"model_is_garbage",
     [](auto& f) { return "run --model " + f.write("g.bin", std::string(400, 'x')); }, "g.bin"},
    {"model_is_empty", [](auto& f) { return "run --model " + f.write("e.bin", ""); }, "e.bin"},
    {"config_json_malformed",
     [](auto& f) { return "run --model " + f.write("config.json", "{\"hidden_size\": "); },
     "config.json"},
    {"config_json_wrong_type",
     [](auto& f) {
       return "run --model " +
              f.write(
                  "config.json",
                  R"({"architectures": ["LlamaForCausalLM"], "num_hidden_layers": 2, "hidden_size": "big"})");
     },
     "hidden_size"},
    {"config_json_other_architecture",
     [](auto& f) {
       return "run --model " +
              f.write("config.json", R"({"architectures": ["BertModel"], "model_type": "bert"})");
     },
     "BertModel"},
    {"text_missing", [](auto& f) { return "run --text " + f.path("no.txt"); }, "no.txt"},
    {"text_empty", [](auto& f) { return "eval --text " + f.write("empty.txt", " \n"); },
     "empty.txt"},
    {"shape_cannot_be_evaluated", [](auto&) { return "eval --model llama-2-7b"; }, "shape only"},
    {"formats_the_pe_lacks", [](auto&) { return "run --recipe fp32"; }, "PE 'mixpe-w4a8'"},
    {"model_too_large_for_memory",
     [](auto&) { return "run --model llama-3.1-405b --set memory.dram.channels=1"; },
     "bytes of DRAM"},
    {"override_unknown_path", [](auto&) { return "run --set memory.dram.chanels=4"; }, "chanels"},
    {"override_wrong_type", [](auto&) { return "run --set array.rows=many"; }, "array.rows"},
    {"override_malformed", [](auto&) { return "run --set array.rows"; }, "array.rows"},
    {"machine_without_rows", [](auto&) { return "run --set array.rows=0"; }, "array.rows"},
    {"machine_faster_than_its_pe", [](auto&) { return "run --set clock_mhz=5000"; }, "clock_mhz"},
    {"machine_unknown_key",
     [](auto& f) { return with_machine(f, "base: mixpe-128x128\nname: x\narray: {rowz: 4}\n"); },
     "did you mean 'rows'"},
    {"mapping_objective", [](auto&) { return "run --no-eval --set mapping.objective=cycels"; },
     "mapping.objective: found 'cycels'; expected one of cycles, energy, edp"},
    {"mapping_order",
     [](auto& f) {
       return with_machine(f,
                           "base: mixpe-16x16\nname: x\nmapping:\n  fixed:\n    all: {order: "
                           "weight_outer}\n");
     },
     "machine.yaml:5:18: mapping.fixed.all.order: found 'weight_outer'; expected one of"},
    {"mapping_sums_too_many",
     [](auto& f) {
       return with_machine(f,
                           "base: mixpe-16x16\nname: x\nmapping:\n  fixed:\n    all:\n      "
                           "tile: {m: 100000, n: 100000}\n");
     },
     "machine.yaml:6:13: mapping.fixed.all.tile: found m 100000 and n 100000"},
    {"mapping_does_not_fit",
     [](auto& f) {
       return with_machine(f,
                           "base: mixpe-16x16\nname: x\nmapping:\n  fixed:\n    all:\n      "
                           "tile: {n: 100000, k: 100000}\nmemory: {weight: {capacity_bytes: "
                           "4096}}\n");
     },
     "machine.yaml:6:7: mapping.fixed.all.tile: found tiles of"},
    {"mapping_of_no_operation",
     [](auto&) { return "run --no-eval --set mapping.fixed.attn_z.tile.m=4"; },
     "mapping.fixed.attn_z: no product of model"},
    {"machine_duplicate_key",
     [](auto& f) {
       return with_machine(f, "base: mixpe-128x128\nname: x\narray: {rows: 4, rows: 8}\n");
     },
     "rows"},
    {"machine_is_not_yaml", [](auto& f) { return with_machine(f, "array: [1, 2"); },
     "machine.yaml"},
    {"machine_base_cycle",
     [](auto& f) { return with_machine(f, "base: ./machine.yaml\nname: x\n"); }, "machine.yaml"},
    {"result_missing", [](auto& f) { return "report " + f.path("none.h5"); }, "none.h5"},
    {"result_is_garbage",
     [](auto& f) { return "report " + f.write("g.h5", std::string(5000, '\x7f')); }, "g.h5"},
    {"report_without_files", [](auto&) { return "report"; }, "at least one result"},
    {"output_folder_missing", [](auto& f) { return "run --out " + f.path("no/such/a.h5"); },
     "does not exist"},
    {"gemm_shape", [](auto&) { return "gemm --shape 4x4"; },
     "--shape: found '4x4'; expected MxNxK"},
    {"gemm_huge", [](auto&) { return "gemm --shape 1x1x99999999"; }, "each 1 to 1048576"},
    {"gemm_array", [](auto&) { return "gemm --shape 4x4x4 --array 0x4"; }, "--array: found '0x4'"},
    {"gemm_pe", [](auto&) { return "gemm --shape 4x4x4 --pe int8-mak"; },
     "did you mean 'int8-mac'"},
    {"gemm_overlap", [](auto&) { return "gemm --shape 4x4x4 --overlap preloaded"; },
     "did you mean 'preload'"},
    {"gemm_timing", [](auto&) { return "gemm --shape 4x4x4 --timing tiles"; },
     "did you mean 'tile'"},
    {"gemm_two_inputs", [](auto&) { return "gemm --shape 4x4x4 --topology x.csv"; },
     "needs --shape MxNxK or --topology FILE.csv"},
    {"gemm_format", [](auto&) { return "gemm --shape 4x4x4 --weight int44"; },
     "did you mean 'int4'"},
    {"gemm_pair", [](auto&) { return "gemm --shape 4x4x4 --pe olive --weight fp16"; },
     "cannot multiply fp16 (weight)"},
    {"gemm_dataflow_of_pe", [](auto&) { return "gemm --shape 4x4x4 --pe bitmod --dataflow ws"; },
     "'bitmod' does not work weight_stationary"},
    {"gemm_drain", [](auto&) { return "gemm --shape 4x4x4 --array 4x4 --drain 5"; },
     "at most one word a column, 4"},
    {"dram_nothing", [](auto&) { return "dram"; }, "needs --standard NAME"},
    {"dram_no_requests", [](auto&) { return "dram --standard DDR4-3200"; },
     "needs --trace FILE or --pattern NAME"},
    {"dram_standard", [](auto&) { return "dram --standard DDR4-3300 --pattern seq --bytes 64"; },
     "did you mean 'ddr4-3200'"},
    {"dram_family", [](auto&) { return "dram --standard DDR5 --pattern seq --bytes 64"; },
     "name one"},
    {"dram_policy",
     [](auto&) { return "dram --standard HBM2 --pattern seq --bytes 64 --policy shared-windows"; },
     "did you mean 'shared-window'"},
    {"dram_map", [](auto&) { return "dram --standard HBM2 --pattern seq --bytes 64 --map RBD"; },
     "did you mean 'RBC'"},
    {"dram_page", [](auto&) { return "dram --standard HBM2 --pattern seq --bytes 64 --page opem"; },
     "did you mean 'open'"},
    {"dram_load", [](auto&) { return "dram --standard HBM2 --pattern seq --bytes 64 --load 0"; },
     "--load: found '0'"},
    {"dram_bytes", [](auto&) { return "dram --standard HBM2 --pattern seq"; }, "needs --bytes"},
    {"dram_pattern", [](auto&) { return "dram --standard HBM2 --pattern sequ --bytes 64"; },
     "did you mean 'seq'"},
    {"dram_chunk",
     [](auto&) { return "dram --standard HBM2 --pattern tile --bytes 64 --chunk 100"; },
     "a multiple of 64"},
    {"dram_format",
     [](auto& f) { return "dram --standard HBM2 --trace " + f.write("t", "LD 1\n"); },
     "--trace needs --format"},
    {"dram_missing_trace",
     [](auto& f) { return "dram --standard HBM2 --format ramulator --trace " + f.path("none"); },
     "cannot be read"},
    {"dram_bad_line",
     [](auto& f) {
       return "dram --standard HBM2 --format ramulator --trace " + f.write("t", "LD 64\nLX 64\n");
     },
     "t:2: found 'LX 64'; expected 'LD ADDRESS'"},
    {"dram_bad_line_of_one_channel",
     [](auto& f) {
       return "dram --standard HBM2 --channels 2 --format dramsim3 --trace " +
              f.write("t", "0x0 READ 5\n0x40 READ 4\n");
     },
     "clocks that do not fall (at 5)"},
    {"dram_channels",
     [](auto&) { return "dram --standard HBM2 --pattern seq --bytes 64 --channels 65"; },
     "expected 1 to 64"},
    {"dram_set", [](auto&) { return "dram --standard HBM2 --pattern seq --bytes 64 --set clx=3"; },
     "clx"},
    {"run_timing", [](auto&) { return "run --timing tiles"; }, "did you mean 'tile'"},
    {"run_overlap", [](auto&) { return "run --overlap preloaded"; }, "did you mean 'preload'"},
    {"run_pair", [](auto&) { return "run --recipe mxfp4 --no-eval"; },
     "PE 'mixpe-w4a8' computes int2 to int8 x int2 to int8"},
    {"gemm_group", [](auto&) { return "gemm --shape 4x4x4 --group 3"; }, "3 does not divide K = 4"},
    {"unknown_suite", [](auto&) { return "verify --suite gemm_w4a9"; }, "did you mean 'gemm_w4a8'"},
    {"unknown_kind", [](auto&) { return "list machine"; }, "did you mean 'machines'"},
    {"unknown_name_to_show", [](auto&) { return "show mixpe-128x129"; },
     "did you mean 'mixpe-128x128'"},
};

class BadInputs : public ::testing::TestWithParam<BadInput> {};

TEST_P(BadInputs, GiveOneClearMessageAndExitCode2) {
  const TemporaryFolder folder;
  const Outcome outcome = run_systole(GetParam().arguments(folder));
  EXPECT_EQ(outcome.exit_code, 2) << outcome.errors;
  EXPECT_THAT(outcome.errors, StartsWith("systole: "));
  EXPECT_THAT(outcome.errors, HasSubstr(GetParam().message));
  EXPECT_EQ(outcome.output, "");
}

INSTANTIATE_TEST_SUITE_P(All, BadInputs, ::testing::ValuesIn(kBadInputs),
                         [](const auto& input) { return std::string(input.param.name); });

}  // namespace
}  // namespace systole::tests
