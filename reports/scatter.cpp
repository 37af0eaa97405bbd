#include "reports/scatter.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <numbers>

#include "reports/format.hpp"
#include "reports/markup.hpp"

namespace systole::reports {

const std::string_view kScatterStyle =
    "svg.scatter{display:block;width:100%;min-width:420px;height:auto;font-size:12px}"
    ".scatter text{fill:var(--ink)}.scatter .tick,.scatter .axis{fill:var(--soft)}"
    ".scatter .grid{stroke:var(--line)}"
    ".scatter .level{stroke:var(--soft);stroke-dasharray:3 4}"
    ".scatter .leader{stroke:var(--soft);stroke-width:.8}"
    ".scatter .front{fill:none;stroke:var(--soft);stroke-width:1.5;stroke-linejoin:round}"
    ".scatter circle{stroke:var(--card);stroke-width:1;fill-opacity:.85}"
    ".scatter .label{paint-order:stroke;stroke:var(--card);stroke-width:3px;stroke-linejoin:round}";

namespace {

constexpr double kWidth = 580, kHeight = 400, kLeft = 62, kRight = 16, kTop = 14, kBottom = 50;
constexpr double kCharacter = 6.6, kLine = 14;  ///< of a label: upper bounds at 12 px
constexpr double kRadius = 4.5;

/// 1, 2 or 5 times a power of ten, at least `least`.
double nice_step(double least) {
  const double power = std::pow(10.0, std::floor(std::log10(least)));
  for (const double factor : {1.0, 2.0, 5.0}) {
    if (factor * power >= least * (1 - 1e-9)) return factor * power;
  }
  return 10 * power;
}

std::vector<double> linear_ticks(double low, double high, int most) {
  const double step = nice_step((high - low) / most);
  std::vector<double> ticks;
  for (double i = std::ceil(low / step - 1e-9); i * step <= high * (1 + 1e-12); ++i)
    ticks.push_back(i * step);
  return ticks;
}

/// Of a logarithmic axis: linear ones where less than a decade is shown.
std::vector<double> log_ticks(double low, double high) {
  if (high / low < 5) return linear_ticks(low, high, 6);
  std::vector<double> ticks;
  const bool fine = high / low < 1000;
  for (double power = std::pow(10.0, std::floor(std::log10(low))); power <= high; power *= 10) {
    for (const double factor : {1.0, 2.0, 5.0}) {
      const double tick = factor * power;
      if ((factor == 1.0 || fine) && tick >= low && tick <= high) ticks.push_back(tick);
    }
  }
  return ticks;
}

struct Box {
  double x0, y0, x1, y1;
  bool meets(const Box& o) const { return x0 < o.x1 && o.x0 < x1 && y0 < o.y1 && o.y0 < y1; }
};

class Drawing {
 public:
  explicit Drawing(const Scatter& scatter) : s_(scatter) {
    for (const ScatterPoint& point : s_.points) {
      if (std::isfinite(point.x) && std::isfinite(point.y) && point.y > 0)
        points_.push_back(&point);
    }
  }

  std::string operator()() {
    if (points_.empty()) return "";
    find_axes();
    svg_ = fmt::format(
        "<svg class=\"scatter\" viewBox=\"0 0 {} {}\" role=\"img\" aria-label=\"{}: {} points\">",
        kWidth, kHeight, escaped(s_.label), points_.size());
    draw_grid();
    draw_front();
    for (const ScatterPoint* point : points_) draw(*point);
    for (const bool foremost : {true, false}) {
      for (const ScatterPoint* point : points_) {
        if (point->foremost == foremost) draw_label(*point);
      }
    }
    return svg_ + "</svg>";
  }

 private:
  double x_of(double x) const {
    return kLeft + (x - x_low_) / (x_high_ - x_low_) * (kWidth - kLeft - kRight);
  }
  double y_of(double y) const {
    return kHeight - kBottom -
           std::log(y / y_low_) / std::log(y_high_ / y_low_) * (kHeight - kTop - kBottom);
  }

