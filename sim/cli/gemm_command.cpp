// systole gemm: one matrix product on one array, in any of the three timings.
#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <filesystem>
#include <nlohmann/json.hpp>
#include <optional>

#include "pe/array_timing.hpp"
#include "pe/clocked_array.hpp"
#include "pe/design.hpp"
#include "pe/verify.hpp"
#include "reports/figure_table.hpp"
#include "reports/format.hpp"
#include "reports/text_table.hpp"
#include "sim/cli/commands.hpp"
#include "sim/cli/console.hpp"
#include "sim/cli/options.hpp"
#include "sim/core/error.hpp"
#include "sim/kernel/simulation.hpp"
#include "sim/kernel/systemc.hpp"
#include "sim/kernel/waveform.hpp"
#include "sim/system/schedule.hpp"
#include "workloads/topology.hpp"

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

struct Request {
  std::string shape, array = "128x128", pe = "mixpe-w4a8", dataflow = "ws", overlap = "preload",
                     interconnect = "systolic", timing = "tile", weight, activation, json, vcd,
                     topology, format;
  std::uint64_t group = 0, drain = 0;
};

bool parse(const Arguments& arguments, Request& r) {
  Options options(
      "gemm --shape MxNxK | --topology FILE.csv [options]",
      "Cycles of a matrix product, [M, K] times [K, N], or of each of a list, on one array: "
      "compute "
      "only, the operands "
      "are\n"
      "at hand. Three timings: `pe` steps every register of the array and computes values (random "
      "ones),\n"
      "`tile` is the closed form that `run` uses, equal to it by test (systole verify --suite\n"
      "pe_values_and_cycles), `analytic` divides the products by the array's peak.",
      "  systole gemm --shape 256x768x768 --pe int8-mac --array 128x128 --dataflow ws\n"
      "  systole gemm --shape 64x64x64 --pe olive --array 16x16 --dataflow os --timing pe\n"
      "  systole gemm --shape 1x4096x4096 --overlap serial --json\n"
      "  systole gemm --shape 8x8x8 --pe int8-mac --array 4x4 --timing pe --vcd array.vcd\n"
      "  systole gemm --topology layers.csv --format scale-sim-mnk --pe int8-mac --overlap "
      "serial\n");
  options.group("Product")
      .value("shape", "MxNxK", r.shape, "rows, columns and depth of the product")
      .value("topology", "FILE.csv", r.topology, "a list of products or convolutions, a row each")
      .value("format", "NAME", r.format,
             "of the list: scale-sim-mnk (layer, M, N, K) or scale-sim-conv (default: by its "
             "columns)")
      .words("scale-sim-mnk scale-sim-conv")
      .number("group", "L", r.group, "elements along K that share a scale (default: all)")
      .value("weight", "FORMAT", r.weight, "format of the weight (default: the PE's first)")
      .words("@formats")
      .value("activation", "FORMAT", r.activation,
             "format of the activation (default: the PE's first)")
      .words("@formats");
  options.group("Array")
      .value("pe", "NAME", r.pe, "the processing element (systole list pes; default mixpe-w4a8)")
      .words("@pes")
      .value("array", "RxC", r.array, "rows and columns of the array (default 128x128)")
      .value("dataflow", "ws|os|is", r.dataflow, "weight, output or input stationary (default ws)")
      .value("overlap", "serial|preload|ideal", r.overlap,
             "what a fold hides of the next one's loading; ideal: no skew, fill or drain at all "
             "(default preload)")
      .value("interconnect", "systolic|broadcast", r.interconnect,
             "operands from PE to PE, or by buses with adder trees (default systolic)")
      .number("drain", "WORDS", r.drain,
              "sums that leave the array a cycle (default: one a column)");
  options.group("Result")
      .value("timing", "pe|tile|analytic", r.timing, "how cycles are found (default tile)")
      .value(
          "vcd", "FILE.vcd", r.vcd,
          "--timing pe: the registers of every PE, clock by clock, for GTKWave (1 ns stands for a "
          "cycle); up to 4 M PEs x cycles; `vcd2fst FILE.vcd FILE.fst` makes a tenth of it")
      .json(r.json, "the summary");
  return options.parse(arguments);
}

quant::Format format_of(const std::string& option, const std::string& text,
                        const pe::PeDesign& design, bool weight) {
  if (text.empty()) return weight ? design.modes.front().weight : design.modes.front().activation;
  return static_cast<quant::Format>(choice_of("--" + option, "format", text, quant::kFormatNames));
}

