#include "reports/icicle.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "reports/format.hpp"
#include "reports/markup.hpp"

namespace systole::reports {
namespace {

/// Of the whole: narrower parts are left blank.
constexpr double kNarrowest = 1.0 / 2000;

double size_of(const Part& part) {
  return std::isfinite(part.value) && part.value > 0 ? part.value : 0;
}

class Icicle {
 public:
  explicit Icicle(double whole) : whole_(whole) {}

  void put(const Part& part, double from, std::size_t depth, const std::string& above) {
    depth_ = std::max(depth_, depth);
    const double width = size_of(part) / whole_;
    const std::string share = format_share(width);
    out_ += fmt::format(
        "<button type=\"button\" role=\"treeitem\" aria-level=\"{}\" class=\"s{}{}\"{} "
        "data-a=\"{:.6f}\" data-b=\"{:.6f}\" data-d=\"{}\" "
        "style=\"--d:{};left:{:.4f}%;width:{:.4f}%\" "
        "title=\"{}\"><span>{}</span> <span>{} \u00b7 {}</span></button>",
        depth + 1, part.colour % kSeriesColours, part.pale ? " pale" : "",
        part.pale ? " data-pale=\"\"" : "", from, from + width, depth, depth, 100 * from,
        100 * width, escaped(above + part.name + ": " + part.text + ", " + share),
        escaped(part.name), escaped(part.text), escaped(share));
    std::vector<const Part*> parts;
    for (const Part& each : part.parts) {
      if (size_of(each) / whole_ >= kNarrowest) parts.push_back(&each);
    }
    std::ranges::stable_sort(parts,
                             [](const Part* a, const Part* b) { return a->value > b->value; });
    const double end = from + width;
    const std::string path = depth == 0 ? "" : above + part.name + " \u203a ";
    for (const Part* each : parts) {
      // A damaged file's parts may exceed their whole: they end where it does.
      if (from + size_of(*each) / whole_ > end + 1e-6) break;
      put(*each, from, depth + 1, path);
      from += size_of(*each) / whole_;
    }
  }

  std::string take(const std::string& label) {
    return fmt::format(
        "<div class=\"icicle\" role=\"tree\" aria-label=\"{}\" style=\"--levels:{}\">{}</div>\n",
        escaped(label), depth_ + 1, out_);
  }

 private:
  double whole_;
  std::size_t depth_ = 0;
  std::string out_;
};

}  // namespace

std::string icicle_html(const Part& whole, const std::string& label) {
  if (size_of(whole) == 0) return "";
  Icicle icicle(size_of(whole));
  icicle.put(whole, 0, 0, "");
  return icicle.take(label);
}

}  // namespace systole::reports
