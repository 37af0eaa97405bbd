// The allocator against every allocation there is.
#include "quant/quantisers/allocate.hpp"

#include <gtest/gtest.h>
#include <rapidcheck/gtest.h>

#include <cmath>

#include "layers.hpp"
#include "quant/quantise.hpp"

namespace systole::quant {
namespace {

struct Instance {
  std::vector<AllocationUnit> units;
  std::vector<double> bits;
};

Instance random_instance(std::uint64_t seed, std::size_t units, bool equal_sizes) {
  Random random(seed);
  Instance out;
  out.bits = {2, 3, 4, 8};
  for (std::size_t u = 0; u < units; ++u) {
    AllocationUnit unit;
    unit.elements = equal_sizes ? 1.0 : static_cast<double>(random.uniform(1, 9));
    for (std::size_t c = 0; c < 4; ++c) unit.losses.push_back(random.unit());  // not monotone
    out.units.push_back(unit);
  }
  return out;
}

double brute_force(const Instance& in, double mean_bits) {
  double least = 1e300, elements = 0;
  for (const AllocationUnit& unit : in.units) elements += unit.elements;
  std::size_t count = 1;
  for (std::size_t u = 0; u < in.units.size(); ++u) count *= in.bits.size();
  for (std::size_t code = 0; code < count; ++code) {
    double loss = 0, used = 0;
    std::size_t rest = code;
    for (const AllocationUnit& unit : in.units) {
      const std::size_t c = rest % in.bits.size();
      rest /= in.bits.size();
      loss += unit.losses[c];
      used += unit.elements * in.bits[c];
    }
    if (used <= mean_bits * elements * (1 + 1e-9)) least = std::min(least, loss);
  }
  return least;
}

RC_GTEST_PROP(Allocate, ExactIsTheBestOfAllAllocations, ()) {
  const auto seed = *rc::gen::arbitrary<std::uint64_t>();
  const auto units = static_cast<std::size_t>(*rc::gen::inRange(1, 7));
  const double budget = 2.0 + *rc::gen::inRange(0, 60) / 10.0;
  const Instance in = random_instance(seed, units, *rc::gen::arbitrary<bool>());
  const Allocation found = allocate(in.units, in.bits, budget);
  RC_ASSERT(std::fabs(found.loss - brute_force(in, budget)) < 1e-12);
  RC_ASSERT(found.mean_bits <= budget * (1 + 1e-9));
}

RC_GTEST_PROP(Allocate, GreedyIsWithinOneStepOfTheBest, ()) {
  const auto seed = *rc::gen::arbitrary<std::uint64_t>();
  Instance in = random_instance(seed, 6, true);
  for (AllocationUnit& unit : in.units) {  // convex: a uniform quantiser's losses
    for (std::size_t c = 0; c < 4; ++c)
      unit.losses[c] = unit.losses[0] * std::pow(4.0, -in.bits[c]);
  }
  const double budget = 2.0 + *rc::gen::inRange(0, 60) / 10.0;
  const Allocation greedy = allocate_greedy(in.units, in.bits, budget);
  const Allocation exact = allocate_exact(in.units, in.bits, budget);
  double largest_step = 0;
  for (const AllocationUnit& unit : in.units) {
    largest_step = std::max(largest_step, unit.losses[0] - unit.losses[1]);
  }
  RC_ASSERT(greedy.mean_bits <= budget * (1 + 1e-9));
  RC_ASSERT(greedy.loss >= exact.loss - 1e-15);
  RC_ASSERT(greedy.loss <= exact.loss + largest_step);
}

TEST(Allocate, GivesBitsToTheUnitThatGainsMost) {
  std::vector<AllocationUnit> units(20);
  for (std::size_t u = 0; u < 20; ++u) {
    const double weight = u == 7 ? 100 : 1;
    units[u] = {1.0, {weight, weight / 16}};
  }
  const double bits[] = {2, 4};
  const Allocation found = allocate(units, bits, 2.1);  // room for one
  for (std::size_t u = 0; u < 20; ++u) EXPECT_EQ(found.choice[u], u == 7 ? 1u : 0u);
  EXPECT_DOUBLE_EQ(found.mean_bits, 2.1);
}

TEST(Allocate, RefusesWhatHasNoAnswer) {
  const std::vector<AllocationUnit> units = {{1.0, {1.0, 0.5}}};
  const double bits[] = {2, 4};
  EXPECT_THROW(allocate(units, bits, 1.5), std::invalid_argument);
  EXPECT_THROW(allocate({}, bits, 3), std::invalid_argument);
  const std::vector<AllocationUnit> bad = {{1.0, {1.0, std::nan("")}}};
  EXPECT_THROW(allocate(bad, bits, 3), std::invalid_argument);
}

TEST(Sensitivities, AreWhatTheirDefinitionsSay) {
  const auto layer = testing_tools::make_layer(3, 6, 32, 200);
  const std::vector<Format> formats = {Format::int2, Format::int4, Format::int8};
  QuantSpec spec;
  spec.granularity = Granularity::channel;
  const std::vector<float> gradient(layer.weight.size(), 2.0f);
  const UnitData unit{.weight = layer.weight,
                      .k = 32,
                      .sum_xx = layer.sum_xx,
                      .tokens = 200,
                      .gradient = gradient,
                      .cosine = 0.9};
  double signal = 0;
  for (const float w : layer.weight) signal += double{w} * double{w};
  const auto losses = [&](Sensitivity s) { return unit_losses(s, unit, formats, spec); };
  for (std::size_t c = 0; c < formats.size(); ++c) {
    spec.format = formats[c];
    const std::vector<float> rounded = fake_quantise(layer.weight, 6, 32, spec);
    double noise = 0, magnitude = 0;
    for (std::size_t i = 0; i < rounded.size(); ++i) {
      const double d = double{layer.weight[i]} - double{rounded[i]};
      noise += d * d;
      magnitude += std::fabs(2 * d);
    }
    EXPECT_NEAR(losses(Sensitivity::weight_mse)[c], noise, 1e-9 * noise);
    EXPECT_NEAR(losses(Sensitivity::taylor)[c], magnitude, 1e-9 * magnitude);
    EXPECT_NEAR(losses(Sensitivity::sqnr)[c], -10 * std::log10(signal / noise), 1e-6);
    const double output = testing_tools::output_error(layer, rounded);
    EXPECT_NEAR(losses(Sensitivity::output_mse)[c], output, 1e-6 * output);
    EXPECT_NEAR(losses(Sensitivity::lim)[c],
                0.1 * std::pow(4.0, -static_cast<double>(bits_of(formats[c]))), 1e-12);
  }
  for (const Sensitivity s : {Sensitivity::hessian, Sensitivity::baq, Sensitivity::zd}) {
    EXPECT_GT(losses(s)[0], 0);
    EXPECT_DOUBLE_EQ(losses(s)[0], 16 * losses(s)[1]);  // two bits
  }
  EXPECT_THROW(losses(Sensitivity::listed), std::invalid_argument);
  UnitData bare;
  bare.weight = layer.weight;
  bare.k = 32;
  EXPECT_THROW(unit_losses(Sensitivity::hessian, bare, formats, spec), std::invalid_argument);
  EXPECT_THROW(unit_losses(Sensitivity::taylor, bare, formats, spec), std::invalid_argument);
}

TEST(Sensitivities, RankLayersAsLimAndZdDo) {
  const float values[] = {-3, 0, 0, 0, 0, 0, 0, 3};  // deviation 1.5: two of eight beyond
  EXPECT_DOUBLE_EQ(z_score_share(values), 0.25);
  const double importance[] = {0.1, 0.9, 0.5, 0.9};
  EXPECT_EQ(rank_units(importance, 2, 1, 0), (std::vector<std::size_t>{0, 1, 0, 1}));
}

}  // namespace
}  // namespace systole::quant