/// Steps the array through the product in SystemC.
pe::ArrayWork run_clocked(const configs::ArrayConfig& array, const pe::PeDesign& design,
                          const pe::GemmShape& shape, const std::string& vcd) {
  constexpr std::uint64_t kMostOperands = std::uint64_t{1} << 26;
  if (shape.m * shape.k > kMostOperands || shape.n * shape.k > kMostOperands ||
      shape.m * shape.n > kMostOperands) {
    throw ConfigError(fmt::format(
        "--timing pe computes the values: an operand of more than {} elements; use --timing tile",
        kMostOperands));
  }
  const std::uint64_t cycles = pe::array_work(array, design, shape).cycles;
  const std::string shown = fmt::format("a product of {} x {} x {}", shape.m, shape.n, shape.k);
  if (!vcd.empty()) pe::check_traceable(array, cycles, shown, "a smaller --shape or --array");
  const pe::ArrayCase work = pe::random_case(design, shape, 1);
  pe::ArrayWork measured;
  kernel::run_simulation([&] {
    pe::ClockedArray clocked("array");
    std::optional<kernel::Waveform> waveform;
    if (!vcd.empty()) {
      waveform.emplace(vcd, shown + " of random values on " + design.name);
      clocked.trace(waveform->file(), array);
    }
    kernel::Task task("task", [&] { measured = clocked.run(array, work).measured; });
    task.run(sc_core::sc_time(2.0 * static_cast<double>(cycles) + 1000, sc_core::SC_NS));
    if (waveform) waveform->finish();
    return 0;
  });
  return measured;
}

}  // namespace

namespace {

/// One product of the request.
struct Layer {
  std::string name;
  std::uint64_t m = 0, n = 0, k = 0;
};

std::vector<Layer> layers_of(const Request& r) {
  if (r.shape.empty() == r.topology.empty()) {
    throw ConfigError(
        "systole gemm needs --shape MxNxK or --topology FILE.csv (systole gemm --help)");
  }
  if (!r.shape.empty()) {
    const auto sides = sides_of("--shape", r.shape, 3, "MxNxK, such as 256x768x768");
    return {{r.shape, sides[0], sides[1], sides[2]}};
  }
  std::optional<workloads::TopologyFormat> format;
  if (!r.format.empty()) {
    format = static_cast<workloads::TopologyFormat>(
        choice_of("--format", "choice", r.format, workloads::kTopologyFormatNames));
  }
  std::vector<Layer> layers;
  for (const auto& layer : workloads::read_topology(r.topology, format).layers) {
    layers.push_back({layer.name, layer.m, layer.n, layer.k});
  }
  return layers;
}

/// What a layer's summary says, in text and JSON alike.
struct Row {
  Layer layer;
  pe::ArrayWork work;
  double utilisation = 0;

  nlohmann::ordered_json json() const {
    return {{"cycles", work.cycles},
            {"compute_cycles", work.cycles},
            {"stream_cycles", work.stream_cycles},
            {"fill_drain_cycles", work.fill_drain_cycles},
            {"folds", work.folds},
            {"macs", layer.m * layer.n * layer.k},
            {"utilisation", utilisation}};
  }
};

void print_list(const std::vector<Row>& rows) {
  reports::TextTable table({{"layer", true},
                            {"M", false, 4},
                            {"N", false, 5},
                            {"K", false, 6},
                            {"cycles"},
                            {"fill, drain", false, 3},
                            {"utilisation", false, 2}});
  std::uint64_t cycles = 0;
  for (const Row& row : rows) {
    table.add({row.layer.name, std::to_string(row.layer.m), std::to_string(row.layer.n),
               std::to_string(row.layer.k), std::to_string(row.work.cycles),
               std::to_string(row.work.fill_drain_cycles),
               reports::format_figure("utilisation", row.utilisation)});
    cycles += row.work.cycles;
  }
  table.add({"total", "", "", "", std::to_string(cycles), "", ""});
  print_text(table.print(output_columns(), colour_wanted()));
}

}  // namespace

