// Points over two axes as a drawing: linear across, logarithmic up.
#pragma once

#include <cstddef>
#include <span>
#include <string>
#include <vector>

namespace systole::reports {

struct ScatterPoint {
  double x = 0, y = 0;     ///< y above 0
  std::size_t colour = 0;  ///< of a series
  std::string name;        ///< beside the point, or where a line to it leads
  std::string title;       ///< under the pointer
  bool foremost = false;   ///< gets its label before the others
};

struct Scatter {
  std::string label;  ///< what it shows, for who does not see it
  std::string x_title, y_title;
  std::vector<ScatterPoint> points;
  std::vector<ScatterPoint> front;  ///< a line through these, ascending in x
  double level = 0;                 ///< a dashed line at this height; 0: none
  std::string level_text;
};

/// An SVG of class "scatter"; empty without a point of finite place. Names are escaped here.
std::string scatter_svg(const Scatter& scatter);

/// The rules that it needs, for PageHead::style.
extern const std::string_view kScatterStyle;

}  // namespace systole::reports
