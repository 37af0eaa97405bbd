#include "reports/roofline.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <numbers>
#include <vector>

#include "reports/format.hpp"
#include "reports/markup.hpp"
#include "reports/views.hpp"

namespace systole::reports {
namespace {

// The canvas, in SVG units (pixels at full size).
constexpr double kWidth = 960, kHeight = 470;
constexpr double kLeft = 74, kRight = 24, kTop = 26, kBottom = 58;
constexpr double kCharacter = 6.6, kLine = 15;  ///< of the 12 px labels, measured in Chromium
constexpr double kTogether = 15;                ///< points nearer than this share a label
constexpr double kDecades = 7;                  ///< per axis at most; lower points sit on the edge

struct Point {
  std::string name;
  std::size_t phase = 0;
  double intensity = 0, rate = 0;  ///< MACs/byte, MACs/cycle
  double share = 0;                ///< of the run's cycles
  std::string title;
  double x = 0, y = 0, radius = 0;
};

struct Box {
  double left = 0, top = 0, right = 0, bottom = 0;
  bool meets(const Box& other) const {
    return left < other.right && other.left < right && top < other.bottom && other.top < bottom;
  }
};

/// A logarithmic axis from whole decade to whole decade, or as near as the data ask.
struct Axis {
  double low = 0, high = 1;  ///< log10
  double from = 0, to = 1;   ///< pixels
  double at(double value) const {
    const double t = (std::log10(value) - low) / (high - low);
    return from + std::clamp(t, 0.0, 1.0) * (to - from);
  }
};

Axis axis_over(double smallest, double largest, double from, double to) {
  Axis axis;
  axis.low = std::floor(std::log10(smallest));
  axis.high = std::ceil(std::log10(largest) + 0.08);
  axis.low = std::max(axis.low, axis.high - kDecades);
  if (axis.high - axis.low < 2) axis.low = axis.high - 2;
  axis.from = from;
  axis.to = to;
  return axis;
}

std::string tick_text(int exponent) {
  return exponent < 0 ? number(std::pow(10.0, exponent), 1)
                      : format_count(std::pow(10.0, exponent));
}

class Drawing {
 public:
  explicit Drawing(const RunResult& result) : result_(result) {}

  Roofline operator()() {
    collect();
    // A roof no machine has comes from a damaged file; a logarithmic axis would not end.
    const auto plausible = [](double peak) { return peak > 1e-6 && peak < 1e15; };
    if (points_.empty() || !plausible(result_.peak_macs_per_cycle) ||
        !plausible(result_.peak_dram_bytes_per_cycle)) {
      return {"", out_.left_out, 0};
    }
    place();
    out_.svg = fmt::format(
        "<svg class=\"roofline\" viewBox=\"0 0 {} {}\" role=\"img\" aria-label=\"Roofline: "
        "attained MACs per "
        "cycle over MACs per DRAM byte, {} operations\">",
        kWidth, kHeight, points_.size());
    draw_grid();
    draw_roof();
    draw_points();
    draw_labels();
    out_.svg += "</svg>";
    return std::move(out_);
  }

 private:
  void collect() {
    const std::vector<std::string> phases = phases_of(result_);
    for (std::size_t p = 0; p < phases.size(); ++p) {
      for (const OperationRow& row : merged_operations(result_, phases[p])) {
        const std::uint64_t bytes = dram_bytes_of(row);
        if (p >= 2 || row.macs == 0 || row.cycles == 0 || bytes == 0) {
          ++out_.left_out;
          continue;
        }
        Point point;
        point.name = printable(row.name);
        point.phase = p;
        point.intensity = static_cast<double>(row.macs) / static_cast<double>(bytes);
        point.rate = static_cast<double>(row.macs) / static_cast<double>(row.cycles);
        point.share = share_of(static_cast<double>(row.cycles), static_cast<double>(result_.cycles))
                          .value_or(0);
        point.title =
            fmt::format("{} ({}): {} MACs/byte, {} MACs/cycle, {} of the cycles, bound: {}",
                        row.name, phases[p], number(point.intensity), number(point.rate),
                        format_share(point.share), row.bound);
        points_.push_back(std::move(point));
      }
    }
    // Large ones first: small ones are drawn on top and labelled last.
    std::stable_sort(points_.begin(), points_.end(),
                     [](const Point& a, const Point& b) { return a.share > b.share; });
  }