  void find_axes() {
    const auto x = std::ranges::minmax(points_, {}, [](const ScatterPoint* p) { return p->x; });
    const auto y = std::ranges::minmax(points_, {}, [](const ScatterPoint* p) { return p->y; });
    double low = y.min->y, high = y.max->y;
    if (s_.level > 0) low = std::min(low, s_.level);
    const double margin = std::max(0.05 * (x.max->x - x.min->x), 0.02 * std::abs(x.max->x) + 1e-9);
    x_low_ = x.min->x - margin;
    x_high_ = x.max->x + margin;
    // In proportion, so that points stand off both edges.
    const double stretch = std::max(std::pow(high / low, 0.06), 1.004);
    y_low_ = low / stretch;
    y_high_ = high * stretch;
  }

  void text(double x, double y, std::string_view attributes, std::string_view content) {
    svg_ += fmt::format("<text x=\"{:.1f}\" y=\"{:.1f}\" {}>{}</text>", x, y, attributes,
                        escaped(content));
  }
  void line(double x1, double y1, double x2, double y2, std::string_view kind) {
    svg_ +=
        fmt::format("<line class=\"{}\" x1=\"{:.1f}\" y1=\"{:.1f}\" x2=\"{:.1f}\" y2=\"{:.1f}\"/>",
                    kind, x1, y1, x2, y2);
  }

  void draw_grid() {
    const double bottom = kHeight - kBottom, right = kWidth - kRight;
    for (const double tick : linear_ticks(x_low_, x_high_, 8)) {
      line(x_of(tick), kTop, x_of(tick), bottom, "grid");
      text(x_of(tick), bottom + 17, "class=\"tick\" text-anchor=\"middle\"",
           fmt::format("{:.6g}", tick));
    }
    for (const double tick : log_ticks(y_low_, y_high_)) {
      line(kLeft, y_of(tick), right, y_of(tick), "grid");
      text(kLeft - 8, y_of(tick) + 4, "class=\"tick\" text-anchor=\"end\"",
           fmt::format("{:.6g}", tick));
    }
    text((kLeft + right) / 2, kHeight - 12, "class=\"axis\" text-anchor=\"middle\"", s_.x_title);
    svg_ += fmt::format(
        "<text class=\"axis\" text-anchor=\"middle\" transform=\"translate(14 {:.1f}) "
        "rotate(-90)\">{}</text>",
        (kTop + bottom) / 2, escaped(s_.y_title));
    if (!(s_.level > 0)) return;
    line(kLeft, y_of(s_.level), right, y_of(s_.level), "level");
    text(right - 4, y_of(s_.level) + 14, "class=\"tick\" text-anchor=\"end\"", s_.level_text);
    const double width = kCharacter * static_cast<double>(display_width(s_.level_text));
    taken_.push_back({right - 4 - width, y_of(s_.level), right, y_of(s_.level) + 18});
    taken_.push_back({kLeft, y_of(s_.level) - 1, right, y_of(s_.level) + 1});
  }

  /// A stair: between two of its points nothing is better than the one before.
  void draw_front() {
    std::string path;
    double x = 0, y = 0;
    for (const ScatterPoint& point : s_.front) {
      const double to_x = x_of(point.x), to_y = y_of(point.y);
      if (path.empty()) {
        path = fmt::format("M{:.1f} {:.1f}", to_x, to_y);
      } else {
        path += fmt::format(" H{:.1f} V{:.1f}", to_x, to_y);
        taken_.push_back({x, y - 1, to_x, y + 1});
        taken_.push_back({to_x - 1, y, to_x + 1, to_y});
      }
      x = to_x;
      y = to_y;
    }
    if (s_.front.size() > 1) svg_ += "<path class=\"front\" d=\"" + path + "\"/>";
  }

