#include "reports/roofline.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <numbers>
#include <string_view>
#include <vector>

#include "reports/format.hpp"
#include "reports/markup.hpp"
#include "reports/views.hpp"

namespace systole::reports {
namespace {

// The canvas, in SVG units (pixels at full size).
constexpr double kWidth = 960, kHeight = 455;
constexpr double kLeft = 74, kRight = 24, kTop = 10, kBottom = 58;
constexpr double kCharacter = 7.3, kLine = 15;  ///< of 12 px text in a wide face (DejaVu Sans)
constexpr double kTogether = 12;                ///< points nearer than this become one mark
constexpr std::size_t kDrawnPhases = 2;
constexpr double kDecades = 7;                  ///< per axis at most; lower points sit on the edge

struct Point {
  std::string name, second;
  std::size_t phase = 0;
  double intensity = 0, rate = 0;  ///< MACs/byte, MACs/cycle
  double share = 0;                ///< of the run's cycles
  std::string title;               ///< escaped
  double x = 0, y = 0, radius = 0;
};

struct Box {
  double left = 0, top = 0, right = 0, bottom = 0;
  bool meets(const Box& other) const {
    return left < other.right && other.left < right && top < other.bottom && other.top < bottom;
  }
  bool within(const Box& other) const {
    return left >= other.left && right <= other.right && top >= other.top && bottom <= other.bottom;
  }
};

/// A logarithmic axis.
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
  axis.low = std::log10(smallest);
  axis.high = std::log10(largest);
  axis.low = std::max(axis.low, axis.high - kDecades);
  if (axis.high - axis.low < 2) axis.low = axis.high - 2;
  axis.from = from;
  axis.to = to;
  return axis;
}

/// "0.01", "1", "100", "10 k".
std::string tick_text(int exponent) {
  if (exponent < 4) return number(std::pow(10.0, exponent), 1);
  static constexpr std::string_view kPrefixes[] = {"", "k", "M", "G", "T", "P"};
  const auto prefix = std::min<std::size_t>(static_cast<std::size_t>(exponent) / 3, 5);
  return fmt::format("{:.0f} {}", std::pow(10.0, exponent - 3 * static_cast<int>(prefix)),
                     kPrefixes[prefix]);
}

/// A roof no machine has comes from a damaged file; a logarithmic axis would not end.
bool plausible(double peak) { return peak > 1e-6 && peak < 1e15; }

/// "weight_scratchpad.read" as a text.
std::string label_of(std::string name) {
  std::ranges::replace(name, '_', ' ');
  if (const std::size_t dot = name.rfind('.'); dot != std::string::npos) name.replace(dot, 1, ", ");
  return name;
}

class Drawing {
 public:
  Drawing(const RunResult& result, const Roof& roof, const RoofBounds& bounds)
      : result_(result), roof_(roof), bounds_(bounds) {}

  Roofline operator()() {
    collect();
    if (points_.empty()) return {};
    const std::size_t count = points_.size();
    place();
    out_.svg = fmt::format(
        "<svg class=\"roofline\" viewBox=\"0 0 {} {}\" role=\"img\" aria-label=\"Roofline: "
        "attained MACs per "
        "cycle over MACs per {} byte, {} operations\">",
        kWidth, kHeight, escaped(roof_.label), count);
    draw_grid();
    draw_roof();
    draw_points();
    draw_labels();
    out_.svg += "</svg>";
    return std::move(out_);
  }

 private:
  void collect() {
    for (const RoofPoint& each : roof_.points) {
      if (each.phase_number >= kDrawnPhases) continue;
      Point point;
      point.name = printable(each.operation);
      point.phase = each.phase_number;
      point.intensity = each.macs_per_byte();
      point.rate = each.macs_per_cycle();
      point.share = share_of(static_cast<double>(each.cycles), static_cast<double>(result_.cycles))
                        .value_or(0);
      point.title = escaped(fmt::format(
          "{} ({}): {} MACs/byte, {} MACs/cycle of {} at most, {} of the cycles, bound: {}",
          each.operation, each.phase, number(point.intensity), number(point.rate),
          number(roof_.attainable(each)), format_share(point.share), each.bound));
      points_.push_back(std::move(point));
    }
    // Large ones first: small ones are drawn on top and labelled last.
    std::stable_sort(points_.begin(), points_.end(),
                     [](const Point& a, const Point& b) { return a.share > b.share; });
  }

