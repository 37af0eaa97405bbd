#include "sim/core/recipe_table.hpp"

#include <algorithm>

namespace systole {

std::string RecipeRow::quantised() const {
  std::string text;
  for (const auto& [is, name] :
       {std::pair(weights, "weights"), std::pair(activations, "activations"),
        std::pair(cache, "KV cache")}) {
    if (is) text += (text.empty() ? "" : ", ") + std::string(name);
  }
  return text.empty() ? "nothing" : text;
}

double RecipeTable::change(const RecipeRow& row) const {
  return row.perplexity / reference.perplexity - 1;
}

std::vector<const RecipeRow*> front_of(const RecipeTable& table, bool RecipeRow::*member,
                                       double RecipeRow::*bits) {
  std::vector<const RecipeRow*> rows;
  for (const RecipeRow& row : table.rows) {
    if (row.*member && row.evaluated()) rows.push_back(&row);
  }
  std::ranges::stable_sort(rows, [&](const RecipeRow* a, const RecipeRow* b) {
    return a->*bits != b->*bits ? a->*bits < b->*bits : a->perplexity < b->perplexity;
  });
  std::vector<const RecipeRow*> front;
  for (const RecipeRow* row : rows) {
    if (front.empty() || row->perplexity < front.back()->perplexity) front.push_back(row);
  }
  return front;
}

const RecipeRow* smallest_within(const RecipeTable& table, bool RecipeRow::*member,
                                 double RecipeRow::*bits, double change) {
  for (const RecipeRow* row : front_of(table, member, bits)) {
    if (table.change(*row) <= change) return row;
  }
  return nullptr;
}

}  // namespace systole
