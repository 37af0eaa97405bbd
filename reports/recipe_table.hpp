// Recipes beside each other: for a terminal, as a page, as JSON and as CSV. All four show the same
// figures.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "reports/csv.hpp"
#include "reports/tables.hpp"
#include "sim/core/recipe_table.hpp"

namespace systole::reports {

/// A line a recipe, the least perplexity first; then those that were refused.
std::string recipe_table_to_terminal(const RecipeTable& table, bool colour, unsigned width);

/// A self-contained page: perplexity over bits a weight and over bits a KV element, with the
/// recipes that no other beats in both, and every row as a table.
std::string recipe_table_to_html(const RecipeTable& table);

/// `schema_version` of the document, which recipe_table.schema.json describes.
inline constexpr std::uint64_t kRecipeTableJsonSchemaVersion = 1;

/// {"summary": ..., "rows": [...]}; figures are null where a recipe was refused, which `note`
/// explains.
std::string recipe_table_to_json(const RecipeTable& table);

/// The rows, the same columns.
std::string recipe_table_to_csv(const RecipeTable& table, Separated how = Separated::csv);

/// For a document: the rows that were evaluated, the least perplexity first.
std::vector<Table> recipe_table_tables(const RecipeTable& table);

}  // namespace systole::reports
