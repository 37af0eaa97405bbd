#include "reports/recipe_table.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <limits>
#include <nlohmann/json.hpp>
#include <optional>
#include <utility>
#include <vector>

#include "reports/config_section.hpp"
#include "reports/csv.hpp"
#include "reports/figure_table.hpp"
#include "reports/format.hpp"
#include "reports/markup.hpp"
#include "reports/page.hpp"
#include "reports/scatter.hpp"
#include "reports/text_table.hpp"

namespace systole::reports {
namespace {

/// A loss that a reader would call none: what another text would give (reports/accuracy).
constexpr double kNearlyNothing = 0.01;
/// What the pictures show first: beyond it nobody would use a recipe (assumed).
constexpr double kNear = 0.25;

/// Where the page is narrow its table scrolls beside the recipes' names.
constexpr std::string_view kTableStyle =
    "#recipes th:first-child{position:sticky;left:0;background:var(--card)}"
    "#recipes td:last-child{min-width:12rem}";

/// Colours by what a recipe quantises.
constexpr std::size_t kWeights = 0, kActivations = 2, kCache = 6, kNothing = 5;

/// A column that every form has: its name in JSON and CSV, and where it stands in a row.
struct Column {
  std::string_view name;
  double RecipeRow::*value;

  std::string_view heading() const { return figure_label(name); }
};
constexpr Column kColumns[] = {
    {"stored_bits_per_weight", &RecipeRow::bits_per_weight},
    {"stored_bits_per_kv", &RecipeRow::bits_per_kv},
    {"weight_bytes", &RecipeRow::weight_bytes},
    {"kv_bytes_per_token", &RecipeRow::kv_bytes_per_token},
    {"nll", &RecipeRow::nll},
    {"perplexity", &RecipeRow::perplexity},
};

const Column &kBitsPerWeight = kColumns[0], &kBitsPerKv = kColumns[1], &kPerplexity = kColumns[5];

/// For people: the nats say what the perplexity says.
bool is_shown(const Column& column) { return column.value != &RecipeRow::nll; }

/// The least perplexity first, then the fewest bits; what was refused last.
std::vector<const RecipeRow*> in_order(const RecipeTable& table) {
  std::vector<const RecipeRow*> rows;
  for (const RecipeRow& row : table.rows) rows.push_back(&row);
  std::ranges::stable_sort(rows, [](const RecipeRow* a, const RecipeRow* b) {
    if (a->evaluated() != b->evaluated()) return a->evaluated();
    return a->evaluated() && a->perplexity < b->perplexity;
  });
  return rows;
}

/// The divergence from the reference, where it was measured.
std::string kl_of(const RecipeRow& row) {
  return row.evaluated() && row.kl ? format_figure("kl_divergence", *row.kl) : std::string(kAbsent);
}

std::string cell(const RecipeRow& row, const Column& column) {
  return row.evaluated() ? format_figure(column.name, row.*column.value) : std::string(kAbsent);
}

std::string change_of(const RecipeTable& table, const RecipeRow& row) {
  return row.evaluated() ? format_figure("perplexity_change", table.change(row))
                         : std::string(kAbsent);
}

/// "gptq-w4-g128 with 4.16 bits a weight (+0.710 %)".
std::string best_of(const RecipeTable& table, const RecipeRow* row, const Column& column) {
  return fmt::format("{} with {} {} ({})", printable(row->recipe), cell(*row, column),
                     column.heading(), format_figure("perplexity_change", table.change(*row)));
}

const RecipeRow* best_weights(const RecipeTable& table) {
  return smallest_within(table, &RecipeRow::weights, &RecipeRow::bits_per_weight, kNearlyNothing);
}
const RecipeRow* best_cache(const RecipeTable& table) {
  return smallest_within(table, &RecipeRow::cache, &RecipeRow::bits_per_kv, kNearlyNothing);
}

std::string verdict_of(const RecipeTable& table) {
  std::string text;
  if (const RecipeRow* row = best_weights(table)) text = best_of(table, row, kBitsPerWeight);
  if (const RecipeRow* row = best_cache(table))
    text += (text.empty() ? "" : "; ") + best_of(table, row, kBitsPerKv);
  if (text.empty()) return "No recipe here stays within 1 % of fp32's perplexity.";
  return "Fewest bits within 1 % of fp32's perplexity: " + text + ".";
}

std::string subject_of(const RecipeTable& table) {
  std::string text = fmt::format("{} on {} ({} documents, {} predicted tokens)", table.model,
                                 table.text, format_exact(table.texts),
                                 format_figure("tokens", static_cast<double>(table.tokens)));
  if (table.inject_outliers > 0)
    text += fmt::format(", activation channels {} times larger", table.inject_outliers);
  return text;
}

class RecipePage {
 public:
  explicit RecipePage(const RecipeTable& table) : t_(table) {}

