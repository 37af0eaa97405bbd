// Recipes side by side on one model and text: how well each predicts, and what it stores. Rows that
// every renderer shows alike.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "sim/core/run_result.hpp"

namespace systole {

/// What one recipe does to the model.
struct RecipeRow {
  std::string recipe, summary;
  std::string source;                                        ///< of the recipe's figures and rules
  KeyValues config{};                                        ///< the recipe, resolved
  bool weights = false, activations = false, cache = false;  ///< what is not a plain float
  std::string refusal;  ///< why it was not evaluated; the figures below then mean nothing
  double perplexity = 0;
  double nll = 0;              ///< nats a predicted token
  std::optional<double> kl;    ///< from the reference, nats a predicted token
  double bits_per_weight = 0;  ///< stored, metadata included, of the blocks' linear layers
  double bits_per_kv = 0;      ///< stored, of a cache of the table's kv_tokens
  double weight_bytes = 0;
  double kv_bytes_per_token = 0;

  bool evaluated() const { return refusal.empty(); }
  /// "weights, activations", "KV cache", "nothing".
  std::string quantised() const;
};

struct RecipeTable {
  std::string model, text;
  std::uint64_t texts = 0, tokens = 0;  ///< documents and predicted tokens
  std::uint64_t kv_tokens = 0;
  std::uint64_t inject_outliers = 0;
  std::string version, command;
  RecipeRow reference;          ///< fp32
  std::vector<RecipeRow> rows;  ///< may hold the reference again

  /// Perplexity over the reference's, less 1.
  double change(const RecipeRow& row) const;
};

/// Fewer bits or less perplexity than any other row: ascending by `bits`, of rows of which `member`
/// is true. What was not evaluated is on no front.
std::vector<const RecipeRow*> front_of(const RecipeTable& table, bool RecipeRow::*member,
                                       double RecipeRow::*bits);

/// The row of the fewest `bits`, of those `member`, that costs at most `change`.
const RecipeRow* smallest_within(const RecipeTable& table, bool RecipeRow::*member,
                                 double RecipeRow::*bits, double change);

}  // namespace systole
