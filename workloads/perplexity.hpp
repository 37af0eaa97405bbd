// How well a model predicts text under a recipe, and what it says.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "workloads/executor.hpp"
#include "workloads/tokenizer.hpp"

namespace systole::workloads {

struct Quality {
  std::uint64_t texts = 0;
  std::uint64_t tokens = 0;  ///< predicted
  double nll = 0;            ///< mean negative log likelihood, nats a token
  double perplexity = 0;     ///< exp(nll)
  std::optional<double> kl;  ///< against the reference, where there is one
};

/// KL(P_ref || P) in nats of what two rows of logits say of the next token: the sum over the
/// vocabulary of P_ref (ln P_ref - ln P). Softmax in double, ids ascending; never below 0.
double kl_divergence(std::span<const float> reference, std::span<const float> logits);

/// Called with (texts done, texts in all).
using TextProgress = std::function<void(std::uint64_t, std::uint64_t)>;

/// Protocol (data.md §3.2): each text alone, beginning-of-text token and its tokens, truncated to
/// `max_context` tokens (0: the model's positions); every token after the first is predicted; one
/// mean over all. Softmax in double over the fp32 logits, ids ascending. Texts of no token count as
/// texts and predict nothing. With a `reference` (another executor of the same vocabulary, usually
/// of the same model under fp32) also the mean kl_divergence() from it over the same tokens, as
/// llama.cpp's `perplexity --kl-divergence` has it (theirs keeps the reference's logarithms in 16
/// bits). Errors: ConfigError when nothing is predicted.
Quality perplexity(FunctionalExecutor& executor, const Tokenizer& tokenizer,
                   std::span<const std::string> texts, std::uint64_t max_context = 0,
                   const TextProgress& progress = {}, FunctionalExecutor* reference = nullptr);

/// How speculative decoding went.
struct DraftTally {
  std::uint64_t rounds = 0;    ///< passes of the verifier
  std::uint64_t accepted = 0;  ///< drafted tokens that it chose too; tau is 1 + accepted / rounds
};

/// Up to `count` tokens after `prompt`, each the argmax (lowest id wins); ends early at the
/// end-of-text or beginning-of-text token, which is not returned, and at the model's last position.
/// Under a `spec` schedule the draft proposes and the verifier decides: its own greedy tokens.
/// Errors: ConfigError for an empty prompt, one beyond the positions, or a token outside the
/// vocabulary.
std::vector<std::uint32_t> generate(FunctionalExecutor& executor, const Tokenizer& tokenizer,
                                    std::span<const std::uint32_t> prompt, std::uint64_t count,
                                    DraftTally* tally = nullptr);

/// `text` cut at every `delimiter` (empty: not cut), each part stripped of surrounding white space,
/// empty parts dropped.
std::vector<std::string> split_texts(std::string_view text, std::string_view delimiter);

/// split_texts() of a file. Errors: ConfigError when it cannot be read or holds no text.
std::vector<std::string> read_texts(const std::string& path, std::string_view delimiter);

}  // namespace systole::workloads
