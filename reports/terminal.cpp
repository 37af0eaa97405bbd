#include "reports/terminal.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <numeric>
#include <span>
#include <string_view>
#include <vector>

#include "reports/format.hpp"
#include "reports/text_table.hpp"
#include "reports/views.hpp"

namespace systole::reports {
namespace {

/// Operations listed per phase; the rest is summed in one line.
constexpr std::size_t kTopOperations = 10;

/// Colours of the 256-colour palette nearest to the page's, safe for the colour-blind (Okabe & Ito
/// 2008).
constexpr std::array<int, kCycleCauseCount> kCauseColours = {32, 74, 166, 178, 175, 245};
constexpr int kEnergyColour = 36;

class Screen {
 public:
  Screen(bool colour, std::size_t width) : colour_(colour), width_(width) {}

  std::size_t width() const { return width_; }
  bool colour() const { return colour_; }
  std::string bold(std::string_view text) const { return wrapped("1", text); }
  std::string dim(std::string_view text) const { return wrapped("2", text); }
  std::string tinted(int colour, std::string_view text) const {
    return wrapped(fmt::format("38;5;{}", colour), text);
  }

  void line(std::string_view text = "") {
    // Padding at the end of a line is invisible and breaks copying.
    std::string_view kept = text.substr(0, text.find_last_not_of(' ') + 1);
    out_ += kept;
    out_ += '\n';
  }
  /// Those of a whole text, behind blanks.
  void lines(std::string_view text, std::size_t indent) {
    while (!text.empty()) {
      const std::size_t end = text.find('\n');
      const std::string_view part = text.substr(0, end);
      // Escapes are no columns; what is wrapped is wider by a name alone.
      const bool cut =
          part.find('\x1b') == std::string_view::npos && indent + display_width(part) > width_;
      line(std::string(indent, ' ') + (cut ? fit(part, width_ - indent) : std::string(part)));
      text.remove_prefix(end + 1);
    }
  }
  void heading(std::string_view text, std::string_view detail = "") {
    line();
    const std::size_t room = width_ - std::min(width_, display_width(text) + 2);
    std::string rest;
    if (!detail.empty() && room > 0) {
      rest = "  " + fit(detail, std::min(room, display_width(detail)));
    }
    line(bold(fit(text, std::min(width_, display_width(text)))) + dim(rest));
  }
  std::string take() { return std::move(out_); }

