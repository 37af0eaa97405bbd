#include "workloads/perplexity.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <limits>

#include "quant/elementary.hpp"
#include "quant/kernels/vector.hpp"
#include "sim/core/error.hpp"
#include "workloads/file.hpp"

namespace systole::workloads {

namespace {

constexpr std::size_t kTokensPerCall = 512;  // bounds the logits held at once
constexpr double kExponentRange = 700;       // domain of quant::elementary::exp
constexpr std::string_view kWhiteSpace = " \t\n\v\f\r";

/// -log softmax(logits)[target], in double.
double negative_log_likelihood(std::span<const float> logits, std::uint32_t target) {
  return quant::log_sum_exp(logits) - static_cast<double>(logits[target]);
}

std::uint64_t context_limit(const FunctionalExecutor& executor, std::uint64_t wanted) {
  const std::uint64_t positions = executor.shape().max_positions;
  if (wanted == 0) return positions == 0 ? std::numeric_limits<std::uint64_t>::max() : positions;
  return positions == 0 ? wanted : std::min(wanted, positions);
}

/// Sum of the negative log likelihoods of ids[1..].
double text_nll(FunctionalExecutor& executor, std::span<const std::uint32_t> ids,
                std::size_t text) {
  const std::size_t vocab = executor.shape().vocab, predicted = ids.size() - 1;
  double nll = 0;
  executor.reset();
  for (std::size_t first = 0; first < predicted; first += kTokensPerCall) {
    const std::size_t count = std::min(kTokensPerCall, predicted - first);
    const std::vector<float> logits =
        executor.forward(ids.subspan(first, count), first, Logits::all);
    if (!std::all_of(logits.begin(), logits.end(), [](float v) { return std::isfinite(v); })) {
      throw ConfigError(
          fmt::format("model {}, recipe {}: the logits of text {} are not finite numbers",
                      executor.shape().name, executor.recipe().name, text));
    }
    for (std::size_t i = 0; i < count; ++i) {
      nll +=
          negative_log_likelihood(std::span(logits).subspan(i * vocab, vocab), ids[first + i + 1]);
    }
  }
  return nll;
}

}  // namespace

Quality perplexity(FunctionalExecutor& executor, const Tokenizer& tokenizer,
                   std::span<const std::string> texts, std::uint64_t max_context,
                   const TextProgress& progress) {
  const std::uint64_t limit = context_limit(executor, max_context);
  Quality quality;
  double nll = 0;
  for (const std::string& text : texts) {
    std::vector<std::uint32_t> ids = tokenizer.encode(text, true);
    if (ids.size() > limit) ids.resize(static_cast<std::size_t>(limit));
    if (ids.size() > 1) {
      nll += text_nll(executor, ids, quality.texts);
      quality.tokens += ids.size() - 1;
    }
    ++quality.texts;
    if (progress) progress(quality.texts, texts.size());
  }
  if (quality.tokens == 0) throw ConfigError("perplexity: the texts hold no token to predict");
  quality.nll = nll / static_cast<double>(quality.tokens);
  quality.perplexity = quality.nll < kExponentRange ? quant::elementary::exp(quality.nll)
                                                    : std::numeric_limits<double>::infinity();
  return quality;
}

std::vector<std::uint32_t> generate(FunctionalExecutor& executor, const Tokenizer& tokenizer,
                                    std::span<const std::uint32_t> prompt, std::uint64_t count) {
  const std::uint64_t limit = context_limit(executor, 0);
  if (prompt.empty())
    throw ConfigError("an empty prompt; expected at least the beginning-of-text token");
  if (prompt.size() > limit) {
    throw ConfigError(fmt::format("a prompt of {} tokens; model {} has {} positions", prompt.size(),
                                  executor.shape().name, limit));
  }
  for (const std::uint32_t id : prompt) {
    if (id >= executor.shape().vocab) {
      throw ConfigError(fmt::format("token {} in a prompt; model {} has {}", id,
                                    executor.shape().name, executor.shape().vocab));
    }
  }
  std::vector<std::uint32_t> generated;
  if (count == 0) return generated;
  executor.reset();
  std::vector<float> logits = executor.forward(prompt, 0);
  while (true) {
    const auto next = static_cast<std::uint32_t>(quant::argmax(logits));
    if (next == tokenizer.eos() || next == tokenizer.bos()) break;
    generated.push_back(next);
    if (generated.size() == count || executor.position() == limit) break;
    logits = executor.forward({&next, 1}, executor.position());
  }
  return generated;
}

std::vector<std::string> split_texts(std::string_view text, std::string_view delimiter) {
  std::vector<std::string> parts;
  while (true) {
    const std::size_t end = delimiter.empty() ? std::string_view::npos : text.find(delimiter);
    const std::string_view part = text.substr(0, end);
    const std::size_t first = part.find_first_not_of(kWhiteSpace);
    if (first != std::string_view::npos) {
      parts.emplace_back(part.substr(first, part.find_last_not_of(kWhiteSpace) - first + 1));
    }
    if (end == std::string_view::npos) return parts;
    text.remove_prefix(end + delimiter.size());
  }
}

std::vector<std::string> read_texts(const std::string& path, std::string_view delimiter) {
  const FileBytes file = FileBytes::map(path);
  std::vector<std::string> texts = split_texts(file.text(), delimiter);
  if (texts.empty()) throw ConfigError(path + ": holds no text");
  return texts;
}

}  // namespace systole::workloads