  void draw(const ScatterPoint& point) {
    const double x = x_of(point.x), y = y_of(point.y);
    svg_ += fmt::format(
        "<circle class=\"s{}\" cx=\"{:.1f}\" cy=\"{:.1f}\" r=\"{}\"><title>{}</title></circle>",
        point.colour % kSeriesColours, x, y, kRadius, escaped(point.title));
    taken_.push_back({x - kRadius, y - kRadius, x + kRadius, y + kRadius});
  }

  bool is_free(const Box& box) const {
    const bool inside = box.x0 >= kLeft && box.x1 <= kWidth - kRight && box.y0 >= kTop &&
                        box.y1 <= kHeight - kBottom;
    return inside && std::ranges::none_of(taken_, [&](const Box& b) { return b.meets(box); });
  }

  void put_label(const ScatterPoint& point, const Box& box) {
    text(box.x0, (box.y0 + box.y1) / 2 + 4, "class=\"label\"", point.name);
    taken_.push_back(box);
    labels_.push_back(box);
  }

  /// Beside the point where nothing is, else further off with a line to it; where there is no room
  /// at all, its name is under the pointer only.
  void draw_label(const ScatterPoint& point) {
    const double width = kCharacter * static_cast<double>(display_width(point.name));
    const double x = x_of(point.x), y = y_of(point.y), off = kRadius + 3;
    const double below = y + off + kLine / 2, above = y - off - kLine / 2;
    const auto box_at = [&](double left, double middle) {
      return Box{left, middle - kLine / 2, left + width, middle + kLine / 2};
    };
    for (const auto& [left, middle] :
         {std::pair(x + off, y), std::pair(x - off - width, y), std::pair(x - width / 2, below),
          std::pair(x - width / 2, above), std::pair(x + off, below), std::pair(x + off, above),
          std::pair(x - off - width, below), std::pair(x - off - width, above)}) {
      const Box box = box_at(left, middle);
      if (!is_free(box)) continue;
      put_label(point, box);
      return;
    }
    constexpr int kDirections = 16;
    for (double away = 24; away <= 120; away += 12) {
      for (int i = 0; i < kDirections; ++i) {
        const double angle = 2 * std::numbers::pi * i / kDirections;
        const double to_x = x + away * std::cos(angle), to_y = y + away * std::sin(angle);
        // The line ends at the middle of the side that faces the point.
        const double left = std::abs(std::cos(angle)) < 0.3 ? to_x - width / 2
                            : to_x > x                      ? to_x + 2
                                                            : to_x - 2 - width;
        const bool beside = std::abs(std::cos(angle)) >= 0.3;
        const Box box = box_at(left, beside ? to_y : to_y + (to_y > y ? kLine / 2 : -kLine / 2));
        if (!is_free(box) || crosses_a_label(x, y, to_x, to_y)) continue;
        line(x + kRadius * std::cos(angle), y + kRadius * std::sin(angle), to_x, to_y, "leader");
        put_label(point, box);
        return;
      }
    }
  }

  bool crosses_a_label(double x0, double y0, double x1, double y1) const {
    constexpr int kSteps = 40;
    for (int i = 0; i <= kSteps; ++i) {
      const double x = x0 + (x1 - x0) * i / kSteps, y = y0 + (y1 - y0) * i / kSteps;
      const Box at{x - 1, y - 1, x + 1, y + 1};
      if (std::ranges::any_of(labels_, [&](const Box& b) { return b.meets(at); })) return true;
    }
    return false;
  }

  const Scatter& s_;
  std::vector<const ScatterPoint*> points_;
  double x_low_ = 0, x_high_ = 1, y_low_ = 1, y_high_ = 10;
  std::vector<Box> taken_;   ///< by anything a label would hide or be hidden by
  std::vector<Box> labels_;  ///< those of them that are labels
  std::string svg_;
};

}  // namespace

std::string scatter_svg(const Scatter& scatter) { return Drawing(scatter)(); }

}  // namespace systole::reports