 private:
  std::string wrapped(std::string_view code, std::string_view text) const {
    if (!colour_ || text.empty()) return std::string(text);
    return fmt::format("\x1b[{}m{}\x1b[0m", code, text);
  }
  bool colour_;
  std::size_t width_;
  std::string out_;
};

/// A bar of `share` of `width` columns, in eighths, padded to the width.
std::string bar(double share, std::size_t width) {
  static constexpr std::array<std::string_view, 8> kEighths = {
      "", "\u258f", "\u258e", "\u258d", "\u258c", "\u258b", "\u258a", "\u2589"};
  if (!std::isfinite(share)) share = 0;
  const auto eighths = static_cast<std::size_t>(
      std::lround(std::clamp(share, 0.0, 1.0) * 8 * static_cast<double>(width)));
  std::string out;
  for (std::size_t i = 0; i < eighths / 8; ++i) out += "\u2588";
  out += kEighths[eighths % 8];
  // Something is never drawn as nothing.
  if (eighths == 0 && share > 0) out = kEighths[1];
  return fit(out, width);
}

void print_headline(Screen& screen, const RunResult& r) {
  const std::string version = r.version.empty() ? "" : "systole " + printable(r.version);
  std::string title = title_of(r);
  if (title.empty()) title = "result";
  const std::size_t room = screen.width() - std::min(screen.width(), display_width(version) + 2);
  screen.line(screen.bold(fit(title, room)) + "  " +
              screen.dim(fit(version, screen.width() - room - 2)));
  screen.line(screen.dim([&] {
    std::string rule;
    for (std::size_t i = 0; i < screen.width(); ++i) rule += "\u2500";
    return rule;
  }()));

  const std::vector<Figure> figures = headline(r);
  const auto cell = [&](const Figure& figure, std::size_t width) {
    constexpr std::size_t kLabel = 15, kValue = 10;
    const std::size_t detail = width - std::min(width, kLabel + kValue + 2);
    return fit(figure.label, kLabel) + screen.bold(fit(figure.value, kValue, true)) + "  " +
           screen.dim(fit(figure.detail, detail));
  };
  // Two columns where the details still fit, else one.
  if (screen.width() >= 124) {
    const std::size_t half = (screen.width() - 2) / 2;
    for (std::size_t i = 0; i < figures.size() / 2; ++i) {
      screen.line(cell(figures[i], half) + "  " + cell(figures[i + figures.size() / 2], half));
    }
  } else {
    for (const Figure& figure : figures) {
      const std::size_t column = 15 + 10 + 2;
      if (column + display_width(figure.detail) <= screen.width()) {
        screen.line(cell(figure, screen.width()));
        continue;
      }
      // A detail holds figures, which are not cut.
      const std::size_t indent = screen.width() >= 60 ? column : 2;
      screen.line(cell({figure.label, figure.value, ""}, screen.width()));
      std::string rest = beside(std::string(indent, ' '), figure.detail, screen.width());
      while (!rest.empty()) {
        const std::size_t end = rest.find('\n');
        // Only a name can be wider.
        const std::string part = rest.substr(0, end);
        screen.line(screen.dim(fit(part, std::min(screen.width(), display_width(part)))));
        rest.erase(0, end + 1);
      }
    }
  }
}

void print_energy(Screen& screen, const RunResult& r) {
  if (r.components.empty() || !(r.energy_pj > 0)) return;
  screen.heading("Energy by component",
                 fmt::format("{} in all; dynamic + static", format_energy_pj(r.energy_pj)));
  const std::vector<ComponentRow> rows = components_by_energy(r);
  std::size_t name_width = 10;
  for (const ComponentRow& row : rows)
    name_width = std::max(name_width, display_width(printable(row.name)));
  name_width = std::min<std::size_t>(name_width, 22);
  constexpr std::size_t kParts = 9 + 3 + 9;
  name_width = std::min(name_width, screen.width() - (2 + 1 + 9 + 8));
  const std::size_t taken = 2 + name_width + 1 + 9 + 8 + 2;
  const std::size_t room = screen.width() > taken ? screen.width() - taken : 0;
  const bool parts = room >= 8 + 1 + kParts;
  const std::size_t bar_width = parts ? room - 1 - kParts : room;
  for (const ComponentRow& row : rows) {
    const double energy = energy_of(row);
    if (energy == 0) continue;
    std::string text =
        "  " + fit(printable(row.name), name_width) + " " + fit(format_energy_pj(energy), 9, true) +
        fit(format_share(share_of(energy, r.energy_pj)), 8, true) + "  " +
        screen.tinted(kEnergyColour, bar(energy / energy_of(rows.front()), bar_width));
    if (parts) {
      text += " " + screen.dim(fit(format_energy_pj(row.dynamic_pj), 9, true) + " + " +
                               fit(format_energy_pj(row.static_pj), 9, true));
    }
    screen.line(text);
  }
}

/// One line a memory, where there are several.
void print_tiers(Screen& screen, const RunResult& r) {
  if (r.tiers.empty()) return;
  const TierRow* binding = r.binding_tier();
  screen.heading("Memories", binding == nullptr
                                 ? std::string("none is waited for")
                                 : "waited for longest: " + printable(binding->name));
  const auto sum = [](const BytesByClass& bytes) {
    return format_bytes(static_cast<double>(std::accumulate(bytes.begin(), bytes.end(), 0ull)));
  };
  for (const TierRow& row : r.tiers) {
    std::string text = fmt::format(
        "  {} {} placed, read {}, written {}, busy {}, waited {}", fit(printable(row.name), 10),
        fit(format_bytes(static_cast<double>(row.placed_bytes)), 8, true), sum(row.read_bytes),
        sum(row.written_bytes), format_share(row.busy_fraction),
        format_cycles_as_time(static_cast<double>(row.wait_cycles), r));
    if (row.spilled_bytes > 0) {
      text += ", spilled " + format_bytes(static_cast<double>(row.spilled_bytes));
    }
    if (row.lifetime_years > 0) text += fmt::format(", lasts {:.3g} years", row.lifetime_years);
    screen.lines(wrapped(text.substr(2), screen.width() - 2, 2) + "\n", 2);
  }
}

void print_causes(Screen& screen, const RunResult& r, const std::vector<std::string>& phases) {
  if (r.operations.empty()) return;
  // Two phases side by side; more (never so far) only count in the totals of the page.
  const std::size_t shown = std::min<std::size_t>(phases.size(), 2);
  std::vector<CyclesByCause> causes;
  std::vector<std::uint64_t> totals;
  std::string titles;
  const std::size_t column = (screen.width() - 14) / shown;
  for (std::size_t p = 0; p < shown; ++p) {
    const std::vector<OperationRow> rows = merged_operations(r, phases[p]);
    causes.push_back(cycles_by_cause(rows));
    totals.push_back(cycles_of(rows));
    titles += fit(fmt::format("{}  {}", printable(phases[p]),
                              format_cycles_as_time(static_cast<double>(totals.back()), r)),
                  column);
  }
  screen.heading("Cycles by cause");
  screen.line(screen.dim(std::string(14, ' ') + titles));
  for (std::size_t c = 0; c < kCycleCauseCount; ++c) {
    const bool any =
        std::any_of(causes.begin(), causes.end(), [&](const auto& x) { return x[c] != 0; });
    if (!any) continue;
    std::string text = "  " + fit(cause_label(c), 12);
    for (std::size_t p = 0; p < shown; ++p) {
      const auto cycles = static_cast<double>(causes[p][c]);
      const std::optional<double> share = share_of(cycles, static_cast<double>(totals[p]));
      text +=
          fit(format_count(cycles), 7, true) + fit(format_share(share), 8, true) + " " +
          screen.tinted(kCauseColours[c], bar(share.value_or(0), column > 20 ? column - 18 : 0)) +
          "  ";
    }
    screen.line(text);
  }
}

/// Where the columns of an operations table go.
struct OperationColumns {
  std::size_t name = 10, formats = 7, bound = 5, bar = 0;
  bool figures = true;  ///< "of peak" and "DRAM", which a narrow terminal does without

