// Trees of parts of a whole, drawn as an icicle: the whole on top, below each part what it is made
// of, as wide as its share (Kruskal and Landwehr, The American Statistician 37(2), 1983).
#pragma once

#include <cstddef>
#include <string>
#include <vector>

namespace systole::reports {

struct Part {
  std::string name;
  double value = 0;
  std::string text;        ///< the value as a reader sees it
  std::size_t colour = 0;  ///< of the series
  bool pale = false;
  std::vector<Part> parts = {};  ///< sum to `value`, or to less
};

/// A button for each part, widest first at each level, for the page's script to zoom. Parts of less
/// than a two-thousandth of the whole are left blank; values that are negative or not finite
/// count as 0. `label` says what the tree is, to those who cannot see it. Empty for a whole of 0.
std::string icicle_html(const Part& whole, const std::string& label);

}  // namespace systole::reports