  std::string operator()() {
    PageHead head;
    head.title = "Recipes on " + t_.model;
    head.kind = "recipes";
    head.heading = "What recipes cost " + t_.model;
    head.remark = subject_of(t_);
    head.verdict = verdict_of(t_);
    const std::string style = std::string(kScatterStyle) + std::string(kTableStyle);
    head.style = style;
    out_ = page_top(head);
    tiles();
    out_ += "<div class=\"two\">\n";
    scatter("weights", "Perplexity over bits a weight", &RecipeRow::weights, kBitsPerWeight);
    scatter("cache", "Perplexity over bits a KV element", &RecipeRow::cache, kBitsPerKv);
    out_ += "</div>\n";
    rows();
    refusals();
    notes();
    sources();
    return out_ + page_bottom(t_.version, t_.command);
  }

 private:
  template <class... Args>
  void add(fmt::format_string<Args...> format, Args&&... arguments) {
    fmt::format_to(std::back_inserter(out_), format, std::forward<Args>(arguments)...);
  }

  void tile(std::string_view label, std::string_view value, std::string_view detail) {
    out_ += tile_markup(label, value, detail);
  }
  void best_tile(std::string_view label, const RecipeRow* row, const Column& column) {
    if (row == nullptr) return tile(label, kAbsent, "none within 1 %");
    tile(label, cell(*row, column),
         fmt::format("{}, {}", row->recipe, format_figure("perplexity_change", t_.change(*row))));
  }

  void tiles() {
    const auto refused =
        std::ranges::count_if(t_.rows, [](const auto& r) { return !r.evaluated(); });
    out_ += "<section class=\"tiles\">\n";
    tile("recipes", fmt::format("{}", t_.rows.size()),
         refused == 0 ? "all evaluated" : fmt::format("{} refused this model", refused));
    tile("fp32 perplexity", cell(t_.reference, kPerplexity), "what changes are against");
    best_tile("bits a weight within 1 %", best_weights(t_), kBitsPerWeight);
    best_tile("bits a KV element within 1 %", best_cache(t_), kBitsPerKv);
    out_ += "</section>\n";
  }

  static std::size_t colour_of(const RecipeRow& row) {
    if (row.activations) return kActivations;
    return row.weights ? kWeights : row.cache ? kCache : kNothing;
  }

  ScatterPoint point_of(const RecipeRow& row, const Column& x) const {
    return {row.*x.value,
            row.perplexity,
            colour_of(row),
            row.recipe,
            fmt::format("{}: {} {}, perplexity {} ({})\n{}", row.recipe, cell(row, x), x.heading(),
                        cell(row, kPerplexity), change_of(t_, row), row.summary),
            false};
  }

  /// One picture: of the rows that cost at most `most`.
  Scatter scatter_of(bool RecipeRow::*member, const Column& x, double most) const {
    Scatter scatter;
    scatter.label = fmt::format("Perplexity over {}", x.heading());
    scatter.x_title = fmt::format("stored {}", x.heading());
    scatter.y_title = "perplexity";
    scatter.level = t_.reference.perplexity;
    scatter.level_text = "fp32 " + cell(t_.reference, kPerplexity);
    const auto shown = [&](const RecipeRow& row) {
      return row.*member && row.evaluated() && t_.change(row) <= most;
    };
    for (const RecipeRow* row : front_of(t_, member, x.value)) {
      if (shown(*row)) scatter.front.push_back(point_of(*row, x));
    }
    for (const RecipeRow& row : t_.rows) {
      if (!shown(row)) continue;
      ScatterPoint& point = scatter.points.emplace_back(point_of(row, x));
      point.foremost =
          std::ranges::find(scatter.front, row.recipe, &ScatterPoint::name) != scatter.front.end();
    }
    return scatter;
  }

  FigureTable data_of(const Scatter& all, bool RecipeRow::*member, const Column& x) const {
    FigureTable data{{"recipe", "quantises", std::string(x.name), "perplexity", "front"}, {}};
    for (const RecipeRow& row : t_.rows) {
      if (!(row.*member) || !row.evaluated()) continue;
      const bool on_front =
          std::ranges::find(all.front, row.recipe, &ScatterPoint::name) != all.front.end();
      data.rows.push_back({row.recipe, row.quantised(), row.*x.value, row.perplexity,
                           std::string(on_front ? "yes" : "no")});
    }
    return data;
  }

  static std::string legend_of(const Scatter& scatter) {
    std::string out = "<ul class=\"legend\">";
    for (const auto& [colour, what] :
         {std::pair<std::size_t, std::string_view>{kWeights, "weights"},
          {kActivations, "with activations"},
          {kCache, "KV cache alone"}}) {
      if (std::ranges::find(scatter.points, colour, &ScatterPoint::colour) != scatter.points.end())
        out += fmt::format("<li>{}{}</li>", swatch_svg(colour), escaped(what));
    }
    return out + "</ul>\n";
  }

