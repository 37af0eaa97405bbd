// The contract is in the header.
#include "workloads/kv_layout.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <bit>
#include <stdexcept>
#include <string>

#include "quant/kv/coder.hpp"
#include "sim/core/error.hpp"
#include "sim/core/units.hpp"

namespace systole::workloads {
namespace {

using quant::BoxRule;
using quant::Format;
using quant::KvBits;
using quant::KvPlan;
using quant::KvTensor;

constexpr std::uint64_t kPageTokens = 64;
constexpr std::uint64_t kAgeBlock = 16;  // of the functional cache
constexpr std::uint64_t kWordBits = 32;  // of token-contiguous words

KvDecodeWork decode_work(const KvPlan& plan, const BoxRule& rule) {
  quant::OpCounts ops = quant::kv_read_ops(plan, rule);
  // A DIAG of keys or values is folded or acts on the query; ZipCache's is counted with the codes.
  quant::OpCounts depart = quant::kv_depart_ops(plan, false);
  KvDecodeWork work;
  const std::uint64_t width = plan.shape.width();
  if (plan.rope_on_read) {
    work.rotations = width;
    depart.multiply -= 2 * width;
    depart.add -= width;
  }
  work.transform_adds = depart.add;
  depart.add = 0;
  ops += depart;
  work.unpacks = ops.unpack;
  work.lookups = ops.lookup;
  work.multiply_adds = ops.fma + ops.multiply + ops.add;
  work.gathers = ops.gather;
  work.sparse_macs = ops.sparse_mac;
  return work;
}

class FormWriter {
 public:
  FormWriter(const KvPlan& plan, const BoxRule& rule) : plan_(plan), rule_(rule) {}

  KvForm form() {
    form_.format = std::string(quant::name_of(rule_.format));
    form_.decode = decode_work(plan_, rule_);
    box_ = rule_.ieee() ? 1 : plan_.box_tokens;
    if (plan_.class_box) box_ = 1;
    const KvBits one = quant::kv_chunk_bits(plan_, rule_, box_);
    const KvBits two = quant::kv_chunk_bits(plan_, rule_, 2 * box_);
    const bool has_fixed = !rule_.ieee() && (plan_.class_box || plan_.channel_scale);
    form_.fixed_bits = has_fixed ? 2 * one.total() - two.total() : 0;
    const std::uint64_t box_bits = one.total() - form_.fixed_bits;
    add_planes(one);
    if (plan_.policy.layout.metadata == quant::Metadata::inline_) merge();
    SYSTOLE_CHECK(form_.box_tokens() == box_ && form_.box_bits(heads()) == box_bits,
                  "the planes of a KV form do not add up to its codec's bits");
    return form_;
  }

 private:
  std::uint64_t heads() const { return plan_.shape.kv_heads; }
  std::uint64_t dim() const { return plan_.shape.head_dim; }

  /// `bits` of a box over all heads, a row a head or a row for all.
  void plane(KvRole role, std::uint64_t bits, std::uint64_t rows_by_head = 1) {
    if (bits == 0) return;
    SYSTOLE_CHECK(bits % (heads() * rows_by_head) == 0, "a KV plane is not equal rows");
    form_.planes.push_back({role, rows_by_head, true, box_, bits / (heads() * rows_by_head)});
  }
  /// Parameters of `boxes` boxes: with their heads, unless a box is of several heads.
  void parameters(KvRole role, std::uint64_t boxes, std::uint64_t bits, std::uint64_t rows = 1) {
    if (bits == 0) return;
    if (boxes % heads() == 0) {
      plane(role, boxes * bits, rows);
    } else {
      shared(role, boxes * bits);
    }
  }

