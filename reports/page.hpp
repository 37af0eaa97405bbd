// What stands around every page: head, title, footer, style and script, and the frame of a figure
// that can be saved as a picture and as a table. A page is one file: nothing is loaded, it works
// without script, and it prints.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "reports/figures.hpp"

namespace systole::reports {

/// From reports/page/page.css and page.js.
extern const std::string_view kPageStyle;
extern const std::string_view kPageScript;

/// Texts of a page's top; all are escaped on their way.
struct PageHead {
  std::string title;       ///< of the window
  std::string kind;        ///< "run", "comparison": over the heading
  std::string heading;     ///< as `title` where empty
  std::string hint;        ///< what the heading has no room for
  std::string remark;      ///< under the heading
  std::string verdict;     ///< what the page says, in a sentence or two
  std::string body_class;  ///< for a page's own rules
  std::string_view style;  ///< a page's own rules, as they are
};

/// Up to and with `<main>`.
std::string page_top(const PageHead& head);
/// From `</main>`: the version and the command that makes the page again, of several a line each.
/// `script`: a page's own, as it is.
std::string page_bottom(std::string_view version, std::string_view command,
                        std::string_view script = "");

/// The figures behind a picture, as they are: what "CSV" saves.
struct FigureTable {
  std::vector<std::string> columns;
  std::vector<std::vector<FigureValue>> rows;
};

/// The start of a section with a heading, a remark and buttons that save it; ends with
/// `</section>`. `id` is unique on the page and names the files; `extra` goes into the tag.
std::string figure_top(std::string_view id, std::string_view title, std::string_view note,
                       std::string_view extra = "");
/// The same for a figure of several panels, which are sections of their own; `short_title` is for
/// the list of sections.
std::string bare_figure_top(std::string_view id, std::string_view title, std::string_view note,
                            std::string_view short_title);
/// `table` for the page's script, which saves it.
std::string figure_data(const FigureTable& table);

}  // namespace systole::reports
