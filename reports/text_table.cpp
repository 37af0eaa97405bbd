#include "reports/text_table.hpp"

#include <algorithm>
#include <numeric>

#include "reports/format.hpp"

namespace systole::reports {
namespace {

/// A name cut shorter than the first still tells rows apart, one shorter than the second seldom.
constexpr std::size_t kTextFirst = 16, kTextLast = 6;

}  // namespace

std::string TextTable::print(std::size_t width, bool colour) const {
  std::vector<std::size_t> shown(columns_.size()), widths(columns_.size());
  std::iota(shown.begin(), shown.end(), std::size_t{0});
  for (std::size_t c = 0; c < columns_.size(); ++c) {
    widths[c] = display_width(columns_[c].heading);
    for (const auto& row : rows_) widths[c] = std::max(widths[c], display_width(printable(row[c])));
  }
  const auto excess = [&] {
    std::size_t all = 2 * (shown.size() - 1);
    for (const std::size_t c : shown) all += widths[c];
    return all > width ? all - width : 0;
  };
  // From the widest text first, so that all stay about as readable.
  const auto cut_texts = [&](std::size_t least) {
    while (excess() > 0) {
      std::size_t* widest = nullptr;
      for (const std::size_t c : shown) {
        if (!columns_[c].text || widths[c] <= least) continue;
        if (widest == nullptr || widths[c] > *widest) widest = &widths[c];
      }
      if (widest == nullptr) return;
      --*widest;
    }
  };
  const std::vector<std::size_t> whole = widths;
  cut_texts(kTextFirst);
  std::string missing;
  while (excess() > 0) {
    const auto least =
        std::ranges::max_element(shown, {}, [&](std::size_t c) { return columns_[c].rank; });
    if (columns_[*least].rank == 0) break;
    missing += (missing.empty() ? "" : ", ") + columns_[*least].heading;
    shown.erase(least);
    widths = whole;
    cut_texts(kTextFirst);
  }
  cut_texts(kTextLast);

  std::string out;
  const auto line = [&](const auto& cell_of) {
    std::string text;
    for (const std::size_t c : shown) {
      if (c != shown.front()) text += "  ";
      text += fit(printable(cell_of(c)), widths[c], !columns_[c].text);
    }
    return text.substr(0, text.find_last_not_of(' ') + 1);
  };
  const std::string head = line([&](std::size_t c) { return columns_[c].heading; });
  out += colour ? "\x1b[2m" + head + "\x1b[0m\n" : head + "\n";
  for (const auto& row : rows_) out += line([&](std::size_t c) { return row[c]; }) + "\n";
  if (!missing.empty()) {
    out += wrapped("(no room for: " + printable(missing) + ")", width, 1) + "\n";
  }
  return out;
}

}  // namespace systole::reports
