// From axes to a plan. The contract is in the header.
#include "quant/kv/plan.hpp"

#include <algorithm>
#include <bit>
#include <cmath>

#include "quant/check.hpp"

namespace systole::quant {
namespace {

bool is_whole_number_format(Format f) {
  return (f >= Format::int2 && f <= Format::int8) || (f >= Format::int1 && f <= Format::uint16);
}
bool is_unsigned_format(Format f) { return f >= Format::uint1 && f <= Format::uint16; }

unsigned code_bits(Format format, std::uint32_t levels) {
  if (format == Format::lut && levels > 1) return static_cast<unsigned>(std::bit_width(levels - 1));
  return bits_of(format);
}

const Level* innermost(const TensorPolicy& policy) {
  return policy.levels.empty() ? nullptr : &policy.levels.back();
}

unsigned resolved_zero_bits(const BoxRule& rule, unsigned asked) {
  const bool has_zero = rule.format == Format::lut ||
                        (is_whole_number_format(rule.format) && rule.affine != Affine::symmetric);
  if (!has_zero) return 0;
  if (asked != 0) return asked;
  return rule.affine == Affine::integer_zero ? rule.bits : rule.scale_bits;
}

BoxRule make_rule(const TensorPolicy& policy, Format format, Affine affine) {
  BoxRule rule;
  rule.format = format;
  rule.bits = code_bits(format, policy.levels.empty() && policy.QuantSpec::levels == 0
                                    ? 0
                                    : policy.QuantSpec::levels);
  rule.affine = affine;
  rule.range = policy.range;
  rule.range_value = policy.range_value;
  rule.contract = policy.contract;
  const Level* level = innermost(policy);
  rule.scale = level != nullptr ? level->scale : policy.scale;
  rule.scale_bits = bits_of(rule.scale);
  if (is_unsigned_format(format))
    require(affine != Affine::symmetric, "kv: unsigned codes need an affine form");
  const unsigned asked = level != nullptr ? level->zero_bits : policy.zero_bits;
  rule.zero_bits = resolved_zero_bits(rule, asked);
  rule.signed_zero = rule.affine == Affine::integer_zero && asked != 0;
  const bool one_sided = format == Format::sign || format == Format::int1 ||
                         format == Format::ternary || format == Format::ternary_b3;
  if (one_sided && follows_code(policy.contract)) {
    rule.unused_minimum = true;
    rule.zero_bits = rule.scale_bits;
    if (format == Format::ternary_b3) rule.format = Format::ternary, rule.bits = 2;
  }
  return rule;
}

std::size_t extent(std::uint32_t wanted, std::size_t axis) {
  return wanted == 0 || axis % wanted != 0 ? axis : wanted;
}

void resolve_box(KvPlan& plan) {
  const TensorPolicy& p = plan.policy;
  const Level* level = innermost(p);
  std::uint32_t tokens = 1, heads = 1, channels = 0;
  ParameterSource source = ParameterSource::dynamic;
  if (level != nullptr) {
    require(level->box.size() == 3, "kv: a box is [tokens, heads, channels]");
    tokens = level->box[0], heads = level->box[1], channels = level->box[2];
    source = level->parameters;
  } else if (p.granularity == Granularity::group) {
    require(p.group != 0, "kv: group granularity needs a group of at least one element");
    channels = p.group;
  }
  plan.box_tokens = tokens;
  plan.box_heads = extent(heads, plan.shape.kv_heads);
  plan.box_channels = extent(channels, plan.shape.head_dim);
  plan.fixed_parameters = source == ParameterSource::fixed;
  plan.class_box = tokens == 0 && !plan.fixed_parameters;
  if (plan.fixed_parameters) plan.box_tokens = 1;  // nothing to wait for
  // Blocks bring their own scales and run along the token.
  const FormatClass kind = info_of(plan.rule.format).kind;
  if (kind == FormatClass::block || kind == FormatClass::gguf) {
    plan.box_tokens = 1;
    plan.box_heads = plan.shape.kv_heads;
    plan.box_channels = plan.shape.head_dim;
  }
}

void resolve_transforms(KvPlan& plan) {
  const bool key = plan.tensor == KvTensor::key;
  for (const Transform& t : plan.policy.transforms) {
    if (t.op != TransformOp::rope) continue;
    require(key, "kv: RoPE is of keys");
    plan.rope_on_read = t.where == Where::read || t.where == Where::query;
  }
  for (const Transform& t : plan.policy.transforms) {
    switch (t.op) {
      case TransformOp::rope:
      case TransformOp::chol:  // of the retrieval index
        continue;
      case TransformOp::mean:
        plan.mean_over_heads = true;
        continue;
      case TransformOp::fft:
        plan.fourier = true;
        continue;
      case TransformOp::log2:
        require(false, "kv: LOG2 is not a transform of a cache");
        continue;
      case TransformOp::diag:
        if (t.where == Where::write && t.factors == FactorRule::sqrt_max) {
          plan.channel_scale = true;
          continue;
        }
        if (key && t.where == Where::fold)
          require(t.rope_pair_tied, "kv: a DIAG of keys folds only when tied in rotary pairs");
        break;
      case TransformOp::perm:
        require(t.where == Where::read || t.where == Where::write,
                "kv: a PERM of a cache is undone on read");
        break;
      case TransformOp::had:
      case TransformOp::rot:
        if (t.axis == TransformAxis::heads_channel)
          require(t.where == Where::read || t.where == Where::write,
                  "kv: a transform over heads is undone on read");
        if (key && plan.rope_on_read)
          require(t.where == Where::read || t.where == Where::write,
                  "kv: RoPE intervenes: a rotation of unrotated keys is undone on read");
        if (key && !plan.rope_on_read)
          require(t.where != Where::fold, "kv: a rotation after RoPE does not fold in weights");
        break;
    }
    plan.arrival.push_back(t);
  }
}

void resolve_outliers(KvPlan& plan) {
  const OutlierPolicy& o = plan.policy.outliers;
  const std::size_t dim = plan.shape.head_dim;
  if (o.kind == OutlierKind::dense_sparse) {
    require(plan.box_tokens == 1, "kv: dense and sparse needs boxes of one token");
    require(o.fraction >= 0 && o.fraction <= 0.5, "kv: at most half of a token is outliers");
    const double wanted = o.fraction * static_cast<double>(plan.shape.width()) / 2;
    plan.sparse_side = static_cast<std::size_t>(std::ceil(wanted));
    if (o.count != 0)
      plan.sparse_side =
          o.fraction == 0 ? o.count / 2 : std::min<std::size_t>(plan.sparse_side, o.count / 2);
    plan.sparse_capped = true;
  }
  if (o.kind == OutlierKind::channel_class) {
    require(o.fraction > 0 && o.fraction < 1, "kv: a channel class is a part of the channels");
    std::size_t low =
        dim - static_cast<std::size_t>(std::llround(o.fraction * static_cast<double>(dim)));
    if (plan.fourier) low = std::bit_floor(low);
    require(low >= 1, "kv: no channel is left for the low class");
    plan.low_channels = low;
    plan.high_channels = dim - low;
    // A complex FFT of n reals is kept as 2n reals by the released code; n of them say all.
    plan.low_columns = plan.fourier && follows_code(plan.policy.contract) ? 2 * low : low;
    plan.high_rule = make_rule(plan.policy, o.high, Affine::float_min);
    plan.box_heads = 1;
    plan.box_channels = 1;
  }
  require(!plan.fourier || plan.low_channels != 0, "kv: the FFT is of a channel class");
}

void resolve_tokens(KvPlan& plan) {
  const TensorPolicy& p = plan.policy;
  for (const TokenPolicy& t : p.tokens) {
    switch (t.kind) {
      case TokenKind::all:
        break;
      case TokenKind::sink:
        plan.sinks = t.count, plan.sink_scorer = t.scorer, plan.full = t.high;
        break;
      case TokenKind::window:
        plan.window = t.count, plan.flush = t.flush, plan.full = t.high;
        break;
      case TokenKind::salient:
        require(t.ratio >= 0 && t.ratio <= 1, "kv: a salient ratio is between 0 and 1");
        plan.salient = t;
        break;
      case TokenKind::evict:
        require(t.block >= 1, "kv: eviction needs a block of at least one token");
        plan.evict = t;
        break;
      case TokenKind::retrieve:
        require(!t.by_pages() || (t.block >= 2 && t.ratio > 0 && t.ratio <= 1),
                "kv: retrieval of pages needs pages of at least two tokens and the share read");
        plan.retrieve = t;
        break;
    }
  }
  const bool whole_by_policy = plan.window != 0 || plan.sinks != 0;
  if (!whole_by_policy && plan.rule.ieee()) plan.full = plan.rule.format;
  require(is_ieee(plan.full), "kv: tokens kept whole are in an IEEE format");
  if (plan.box_tokens > 1 && plan.window == 0) plan.window = plan.box_tokens;
  if (plan.box_tokens > 1)
    require(plan.window % plan.box_tokens == 0, "kv: the window is not a whole number of boxes");
  if (plan.class_box)
    require(plan.salient && plan.salient->refresh > 0,
            "kv: a box of all tokens is coded again at each refresh of a salience policy");
  switch (p.schedule.kind) {
    case ScheduleKind::age:
      plan.ages = p.schedule.entries;
      require(!plan.ages.empty() && is_ieee(plan.ages.front().format),
              "kv: the newest tier of AGE is an IEEE format");
      plan.full = plan.ages.front().format;
      require(plan.box_tokens == 1, "kv: age tiers need boxes of one token");
      break;
    case ScheduleKind::budget:
      plan.budget_bytes = p.schedule.budget_bytes;
      require(plan.rule.affine == Affine::float_min && plan.box_tokens == 1 &&
                  is_whole_number_format(plan.rule.format) && std::has_single_bit(plan.rule.bits),
              "kv: the exact shrink is of float_min codes of 16, 8, 4 or 2 bits");
      break;
    default:
      break;  // a MAP or PHASE is resolved by the caller, layer by layer
  }
}

}  // namespace

bool BoxRule::scalar() const {
  const bool known_range = range == RangeRule::automatic || range == RangeRule::minmax ||
                           range == RangeRule::absmax || range == RangeRule::clip ||
                           range == RangeRule::meanabs || range == RangeRule::kmeans;
  const bool known_format = is_whole_number_format(format) || format == Format::sign ||
                            format == Format::ternary || format == Format::ternary_b3 ||
                            format == Format::lut;
  return known_range && known_format;
}

std::size_t KvPlan::columns() const {
  return low_channels == 0 ? shape.width() : shape.kv_heads * (high_channels + low_columns);
}

const BoxRule& KvPlan::rule_of(std::size_t column) const {
  return low_channels != 0 && column % (high_channels + low_columns) < high_channels ? high_rule
                                                                                     : rule;
}

BoxRule rule_with_format(const KvPlan& plan, Format format) {
  return make_rule(plan.policy, format, plan.rule.affine);
}

KvPlan make_plan(KvTensor tensor, const KvShape& shape, const TensorPolicy& policy, Format format) {
  require(shape.kv_heads >= 1 && shape.head_dim >= 2 && shape.head_dim % 2 == 0 &&
              shape.query_heads >= shape.kv_heads && shape.query_heads % shape.kv_heads == 0,
          "kv: heads are not a multiple of KV heads or the head dimension is odd");
  require(shape.width() <= (1u << 20), "kv: more than 2^20 channels");
  KvPlan plan;
  plan.tensor = tensor;
  plan.shape = shape;
  plan.policy = policy;
  plan.rule = make_rule(policy, format == Format::fp32 ? policy.format : format, policy.affine);
  resolve_box(plan);
  resolve_transforms(plan);
  resolve_outliers(plan);
  resolve_tokens(plan);
  return plan;
}

}  // namespace systole::quant
