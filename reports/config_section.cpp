#include "reports/config_section.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <cstdint>
#include <map>
#include <set>
#include <utility>
#include <vector>

#include "reports/format.hpp"
#include "reports/markup.hpp"

namespace systole::reports {
namespace {

KeyMeanings key_meanings = nullptr;

/// Sections of more rows than this are searched.
constexpr std::size_t kFewRows = 16;
/// A part of a section that has so many rows is a section of its own.
constexpr std::size_t kOwnSection = 24;
/// What is the machine's own, not a part's.
constexpr std::string_view kMachine = "the machine";

constexpr std::array<std::pair<std::string_view, std::string_view>, 19> kUnits = {
    {{"_pj_per_bit", "pJ/bit"},
     {"_bytes", "B"},
     {"_kib", "KiB"},
     {"_gib", "GiB"},
     {"_mhz", "MHz"},
     {"_cycles", "cycles"},
     {"_clocks", "clocks"},
     {"_pj", "pJ"},
     {"_nj", "nJ"},
     {"_mw", "mW"},
     {"_uw", "\u00b5W"},
     {"_um2", "\u00b5m\u00b2"},
     {"_mm2", "mm\u00b2"},
     {"_nm", "nm"},
     {"_ns", "ns"},
     {"_us", "\u00b5s"},
     {"_ms", "ms"},
     {"_bits", "bits"},
     {"_years", "years"}}};

/// "1 MiB", where that is all of it and shorter.
std::string binary_bytes(std::uint64_t bytes) {
  static constexpr std::array<std::string_view, 5> kPrefixes = {"B", "KiB", "MiB", "GiB", "TiB"};
  std::size_t step = 0;
  while (step + 1 < kPrefixes.size() && bytes >= 1024 && bytes % 1024 == 0) {
    bytes /= 1024;
    ++step;
  }
  return step == 0 ? "" : fmt::format("{} {}", bytes, kPrefixes[step]);
}

/// The first `parts` parts of a path: "energy.pes" of "energy.pes.ant.area_um2".
std::string head_of(std::string_view key, int parts) {
  std::size_t at = 0;
  for (int part = 0; part < parts && at != std::string_view::npos; ++part) {
    at = key.find_first_of(".[", part == 0 ? 0 : at + 1);
  }
  return std::string(key.substr(0, at));
}

bool is_below(std::string_view key, std::string_view path) {
  return key == path ||
         (key.starts_with(path) && (key[path.size()] == '.' || key[path.size()] == '['));
}

class Section {
 public:
  Section(const KeyValues& echo, const KeyValues& overrides) : echo_(echo), overrides_(overrides) {
    if (key_meanings != nullptr) meanings_ = key_meanings(echo);
    meanings_.resize(echo.size());
  }

  std::string operator()(std::string_view id, std::string_view title) {
    add("<details id=\"{}\" data-short=\"Configuration\"><summary>{} ({})</summary>\n", escaped(id),
        escaped(title), echo_.size());
    set_by_command();
    for (const auto& [name, rows] : sections()) section(name, rows);
    return out_ + "</details>\n";
  }

 private:
  template <class... Args>
  void add(fmt::format_string<Args...> format, Args&&... args) {
    fmt::format_to(std::back_inserter(out_), format, std::forward<Args>(args)...);
  }

  bool is_set(std::string_view key) const {
    return std::ranges::any_of(overrides_,
                               [&](const auto& set) { return is_below(key, set.first); });
  }

  /// The sections in order of their first rows, each with the numbers of its rows.
  std::vector<std::pair<std::string, std::vector<std::size_t>>> sections() const {
    std::map<std::string, std::size_t> count;
    for (const auto& [key, value] : echo_) ++count[head_of(key, 2)];
    std::vector<std::pair<std::string, std::vector<std::size_t>>> list;
    for (std::size_t i = 0; i < echo_.size(); ++i) {
      const std::string& key = echo_[i].first;
      std::string name = head_of(key, 2);
      if (count[name] < kOwnSection) name = head_of(key, 1);
      if (name == key) name = "";
      auto it = std::ranges::find(list, name, [](const auto& one) { return one.first; });
      if (it == list.end()) it = list.insert(list.end(), {name, {}});
      it->second.push_back(i);
    }
    return list;
  }

  /// The section that says where the numbers of `path` come from, if that is another.
  std::string sourced_by(std::string path) const {
    const std::string section = path;
    while (true) {
      const std::string key = path.empty() ? "source" : path + ".source";
      if (std::ranges::find(echo_, key, &std::pair<std::string, std::string>::first) != echo_.end())
        return path == section ? "" : path.empty() ? std::string(kMachine) : path;
      if (path.empty()) return "";
      const std::size_t dot = path.rfind('.');
      path.erase(dot == std::string::npos ? 0 : dot);
    }
  }

