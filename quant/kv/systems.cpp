// The contract is in the header.
#include "quant/kv/systems.hpp"

#include <stdexcept>
#include <string>

#include "quant/check.hpp"

namespace systole::quant {
namespace {

Format integer_of(unsigned bits) {
  require((bits >= 2 && bits <= 8) || bits == 16, "kv: integer codes of 2 to 8 or 16 bits");
  return bits == 16 ? Format::int16
                    : static_cast<Format>(static_cast<unsigned>(Format::int2) + bits - 2);
}

TensorPolicy boxed(Format format, Affine affine, std::vector<std::uint32_t> box,
                   ParameterSource source, Format scale = Format::fp16,
                   std::uint32_t zero_bits = 0) {
  TensorPolicy p;
  p.format = format;
  p.affine = affine;
  p.granularity = Granularity::token;
  p.scale = scale;
  p.zero_bits = zero_bits;
  p.levels = {{std::move(box), source, scale, zero_bits}};
  return p;
}

Transform transform(TransformOp op, Where where, TransformAxis axis = TransformAxis::channel,
                    std::uint32_t size = 0) {
  Transform t;
  t.op = op;
  t.where = where;
  t.axis = axis;
  t.size = size;
  return t;
}

Transform diag(FactorRule rule, Where where, double alpha, bool tied) {
  Transform t = transform(TransformOp::diag, where);
  t.factors = rule;
  t.alpha = alpha;
  t.rope_pair_tied = tied;
  return t;
}

TokenPolicy sink(std::uint32_t count, Format full = Format::fp16, Scorer scorer = Scorer::first) {
  TokenPolicy t;
  t.kind = TokenKind::sink;
  t.count = count;
  t.high = full;
  t.scorer = scorer;
  return t;
}

TokenPolicy window(std::uint32_t count, Flush flush, Format full = Format::fp16) {
  TokenPolicy t;
  t.kind = TokenKind::window;
  t.count = count;
  t.flush = flush;
  t.high = full;
  return t;
}

TokenPolicy salient(Scorer scorer, double ratio, std::uint32_t refresh, Format high) {
  TokenPolicy t;
  t.kind = TokenKind::salient;
  t.scorer = scorer;
  t.ratio = ratio;
  t.refresh = refresh;
  t.high = high;
  return t;
}

}  // namespace

KvPolicies plain_kv(Format format) {
  TensorPolicy p;
  p.format = format;
  if (!is_ieee(format)) {
    p.granularity = Granularity::token;
    p.scale = Format::fp16;
  }
  return {p, p};
}

KvPolicies kivi(unsigned bits, std::uint32_t group) {
  KvPolicies s;
  s.key = boxed(integer_of(bits), Affine::float_min, {group, 1, 1}, ParameterSource::streaming);
  s.value = boxed(integer_of(bits), Affine::float_min, {1, 1, group}, ParameterSource::dynamic);
  for (TensorPolicy* p : {&s.key, &s.value}) {
    p->contract = Contract::reference;  // the encoder is fp16 at every step
    p->layout.word_bits = 32;
  }
  s.key.tokens = {window(128, Flush::block)};
  s.value.tokens = {window(128, Flush::slide)};
  return s;
}

KvPolicies kvquant(unsigned bits, bool outliers, bool q_norm, bool deployed) {
  KvPolicies s;
  s.key = boxed(Format::lut, Affine::symmetric, {0, 1, 1}, ParameterSource::fixed);
  s.value = boxed(Format::lut, Affine::symmetric, {1, 0, 0}, ParameterSource::dynamic);
  s.key.transforms = {transform(TransformOp::rope, Where::read)};
  for (TensorPolicy* p : {&s.key, &s.value}) {
    p->range = RangeRule::kmeans;
    p->QuantSpec::levels = 1u << bits;
    p->quantiser.q_norm = q_norm;
    p->tokens = {sink(1)};
    if (!outliers) continue;
    p->outliers.kind = OutlierKind::dense_sparse;
    p->outliers.fraction = 0.01;
    p->outliers.value_bits = deployed ? 32 : 16;
    p->outliers.index_bits = deployed ? 32 : 16;
    p->outliers.dynamic = p == &s.value;
  }
  return s;
}

KvPolicies qserve(unsigned bits) {
  KvPolicies s;
  s.key = boxed(integer_of(bits), Affine::float_zero, {1, 1, 0}, ParameterSource::dynamic);
  s.key.contract = Contract::reference;
  s.key.layout.page_tokens = 64;
  s.key.layout.metadata = Metadata::page;
  s.value = s.key;
  s.key.transforms = {diag(FactorRule::smooth_key, Where::fold, 0.5, true)};
  return s;
}

KvPolicies rotatekv(unsigned bits) {
  KvPolicies s;
  s.key = boxed(integer_of(bits), Affine::integer_zero, {1, 1, 128}, ParameterSource::dynamic,
                Format::fp8_e4m3, 8);
  if (bits == 2) {
    s.key.range = RangeRule::clip;
    s.key.range_value = 0.8;
  }
  s.key.tokens = {sink(20, Format::fp16, Scorer::hidden_max)};
  s.value = s.key;
  Transform order = transform(TransformOp::perm, Where::read, TransformAxis::heads_channel);
  order.factors = FactorRule::channel_sum;
  s.key.transforms = {transform(TransformOp::had, Where::read, TransformAxis::heads_channel, 512),
                      order, transform(TransformOp::rope, Where::read)};
  s.value.transforms = {transform(TransformOp::had, Where::fold)};
  return s;
}

KvPolicies zipcache() {
  KvPolicies s;
  s.key = boxed(Format::int2, Affine::float_min, {0, 1, 1}, ParameterSource::streaming);
  s.value = boxed(Format::int2, Affine::float_min, {1, 0, 0}, ParameterSource::dynamic);
  s.value.transforms = {diag(FactorRule::sqrt_max, Where::write, 0.5, false)};
  for (TensorPolicy* p : {&s.key, &s.value}) {
    p->tokens = {salient(Scorer::normalised, 0.6, 100, Format::int4)};
    p->contract = Contract::reference;
    p->layout.interleave = Interleave::quarters;
  }
  return s;
}

KvPolicies mikv(unsigned low_bits) {
  KvPolicies s;
  s.key = boxed(integer_of(low_bits), Affine::float_min, {1, 1, 0}, ParameterSource::dynamic);
  s.key.tokens = {salient(Scorer::accumulated, 0.5, 1, Format::fp16)};
  s.value = s.key;
  s.key.transforms = {diag(FactorRule::balance, Where::query, 0.5, false)};
  return s;
}

KvPolicies tada(unsigned bits) {
  KvPolicies s;
  s.key =
      boxed(integer_of(bits), Affine::float_min, {1, 1, 0}, ParameterSource::dynamic, Format::bf16);
  s.key.transforms = {transform(TransformOp::mean, Where::write, TransformAxis::head)};
  s.key.schedule.kind = ScheduleKind::map;
  s.key.schedule.unit = MapUnit::layer;
  s.value = s.key;
  return s;
}

KvPolicies vidkv(Contract contract) {
  KvPolicies s;
  s.key = boxed(Format::sign, Affine::float_min, {32, 1, 1}, ParameterSource::streaming);
  s.key.range = RangeRule::meanabs;
  s.key.outliers.kind = OutlierKind::channel_class;
  s.key.outliers.fraction = 0.5;
  s.key.outliers.high = Format::int2;
  Transform fourier = transform(TransformOp::fft, Where::write);
  fourier.factors = FactorRule::range;
  s.key.transforms = {fourier};
  s.value = boxed(Format::ternary_b3, Affine::float_min, {32, 1, 1}, ParameterSource::streaming);
  s.value.range = RangeRule::meanabs;
  for (TensorPolicy* p : {&s.key, &s.value}) {
    p->tokens = {window(128, Flush::block)};
    p->contract = contract;
  }
  s.value.tokens.push_back(salient(Scorer::text_similarity, 0.2, 0, Format::int2));
  return s;
}

KvPolicies pmkvq(std::uint64_t budget_bytes) {
  KvPolicies s;
  s.key =
      boxed(Format::int16, Affine::float_min, {1, 1, 128}, ParameterSource::dynamic, Format::bf16);
  s.key.tokens = {sink(1, Format::bf16), window(128, Flush::block, Format::bf16)};
  s.key.schedule.kind = ScheduleKind::budget;
  s.key.schedule.budget_bytes = budget_bytes;
  s.key.layout.word_bits = 16;
  s.key.layout.order = BitOrder::msb;
  s.value = s.key;
  s.key.transforms = {diag(FactorRule::smooth_key, Where::fold, 0.5, true)};
  return s;
}

KvPolicies age_tiers() {
  KvPolicies s;
  s.key = boxed(Format::nvfp4, Affine::symmetric, {1, 1, 0}, ParameterSource::dynamic);
  s.key.schedule.kind = ScheduleKind::age;
  s.key.schedule.entries = {
      {"", 0.2, Format::bf16}, {"", 0.2, Format::fp8_e4m3}, {"", 0.6, Format::nvfp4}};
  s.key.layout.page_tokens = 16;
  s.value = s.key;
  return s;
}

KvPolicies fireq() {
  KvPolicies s;
  s.key = boxed(Format::int4, Affine::symmetric, {1, 1, 0}, ParameterSource::dynamic, Format::bf16);
  s.value = s.key;
  s.key.transforms = {diag(FactorRule::pair_max, Where::fold, 1.0, true)};
  s.key.outliers.kind = OutlierKind::top_channels;
  s.key.outliers.count = 3;
  return s;
}

KvPolicies kvcrush() {
  KvPolicies s = plain_kv(Format::fp16);
  TokenPolicy evict;
  evict.kind = TokenKind::evict;
  evict.scorer = Scorer::snap;
  evict.count = 512;
  evict.block = 32;
  evict.keep = Keep::representative;
  evict.sinks = 32;
  evict.recent = 128;
  evict.queries = 8;
  evict.representatives = 4;
  s.key.tokens = s.value.tokens = {evict};
  return s;
}

KvPolicies a2ats() {
  KvPolicies s = plain_kv(Format::fp16);
  TokenPolicy retrieve;
  retrieve.kind = TokenKind::retrieve;
  retrieve.ratio = 0.03;
  retrieve.count = 64;
  retrieve.sinks = 8;
  retrieve.codewords = 4096;
  retrieve.tier = "host";
  s.key.tokens = s.value.tokens = {retrieve};
  s.key.transforms = {transform(TransformOp::chol, Where::fold),
                      transform(TransformOp::rope, Where::query)};
  return s;
}

const std::vector<KvSystem>& kv_systems() {
  static const std::vector<KvSystem> systems = [] {
    std::vector<KvSystem> all;
    const auto add = [&](std::string_view name, std::string_view source, KvPolicies policies) {
      all.push_back({name, source, std::move(policies)});
    };
    add("fp16", "IEEE binary16", plain_kv(Format::fp16));
    add("int8", "one fp16 scale a token and head", plain_kv(Format::int8));
    add("int4", "one fp16 scale a token and head", plain_kv(Format::int4));
    add("fp8", "E4M3, one fp16 scale a token and head", plain_kv(Format::fp8_e4m3));
    add("mxfp4", "OCP MX 1.0", plain_kv(Format::mxfp4));
    add("nvfp4", "NVIDIA NVFP4", plain_kv(Format::nvfp4));
    add("q8_0", "ggml", plain_kv(Format::q8_0));
    add("q4_0", "ggml", plain_kv(Format::q4_0));
    add("kivi2", "arXiv 2402.02750", kivi(2));
    add("kivi4", "arXiv 2402.02750", kivi(4));
    add("kvquant_nuq2", "arXiv 2401.18079", kvquant(2, false));
    add("kvquant_nuq3", "arXiv 2401.18079", kvquant(3, false));
    add("kvquant_nuq4", "arXiv 2401.18079", kvquant(4, false));
    add("kvquant_nuq2_1pct", "arXiv 2401.18079", kvquant(2, true));
    add("kvquant_nuq3_1pct", "arXiv 2401.18079", kvquant(3, true));
    add("kvquant_nuq4_1pct", "arXiv 2401.18079", kvquant(4, true));
    add("kvquant_nuq2_1pct_qnorm", "arXiv 2401.18079", kvquant(2, true, true));
    add("kvquant_nuq4_1pct_deployed", "SqueezeAILab/KVQuant", kvquant(4, true, false, true));
    add("qserve_kv4", "arXiv 2405.04532", qserve(4));
    add("qserve_kv8", "arXiv 2405.04532", qserve(8));
    add("rotatekv2", "arXiv 2501.16383", rotatekv(2));
    add("rotatekv3", "arXiv 2501.16383", rotatekv(3));
    add("rotatekv4", "arXiv 2501.16383", rotatekv(4));
    add("zipcache", "arXiv 2405.14256", zipcache());
    add("mikv", "arXiv 2402.18096", mikv());
    add("tada", "arXiv 2506.04642", tada());
    add("vidkv", "KD-TAO/VidKV", vidkv(Contract::reference));
    add("vidkv_corrected", "arXiv 2503.16257", vidkv(Contract::corrected));
    add("pmkvq", "arXiv 2505.18610", pmkvq());
    add("age_tiers", "vllm-project/vllm issue 49198", age_tiers());
    add("fireq", "arXiv 2505.20839", fireq());
    add("kvcrush", "arXiv 2503.00022, openvino.genai", kvcrush());
    add("a2ats", "arXiv 2502.12665", a2ats());
    return all;
  }();
  return systems;
}

const KvPolicies& kv_system(std::string_view name) {
  std::string known;
  for (const KvSystem& s : kv_systems()) {
    if (s.name == name) return s.policies;
    known += (known.empty() ? "" : ", ") + std::string(s.name);
  }
  throw std::invalid_argument("no KV system " + std::string(name) + "; there are " + known);
}

TensorPolicy policy_of_layer(const TensorPolicy& policy, std::uint32_t layer) {
  TensorPolicy own = policy;
  if (policy.schedule.kind != ScheduleKind::map) return own;
  for (const ScheduleEntry& e : policy.schedule.entries) {
    if (layer_matches(e.match, layer).value_or(false)) own.format = e.format;
  }
  return own;
}

}  // namespace systole::quant