  OperationColumns(std::span<const OperationRow> rows, std::size_t width) {
    for (const OperationRow& row : rows) {
      name = std::max(name, display_width(printable(row.name)));
      formats = std::max(formats, display_width(formats_of(row)));
      bound = std::max(bound, display_width(printable(row.bound)));
    }
    bound = std::min<std::size_t>(bound, 14);
    figures = width >= 72;
    const std::size_t fixed = 2 + 1 + kTime + kShare + (figures ? kPeak + kDram : 0) + 2 + bound;
    const std::size_t texts = width - fixed;
    // Names tell rows apart and come first; formats or a bar of a few columns say nothing.
    name = std::min(name, texts);
    formats = std::min(formats, texts - name);
    if (formats < 9) formats = 0;
    const std::size_t left = texts - name - formats;
    if (left >= 8) bar = std::min<std::size_t>(left - 2, 24);
  }

  std::string line(std::string_view a, std::string_view b, std::string_view time,
                   std::string_view share, std::string_view peak, std::string_view dram) const {
    return "  " + fit(a, name) + " " + fit(b, formats) + fit(time, kTime, true) +
           fit(share, kShare, true) +
           (figures ? fit(peak, kPeak, true) + fit(dram, kDram, true) : std::string());
  }

  static constexpr std::size_t kTime = 9, kShare = 8, kPeak = 9, kDram = 10;
};

void print_operations(Screen& screen, const RunResult& r, const std::string& phase) {
  std::vector<OperationRow> rows = merged_operations(r, phase);
  std::stable_sort(rows.begin(), rows.end(), [](const OperationRow& a, const OperationRow& b) {
    return a.cycles > b.cycles;
  });
  const auto total = static_cast<double>(cycles_of(rows));
  const std::span<const OperationRow> top =
      std::span(rows).first(std::min(rows.size(), kTopOperations));
  const OperationColumns columns(top, screen.width());

  screen.heading("Operations of " + printable(phase),
                 fmt::format("{}, {} of all cycles", format_cycles_as_time(total, r),
                             format_share(share_of(total, static_cast<double>(r.cycles)))));
  const std::string gap = columns.bar == 0 ? "" : std::string(columns.bar + 2, ' ');
  screen.line(screen.dim(columns.line("operation", "formats", "time", "share", "of peak", "DRAM") +
                         gap + "  bound"));
  for (const OperationRow& row : top) {
    const auto cycles = static_cast<double>(row.cycles);
    std::string text =
        columns.line(printable(row.name), formats_of(row), format_cycles_as_time(cycles, r),
                     format_share(share_of(cycles, total)), format_share(utilisation_of(row, r)),
                     format_bytes(static_cast<double>(dram_bytes_of(row))));
    if (columns.bar != 0) {
      const double share = share_of(cycles, static_cast<double>(top.front().cycles)).value_or(0);
      text += "  " + screen.tinted(kCauseColours[0], bar(share, columns.bar));
    }
    const auto cause = static_cast<std::size_t>(
        std::max_element(row.cycles_by_cause.begin(), row.cycles_by_cause.end()) -
        row.cycles_by_cause.begin());
    text += "  " + screen.tinted(kCauseColours[cause], fit(printable(row.bound), columns.bound));
    screen.line(text);
  }
  if (top.size() == rows.size()) return;
  const std::span<const OperationRow> rest = std::span(rows).subspan(top.size());
  const auto cycles = static_cast<double>(cycles_of(rest));
  double bytes = 0;
  for (const OperationRow& row : rest) bytes += static_cast<double>(dram_bytes_of(row));
  screen.line(screen.dim(
      columns.line(fmt::format("{} more", rest.size()), "", format_cycles_as_time(cycles, r),
                   format_share(share_of(cycles, total)), "", format_bytes(bytes))));
}

/// One line a matrix product; where the mapping does not fit beside the name, none.
void print_mappings(Screen& screen, const RunResult& r, const std::vector<std::string>& phases) {
  std::size_t lines = 0;
  for (const std::string& phase : phases) {
    for (const OperationRow& row : merged_operations(r, phase)) {
      const std::string mapping = mapping_of(row);
      if (mapping.empty() || lines == kTopOperations) continue;
      const std::string name = fit(printable(row.name), 16) + " " + fit(printable(phase), 8) + " ";
      if (2 + display_width(name) + display_width(mapping) > screen.width()) continue;
      if (lines == 0) {
        screen.heading("Mapping", "tile m\u00d7n\u00d7k, what waits on chip; for " +
                                      printable(row.mapping->objective));
      }
      screen.line("  " + name + screen.dim(mapping));
      ++lines;
    }
  }
}

void print_sensitivities(Screen& screen, const RunResult& r) {
  if (r.sensitivities.empty()) return;
  const double time = milliseconds_of(static_cast<double>(r.cycles), r).value_or(0);
  screen.heading("What would help most", "the same work on a machine that differs in one thing");
  // Signs as on the page: what is saved of times, what becomes of the energy.
  const auto saved = [](double after, double before) {
    return before > 0 ? format_change((before - after) / before) : std::string(kAbsent);
  };
  TextTable table({{"change", true},
                   {"time saved"},
                   {"of TTFT", false, 2},
                   {"of TPOT", false, 3},
                   {"energy", false, 1}});
  for (const SensitivityRow* row : by_time_saved(r)) {
    table.add({row->change, saved(row->time_ms, time), saved(row->ttft_ms, r.ttft_ms),
               r.tpot_ms ? saved(row->tpot_ms, *r.tpot_ms) : std::string(kAbsent),
               format_change(row->energy_pj, r.energy_pj)});
  }
  screen.lines(table.print(screen.width() - 2, screen.colour()), 2);
}

void print_notes(Screen& screen, const RunResult& r) {
  if (r.notes.empty()) return;
  std::string names;
  for (const auto& [name, sentence] : r.notes)
    names += (names.empty() ? "" : "; ") + printable(name);
  screen.line();
  const std::string text =
      fmt::format("Assumptions in force (JSON and page say them in full): {}", names);
  // Wrapped at spaces.
  std::string line;
  std::size_t start = 0;
  while (start < text.size()) {
    const std::size_t end = std::min(text.find(' ', start), text.size());
    const std::string word = text.substr(start, end - start);
    if (!line.empty() && display_width(line) + 1 + display_width(word) > screen.width()) {
      screen.line(screen.dim(line));
      line.clear();
    }
    line +=
        (line.empty() ? "" : " ") + fit(word, std::min(screen.width() - 1, display_width(word)));
    start = end + 1;
  }
  screen.line(screen.dim(line));
}

}  // namespace

std::string to_terminal(const RunResult& result, bool colour, unsigned width) {
  // Wider than 140 the eye loses the line.
  Screen screen(colour, std::clamp<std::size_t>(width, 40, 140));
  const std::vector<std::string> phases = phases_of(result);
  print_headline(screen, result);
  print_energy(screen, result);
  print_tiers(screen, result);
  // Where two do not fit beside each other, one after the other.
  if (screen.width() < 14 + 2 * 18) {
    for (const std::string& phase : phases) print_causes(screen, result, {phase});
  } else {
    print_causes(screen, result, phases);
  }
  for (const std::string& phase : phases) print_operations(screen, result, phase);
  print_mappings(screen, result, phases);
  print_sensitivities(screen, result);
  print_notes(screen, result);
  return screen.take();
}

}  // namespace systole::reports