  void scatter(std::string_view id, std::string_view title, bool RecipeRow::*member,
               const Column& x) {
    const Scatter all = scatter_of(member, x, std::numeric_limits<double>::infinity()),
                  near = scatter_of(member, x, kNear);
    if (all.points.empty()) return;
    out_ += figure_top(id, title,
                       "Lower and further left is better; the stair joins the recipes that no "
                       "other here beats in both.") +
            legend_of(all);
    const auto view = [&](const Scatter& drawn, std::string_view name, bool hidden) {
      add("<div class=\"wide\" data-view=\"{}\"{}>{}</div>\n", name,
          hidden ? " hidden=\"hidden\"" : "", scatter_svg(drawn));
    };
    // Ruins would press all others onto one line.
    const bool split = near.points.size() > 1 && near.points.size() < all.points.size();
    if (split) view(near, "within 25 %", false);
    view(all, "all", split);
    out_ += figure_data(data_of(all, member, x)) + "</section>\n";
  }

  void rows() {
    out_ += figure_table_top();
    for (const RecipeRow* row : in_order(t_)) {
      if (!row->evaluated()) continue;
      add("<tr><th title=\"{}\">{}</th><td>{}</td>", escaped(row->summary), escaped(row->recipe),
          escaped(row->quantised()));
      for (const Column& column : kColumns)
        if (is_shown(column))
          add("<td class=\"num\" data-v=\"{}\">{}</td>", row->*column.value,
              escaped(cell(*row, column)));
      add("<td class=\"num\" data-v=\"{}\">{}</td><td class=\"num\" "
          "data-v=\"{}\">{}</td><td>{}</td></tr>\n",
          t_.change(*row), escaped(change_of(t_, *row)), row->kl.value_or(-1), escaped(kl_of(*row)),
          escaped(row->summary));
    }
    out_ += "</tbody></table></div></section>\n";
  }

  static std::string figure_table_top() {
    std::string out =
        "<section id=\"recipes\"><h3>All recipes</h3>\n<div class=\"wide\"><table class=\"sortable "
        "searched\"><thead><tr><th>recipe</th><th>quantises</th>";
    for (const Column& column : kColumns)
      if (is_shown(column)) out += fmt::format("<th class=\"num\">{}</th>", column.heading());
    return out + fmt::format(
                     "<th class=\"num\">{}</th><th "
                     "class=\"num\">{}</th><th>what</th></tr></thead><tbody>\n",
                     figure_label("perplexity_change"), short_figure_label("kl_divergence"));
  }

  void refusals() {
    if (std::ranges::all_of(t_.rows, &RecipeRow::evaluated)) return;
    out_ += "<section id=\"refused\"><h3>Not evaluated</h3>\n<table class=\"pairs\"><tbody>\n";
    for (const RecipeRow& row : t_.rows) {
      if (!row.evaluated())
        add("<tr><th>{}</th><td>{}</td></tr>\n", escaped(row.recipe), escaped(row.refusal));
    }
    out_ += "</tbody></table></section>\n";
  }

  void notes() {
    add("<section id=\"notes\"><h3>Notes</h3>\n<p>Bits are stored bits, metadata included: of the "
        "linear layers of the blocks, and of a cache of {} tokens. A token that is generated reads "
        "all weights once, and the cache of the tokens before it.</p>\n<p>Small models have no "
        "outlier channels, react mildly to good 4-bit formats, and differences of a percent are "
        "within what another text would give. Time and energy depend on a machine: systole "
        "run.</p></section>\n",
        format_figure("kv_tokens", static_cast<double>(t_.kv_tokens)));
  }

  /// Each recipe as it was used, with where its rules come from.
  void sources() {
    if (std::ranges::all_of(t_.rows, [](const RecipeRow& row) { return row.config.empty(); }))
      return;
    out_ +=
        "<details id=\"config\" data-short=\"Sources\"><summary>Recipes and their "
        "sources</summary>\n";
    for (const RecipeRow& row : t_.rows) {
      if (row.config.empty()) continue;
      add("<details class=\"part\"><summary>{}</summary>\n<p class=\"note\">Source: {}</p>{}</"
          "details>\n",
          escaped(row.recipe), escaped(row.source), config_table(row.config));
    }
    out_ += "</details>\n";
  }

