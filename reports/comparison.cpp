#include "reports/comparison.hpp"

#include <algorithm>
#include <functional>
#include <optional>
#include <vector>

#include "reports/format.hpp"

namespace systole::reports {
namespace {

constexpr std::size_t kLabelColumns = 22;
constexpr std::size_t kResultColumns = 24;

struct Figure {
  const char* label;
  std::function<std::optional<double>(const RunResult&)> value;
  std::function<std::string(double)> print;
  bool ratio;  ///< show how it relates to the first result
};

const std::vector<Figure>& figures() {
  static const std::vector<Figure> list = {
      {"perplexity",
       [](const RunResult& r) {
         return r.quality ? std::optional(r.quality->perplexity) : std::nullopt;
       },
       [](double v) { return number(v, 5); }, true},
      {"KL from unquantised",
       [](const RunResult& r) { return r.quality ? r.quality->kl : std::nullopt; },
       [](double v) { return format_figure("kl_divergence", v); }, false},
      {"time to first token", [](const RunResult& r) { return std::optional(r.ttft_ms); },
       format_time_ms, true},
      {"time per token", [](const RunResult& r) { return r.tpot_ms; }, format_time_ms, true},
      {"cycles", [](const RunResult& r) { return std::optional(static_cast<double>(r.cycles)); },
       format_count, true},
      {"energy", [](const RunResult& r) { return std::optional(r.energy_pj); }, format_energy_pj,
       true},
      {"area", [](const RunResult& r) { return std::optional(r.area_mm2); }, format_area_mm2, true},
      {"MAC utilisation", [](const RunResult& r) { return r.utilisation(); },
       [](double v) { return format_share(v); }, false},
      {"bandwidth used", [](const RunResult& r) { return r.bandwidth_share(); },
       [](double v) { return format_share(v); }, false},
      {"TOPS/W", [](const RunResult& r) { return r.tops_per_watt(); },
       [](double v) { return number(v); }, true},
      {"TOPS/mm\u00b2", [](const RunResult& r) { return r.tops_per_mm2(); },
       [](double v) { return number(v); }, true},
  };
  return list;
}

std::string cell(const Figure& figure, const RunResult& result, const RunResult& base) {
  const std::optional<double> value = figure.value(result);
  if (!value) return std::string(kAbsent);
  std::string text = figure.print(*value);
  const std::optional<double> reference = figure.value(base);
  if (figure.ratio && &result != &base && reference) {
    text += " (" + format_ratio(share_of(*value, *reference)) + ")";
  }
  return text;
}

}  // namespace

std::string comparison_to_terminal(std::span<const RunResult> results, bool colour,
                                   unsigned width) {
  const char* bold = colour ? "\033[1m" : "";
  const char* plain = colour ? "\033[0m" : "";
  const std::size_t room = width > kLabelColumns ? (width - kLabelColumns) / kResultColumns : 0;
  const std::size_t columns = std::max<std::size_t>(room, 1);
  std::string text;
  for (std::size_t first = 0; first < results.size(); first += columns) {
    const auto part = results.subspan(first, std::min(columns, results.size() - first));
    const auto line = [&](const std::string& label, const auto& print) {
      text += fit(label, kLabelColumns);
      for (const RunResult& result : part) text += fit(print(result), kResultColumns, true);
      text += "\n";
    };
    if (first > 0) text += "\n";
    text += bold;
    line("machine", [](const RunResult& r) { return printable(r.machine); });
    text += plain;
    line("recipe", [](const RunResult& r) { return printable(r.recipe); });
    line("model", [](const RunResult& r) { return printable(r.model); });
    for (const Figure& figure : figures()) {
      line(figure.label, [&](const RunResult& r) { return cell(figure, r, results.front()); });
    }
  }
  return text;
}

}  // namespace systole::reports