  void place() {
    const double peak = result_.peak_macs_per_cycle, slope = result_.peak_dram_bytes_per_cycle;
    double x_low = peak / slope / 3, x_high = peak / slope * 6, y_low = peak / 30, y_high = peak;
    for (const Point& point : points_) {
      x_low = std::min(x_low, point.intensity * 0.7);
      x_high = std::max(x_high, point.intensity * 1.5);
      y_low = std::min(y_low, point.rate * 0.7);
      y_high = std::max(y_high, point.rate);
    }
    x_ = axis_over(x_low, x_high, kLeft, kWidth - kRight);
    y_ = axis_over(y_low, y_high, kHeight - kBottom, kTop);
    for (Point& point : points_) {
      point.x = x_.at(point.intensity);
      point.y = y_.at(point.rate);
      point.radius = 4 + 9 * std::sqrt(std::clamp(point.share, 0.0, 1.0));
    }
  }

  void text(double x, double y, std::string_view attributes, std::string_view content) {
    out_.svg += fmt::format("<text x=\"{:.1f}\" y=\"{:.1f}\"{}{}>{}</text>", x, y,
                            attributes.empty() ? "" : " ", attributes, escaped(content));
  }
  void line(double x1, double y1, double x2, double y2, std::string_view kind) {
    out_.svg +=
        fmt::format("<line class=\"{}\" x1=\"{:.1f}\" y1=\"{:.1f}\" x2=\"{:.1f}\" y2=\"{:.1f}\"/>",
                    kind, x1, y1, x2, y2);
  }

  void draw_grid() {
    const double bottom = kHeight - kBottom, right = kWidth - kRight;
    for (int e = static_cast<int>(x_.low); e <= static_cast<int>(x_.high); ++e) {
      const double x = x_.at(std::pow(10.0, e));
      line(x, kTop, x, bottom, "grid");
      text(x, bottom + 18, "class=\"tick\" text-anchor=\"middle\"", tick_text(e));
    }
    for (int e = static_cast<int>(y_.low); e <= static_cast<int>(y_.high); ++e) {
      const double y = y_.at(std::pow(10.0, e));
      line(kLeft, y, right, y, "grid");
      text(kLeft - 8, y + 4, "class=\"tick\" text-anchor=\"end\"", tick_text(e));
    }
    text((kLeft + right) / 2, kHeight - 14, "class=\"axis\" text-anchor=\"middle\"",
         "arithmetic intensity, MACs per DRAM byte");
    const double middle = (kTop + bottom) / 2;
    out_.svg += fmt::format(
        "<text class=\"axis\" text-anchor=\"middle\" transform=\"translate(18 {:.1f}) "
        "rotate(-90)\">attained "
        "MACs per cycle</text>",
        middle);
  }

  void draw_roof() {
    const double peak = result_.peak_macs_per_cycle, slope = result_.peak_dram_bytes_per_cycle;
    const double right = kWidth - kRight, bottom = kHeight - kBottom;
    // Where the slope enters the plot: at its left edge or its bottom, whichever comes first.
    const double enter = std::max(std::pow(10.0, x_.low), std::pow(10.0, y_.low) / slope);
    const double ridge = peak / slope;
    const double x0 = x_.at(enter), y0 = y_.at(enter * slope), x1 = x_.at(ridge), y1 = y_.at(peak);
    out_.svg += fmt::format(
        "<path class=\"under\" d=\"M{0:.1f} {5:.1f} L{0:.1f} {1:.1f} L{2:.1f} {3:.1f} L{4:.1f} "
        "{3:.1f} "
        "L{4:.1f} {5:.1f} Z\"/>",
        x0, y0, x1, y1, right, bottom);
    out_.svg +=
        fmt::format("<path class=\"roof\" d=\"M{:.1f} {:.1f} L{:.1f} {:.1f} L{:.1f} {:.1f}\"/>", x0,
                    y0, x1, y1, right, y1);
    line(x1, y1, x1, bottom, "ridge");

    const std::string compute = fmt::format("peak {} MACs/cycle", format_count(peak));
    text(right - 6, y1 - 8, "class=\"rooftext\" text-anchor=\"end\"", compute);
    taken_.push_back(
        {right - 6 - kCharacter * static_cast<double>(compute.size()), y1 - 22, right, y1 + 3});
    const std::string memory = fmt::format("{} B/cycle = {}/s", number(slope),
                                           format_bytes(slope * result_.clock_mhz * 1e6));
    const double angle = std::atan2(y1 - y0, x1 - x0);
    const double length = std::hypot(x1 - x0, y1 - y0);
    if (length > kCharacter * static_cast<double>(memory.size()) + 20) {
      const double t = 0.5;
      out_.svg += fmt::format(
          "<text class=\"rooftext\" text-anchor=\"middle\" transform=\"translate({:.1f} {:.1f}) "
          "rotate({:.1f})\" dy=\"-8\">{}</text>",
          x0 + t * (x1 - x0), y0 + t * (y1 - y0), angle * 180 / std::numbers::pi, escaped(memory));
    }
    const std::string ridge_text = fmt::format("ridge {} MACs/byte", number(ridge));
    text(x1 + 6, bottom - 8, "class=\"tick\"", ridge_text);
    taken_.push_back(
        {x1, bottom - 22, x1 + 6 + kCharacter * static_cast<double>(ridge_text.size()), bottom});
    // Labels keep off the roof: small boxes along it.
    for (double t = 0; t <= 1; t += 0.02) {
      const double x = x0 + t * (x1 - x0), y = y0 + t * (y1 - y0);
      taken_.push_back({x - 4, y - 4, x + 4, y + 4});
      // The slope's own text stands just above its middle.
      if (t > 0.2 && t < 0.8) {
        const double ux = std::sin(angle) * 14, uy = -std::cos(angle) * 14;
        taken_.push_back({x + ux - 7, y + uy - 7, x + ux + 7, y + uy + 7});
      }
    }
    taken_.push_back({x1, y1 - 3, right, y1 + 3});
  }