  const RecipeTable& t_;
  std::string out_;
};

}  // namespace

std::string recipe_table_to_terminal(const RecipeTable& table, bool colour, unsigned width) {
  const auto bold = [&](const std::string& text) {
    return colour ? "\x1b[1m" + text + "\x1b[0m" : text;
  };
  std::vector<TextColumn> heads = {{"recipe", true}, {"quantises", true, 3}};
  for (const Column& column : kColumns) {
    // The bytes follow from the bits, and are the first to go.
    const bool bytes =
        column.value == &RecipeRow::weight_bytes || column.value == &RecipeRow::kv_bytes_per_token;
    if (is_shown(column)) {
      heads.push_back({std::string(short_figure_label(column.name)), false, bytes ? 5 : 0});
    }
  }
  heads.push_back({std::string(figure_label("perplexity_change"))});
  heads.push_back({std::string(short_figure_label("kl_divergence")), false, 4});
  TextTable lines(std::move(heads));
  std::string refused;
  for (const RecipeRow* row : in_order(table)) {
    if (!row->evaluated()) {
      refused += wrapped(printable(row->recipe + ": " + row->refusal), width, 2) + "\n";
      continue;
    }
    std::vector<std::string> cells = {row->recipe, row->quantised()};
    for (const Column& column : kColumns) {
      if (is_shown(column)) cells.push_back(cell(*row, column));
    }
    cells.push_back(change_of(table, *row));
    cells.push_back(kl_of(*row));
    lines.add(std::move(cells));
  }
  return bold(wrapped(printable(subject_of(table)), width, 0)) + "\n" +
         wrapped(printable(verdict_of(table)), width, 0) + "\n\n" + lines.print(width, colour) +
         refused;
}

std::string recipe_table_to_html(const RecipeTable& table) { return RecipePage(table)(); }

std::string recipe_table_to_json(const RecipeTable& table) {
  using Json = nlohmann::ordered_json;
  Json document;
  document["summary"] = {{"model", table.model},
                         {"text", table.text},
                         {"texts", table.texts},
                         {"tokens", table.tokens},
                         {"kv_tokens", table.kv_tokens},
                         {"inject_outliers", table.inject_outliers},
                         {"reference", table.reference.recipe},
                         {"reference_perplexity", table.reference.perplexity},
                         {"version", table.version},
                         {"command", table.command}};
  document["rows"] = Json::array();
  for (const RecipeRow& row : table.rows) {
    Json entry = {{"recipe", row.recipe},
                  {"summary", row.summary},
                  {"weights", row.weights},
                  {"activations", row.activations},
                  {"kv_cache", row.cache}};
    for (const Column& column : kColumns)
      entry[std::string(column.name)] = row.evaluated() ? Json(row.*column.value) : Json(nullptr);
    entry["kl_divergence"] = row.evaluated() && row.kl ? Json(*row.kl) : Json(nullptr);
    entry["perplexity_change"] = row.evaluated() ? Json(table.change(row)) : Json(nullptr);
    entry["note"] = row.refusal;
    document["rows"].push_back(std::move(entry));
  }
  document["schema_version"] = kRecipeTableJsonSchemaVersion;
  return document.dump(2, ' ', false, Json::error_handler_t::replace) + "\n";
}

std::string recipe_table_to_csv(const RecipeTable& table, Separated how) {
  std::vector<std::string> cells = {"recipe", "weights", "activations", "kv_cache"};
  for (const Column& column : kColumns) cells.emplace_back(column.name);
  for (const char* name : {"kl_divergence", "perplexity_change", "note"}) cells.emplace_back(name);
  std::string out = separated_line(cells, how);
  for (const RecipeRow& row : table.rows) {
    cells = {row.recipe};
    for (const bool is : {row.weights, row.activations, row.cache}) {
      cells.emplace_back(is ? "true" : "false");
    }
    for (const Column& column : kColumns) {
      cells.push_back(row.evaluated() ? exact(row.*column.value) : "");
    }
    cells.push_back(row.evaluated() && row.kl ? exact(*row.kl) : "");
    cells.push_back(row.evaluated() ? exact(table.change(row)) : "");
    cells.push_back(row.refusal);
    out += separated_line(cells, how);
  }
  return out;
}

std::vector<Table> recipe_table_tables(const RecipeTable& table) {
  Table out{subject_of(table), "ll", {{"recipe", "quantises"}}};
  const auto head = [&](std::string_view name) {
    out.lines[0].emplace_back(figure_label(name));
    out.columns += 'r';
  };
  for (const Column& column : kColumns) {
    if (is_shown(column)) head(column.name);
  }
  head("perplexity_change");
  head("kl_divergence");
  for (const RecipeRow* row : in_order(table)) {
    if (!row->evaluated()) continue;
    std::vector<std::string>& line = out.lines.emplace_back();
    line = {row->recipe, row->quantised()};
    for (const Column& column : kColumns) {
      if (is_shown(column)) line.push_back(cell(*row, column));
    }
    line.push_back(change_of(table, *row));
    line.push_back(kl_of(*row));
  }
  return {out};
}

}  // namespace systole::reports