  void add_planes(const KvBits& bits) {
    if (rule_.ieee()) {
      plane(KvRole::codes, bits.codes);
      return;
    }
    const bool blocks = quant::kv_block_length(rule_.format) != 0;
    if (!rule_.scalar()) {
      const std::uint64_t boxes = quant::kv_boxes(plan_, box_);
      if (!blocks) {
        plane(KvRole::codes, bits.codes + bits.padding);
        if (bits.metadata > 0) parameters(KvRole::scales, boxes, bits.metadata / boxes);
      } else if (bits.total() % (8 * heads()) == 0) {
        plane(KvRole::codes, bits.total());
      } else {
        shared(KvRole::codes, bits.total());
      }
      return;
    }
    const bool channel_rows = box_ > 1 && rule_.format != Format::ternary_b3;
    if (plan_.low_channels != 0) {
      add_classes();
    } else {
      const std::uint64_t codes = bits.codes + bits.padding;
      const std::uint64_t words = dim() * rule_.bits / kWordBits;
      if (channel_rows) {
        plane(KvRole::codes, codes, dim());
      } else if (plan_.fixed_parameters && plan_.box_channels == 1 && words > 0 &&
                 dim() * rule_.bits % kWordBits == 0) {
        plane(KvRole::codes, codes, words);
      } else if (plan_.policy.layout.interleave == quant::Interleave::planes) {
        plane(KvRole::codes, codes, rule_.bits);
      } else {
        plane(KvRole::codes, codes);
      }
      if (!plan_.fixed_parameters && !plan_.class_box) {
        const std::uint64_t boxes = quant::kv_boxes(plan_, box_);
        const std::uint64_t rows = channel_rows && boxes % heads() == 0 ? boxes / heads() : 1;
        parameters(KvRole::scales, boxes, rule_.scale_bits, rows);
        parameters(KvRole::zeros, boxes, rule_.zero_bits, rows);
      }
    }
    if (plan_.mean_over_heads) shared(KvRole::means, box_ * dim() * 16);
    if (bits.sparse != 0) shared(KvRole::outliers, bits.sparse);
  }

  void shared(KvRole role, std::uint64_t bits) {
    form_.planes.push_back({role, 1, false, box_, bits});
  }

  /// Two classes of channels, each a row a channel (VidKV).
  void add_classes() {
    const std::uint64_t word = std::max<std::uint64_t>(plan_.policy.layout.word_bits, 8);
    for (const BoxRule* rule : {&plan_.high_rule, &rule_}) {
      const std::uint64_t columns =
          heads() * (rule == &rule_ ? plan_.low_columns : plan_.high_channels);
      const std::uint64_t rows = columns / heads();
      plane(KvRole::codes, columns * ceil_div(box_ * rule->bits, word) * word, rows);
      plane(KvRole::scales, columns * rule->scale_bits, rows);
      plane(KvRole::zeros, columns * rule->zero_bits, rows);
    }
  }

  /// Metadata beside each token's codes.
  void merge() {
    std::vector<KvPlane> merged;
    for (const KvPlane& p : form_.planes) {
      const auto mate = std::ranges::find_if(merged, [&](const KvPlane& m) {
        return m.rows == p.rows && m.by_head == p.by_head && m.unit_tokens == p.unit_tokens;
      });
      if (mate == merged.end()) {
        merged.push_back(p);
      } else {
        mate->unit_bits += p.unit_bits;
      }
    }
    form_.planes = merged;
  }