  void place() {
    x_ = axis_over(bounds_.x_low, bounds_.x_high, kLeft, kWidth - kRight);
    y_ = axis_over(bounds_.y_low, bounds_.y_high, kHeight - kBottom, kTop);
    for (Point& point : points_) {
      point.x = x_.at(point.intensity);
      point.y = y_.at(point.rate);
    }
    gather();
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
    for (int e = static_cast<int>(std::ceil(x_.low)); e <= static_cast<int>(std::floor(x_.high));
         ++e) {
      const double x = x_.at(std::pow(10.0, e));
      line(x, kTop, x, bottom, "grid");
      text(x, bottom + 18, "class=\"tick\" text-anchor=\"middle\"", tick_text(e));
    }
    for (int e = static_cast<int>(std::ceil(y_.low)); e <= static_cast<int>(std::floor(y_.high));
         ++e) {
      const double y = y_.at(std::pow(10.0, e));
      line(kLeft, y, right, y, "grid");
      text(kLeft - 8, y + 4, "class=\"tick\" text-anchor=\"end\"", tick_text(e));
    }
    text((kLeft + right) / 2, kHeight - 14, "class=\"axis\" text-anchor=\"middle\"",
         "arithmetic intensity, MACs per byte of the " + roof_.label);
    const double middle = (kTop + bottom) / 2;
    out_.svg += fmt::format(
        "<text class=\"axis\" text-anchor=\"middle\" transform=\"translate(18 {:.1f}) "
        "rotate(-90)\">attained "
        "MACs per cycle</text>",
        middle);
  }

