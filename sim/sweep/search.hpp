// Which points of a space a sweep looks at. A search proposes points in rounds; a round is a
// function of the settings and of the results of the rounds before, so that a sweep that was
// stopped, or is merged, proposes the same points again.
#pragma once

#include <array>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "sim/core/sweep_result.hpp"
#include "sim/sweep/space.hpp"

namespace systole::sweep {

enum class SearchKind : std::uint8_t { grid, random, sobol, nsga2 };
inline constexpr std::array<std::string_view, 4> kSearchNames = {"grid", "random", "sobol",
                                                                 "nsga2"};

struct SearchSettings {
  SearchKind kind = SearchKind::grid;
  std::uint64_t budget = 0;  ///< points; of grid: 0
  std::uint64_t seed = 1;
  std::uint64_t shard = 1, shards = 1;  ///< every shards-th point, from the shard-th
};

/// What a search learns of a point.
struct Outcome {
  Costs costs;           ///< of the objectives, smaller is better; infinite where absent
  double violation = 0;  ///< sum over the constraints; infinite where refused
};

class Search {
 public:
  virtual ~Search() = default;
  /// No point twice, none that the conditions leave out; empty at the end. `outcomes`: of the last
  /// round's points, in its order.
  virtual std::vector<PointId> next_round(const std::vector<Outcome>& outcomes) = 0;
  /// Whether a next round depends on outcomes; otherwise there is one round.
  virtual bool asks() const { return false; }
};

/// grid: all points, by id. random: `budget` different points, each set of them equally likely.
/// sobol: the first `budget` different points of a Sobol sequence, shifted by the seed. nsga2: Deb
/// et al., "A fast and elitist multiobjective genetic algorithm: NSGA-II" (IEEE TEC 2002), over the
/// indices of the axes' values: constrained domination, crowding, binary tournaments; uniform
/// crossover and steps along an axis in place of its operators for real numbers. All rounds of the
/// former three are one. With a fidelity the search is of points with the cheap timing, and in one
/// more round its best, by rank of the front and then by crowding, come with the dear one, beyond
/// the budget: of each scenario as many, and one at least. Where few points are admitted a search may end below its budget.
/// ConfigError when a grid is too large to be listed, or shards are asked for of a search that
/// chooses points by the results of all others.
std::unique_ptr<Search> make_search(const PointSpace& space, const SearchSettings& settings);

}  // namespace systole::sweep