  const KvPlan& plan_;
  const BoxRule& rule_;
  std::uint64_t box_ = 1;
  KvForm form_;
};

void add_forms(KvLayout& layout, const KvPlan& plan) {
  const auto add = [&](const BoxRule& rule) {
    layout.forms.push_back(FormWriter(plan, rule).form());
  };
  if (plan.retrieve) {
    layout.rule = KvRule::whole;
    layout.sinks = plan.retrieve->sinks;
    layout.window = plan.retrieve->count;
    layout.fetched_share = plan.retrieve->ratio;
    if (plan.retrieve->by_pages()) {
      layout.sinks = layout.window = 0;
      layout.fetch_block = plan.retrieve->block;
    }
    return;
  }
  if (!plan.ages.empty()) {
    layout.rule = KvRule::ages;
    const std::uint64_t page = plan.policy.layout.page_tokens;
    layout.age_block = page != 0 ? page : kAgeBlock;
    for (const quant::ScheduleEntry& entry : plan.ages) {
      layout.age_shares.push_back(entry.at);
      add(quant::rule_with_format(plan, entry.format));
    }
    return;
  }
  if (plan.salient && plan.salient->scorer != quant::Scorer::text_similarity) {
    add(plan.rule);
    add(quant::rule_with_format(plan, plan.salient->high));
    layout.rule =
        plan.salient->scorer == quant::Scorer::accumulated ? KvRule::share : KvRule::rounds;
    layout.high_share = plan.salient->ratio;
    layout.refresh = plan.salient->refresh;
    layout.low_each = static_cast<std::uint64_t>(
        (1.0 - plan.salient->ratio) * static_cast<double>(plan.salient->refresh) + 1e-9);
    return;
  }
  layout.sinks = plan.sinks;
  layout.window = plan.window;
  layout.slide = plan.flush == quant::Flush::slide;
  if (plan.budget_bytes == 0) {
    add(plan.rule);
    return;
  }
  layout.rule = KvRule::budget;
  layout.budget_bytes = plan.budget_bytes;
  for (const Format format : {Format::int16, Format::int8, Format::int4, Format::int2}) {
    if (quant::bits_of(format) > plan.rule.bits) continue;
    layout.code_bits.push_back(quant::bits_of(format));
    add(quant::rule_with_format(plan, format));
  }
}

/// Which probabilities a policy needs: of a probe of the queries at each refresh (ZipCache), of all
/// (H2O, MiKV), of the newest queries when a block is decided (SnapKV, KVCrush).
void add_scoring(KvLayout& layout, const KvPlan& plan) {
  const std::optional<quant::TokenPolicy>& policy = plan.salient ? plan.salient : plan.evict;
  if (!policy) return;
  switch (policy->scorer) {
    case quant::Scorer::normalised:
      layout.score_prompt_share = policy->probe;
      layout.score_every = policy->refresh;
      layout.score_rows = std::max<std::uint64_t>(
          1, static_cast<std::uint64_t>(policy->probe * policy->refresh + 0.5));
      break;
    case quant::Scorer::accumulated:
      layout.score_prompt_share = 1;
      layout.score_every = layout.score_rows = 1;
      break;
    case quant::Scorer::snap:
      layout.score_prompt_rows = layout.score_rows = policy->queries;
      layout.score_every = policy->block;
      break;
    default:
      break;
  }
}

KvLayout layout_of(const KvPlan& plan) {
  KvLayout layout;
  layout.heads = plan.shape.kv_heads;
  layout.width = plan.shape.width();
  layout.full_token_bits = layout.width * quant::bits_of(plan.full);
  add_forms(layout, plan);
  const std::uint64_t page = plan.policy.layout.page_tokens;
  for (KvForm& form : layout.forms) {
    const std::uint64_t box = form.box_tokens();
    const bool several = layout.forms.size() > 1 || plan.evict;
    if (page != 0 && page % box == 0) {
      form.page_tokens = page;
    } else if (several) {
      form.page_tokens = ceil_div(kPageTokens, box) * box;
    }
    form.counts_page_padding = page != 0 && box == 1;
    form.align_bytes = std::max<std::uint64_t>(plan.policy.layout.align_bytes, 1);
  }
  add_scoring(layout, plan);
  if (plan.salient) layout.token_planes.push_back({KvRole::classes, 1, false, 1, 1});
  if (plan.retrieve && plan.retrieve->by_pages() && plan.tensor == KvTensor::key) {
    // The least and the largest key of a page, fp16.
    const std::uint64_t bounds = 2 * std::uint64_t{16} * plan.shape.head_dim;
    layout.token_planes.push_back({KvRole::index, 1, true, plan.retrieve->block, bounds});
  } else if (plan.retrieve && plan.tensor == KvTensor::key) {
    const std::uint64_t codewords = std::max<std::uint64_t>(plan.retrieve->codewords, 2);
    layout.token_planes.push_back(
        {KvRole::index, 1, true, 1, static_cast<std::uint64_t>(std::bit_width(codewords - 1))});
    layout.codebook_head_bytes = codewords * plan.shape.head_dim * 2;
  }
  if (plan.evict) {
    layout.evict_block = plan.evict->block;
    layout.evict_blocks = plan.evict->count / plan.evict->block;
    layout.evict_sinks = plan.evict->sinks;
    layout.evict_recent = plan.evict->recent;
  }
  return layout;
}

}  // namespace

KvLayout with_pages(KvLayout layout, const std::string& where) {
  if (layout.rule == KvRule::whole) {
    throw ConfigError(where +
                      ": keeps tokens whole behind an index, in no pages that sequences could "
                      "share; expected a cache of coded pages");
  }
  for (KvForm& form : layout.forms) {
    if (form.page_tokens == 0) {
      form.page_tokens = ceil_div(kPageTokens, form.box_tokens()) * form.box_tokens();
    }
  }
  return layout;
}

configs::Recipe with_kv(configs::Recipe recipe, const configs::Recipe& kv) {
  using configs::Target;
  for (const Target target : {Target::key, Target::value}) recipe[target] = kv[target];
  for (const Target target : {Target::query, Target::probability}) {
    if (kv[target] != quant::TensorPolicy{}) recipe[target] = kv[target];
  }
  recipe.name += "+" + kv.name;
  return recipe;
}

KvLayout kv_layout(KvTensor tensor, const quant::KvShape& shape, const quant::TensorPolicy& policy,
                   const std::string& where) {
  try {
    return layout_of(quant::make_plan(tensor, shape, policy));
  } catch (const std::invalid_argument& error) {
    throw ConfigError(where + ": " + error.what());
  }
}

}  // namespace systole::workloads