  void draw_roof() {
    const double peak = roof_.peak_macs_per_cycle, slope = roof_.bytes_per_cycle;
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

    // Left of the ridge nothing lies as high as the roof, so there is room for its text.
    line(kLeft, y1, x1, y1, "ceiling");
    const std::string compute = fmt::format("peak {} MACs/cycle", format_count(peak));
    text(kLeft + 8, y1 - 8, "class=\"rooftext\"", compute);
    take({kLeft, y1 - 22, kLeft + 8 + kCharacter * static_cast<double>(compute.size()), y1 + 3});
    taken_.push_back({kLeft, y1 - 2, x1, y1 + 2});
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
    take({x1, bottom - 22, x1 + 6 + kCharacter * static_cast<double>(ridge_text.size()), bottom});
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

  /// Points of one phase that would cover each other become one mark: `share` summed, names joined.
  void gather() {
    std::vector<Point> marks;
    std::vector<std::size_t> members;
    for (const Point& point : points_) {
      const auto near = std::find_if(marks.begin(), marks.end(), [&](const Point& mark) {
        return mark.phase == point.phase &&
               std::hypot(mark.x - point.x, mark.y - point.y) < kTogether;
      });
      if (near == marks.end()) {
        marks.push_back(point);
        members.push_back(1);
        continue;
      }
      std::size_t& count = members[static_cast<std::size_t>(near - marks.begin())];
      near->share += point.share;
      near->title += "\n" + point.title;
      if (++count == 2) near->second = point.name;
    }
    for (std::size_t i = 0; i < marks.size(); ++i) {
      Point& mark = marks[i];
      if (members[i] == 2) mark.name += ", " + mark.second;
      if (members[i] > 2) mark.name += fmt::format(" and {} more", members[i] - 1);
      mark.name = fit(mark.name, std::min<std::size_t>(display_width(mark.name), 40));
      mark.radius = 4 + 8 * std::sqrt(std::clamp(mark.share, 0.0, 1.0));
    }
    std::stable_sort(marks.begin(), marks.end(),
                     [](const Point& a, const Point& b) { return a.share > b.share; });
    points_ = std::move(marks);
  }

  void draw_points() {
    for (const Point& point : points_) {
      const std::string title = "<title>" + point.title + "</title>";
      if (point.phase == 0) {
        out_.svg += fmt::format(
            "<circle class=\"point p0\" cx=\"{:.1f}\" cy=\"{:.1f}\" r=\"{:.1f}\">{}</circle>",
            point.x, point.y, point.radius, title);
      } else {
        const double r = point.radius * 1.2;
        out_.svg += fmt::format(
            "<path class=\"point p1\" d=\"M{0:.1f} {2:.1f} L{3:.1f} {1:.1f} L{0:.1f} {4:.1f} "
            "L{5:.1f} "
            "{1:.1f} Z\">{6}</path>",
            point.x, point.y, point.y - r, point.x + r, point.y + r, point.x - r, title);
      }
      taken_.push_back({point.x - point.radius, point.y - point.radius, point.x + point.radius,
                        point.y + point.radius});
    }
  }

  void draw_labels() {
    for (const Point& point : points_) {
      if (!try_label(point)) ++out_.unlabelled;
    }
  }

  /// The first free place, near before far: right, left, then the directions between.
  bool try_label(const Point& point) {
    const double width = kCharacter * static_cast<double>(display_width(point.name));
    const Box plot{kLeft + 2, kTop + 2, kWidth - kRight - 2, kHeight - kBottom - 2};
    const double edge = point.radius * (point.phase == 0 ? 1 : 1.2) + 1;
    for (const double away : {4.0, 16.0, 30.0, 50.0, 75.0}) {
      for (const int twelfth : {0, 6, 1, 11, 2, 10, 5, 7, 4, 8, 3, 9}) {
        const double angle = twelfth * std::numbers::pi / 6;
        const double dx = std::cos(angle), dy = std::sin(angle);
        const double ax = point.x + (edge + away) * dx, ay = point.y + (edge + away) * dy;
        // The side of the point on which the label stands.
        const int side = dx > 0.3 ? 1 : dx < -0.3 ? -1 : 0;
        const double left = side > 0 ? ax : side < 0 ? ax - width : ax - width / 2;
        const Box box{left - 2, ay - kLine / 2, left + width + 2, ay + kLine / 2};
        if (!box.within(plot) || meets_any(taken_, box)) continue;
        const bool led = away > 10;
        const double sx = point.x + edge * dx, sy = point.y + edge * dy;
        const double ex = ax - 2 * side, ey = side == 0 ? ay - std::copysign(6.0, dy) : ay;
        // A leader may cross the roof but no text.
        bool crosses = false;
        for (double t = 0.1; led && t < 0.95; t += 0.1) {
          const double px = sx + t * (ex - sx), py = sy + t * (ey - sy);
          crosses = crosses || meets_any(texts_, {px - 1, py - 1, px + 1, py + 1});
        }
        if (crosses) continue;
        take(box);
        if (led) line(sx, sy, ex, ey, "leader");
        text(ax, ay + 4,
             side > 0   ? "class=\"label\""
             : side < 0 ? "class=\"label\" text-anchor=\"end\""
                        : "class=\"label\" text-anchor=\"middle\"",
             point.name);
        return true;
      }
    }
    return false;
  }

  static bool meets_any(const std::vector<Box>& boxes, const Box& box) {
    return std::any_of(boxes.begin(), boxes.end(), [&](const Box& b) { return b.meets(box); });
  }
  /// Notes the place of a text.
  void take(const Box& box) {
    taken_.push_back(box);
    texts_.push_back(box);
  }

  const RunResult& result_;
  const Roof& roof_;
  const RoofBounds& bounds_;
  Roofline out_;
  std::vector<Point> points_;
  std::vector<Box> taken_;  ///< where no label may be
  std::vector<Box> texts_;  ///< those of them that are texts
  Axis x_, y_;
};

}  // namespace

double Roof::attainable(const RoofPoint& point) const {
  return std::min(peak_macs_per_cycle, bytes_per_cycle * point.macs_per_byte());
}

std::vector<Roof> roofs_of(const RunResult& result) {
  std::vector<Roof> roofs;
  if (!plausible(result.peak_macs_per_cycle)) return roofs;
  const std::vector<std::string> phases = phases_of(result);
  std::vector<std::vector<OperationRow>> merged;
  for (const std::string& phase : phases) merged.push_back(merged_operations(result, phase));
  const auto add = [&](std::string name, std::string label, double peak, const auto& bytes_of) {
    if (!plausible(peak)) return;
    Roof roof{std::move(name), std::move(label), result.peak_macs_per_cycle, peak, {}, 0};
    for (std::size_t p = 0; p < phases.size(); ++p) {
      for (const OperationRow& row : merged[p]) {
        const std::uint64_t bytes = bytes_of(row);
        if (row.macs == 0 || row.cycles == 0 || bytes == 0) {
          ++roof.left_out;
          continue;
        }
        roof.points.push_back({row.name, row.phase, row.bound, p, row.macs, bytes, row.cycles});
      }
    }
    if (!roof.points.empty()) roofs.push_back(std::move(roof));
  };
  add("dram", "DRAM", result.peak_dram_bytes_per_cycle, dram_bytes_of);
  for (std::size_t i = 0; i < result.memory_paths.size(); ++i) {
    const MemoryPath& path = result.memory_paths[i];
    add(path.name, label_of(printable(path.name)), path.peak_bytes_per_cycle,
        [i](const OperationRow& row) { return i < row.path_bytes.size() ? row.path_bytes[i] : 0; });
  }
  return roofs;
}

RoofBounds bounds_of(const Roof& roof) {
  const double peak = roof.peak_macs_per_cycle, ridge = roof.ridge();
  RoofBounds bounds{ridge / 10, ridge * 8, peak / 30, peak * 2.2};
  for (const RoofPoint& point : roof.points) {
    if (point.phase_number >= kDrawnPhases) continue;
    bounds.x_low = std::min(bounds.x_low, point.macs_per_byte() * 0.3);
    bounds.x_high = std::max(bounds.x_high, point.macs_per_byte() * 4);
    bounds.y_low = std::min(bounds.y_low, point.macs_per_cycle() * 0.3);
    bounds.y_high = std::max(bounds.y_high, point.macs_per_cycle() * 1.5);
  }
  return bounds;
}

RoofBoundsByName common_bounds(std::span<const RunResult> results) {
  RoofBoundsByName common;
  for (const RunResult& result : results) {
    for (const Roof& roof : roofs_of(result)) {
      const RoofBounds own = bounds_of(roof);
      const auto [it, is_new] = common.try_emplace(roof.name, own);
      if (is_new) continue;
      RoofBounds& all = it->second;
      all = {std::min(all.x_low, own.x_low), std::max(all.x_high, own.x_high),
             std::min(all.y_low, own.y_low), std::max(all.y_high, own.y_high)};
    }
  }
  return common;
}

Roofline roofline_svg(const RunResult& result, const Roof& roof, const RoofBounds* bounds) {
  const RoofBounds own = bounds_of(roof);
  return Drawing(result, roof, bounds != nullptr ? *bounds : own)();
}

}  // namespace systole::reports
