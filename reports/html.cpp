#include "reports/html.hpp"

#include "reports/comparison_page.hpp"
#include "reports/page.hpp"
#include "reports/run_page.hpp"
#include "reports/views.hpp"

namespace systole::reports {
namespace {

std::string run_to_html(const RunResult& result, std::string_view command) {
  PageHead head;
  head.title = title_of(result);
  if (head.title.empty()) head.title = "Result";
  head.kind = "run";
  head.hint = overrides_hint(overrides_of(result));
  head.remark = run_remark(result);
  return page_top(head) + run_sections(result) +
         page_bottom(result.version, commands_of({&result, 1}, command));
}

}  // namespace

std::string to_html(std::span<const RunResult> results, std::string_view command) {
  return results.size() == 1 ? run_to_html(results[0], command)
                             : comparison_to_html(results, command);
}

}  // namespace systole::reports
