// Calibration by the real forward pass, and what offline quantisers make of it on the model we
// ship.
#include "workloads/calibration.hpp"

#include <gtest/gtest.h>

#include <cmath>
#include <filesystem>
#include <fstream>
#include <iterator>

#include "quant/primitives/transform.hpp"
#include "quant/quantisers/rotation.hpp"
#include "quant/quantisers/smooth.hpp"
#include "sim/core/error.hpp"
#include "temporary_file.hpp"
#include "tiny_model.hpp"
#include "workloads/executor.hpp"
#include "workloads/perplexity.hpp"

namespace systole::workloads {
namespace {

using quant::Affine;
using quant::Format;
using quant::Granularity;
using quant::LayerStatistics;
using quant::TensorPolicy;
using testing_tools::tiny_model;

const std::string kFolder = SYSTOLE_SOURCE_DIR "/workloads/embedded/";

using Sequences = std::vector<std::vector<std::uint32_t>>;

Sequences tiny_sequences() {
  return {{1, 261, 262, 263, 264, 7, 9, 30, 4}, {1, 60, 61, 62, 263, 261}, {1, 5}};
}

/// Every input of one site, as the executor reports it.
struct Recorder final : ForwardObserver {
  std::size_t wanted_layer = 0;
  std::string wanted;
  std::vector<float> rows;
  void linear_input(std::size_t layer, std::string_view inputs, std::span<const float> r,
                    std::size_t) override {
    if (layer == wanted_layer && inputs == wanted) rows.insert(rows.end(), r.begin(), r.end());
  }
};

TEST(Calibration, SumsAreThoseOfTheInputsThatFlow) {
  const LlamaModel model = tiny_model(3);
  const Calibration found = calibrate(model, tiny_sequences(), {.sample_rows = 5, .kv_tokens = 7});
  EXPECT_EQ(found.tokens, 17u);
  for (const std::string site : {"attn_qkv", "attn_output", "ffn_gate_up", "ffn_down", "head"}) {
    Recorder recorder;
    recorder.wanted = site;
    recorder.wanted_layer = site == "head" ? 2 : 1;
    FunctionalExecutor executor(model, {});
    executor.observe(&recorder);
    for (const auto& ids : tiny_sequences()) executor.forward(ids, 0, Logits::all);
    const auto index = std::find(kSiteNames.begin(), kSiteNames.end(), site) - kSiteNames.begin();
    const LayerStatistics& s =
        site == "head" ? found.head : found.layers[1].sites[static_cast<std::size_t>(index)];
    const std::size_t k = s.cols;
    ASSERT_EQ(recorder.rows.size(), 17 * k);
    EXPECT_EQ(s.tokens, 17u);
    EXPECT_EQ(s.sample.size(), 5 * k);
    for (std::size_t j = 0; j < k; ++j) EXPECT_EQ(s.sample[k + j], recorder.rows[3 * k + j]);
    for (std::size_t i = 0; i < k; i += 5) {
      float most = 0;
      double mean = 0;
      for (std::size_t t = 0; t < 17; ++t) {
        most = std::max(most, std::fabs(recorder.rows[t * k + i]));
        mean += std::fabs(double{recorder.rows[t * k + i]}) / 17;
      }
      EXPECT_EQ(s.absmax[i], most);
      EXPECT_NEAR(s.mean_abs[i], mean, 1e-6 * mean);
      for (std::size_t j = 0; j < k; j += 3) {
        double sum = 0;
        for (std::size_t t = 0; t < 17; ++t) {
          sum += double{recorder.rows[t * k + i]} * double{recorder.rows[t * k + j]};
        }
        EXPECT_NEAR(s.hessian[i * k + j], sum, 1e-9 * (1 + std::fabs(sum)));
        EXPECT_EQ(s.hessian[i * k + j], s.hessian[j * k + i]);
      }
    }
  }
  const LayerCalibration& layer = found.layers[0];
  EXPECT_EQ(layer.keys.size(), 7 * model.shape.kv_dim());
  EXPECT_EQ(layer.queries_before.size(), 7 * model.shape.q_dim());
  EXPECT_GT(layer.cosine, -1);
  EXPECT_LT(layer.cosine, 1);
  // Nine queries of four heads in the first sequence: each hands out 1; seven tokens are kept.
  double received = 0;
  for (const double a : layer.attention_received) received += a;
  EXPECT_EQ(layer.attention_received.size(), 7u);
  EXPECT_GT(received, 4 * 7 - 1e-3);
  EXPECT_LT(received, 4 * 9);
}

TEST(Calibration, DoesNotDependOnThreads) {
  const LlamaModel model = tiny_model(4);
  for (const auto weighting : {quant::TokenWeighting::uniform, quant::TokenWeighting::rsq}) {
    CalibrationOptions options{.weighting = weighting};
    const Calibration one = calibrate(model, tiny_sequences(), options);
    options.threads = 3;
    const Calibration three = calibrate(model, tiny_sequences(), options);
    EXPECT_EQ(one.head, three.head);
    for (std::size_t i = 0; i < one.layers.size(); ++i) {
      EXPECT_EQ(one.layers[i].sites, three.layers[i].sites);
      EXPECT_EQ(one.layers[i].attention_received, three.layers[i].attention_received);
      EXPECT_EQ(one.layers[i].cosine, three.layers[i].cosine);
    }
  }
}

TEST(Calibration, TokenWeightsKeepTheTraceInScale) {
  const LlamaModel model = tiny_model(5);
  const Calibration uniform = calibrate(model, tiny_sequences());
  const Calibration rsq =
      calibrate(model, tiny_sequences(), {.weighting = quant::TokenWeighting::rsq});
  EXPECT_NE(uniform.layers[0].sites[0].hessian, rsq.layers[0].sites[0].hessian);
  EXPECT_EQ(uniform.layers[0].sites[0].mean_abs, rsq.layers[0].sites[0].mean_abs);
  EXPECT_EQ(uniform.head, rsq.head);
}

TEST(Calibration, ReportsProgressAndTakesTheTokensAskedFor) {
  const LlamaModel model = tiny_model(6);
  const std::vector<std::string> texts = {"abc aa", "a", "bc bc bc bc", "cab"};
  CalibrationOptions options{.tokens = 12, .window = 5, .seed = 9};
  std::vector<std::pair<std::uint64_t, std::uint64_t>> seen;
  options.progress = [&](std::uint64_t done, std::uint64_t all) { seen.emplace_back(done, all); };
  const Sequences sequences = calibration_sequences(model, texts, options);
  std::uint64_t total = 0;
  for (const auto& ids : sequences) {
    EXPECT_LE(ids.size(), 5u);
    EXPECT_EQ(ids.front(), 1u);
    total += ids.size();
  }
  EXPECT_EQ(total, 12u);
  EXPECT_EQ(sequences, calibration_sequences(model, texts, options));
  calibrate(model, sequences, options);
  ASSERT_EQ(seen.size(), sequences.size());
  EXPECT_EQ(seen.back(), std::pair(total, total));
  EXPECT_THROW(calibrate(model, Sequences{}), ConfigError);
  EXPECT_THROW(calibration_sequences(model, {}, options), ConfigError);
}

// --- the cache file ------------------------------------------------------------------------------

struct Cache : testing::Test {
  LlamaModel model = tiny_model(7);
  CalibrationOptions options{.sample_rows = 3, .kv_tokens = 4};
  testing_tools::TemporaryFile file{std::string_view("not a calibration"), ".calibration"};
  Calibration run() const { return calibrate(model, tiny_sequences(), options, file.path()); }
  std::string content() const {
    std::ifstream in(file.path(), std::ios::binary);
    return {std::istreambuf_iterator<char>(in), {}};
  }
  void replace(const std::string& bytes) const {
    std::ofstream(file.path(), std::ios::binary | std::ios::trunc) << bytes;
  }
};

TEST_F(Cache, GivesBackWhatWasWritten) {
  const Calibration first = run();
  EXPECT_EQ(first.cache, CacheUse::written);  // over the file that was not ours
  const Calibration second = run();
  EXPECT_EQ(second.cache, CacheUse::read);
  EXPECT_EQ(first.head, second.head);
  EXPECT_EQ(first.tokens, second.tokens);
  for (std::size_t i = 0; i < first.layers.size(); ++i) {
    const LayerCalibration &a = first.layers[i], &b = second.layers[i];
    EXPECT_EQ(a.sites, b.sites);
    EXPECT_EQ(a.queries_before, b.queries_before);
    EXPECT_EQ(a.queries, b.queries);
    EXPECT_EQ(a.keys_before, b.keys_before);
    EXPECT_EQ(a.keys, b.keys);
    EXPECT_EQ(a.values, b.values);
    EXPECT_EQ(a.key_sensitivity, b.key_sensitivity);
    EXPECT_EQ(a.attention_received, b.attention_received);
    EXPECT_EQ(a.cosine, b.cosine);
  }
  options.threads = 2;  // not part of what a calibration is
  EXPECT_EQ(run().cache, CacheUse::read);
}

TEST_F(Cache, IsStaleWhenModelTextOrOptionsChange) {
  run();
  model.layers[1].down[5] += 1e-6f;
  EXPECT_EQ(run().cache, CacheUse::written);
  EXPECT_EQ(run().cache, CacheUse::read);
  options.weighting = quant::TokenWeighting::rsq;
  EXPECT_EQ(run().cache, CacheUse::written);
  options.sample_rows = 4;
  EXPECT_EQ(run().cache, CacheUse::written);
  Sequences other = tiny_sequences();
  other[1][2] ^= 1;
  EXPECT_EQ(calibrate(model, other, options, file.path()).cache, CacheUse::written);
}

TEST_F(Cache, IsRecomputedWhenDamaged) {
  const Calibration good = run();
  const std::string bytes = content();
  for (std::size_t cut = 0; cut < bytes.size(); cut += bytes.size() / 7 + 1) {
    replace(bytes.substr(0, cut));
    EXPECT_EQ(run().cache, CacheUse::written) << cut;
  }
  replace(bytes + "x");
  EXPECT_EQ(run().cache, CacheUse::written);
  for (std::size_t at = 3; at < bytes.size(); at += bytes.size() / 13) {
    std::string damaged = bytes;
    damaged[at] = static_cast<char>(damaged[at] ^ 0x10);
    replace(damaged);
    const Calibration found = run();
    EXPECT_EQ(found.cache, CacheUse::written) << at;
    EXPECT_EQ(found.head, good.head);
  }
  EXPECT_EQ(content(), bytes);  // and repaired, byte for byte
}

TEST_F(Cache, ThatCannotBeWrittenLosesNothing) {
  const Calibration found = calibrate(model, tiny_sequences(), options, "/no/such/folder/file");
  EXPECT_EQ(found.cache, CacheUse::not_written);
  EXPECT_EQ(found.tokens, 17u);
  EXPECT_EQ(calibrate(model, tiny_sequences(), options, "").cache, CacheUse::none);
  // A folder in the way is neither read nor replaced.
  const std::string folder = std::filesystem::temp_directory_path().string();
  EXPECT_EQ(calibrate(model, tiny_sequences(), options, folder).cache, CacheUse::not_written);
}

// --- folding in whole models ---------------------------------------------------------------------

quant::RotatableModel spans_of(LlamaModel& model) {
  quant::RotatableModel out;
  out.hidden = model.shape.hidden;
  out.head_dim = model.shape.head_dim;
  out.intermediate = model.shape.intermediate;
  if (model.head.empty()) model.head = model.embedding;
  model.shape.tied_embedding = false;
  out.embedding = model.embedding;
  out.head = model.head;
  out.final_norm = model.final_norm;
  for (LayerWeights& w : model.layers) {
    out.blocks.push_back({w.attn_norm, w.q, w.k, w.v, w.output, w.ffn_norm, w.gate, w.up, w.down});
  }
  return out;
}

std::vector<float> logits_of(const LlamaModel& model) {
  FunctionalExecutor executor(model, {});
  return executor.forward(tiny_sequences().front(), 0, Logits::all);
}

void expect_near(const std::vector<float>& a, const std::vector<float>& b, double tolerance) {
  ASSERT_EQ(a.size(), b.size());
  double most = 0;
  for (std::size_t i = 0; i < a.size(); ++i)
    most = std::max(most, std::fabs(double{a[i]} - double{b[i]}));
  EXPECT_LT(most, tolerance);
}

TEST(Folding, RotationsLeaveTheLogitsOfAModel) {
  for (const bool tied : {false, true}) {
    LlamaModel model = tiny_model(8, {.tied = tied});
    const std::vector<float> before = logits_of(model);
    quant::RotatableModel spans = spans_of(model);
    EXPECT_THROW(quant::rotate_residual(spans, quant::Rotation::hadamard(32, 32)),
                 std::invalid_argument);  // the norms' gains do not commute
    quant::fold_norms(spans);
    expect_near(logits_of(model), before, 2e-4);
    const std::vector<float> q = model.layers[0].q;
    quant::rotate_residual(spans, quant::Rotation::hadamard(32, 32, 5));
    EXPECT_NE(q, model.layers[0].q);
    expect_near(logits_of(model), before, 2e-4);
    quant::rotate_values(spans);
    expect_near(logits_of(model), before, 2e-4);
    quant::rotate_residual(spans, quant::Rotation::random(32, 6));
    expect_near(logits_of(model), before, 5e-4);
    // The online Hadamard: down turned here, its input turned at run time would undo it.
    const std::vector<float> down = model.layers[0].down;
    quant::fold_online_down(spans, 64);
    EXPECT_NE(down, model.layers[0].down);
    std::vector<float> undone = model.layers[0].down;
    quant::fwht(undone, 64);
    expect_near(undone, down, 1e-5);
  }
}

TEST(Folding, SmoothingLeavesTheLogitsOfAModel) {
  LlamaModel model = tiny_model(9);
  const std::vector<float> before = logits_of(model);
  const Calibration c = calibrate(model, tiny_sequences());
  for (std::size_t i = 0; i < model.layers.size(); ++i) {
    LayerWeights& w = model.layers[i];
    const LayerCalibration& layer = c.layers[i];
    const std::size_t hidden = model.shape.hidden;
    const auto factors = [&](const LayerStatistics& s,
                             std::initializer_list<std::span<const float>> weights) {
      return quant::smoothquant_factors(
          s.absmax, quant::column_absmax({weights.begin(), weights.size()}, s.cols), 0.5, 0.5);
    };
    const std::vector<float> qkv = factors(layer.sites[0], {w.q, w.k, w.v});
    quant::divide(w.attn_norm, qkv);
    for (std::vector<float>* weight : {&w.q, &w.k, &w.v}) quant::multiply_columns(*weight, qkv);
    const std::vector<float> ffn = factors(layer.sites[2], {w.gate, w.up});
    quant::divide(w.ffn_norm, ffn);
    for (std::vector<float>* weight : {&w.gate, &w.up}) quant::multiply_columns(*weight, ffn);
    const std::vector<float> down = factors(layer.sites[3], {w.down});
    quant::divide_rows(w.up, down);  // silu(gate) * up is linear in up
    quant::multiply_columns(w.down, down);
    std::vector<float> key_absmax(model.shape.kv_dim(), 0.0f);
    for (std::size_t j = 0; j < layer.keys.size(); ++j) {
      float& most = key_absmax[j % key_absmax.size()];
      most = std::max(most, std::fabs(layer.keys[j]));
    }
    quant::fold_key_factors(w.q, w.k, quant::smooth_key_factors(key_absmax, 0.5),
                            model.shape.head_dim, hidden);
  }
  expect_near(logits_of(model), before, 2e-4);
}

// --- the shipped model ---------------------------------------------------------------------------

struct Shipped : testing::Test {
  LlamaModel model = load_model(kFolder + "systole-kjv-3m.gguf");
  std::vector<std::string> texts = read_texts(kFolder + "eval.txt", "<|endoftext|>");
  static constexpr std::uint64_t kContext = 192;