  void row(std::size_t i, std::set<std::string_view>& explained) {
    const auto& [key, value] = echo_[i];
    add("<tr><th>{}</th><td{}>{}</td>", escaped(key), is_set(key) ? " class=\"differs\"" : "",
        escaped(config_value(key, value)));
    // As `systole show`: once where many rows mean the same.
    if (!meanings_[i].empty() && explained.insert(meanings_[i]).second)
      add("<td class=\"dim\">{}</td>", escaped(meanings_[i]));
    out_ += "</tr>\n";
  }

  void set_by_command() {
    if (overrides_.empty()) return;
    out_ += "<h4>Set by the command</h4><table class=\"pairs config\"><tbody>\n";
    for (const auto& [path, value] : overrides_) {
      std::string_view meaning;
      for (std::size_t i = 0; i < echo_.size() && meaning.empty(); ++i) {
        if (echo_[i].first == path) meaning = meanings_[i];
      }
      add("<tr><th>{}</th><td class=\"differs\">{}</td><td class=\"dim\">{}</td></tr>\n",
          escaped(path), escaped(config_value(path, value)), escaped(meaning));
    }
    out_ += "</tbody></table>\n<h4>All, by section</h4>\n";
  }

  void section(const std::string& name, const std::vector<std::size_t>& rows) {
    const auto set =
        std::ranges::count_if(rows, [&](std::size_t i) { return is_set(echo_[i].first); });
    add("<details class=\"part\"><summary>{} ({}{})</summary>\n",
        escaped(name.empty() ? std::string(kMachine) : name), rows.size(),
        set > 0 ? fmt::format(", {} set by the command", set) : "");
    if (const std::string other = sourced_by(name); !other.empty())
      add("<p class=\"note\">Source: as of {}.</p>\n", escaped(other));
    add("<table class=\"pairs config{}\"><tbody>\n",
        rows.size() > kFewRows ? " searched long" : "");
    std::set<std::string_view> explained;
    for (const std::size_t i : rows) row(i, explained);
    out_ += "</tbody></table></details>\n";
  }

  const KeyValues& echo_;
  const KeyValues& overrides_;
  std::vector<std::string_view> meanings_;
  std::string out_;
};

}  // namespace

void explain_keys_with(KeyMeanings meanings) { key_meanings = meanings; }

std::string config_value(std::string_view key, std::string_view value) {
  if (value.empty() || value.find_first_not_of("0123456789.e+-") != std::string_view::npos)
    return std::string(value);
  for (const auto& [ending, unit] : kUnits) {
    if (!key.ends_with(ending)) continue;
    std::string text = fmt::format("{} {}", value, unit);
    std::uint64_t bytes = 0;
    const auto [end, error] = std::from_chars(value.data(), value.data() + value.size(), bytes);
    if (unit == "B" && error == std::errc() && end == value.data() + value.size()) {
      if (const std::string short_text = binary_bytes(bytes); !short_text.empty())
        text += " = " + short_text;
    }
    return text;
  }
  return std::string(value);
}

std::string config_table(const KeyValues& pairs) {
  std::string out = "<table class=\"pairs config\"><tbody>\n";
  for (const auto& [key, value] : pairs) {
    out += "<tr><th>" + escaped(key) + "</th><td>" + escaped(config_value(key, value)) +
           "</td></tr>\n";
  }
  return out + "</tbody></table>";
}

KeyValues config_difference(const KeyValues& echo, const KeyValues& base) {
  const std::map<std::string, std::string> known(base.begin(), base.end());
  KeyValues rows;
  for (const auto& [key, value] : echo) {
    const auto it = known.find(key);
    if (it == known.end() || it->second != value) rows.emplace_back(key, value);
  }
  return rows;
}

std::string compared_configs(const std::vector<std::pair<std::string, KeyValues>>& configs,
                             const KeyValues& overrides) {
  std::string out;
  for (std::size_t i = 0; i < configs.size(); ++i) {
    const auto& [name, echo] = configs[i];
    if (i == 0) {
      out += config_section(echo, overrides, "config", "Configuration of " + name);
      continue;
    }
    const KeyValues rows = config_difference(echo, configs[0].second);
    if (rows.empty()) {
      out += fmt::format("<p class=\"note\">The configuration of {} is that of {}.</p>\n",
                         escaped(name), escaped(configs[0].first));
      continue;
    }
    out += fmt::format("<details><summary>{}: what is not as in {} ({})</summary>{}</details>\n",
                       escaped(name), escaped(configs[0].first), rows.size(), config_table(rows));
  }
  return out;
}

std::string config_section(const KeyValues& echo, const KeyValues& overrides, std::string_view id,
                           std::string_view title) {
  return echo.empty() ? "" : Section(echo, overrides)(id, title);
}

}  // namespace systole::reports
