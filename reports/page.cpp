#include "reports/page.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <map>
#include <nlohmann/json.hpp>

#include "reports/format.hpp"
#include "reports/markup.hpp"

namespace systole::reports {

std::string page_top(const PageHead& head) {
  const std::string& heading = head.heading.empty() ? head.title : head.heading;
  std::string out = fmt::format(
      "<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\"/>\n"
      "<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\"/>\n"
      // Nothing is fetched, and nothing that a name smuggles in could be. (A figure that is saved
      // as PNG passes through a picture.)
      "<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src "
      "'unsafe-inline'; script-src 'unsafe-inline'; img-src data:\"/>\n"
      // Painted once, when the script has folded and placed what it does: not before and again.
      "<link rel=\"expect\" href=\"#page-end\" blocking=\"render\"/>\n"
      "<title>{} \u2013 Systole</title>\n<style id=\"page-style\">{}</style>{}\n</head>\n<body{}>\n"
      "<header>\n<p class=\"kind\"><b>Systole</b> \u00b7 {}</p>\n<h1{}>{}</h1>\n",
      escaped(head.title), kPageStyle,
      head.style.empty() ? "" : fmt::format("\n<style>{}</style>", head.style),
      head.body_class.empty() ? "" : " class=\"" + escaped(head.body_class) + "\"",
      escaped(head.kind), head.hint.empty() ? "" : fmt::format(" title=\"{}\"", escaped(head.hint)),
      escaped(heading));
  if (!head.remark.empty()) out += "<p class=\"sub\">" + escaped(head.remark) + "</p>\n";
  if (!head.verdict.empty()) out += "<p class=\"lead\">" + escaped(head.verdict) + "</p>\n";
  return out + "</header>\n<main>\n";
}

std::string page_bottom(std::string_view version, std::string_view command,
                        std::string_view script) {
  std::string out = "</main>\n<footer>";
  if (!command.empty()) {
    out += "<p>Made again, to the last digit, by</p><pre>";
    for (std::size_t from = 0; from <= command.size();) {
      const std::size_t to = std::min(command.find('\n', from), command.size());
      out += (from == 0 ? "" : "\n") + escaped(command.substr(from, to - from));
      from = to + 1;
    }
    out += "</pre>";
  }
  out += fmt::format(
      "<p>Systole{}: cycle-approximate, bit-exact simulation of mixed-precision accelerators. "
      "This page is one file and loads nothing.</p></footer>\n<script "
      "id=\"page-script\">{}</script>\n",
      version.empty() ? "" : " " + escaped(version), kPageScript);
  if (!script.empty()) out += fmt::format("<script>{}</script>\n", script);
  return out + "<span id=\"page-end\" hidden=\"hidden\"></span>\n</body>\n</html>\n";
}

namespace {
std::string top_of(std::string_view kind, std::string_view id, std::string_view title,
                   std::string_view note, std::string_view extra) {
  std::string out =
      fmt::format("<section class=\"{}\" id=\"{}\"{}{}><div class=\"head\"><h3>{}</h3></div>", kind,
                  escaped(id), extra.empty() ? "" : " ", extra, escaped(title));
  if (!note.empty()) out += "<p class=\"note\">" + escaped(note) + "</p>";
  return out + "\n";
}
}  // namespace

std::string figure_top(std::string_view id, std::string_view title, std::string_view note,
                       std::string_view extra) {
  return top_of("figure", id, title, note, extra);
}

std::string bare_figure_top(std::string_view id, std::string_view title, std::string_view note,
                            std::string_view short_title) {
  return top_of("figure bare", id, title, note,
                fmt::format("data-short=\"{}\"", escaped(short_title)));
}

std::string figure_data(const FigureTable& table) {
  using Json = nlohmann::ordered_json;
  // A column of texts only is written once as the different ones, then as their numbers: names
  // repeat in long tables.
  std::vector<bool> texts_only(table.columns.size(), !table.rows.empty());
  for (const std::vector<FigureValue>& row : table.rows) {
    for (std::size_t c = 0; c < texts_only.size(); ++c) {
      if (c >= row.size() || !std::holds_alternative<std::string>(row[c])) texts_only[c] = false;
    }
  }
  Json document;
  document["columns"] = Json::array();
  for (const std::string& column : table.columns) document["columns"].push_back(printable(column));
  document["texts"] = Json::object();
  document["rows"] = Json::array();
  std::vector<std::map<std::string, std::size_t>> numbers(table.columns.size());
  for (const std::vector<FigureValue>& row : table.rows) {
    Json cells = Json::array();
    for (std::size_t c = 0; c < row.size(); ++c) {
      if (const auto* count = std::get_if<std::uint64_t>(&row[c])) {
        // Script has doubles only: a larger count goes as text.
        *count < (1ull << 53) ? cells.push_back(*count) : cells.push_back(std::to_string(*count));
      } else if (const auto* real = std::get_if<double>(&row[c])) {
        cells.push_back(std::isfinite(*real) ? Json(*real) : Json(nullptr));
      } else if (const auto* text = std::get_if<std::string>(&row[c])) {
        if (c < texts_only.size() && texts_only[c]) {
          Json& different = document["texts"][std::to_string(c)];
          const auto [it, is_new] = numbers[c].try_emplace(*text, numbers[c].size());
          if (is_new) different.push_back(printable(*text));
          cells.push_back(it->second);
        } else {
          cells.push_back(printable(*text));
        }
      } else {
        cells.push_back(nullptr);
      }
    }
    document["rows"].push_back(std::move(cells));
  }
  return "<script type=\"application/json\" class=\"data\">" + in_script(document.dump()) +
         "</script>\n";
}

}  // namespace systole::reports