  /// The first six chapters calibrate, the other five judge.
  Calibration calibration(quant::TokenWeighting weighting = quant::TokenWeighting::uniform) const {
    CalibrationOptions options{.tokens = 1024,
                               .window = 192,
                               .sample_rows = 64,
                               .kv_tokens = 0,
                               .weighting = weighting,
                               .threads = 2};
    return calibrate(model, calibration_sequences(model, std::span(texts).first(6), options),
                     options);
  }
  double held_out(const LlamaModel& m) const {
    FunctionalExecutor executor(m, {}, 2);
    return perplexity(executor, *m.tokenizer, std::span(texts).subspan(6), kContext).perplexity;
  }
  /// All seven linear layers of each block, their input transforms folded back into the values.
  LlamaModel quantised(const TensorPolicy& policy, const Calibration* c) const {
    LlamaModel out = model;
    for (std::size_t i = 0; i < out.layers.size(); ++i) {
      LayerWeights& w = out.layers[i];
      const auto together = [&](std::initializer_list<std::vector<float>*> weights, Site site) {
        const LayerStatistics* s =
            c == nullptr ? nullptr : &c->layers[i].sites[static_cast<std::size_t>(site)];
        std::vector<std::span<const float>> spans;
        for (const std::vector<float>* weight : weights) spans.emplace_back(*weight);
        const std::size_t k =
            site == Site::ffn_down ? model.shape.intermediate : model.shape.hidden;
        const std::vector<float> scale = quant::shared_input_scale(spans, k, policy, s);
        for (std::vector<float>* weight : weights) {
          quant::QuantisedWeight q =
              quant::quantise_weight(*weight, weight->size() / k, k, policy, s, scale);
          if (!q.input_scale.empty()) quant::divide(q.values, q.input_scale);
          *weight = std::move(q.values);
        }
      };
      together({&w.q, &w.k, &w.v}, Site::attn_qkv);
      together({&w.output}, Site::attn_output);
      together({&w.gate, &w.up}, Site::ffn_gate_up);
      together({&w.down}, Site::ffn_down);
    }
    return out;
  }
  static TensorPolicy int3() {
    TensorPolicy policy;
    policy.format = Format::int3;
    policy.granularity = Granularity::group;
    policy.group = 32;
    policy.scale = Format::fp16;
    return policy;
  }
};

TEST_F(Shipped, GptqBeatsRoundingAtThreeBitsOnHeldOutText) {
  const Calibration c = calibration();
  const double exact = held_out(model), rtn = held_out(quantised(int3(), nullptr));
  TensorPolicy policy = int3();
  policy.quantiser.method = quant::Method::gptq;
  const double gptq = held_out(quantised(policy, &c));
  std::printf("fp32 %.4f, RTN W3 g32 %.4f, GPTQ W3 g32 %.4f\n", exact, rtn, gptq);
  RecordProperty("rtn", std::to_string(rtn));
  RecordProperty("gptq", std::to_string(gptq));
  EXPECT_LT(gptq, rtn);
  EXPECT_GT(gptq, exact);
}

TEST_F(Shipped, AwqIsNoWorseThanRoundingAtThreeBitsOnHeldOutText) {
  const Calibration c = calibration();
  TensorPolicy policy = int3();
  policy.affine = Affine::integer_zero;
  const double rtn = held_out(quantised(policy, nullptr));
  policy.transforms.push_back({.op = quant::TransformOp::diag,
                               .where = quant::Where::fold,
                               .factors = quant::FactorRule::awq});
  const double awq = held_out(quantised(policy, &c));
  std::printf("RTN W3 g32 integer_zero %.4f, AWQ %.4f\n", rtn, awq);
  EXPECT_LE(awq, rtn);
}

}  // namespace
}  // namespace systole::workloads
