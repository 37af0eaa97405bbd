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

struct TextSums {
  double nll = 0, kl = 0;
};

std::vector<float> finite_logits(FunctionalExecutor& executor, std::span<const std::uint32_t> ids,
                                 std::size_t first, std::size_t text) {
  std::vector<float> logits = executor.forward(ids, first, Logits::all);
  if (!std::all_of(logits.begin(), logits.end(), [](float v) { return std::isfinite(v); })) {
    throw ConfigError(
        fmt::format("model {}, recipe {}: the logits of text {} are not finite numbers",
                    executor.shape().name, executor.recipe().name, text));
  }
  return logits;
}

/// Sums over the predictions of ids[1..].
TextSums text_sums(FunctionalExecutor& executor, FunctionalExecutor* reference,
                   std::span<const std::uint32_t> ids, std::size_t text) {
  const std::size_t vocab = executor.shape().vocab, predicted = ids.size() - 1;
  TextSums sums;
  executor.reset();
  if (reference != nullptr) reference->reset();
  for (std::size_t first = 0; first < predicted; first += kTokensPerCall) {
    const std::size_t count = std::min(kTokensPerCall, predicted - first);
    const auto part = ids.subspan(first, count);
    const std::vector<float> logits = finite_logits(executor, part, first, text);
    const auto row = [&](const std::vector<float>& of, std::size_t i) {
      return std::span(of).subspan(i * vocab, vocab);
    };
    for (std::size_t i = 0; i < count; ++i) {
      sums.nll += negative_log_likelihood(row(logits, i), ids[first + i + 1]);
    }
    if (reference == nullptr) continue;
    const std::vector<float> expected = finite_logits(*reference, part, first, text);
    for (std::size_t i = 0; i < count; ++i) {
      sums.kl += kl_divergence(row(expected, i), row(logits, i));
    }
  }
  return sums;
}

}  // namespace

double kl_divergence(std::span<const float> reference, std::span<const float> logits) {
  SYSTOLE_CHECK(reference.size() == logits.size(), "distributions over different tokens");
  const double of_reference = quant::log_sum_exp(reference), of_logits = quant::log_sum_exp(logits);
  double sum = 0;
  for (std::size_t i = 0; i < logits.size(); ++i) {
    const double log_p = static_cast<double>(reference[i]) - of_reference;
    if (log_p < -kExponentRange) continue;  // exp(log_p) is no number to speak of
    const double log_q = static_cast<double>(logits[i]) - of_logits;
    sum += quant::elementary::exp(log_p) * (log_p - log_q);
  }
  return std::max(0.0, sum);  // rounding may leave a hair below
}

Quality perplexity(FunctionalExecutor& executor, const Tokenizer& tokenizer,
                   std::span<const std::string> texts, std::uint64_t max_context,
                   const TextProgress& progress, FunctionalExecutor* reference) {
  const std::uint64_t limit = context_limit(executor, max_context);
  Quality quality;
  TextSums sums;
  for (const std::string& text : texts) {
    std::vector<std::uint32_t> ids = tokenizer.encode(text, true);
    if (ids.size() > limit) ids.resize(static_cast<std::size_t>(limit));
    if (ids.size() > 1) {
      const TextSums text_sum = text_sums(executor, reference, ids, quality.texts);
      sums.nll += text_sum.nll;
      sums.kl += text_sum.kl;
      quality.tokens += ids.size() - 1;
    }
    ++quality.texts;
    if (progress) progress(quality.texts, texts.size());
  }
  if (quality.tokens == 0) throw ConfigError("perplexity: the texts hold no token to predict");
  quality.nll = sums.nll / static_cast<double>(quality.tokens);
  if (reference != nullptr) quality.kl = sums.kl / static_cast<double>(quality.tokens);
  quality.perplexity = quality.nll < kExponentRange ? quant::elementary::exp(quality.nll)
                                                    : std::numeric_limits<double>::infinity();
  return quality;
}

namespace {

struct Speculation {
  std::vector<std::uint32_t> accepted;  ///< of the drafted tokens, those the verifier chose too
  std::vector<float> logits;            ///< of the verifier, after the last accepted token
};

/// `length` tokens after `next` by the draft, one pass over all of them by the verifier, and the
/// cache cut back to what both agree on: the verifier's own greedy tokens, whatever the draft.
Speculation speculate(FunctionalExecutor& executor, std::uint32_t next, std::uint64_t length) {
  const std::uint64_t start = executor.position();
  std::vector<std::uint32_t> run = {next};
  executor.use_draft(true);
  while (run.size() <= length) {
    const std::uint32_t last = run.back();
    const auto logits = executor.forward({&last, 1}, executor.position());
    run.push_back(static_cast<std::uint32_t>(quant::argmax(logits)));
  }
  executor.use_draft(false);
  const std::vector<float> all = executor.forward(run, start, Logits::all);
  const std::size_t vocab = executor.shape().vocab;
  const auto row = [&](std::size_t i) { return std::span(all).subspan(i * vocab, vocab); };
  std::size_t agreed = 0;
  while (agreed < length && quant::argmax(row(agreed)) == run[agreed + 1]) ++agreed;
  Speculation found;
  found.accepted.assign(run.begin() + 1, run.begin() + 1 + static_cast<std::ptrdiff_t>(agreed));
  found.logits.assign(row(agreed).begin(), row(agreed).end());
  executor.cut(start + agreed + 1);
  return found;
}

}  // namespace

std::vector<std::uint32_t> generate(FunctionalExecutor& executor, const Tokenizer& tokenizer,
                                    std::span<const std::uint32_t> prompt, std::uint64_t count,
                                    DraftTally* tally) {
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
  const auto ends = [&](std::uint32_t id) {
    return id == tokenizer.eos() || id == tokenizer.bos();
  };
  const std::uint64_t draft_length = executor.draft_length();
  while (true) {
    const auto next = static_cast<std::uint32_t>(quant::argmax(logits));
    if (ends(next)) break;
    generated.push_back(next);
    if (generated.size() == count || executor.position() == limit) break;
    const std::uint64_t room = std::min(limit - executor.position(), count - generated.size() + 1);
    if (draft_length == 0 || room < 2) {
      logits = executor.forward({&next, 1}, executor.position());
      continue;
    }
    const Speculation found = speculate(executor, next, std::min(draft_length, room - 1));
    logits = found.logits;
    if (tally != nullptr) ++tally->rounds, tally->accepted += found.accepted.size();
    const auto stop = std::ranges::find_if(found.accepted, ends);
    generated.insert(generated.end(), found.accepted.begin(), stop);
    if (stop != found.accepted.end() || generated.size() >= count) break;
  }
  if (generated.size() > count) generated.resize(count);
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