int gemm_command(const Arguments& arguments) {
  Request r;
  if (!parse(arguments, r)) return 0;
  const std::vector<Layer> layers = layers_of(r);
  check_writable(r.json);
  check_writable(r.vcd);
  const auto array_sides = sides_of("--array", r.array, 2, "RxC, such as 128x128");
  configs::ArrayConfig array;
  array.pe = r.pe;
  array.rows = static_cast<std::uint32_t>(array_sides[0]);
  array.cols = static_cast<std::uint32_t>(array_sides[1]);
  // In the order of configs::Dataflow.
  constexpr std::array<std::string_view, 3> kDataflows = {"ws", "os", "is"};
  array.dataflow =
      static_cast<configs::Dataflow>(choice_of("--dataflow", "choice", r.dataflow, kDataflows));
  array.fold_overlap = static_cast<configs::FoldOverlap>(
      choice_of("--overlap", "choice", r.overlap, configs::kFoldOverlapNames));
  array.interconnect = static_cast<configs::Interconnect>(
      choice_of("--interconnect", "choice", r.interconnect, configs::kInterconnectNames));
  const auto timing =
      static_cast<sim::Timing>(choice_of("--timing", "choice", r.timing, sim::kTimingNames));
  if (r.drain > array.cols) {
    throw ConfigError(fmt::format("--drain: found {}; expected at most one word a column, {}",
                                  r.drain, array.cols));
  }
  array.drain_words = static_cast<std::uint32_t>(r.drain);
  const pe::PeDesign& design = pe::find_design(r.pe);
  const quant::Format weight = format_of("weight", r.weight, design, true);
  const quant::Format activation = format_of("activation", r.activation, design, false);
  check_waveform(r.vcd, timing == sim::Timing::pe, r.timing);
  if (timing == sim::Timing::pe && layers.size() > 1) {
    throw ConfigError("--timing pe steps one product; use --timing tile for a list");
  }
  const double pes = static_cast<double>(array.rows) * array.cols;
  std::vector<Row> rows;
  for (const Layer& layer : layers) {
    const pe::GemmShape shape{layer.m, layer.n, layer.k, r.group, weight, activation};
    if (r.group != 0 && shape.k % r.group != 0) {
      throw ConfigError(fmt::format("--group: {} does not divide K = {}", r.group, shape.k));
    }
    Row row{layer, pe::array_work(array, design, shape), 0};
    if (timing == sim::Timing::pe) row.work = run_clocked(array, design, shape, r.vcd);
    if (timing == sim::Timing::analytic) {
      row.work.cycles = row.work.stream_cycles =
          static_cast<std::uint64_t>(std::ceil(static_cast<double>(row.work.mac_passes) / pes));
      row.work.fill_drain_cycles = 0;
    }
    row.utilisation =
        static_cast<double>(row.work.mac_passes) / (pes * static_cast<double>(row.work.cycles));
    rows.push_back(std::move(row));
  }
  if (r.json != "-" && !r.topology.empty()) print_list(rows);
  if (r.json != "-" && r.topology.empty()) {
    const pe::ArrayWork& work = rows[0].work;
    const std::size_t width = output_columns();
    std::string text =
        reports::wrapped(
            fmt::format("{} x {} x {} on {} x {} {} ({}, {}, {}), {} timing", layers[0].m,
                        layers[0].n, layers[0].k, array.rows, array.cols, design.name,
                        configs::kDataflowNames[static_cast<std::size_t>(array.dataflow)],
                        r.overlap, r.interconnect, r.timing),
            width, 2) +
        "\n";
    const auto line = [&](std::string_view label, const std::string& value,
                          const std::string& detail = "") {
      text += reports::beside(fmt::format("  {:<14}{:>16}   ", label, value), detail, width);
    };
    line("cycles", std::to_string(work.cycles),
         fmt::format("{} folds, {} pass{} a step", work.folds, work.passes,
                     work.passes == 1 ? "" : "es"));
    line("streaming", std::to_string(work.stream_cycles));
    line("fill, drain", std::to_string(work.fill_drain_cycles));
    line("utilisation", reports::format_figure("utilisation", rows[0].utilisation),
         "of the array's PEs and cycles");
    print_text(text);
  }
  if (!r.json.empty()) {
    nlohmann::ordered_json document;
    nlohmann::ordered_json& summary = document["summary"];
    if (!r.shape.empty()) summary["shape"] = r.shape;
    if (!r.topology.empty()) summary["topology"] = r.topology;
    summary["pe"] = design.name;
    summary["weight"] = std::string(quant::name_of(weight));
    summary["activation"] = std::string(quant::name_of(activation));
    summary["array"] = r.array;
    summary["dataflow"] = r.dataflow;
    summary["overlap"] = r.overlap;
    summary["interconnect"] = r.interconnect;
    summary["timing"] = r.timing;
    std::uint64_t cycles = 0, macs = 0;
    for (const Row& row : rows) {
      cycles += row.work.cycles;
      macs += row.layer.m * row.layer.n * row.layer.k;
    }
    if (r.topology.empty()) {
      summary.update(rows[0].json());
    } else {
      summary["cycles"] = summary["compute_cycles"] = cycles;
      summary["macs"] = macs;
      for (const Row& row : rows) {
        nlohmann::ordered_json entry = {
            {"layer", row.layer.name}, {"m", row.layer.m}, {"n", row.layer.n}, {"k", row.layer.k}};
        entry.update(row.json());
        document["layers"].push_back(entry);
      }
    }
    write_text_file(r.json, document.dump(2) + "\n");
  }
  return 0;
}

}  // namespace systole::cli
