// systole bench: how fast this host computes. Speed of our code on this machine, never of a
// modelled accelerator.
#include <fmt/core.h>

#include <nlohmann/json.hpp>
#include <thread>

#include "bench/kernels.hpp"
#include "quant/kernels/path.hpp"
#include "sim/cli/commands.hpp"
#include "sim/cli/console.hpp"
#include "sim/cli/options.hpp"
#include "sim/core/error.hpp"

namespace systole::cli {
namespace {

std::string shape_of(const bench::KernelRow& row) {
  return fmt::format("{}x{}x{}", row.m, row.n, row.k);
}

void print_row(const bench::KernelRow& row) {
  fmt::print("{:<22}{:>15}{:>4}{:>9.1f}{:>9.1f}{:>7.0f} %  {:<9} {:>7}  {}\n", row.kernel,
             shape_of(row), row.threads, row.gops, row.peak_gops, 100.0 * row.share(), row.bound,
             row.ratio() ? fmt::format("{:.2f}", *row.ratio()) : "-", row.peer);
}

nlohmann::ordered_json json_of(const bench::KernelRow& row) {
  nlohmann::ordered_json entry{{"kernel", row.kernel},         {"shape", shape_of(row)},
                               {"threads", row.threads},       {"gops", row.gops},
                               {"peak_gops", row.peak_gops},   {"bound", row.bound},
                               {"share_of_peak", row.share()}, {"peer", row.peer}};
  entry["peer_gops"] = row.peer_gops ? nlohmann::ordered_json(*row.peer_gops) : nullptr;
  entry["ratio"] = row.ratio() ? nlohmann::ordered_json(*row.ratio()) : nullptr;
  return entry;
}

}  // namespace

int bench_command(const Arguments& arguments) {
  std::string json;
  bool quick = false;
  std::uint64_t threads = 0;
  std::vector<std::string> what;
  Options options(
      "bench kernels [options]",
      "Measures the fast kernels on this host, interleaved with the peak of its instructions or "
      "the\n"
      "bandwidth of its memory and with oneDNN 2 and OpenBLAS where these are installed "
      "(libdnnl2,\n"
      "libopenblas0-pthread): medians of the rounds, of CPU time for one thread, of wall time for\n"
      "several. GOPS count two operations a multiply-accumulate. The bits of every kernel are "
      "checked\n"
      "by `systole verify`.",
      "  systole bench kernels --json out.json\n  systole bench kernels --quick\n");
  options.flag("quick", quick, "fewer rounds and shapes")
      .number("threads", "N", threads, "threads besides one (default: 2 where there are two)")
      .json(json, "the rows")
      .positional(what, "kernels");
  if (!options.parse(arguments)) return 0;
  if (what != std::vector<std::string>{"kernels"}) {
    throw ConfigError("bench: expected `kernels`, the one thing there is to measure");
  }
  check_writable(json);
  bench::KernelBenchOptions bench_options;
  bench_options.quick = quick;
  bench_options.threads = threads == 0 ? std::min(2u, thread_count(0)) : thread_count(threads);
  const bool table = json != "-";
  if (table) {
    fmt::print("{:<22}{:>15}{:>4}{:>9}{:>9}{:>9}  {:<9} {:>7}  {}\n", "kernel", "m x n x k", "thr",
               "GOPS", "bound", "share", "of", "ratio", "peer");
    bench_options.each = print_row;
  }
  const std::vector<bench::KernelRow> rows = bench::run_kernel_bench(bench_options);
  if (!json.empty()) {
    nlohmann::ordered_json document;
    document["summary"] = {{"path", quant::name_of(quant::best_path())},
                           {"processors", std::thread::hardware_concurrency()},
                           {"time", "medians; one thread CPU time, several wall time"}};
    for (const bench::KernelRow& row : rows) document["rows"].push_back(json_of(row));
    write_text_file(json, document.dump(2) + "\n");
  }
  return 0;
}

}  // namespace systole::cli
