// The contract is in the header.
#include "quant/kv/storage.hpp"

#include <algorithm>
#include <bit>
#include <cmath>

#include "quant/check.hpp"

namespace systole::quant {
namespace {

constexpr std::uint64_t kAgeBlock = 16;

std::uint64_t ceil_div(std::uint64_t a, std::uint64_t b) { return (a + b - 1) / b; }
std::uint64_t share_of(double share, std::uint64_t n) {
  return std::min(n, static_cast<std::uint64_t>(std::ceil(share * static_cast<double>(n))));
}

std::uint64_t chunk_total(const KvPlan& plan, const BoxRule& rule, std::uint64_t rows) {
  return rows == 0 ? 0 : kv_chunk_bits(plan, rule, rows).total();
}
std::uint64_t whole(const KvPlan& plan, Format format) {
  return plan.shape.width() * bits_of(format);
}
/// One token in a format, alone in its chunk.
std::uint64_t one_token(const KvPlan& plan, Format format) {
  return is_ieee(format) ? whole(plan, format)
                         : chunk_total(plan, rule_with_format(plan, format), 1);
}

/// Tokens still held after eviction.
std::uint64_t held(const TokenPolicy& evict, std::uint64_t tokens) {
  const std::uint64_t outside = std::uint64_t{evict.sinks} + evict.recent;
  if (tokens <= outside) return tokens;
  const std::uint64_t between = tokens - outside, budget = evict.count / evict.block;
  if (between / evict.block <= budget) return tokens;
  return outside + budget * evict.block + between % evict.block;
}

std::uint64_t age_bits(const KvPlan& plan, std::uint64_t tokens) {
  const std::uint64_t page = plan.policy.layout.page_tokens;
  const std::uint64_t block = page != 0 ? page : kAgeBlock;
  std::uint64_t bits = tokens % block * whole(plan, plan.full);
  for (std::uint64_t end = block; end <= tokens; end += block) {
    std::size_t tier = 0;
    double newer = 0;
    for (std::size_t i = 1; i < plan.ages.size(); ++i) {
      newer += plan.ages[i - 1].at;
      if (tokens - end >= share_of(newer, tokens)) tier = i;
    }
    bits += block * one_token(plan, plan.ages[tier].format);
  }
  return bits;
}

std::uint64_t salience_bits(const KvPlan& plan, std::uint64_t tokens) {
  const TokenPolicy& s = *plan.salient;
  if (s.scorer == Scorer::accumulated) {
    const std::uint64_t high = share_of(s.ratio, tokens);
    return high * one_token(plan, s.high) + (tokens - high) * chunk_total(plan, plan.rule, 1);
  }
  const std::uint64_t rounds = tokens / s.refresh;
  const auto low_each = static_cast<std::uint64_t>((1.0 - s.ratio) * s.refresh + 1e-9);
  const std::uint64_t low = rounds * low_each, high = rounds * (s.refresh - low_each);
  return chunk_total(plan, plan.rule, low) +
         chunk_total(plan, rule_with_format(plan, s.high), high) +
         tokens % s.refresh * whole(plan, plan.full);
}

/// The width that a budget leaves for this many coded tokens.
BoxRule shrunk_rule(const KvPlan& plan, std::uint64_t coded) {
  constexpr Format kSteps[] = {Format::int16, Format::int8, Format::int4, Format::int2};
  for (const Format f : kSteps) {
    if (bits_of(f) > plan.rule.bits) continue;
    const bool fits = coded * plan.shape.width() * bits_of(f) <= 8 * plan.budget_bytes;
    if (fits || f == Format::int2) return rule_with_format(plan, f);
  }
  return plan.rule;
}

std::uint64_t window_bits(const KvPlan& plan, std::uint64_t tokens) {
  const std::uint64_t sinks = std::min<std::uint64_t>(plan.sinks, tokens), others = tokens - sinks;
  const std::uint64_t box = plan.box_tokens, window = plan.window;
  std::uint64_t coded = 0;
  if (plan.flush == Flush::slide) {
    coded = others > window ? (others - window) / box * box : 0;
  } else {
    const std::uint64_t flush = std::max(window, box);
    coded = others / flush * flush;
  }
  const BoxRule rule = plan.budget_bytes != 0 ? shrunk_rule(plan, coded) : plan.rule;
  std::uint64_t bits =
      (tokens - coded) * whole(plan, plan.full) + coded / box * chunk_total(plan, rule, box);
  const std::uint64_t page = plan.policy.layout.page_tokens;
  if (page != 0 && coded != 0 && box == 1) {
    const std::uint64_t token = chunk_total(plan, rule, 1);
    const std::uint64_t pages = ceil_div(coded, page);
    const std::uint64_t align = 8ull * std::max(plan.policy.layout.align_bytes, 1u);
    bits += (pages * page - coded) * token +
            pages * (ceil_div(page * token, align) * align - page * token);
  }
  return bits;
}

struct ParameterBits {
  std::uint64_t scales = 0, zeros = 0;
};
ParameterBits parameter_bits_of(const KvPlan& plan, const BoxRule& rule, std::uint64_t rows) {
  if (plan.fixed_parameters || plan.class_box || rule.ieee()) return {};
  if (plan.low_channels == 0) {
    const std::uint64_t boxes = kv_boxes(plan, rows);
    if (!rule.scalar()) {
      return {kv_chunk_bits(plan, rule, rows).metadata -
                  (plan.mean_over_heads ? rows * plan.shape.head_dim * 16 : 0),
              0};
    }
    return {boxes * rule.scale_bits, boxes * rule.zero_bits};
  }
  const std::uint64_t groups = kv_boxes(plan, rows) / plan.columns() * plan.shape.kv_heads;
  const std::uint64_t high = groups * plan.high_channels, low = groups * plan.low_columns;
  return {high * plan.high_rule.scale_bits + low * rule.scale_bits,
          high * plan.high_rule.zero_bits + low * rule.zero_bits};
}

Page lay_out(const KvPlan& plan, const BoxRule& rule, std::uint32_t tokens) {
  const std::uint64_t box = rule.ieee() ? 1 : plan.box_tokens;
  require(tokens % box == 0, "kv: a page is not a whole number of boxes");
  Page page;
  page.format = rule.format;
  page.tokens = tokens;
  const std::uint64_t chunks = tokens / box;
  const KvBits bits = kv_chunk_bits(plan, rule, box);
  const ParameterBits parameters = parameter_bits_of(plan, rule, box);
  std::uint64_t end = 0;
  const auto put = [&end](PageRegion& region, std::uint64_t region_bits) {
    region = {end, ceil_div(region_bits, 8)};
    end += region.bytes;
  };
  if (kv_block_length(rule.format) != 0) {
    put(page.codes, chunks * bits.total());
  } else {
    put(page.codes, chunks * (bits.codes + bits.padding));
    put(page.scales, chunks * parameters.scales);
    put(page.zeros, chunks * parameters.zeros);
    if (!rule.ieee() && plan.mean_over_heads)
      put(page.means, std::uint64_t{tokens} * plan.shape.head_dim * 16);
    put(page.sparse, chunks * bits.sparse);
  }
  const std::uint64_t align = std::max(plan.policy.layout.align_bytes, 1u);
  page.bytes = ceil_div(end, align) * align;
  return page;
}

std::uint32_t default_page(const KvPlan& plan, std::uint32_t tokens) {
  if (tokens != 0) return tokens;
  if (plan.policy.layout.page_tokens != 0) return plan.policy.layout.page_tokens;
  return plan.box_tokens > 1 ? static_cast<std::uint32_t>(plan.box_tokens) : 64;
}

}  // namespace

std::uint64_t kv_stored_bits(KvTensor tensor, const KvShape& shape, const TensorPolicy& policy,
                             std::uint64_t tokens, std::size_t codewords) {
  const KvPlan plan = make_plan(tensor, shape, policy);
  if (plan.evict) tokens = held(*plan.evict, tokens);
  std::uint64_t bits = plan.salient ? tokens : 0;  // a bit a token says its class
  if (plan.retrieve) {
    const auto index = static_cast<std::uint64_t>(std::bit_width(codewords - 1));
    bits += tokens * whole(plan, plan.full);
    if (tensor == KvTensor::key && plan.retrieve->by_pages()) {
      // Least and largest key of every page that is complete, fp16.
      return bits + tokens / plan.retrieve->block * shape.width() * 2 * 16;
    }
    if (tensor == KvTensor::key)
      bits += tokens * shape.kv_heads * std::max<std::uint64_t>(index, 1);
    return bits;
  }
  if (!plan.ages.empty()) return bits + age_bits(plan, tokens);
  if (plan.salient && plan.salient->scorer != Scorer::text_similarity)
    return bits + salience_bits(plan, tokens);
  return bits + window_bits(plan, tokens);
}

double kv_stored_bits(const KvShape& shape, const TensorPolicy& key, const TensorPolicy& value,
                      std::uint64_t tokens, std::size_t codewords) {
  return static_cast<double>(kv_stored_bits(KvTensor::key, shape, key, tokens, codewords) +
                             kv_stored_bits(KvTensor::value, shape, value, tokens, codewords));
}

double kv_effective_bits(KvTensor tensor, const KvShape& shape, const TensorPolicy& policy) {
  const KvPlan plan = make_plan(tensor, shape, policy);
  const std::size_t rows = plan.class_box || plan.channel_scale ? 1u << 20 : plan.box_tokens;
  const auto of = [&](const BoxRule& rule) {
    const KvBits b = kv_chunk_bits(plan, rule, rows);
    return static_cast<double>(b.codes + b.metadata + b.sparse) /
           static_cast<double>(rows * shape.width());
  };
  if (!plan.ages.empty()) {
    double bits = 0;
    for (const ScheduleEntry& e : plan.ages) bits += e.at * of(rule_with_format(plan, e.format));
    return bits;
  }
  if (plan.salient && plan.salient->scorer != Scorer::text_similarity) {
    const double ratio = plan.salient->ratio;
    return ratio * of(rule_with_format(plan, plan.salient->high)) + (1 - ratio) * of(plan.rule);
  }
  return of(plan.rule);
}

Page page_layout(KvTensor tensor, const KvShape& shape, const TensorPolicy& policy,
                 std::uint32_t tokens) {
  const KvPlan plan = make_plan(tensor, shape, policy);
  return lay_out(plan, plan.rule, default_page(plan, tokens));
}

Page page_layout(KvTensor tensor, const KvShape& shape, const TensorPolicy& policy,
                 std::uint32_t tokens, Format format) {
  const KvPlan plan = make_plan(tensor, shape, policy);
  return lay_out(plan, rule_with_format(plan, format), default_page(plan, tokens));
}

}  // namespace systole::quant