  void draw_points() {
    for (const Point& point : points_) {
      const std::string title = "<title>" + escaped(point.title) + "</title>";
      if (point.phase == 0) {
        out_.svg += fmt::format(
            "<circle class=\"point p0\" cx=\"{:.1f}\" cy=\"{:.1f}\" r=\"{:.1f}\">{}</circle>",
            point.x, point.y, point.radius, title);
      } else {
        const double r = point.radius * 1.2;
        out_.svg += fmt::format(
            "<path class=\"point p1\" d=\"M{:.1f} {:.1f} L{:.1f} {:.1f} L{:.1f} {:.1f} L{:.1f} "
            "{:.1f} "
            "Z\">{}</path>",
            point.x, point.y - r, point.x + r, point.y, point.x, point.y + r, point.x - r, point.y,
            title);
      }
      taken_.push_back({point.x - point.radius, point.y - point.radius, point.x + point.radius,
                        point.y + point.radius});
    }
  }

  /// Points of one phase that (nearly) cover each other are named together.
  std::vector<std::vector<const Point*>> clusters() const {
    std::vector<std::vector<const Point*>> groups;
    for (const Point& point : points_) {
      const auto near = std::find_if(groups.begin(), groups.end(), [&](const auto& group) {
        const Point& first = *group.front();
        return first.phase == point.phase &&
               std::hypot(first.x - point.x, first.y - point.y) < kTogether;
      });
      if (near == groups.end()) {
        groups.push_back({&point});
      } else {
        near->push_back(&point);
      }
    }
    return groups;
  }

  void draw_labels() {
    for (const auto& group : clusters()) {
      std::string label = group[0]->name;
      if (group.size() == 2) label += ", " + group[1]->name;
      if (group.size() > 2) label += fmt::format(" and {} more", group.size() - 1);
      label = fit(label, std::min<std::size_t>(display_width(label), 40));
      double radius = 0;
      for (const Point* point : group) radius = std::max(radius, point->radius);
      if (!try_label(*group[0], radius, label)) ++out_.unlabelled;
    }
  }

  bool try_label(const Point& point, double radius, const std::string& label) {
    const double width = kCharacter * static_cast<double>(display_width(label));
    const Box plot{kLeft + 2, kTop + 2, kWidth - kRight - 2, kHeight - kBottom - 2};
    for (const double distance : {radius + 5, radius + 20, radius + 36, radius + 56, radius + 80}) {
      for (int step = 0; step < 12; ++step) {
        // Right, left, then the directions between, alternately below and above.
        static constexpr int kOrder[12] = {0, 6, 1, 11, 2, 10, 5, 7, 4, 8, 3, 9};
        const double angle = kOrder[step] * std::numbers::pi / 6;
        const double ax = point.x + distance * std::cos(angle),
                     ay = point.y + distance * std::sin(angle);
        const double lean = std::cos(angle);
        const double left = lean > 0.3 ? ax : lean < -0.3 ? ax - width : ax - width / 2;
        const Box box{left - 2, ay - kLine / 2, left + width + 2, ay + kLine / 2};
        const bool inside = box.left >= plot.left && box.right <= plot.right &&
                            box.top >= plot.top && box.bottom <= plot.bottom;
        if (!inside ||
            std::any_of(taken_.begin(), taken_.end(), [&](const Box& b) { return b.meets(box); })) {
          continue;
        }
        taken_.push_back(box);
        if (distance > radius + 6) {
          const double edge = radius + 1;
          line(point.x + edge * std::cos(angle), point.y + edge * std::sin(angle),
               ax - (lean > 0.3    ? 2
                     : lean < -0.3 ? -2
                                   : 0),
               ay, "leader");
        }
        text(left, ay + 4, "class=\"label\"", label);
        return true;
      }
    }
    return false;
  }

  const RunResult& result_;
  Roofline out_;
  std::vector<Point> points_;
  std::vector<Box> taken_;
  Axis x_, y_;
};

}  // namespace

Roofline roofline_svg(const RunResult& result) { return Drawing(result)(); }

}  // namespace systole::reports
