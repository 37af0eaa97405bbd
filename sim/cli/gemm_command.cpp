// systole gemm: one matrix product on one array, by the closed form of the `tile` timing.
#include <fmt/format.h>

#include <algorithm>
#include <nlohmann/json.hpp>

#include "pe/array_timing.hpp"
#include "pe/design.hpp"
#include "sim/cli/commands.hpp"
#include "sim/cli/console.hpp"
#include "sim/cli/options.hpp"
#include "sim/core/error.hpp"

namespace systole::cli {
namespace {

/// A side beyond this is a slip of the keyboard, and its counts would not fit 64 bits.
constexpr std::uint64_t kLargestSide = 1u << 20;

std::vector<std::size_t> sides_of(std::string_view option, std::string_view text, std::size_t count,
                                  std::string_view form) {
  const std::string expected = fmt::format("{}, each 1 to {}", form, kLargestSide);
  std::vector<std::size_t> sides = numbers_in(option, text, 'x', count, expected);
  if (std::ranges::any_of(sides, [](std::size_t n) { return n == 0 || n > kLargestSide; })) {
    throw ConfigError(fmt::format("{}: found '{}'; expected {}", option, text, expected));
  }
  return sides;
}

template <class Value>
Value named(const std::string& option, const std::string& text,
            const std::vector<std::pair<std::string, Value>>& known) {
  std::vector<std::string> names;
  for (const auto& [name, value] : known) {
    if (name == text) return value;
    names.push_back(name);
  }
  throw ConfigError("--" + option + ": " + unknown_name_message("choice", text, names));
}

}  // namespace

int gemm_command(const Arguments& arguments) {
  std::string shape_text, array_text = "128x128", pe = "mixpe-w4a8", dataflow = "ws",
                          overlap = "preload", json;
  std::uint64_t group = 0;
  Options options(
      "gemm --shape MxNxK [options]",
      "Cycles of one matrix product, [M, K] times [K, N], on one systolic array: compute only, "
      "the\n"
      "operands are at hand. The closed forms are those of `run`, equal to the clocked array by\n"
      "test (systole verify --suite pe_values_and_cycles).",
      "  systole gemm --shape 256x768x768 --pe int8-mac --array 128x128 --dataflow ws\n"
      "  systole gemm --shape 1x4096x4096 --overlap serial --json -\n");
  options.value("shape", "MxNxK", shape_text, "rows, columns and depth of the product")
      .number("group", "L", group, "elements along K that share a scale (default: all)")
      .value("pe", "NAME", pe, "the processing element (systole list pes; default mixpe-w4a8)")
      .value("array", "RxC", array_text, "rows and columns of the array (default 128x128)")
      .value("dataflow", "ws|os", dataflow, "weight or output stationary (default ws)")
      .value("overlap", "serial|preload", overlap,
             "what a fold hides of the next one's loading (default preload)")
      .value("json", "FILE", json, "the summary as JSON, - for standard output");
  if (!options.parse(arguments)) return 0;
  if (shape_text.empty())
    throw ConfigError("systole gemm needs --shape MxNxK (systole gemm --help)");

  const auto sides = sides_of("--shape", shape_text, 3, "MxNxK, such as 256x768x768");
  const auto array_sides = sides_of("--array", array_text, 2, "RxC, such as 128x128");
  configs::ArrayConfig array;
  array.pe = pe;
  array.rows = static_cast<std::uint32_t>(array_sides[0]);
  array.cols = static_cast<std::uint32_t>(array_sides[1]);
  array.dataflow = named<configs::Dataflow>(
      "dataflow", dataflow,
      {{"ws", configs::Dataflow::weight_stationary}, {"os", configs::Dataflow::output_stationary}});
  array.fold_overlap = named<configs::FoldOverlap>(
      "overlap", overlap,
      {{"serial", configs::FoldOverlap::serial}, {"preload", configs::FoldOverlap::preload}});
  const pe::PeDesign& design = pe::find_design(pe);
  const pe::OperandPair& pair = design.pairs.front();
  const pe::GemmShape shape{sides[0], sides[1], sides[2], group, pair.stationary, pair.moving};
  if (group != 0 && shape.k % group != 0) {
    throw ConfigError(fmt::format("--group: {} does not divide K = {}", group, shape.k));
  }
  const pe::ArrayWork work = pe::array_work(array, design, shape);
  const double pes = static_cast<double>(array.rows) * array.cols;
  const double utilisation =
      static_cast<double>(work.mac_passes) / (pes * static_cast<double>(work.cycles));
  if (json != "-") {
    fmt::print(
        "{} x {} x {} on {} x {} {} ({} stationary, {})\n"
        "  cycles        {:>16}   {} folds, {} pass{} a multiply-accumulate\n"
        "  streaming     {:>16}\n"
        "  fill, drain   {:>16}\n"
        "  utilisation   {:>15.1f} %   of the array's PEs and cycles\n",
        shape.m, shape.n, shape.k, array.rows, array.cols, design.name,
        dataflow == "ws" ? "weight" : "output", overlap, work.cycles, work.folds, work.passes,
        work.passes == 1 ? "" : "es", work.stream_cycles, work.fill_drain_cycles,
        100.0 * utilisation);
  }
  if (!json.empty()) {
    nlohmann::ordered_json document;
    document["summary"] = {{"shape", shape_text},
                           {"pe", design.name},
                           {"array", array_text},
                           {"dataflow", dataflow},
                           {"overlap", overlap},
                           {"timing", "tile"},
                           {"cycles", work.cycles},
                           {"compute_cycles", work.cycles},
                           {"stream_cycles", work.stream_cycles},
                           {"fill_drain_cycles", work.fill_drain_cycles},
                           {"folds", work.folds},
                           {"macs", shape.m * shape.n * shape.k},
                           {"utilisation", utilisation}};
    write_text_file(json, document.dump(2) + "\n");
  }
  return 0;
}

}  // namespace systole::cli
