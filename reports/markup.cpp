#include "reports/markup.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "reports/format.hpp"

namespace systole::reports {

std::string escaped(std::string_view text) {
  std::string out;
  for (const char c : printable(text)) {
    switch (c) {
      case '&':
        out += "&amp;";
        break;
      case '<':
        out += "&lt;";
        break;
      case '>':
        out += "&gt;";
        break;
      case '"':
        out += "&quot;";
        break;
      case '\'':
        out += "&#39;";
        break;
      default:
        out += c;
    }
  }
  return out;
}

std::string in_script(std::string_view json) {
  std::string out;
  out.reserve(json.size());
  for (const char c : json) {
    if (c == '<') {
      out += "\\u003c";
    } else {
      out += c;
    }
  }
  return out;
}

std::string bar_svg(std::span<const Segment> segments, double full) {
  constexpr double kWidth = 1000;
  std::string out;
  double x = 0;
  for (const Segment& segment : segments) {
    double width = segment.value / full * kWidth;
    if (!(segment.value > 0) || !(full > 0) || !std::isfinite(width)) continue;
    width = std::min(width, kWidth - x);
    // Something is never drawn as nothing.
    const double drawn = std::max(width, 2.5);
    out += fmt::format(
        "<rect class=\"s{}{}{}\" x=\"{:.2f}\" y=\"0\" width=\"{:.2f}\" "
        "height=\"10\"><title>{}</title></rect>",
        segment.colour % kSeriesColours, segment.light ? " light" : "", drawn < 8 ? " thin" : "",
        std::min(x, kWidth - drawn), drawn, escaped(segment.title));
    x += width;
  }
  // The length is for the script, which may draw the bar to a scale of its own.
  return fmt::format(
      "<svg class=\"bar\" viewBox=\"0 0 1000 10\" preserveAspectRatio=\"none\" "
      "aria-hidden=\"true\" data-length=\"{:.2f}\">{}</svg>",
      x, out);
}

std::string swatch_svg(std::size_t colour, bool light) {
  return fmt::format(
      "<svg class=\"swatch\" viewBox=\"0 0 10 10\" aria-hidden=\"true\"><rect class=\"s{}{}\" "
      "width=\"10\" "
      "height=\"10\" rx=\"2\"/></svg>",
      colour % kSeriesColours, light ? " light" : "");
}

std::string tile_markup(std::string_view label, std::string_view value, std::string_view detail,
                        std::optional<double> share) {
  const std::string meter =
      share ? fmt::format("<div class=\"meter\"><i style=\"width:{:.1f}%\"></i></div>",
                          100 * std::clamp(*share, 0.0, 1.0))
            : "";
  return fmt::format(
      "<div class=\"tile\"><div class=\"label\">{}</div><div class=\"value\">{}</div>{}<div "
      "class=\"detail\">{}</div></div>\n",
      escaped(label), escaped(value), meter, escaped(detail));
}

std::string trust_section(const KeyValues& notes) {
  std::string out =
      "<section id=\"trust\" data-short=\"Trust\"><h3>How far to trust it</h3><table "
      "class=\"pairs\"><tbody>\n";
  for (const auto& [name, text] : notes) {
    out += "<tr><th>" + escaped(name) + "</th><td>" + escaped(text) + "</td></tr>\n";
  }
  return out + "</tbody></table></section>\n";
}

}  // namespace systole::reports
