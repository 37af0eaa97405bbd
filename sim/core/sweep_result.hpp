// SweepResult: the finished points of a sweep, before any rendering. They may be more than memory
// holds: a sweep is read point by point, and SweepSummary is what one pass over it leaves.
#pragma once

#include <array>
#include <cstdint>
#include <functional>
#include <limits>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "sim/core/run_result.hpp"

namespace systole {

/// A summary figure of one point: what constraints and objectives may name.
struct SweepFigure {
  std::string_view name, unit, meaning;
};
inline constexpr std::array<SweepFigure, 25> kSweepFigures = {{
    {"cycles", "cycles", "of the whole run"},
    {"time_ms", "ms", "of the whole run"},
    {"ttft_ms", "ms", "time to first token: the prefill"},
    {"tpot_ms", "ms", "time per output token, mean over the decode steps"},
    {"tokens_per_second", "1/s", "decode rate, one sequence"},
    {"energy_mj", "mJ", "of the whole run, DRAM and leakage included"},
    {"energy_per_token_mj", "mJ", "energy over all tokens that were computed"},
    {"tokens_per_joule", "1/J", "tokens that were computed over all energy"},
    {"power_w", "W", "mean: energy over time"},
    {"edp_mj_ms", "mJ ms", "energy times time of the whole run"},
    {"area_mm2", "mm2", "of all parts on the chip"},
    {"tops_per_watt", "TOPS/W", "2 x MACs over energy"},
    {"tops_per_mm2", "TOPS/mm2", "2 x MACs over time and area"},
    {"utilisation", "1", "MACs over cycles x peak MACs"},
    {"bandwidth_share", "1", "DRAM bytes over cycles x peak DRAM bytes"},
    {"compute_share", "1", "share of the cycles that compute"},
    {"dram_share", "1", "share of the cycles that wait for DRAM"},
    {"macs", "1", "multiply-accumulates"},
    {"dram_gb", "GB", "moved to and from DRAM"},
    {"kv_gb", "GB", "held in the KV cache at the end"},
    {"peak_macs_per_cycle", "1", "in the formats of the linear layers"},
    {"peak_dram_gb_per_s", "GB/s", "of all channels"},
    {"scratchpad_kib", "KiB", "of the three scratchpads"},
    {"dram_capacity_gib", "GiB", "of all channels"},
    {"perplexity", "1",
     "of the sweep's quality model under the point's recipe, not of the timed model"},
}};
inline constexpr std::size_t kSweepFigureCount = kSweepFigures.size();

/// Figures of one point, NaN where absent, in the order of kSweepFigures.
using SweepFigures = std::array<double, kSweepFigureCount>;

/// How a point ended.
enum class PointStatus : std::uint8_t {
  done,
  refused,  ///< the configuration cannot be: `message` says why
  failed,   ///< a defect of Systole: `message` says which
};

/// What is known of one point; nothing in it depends on when or where it was computed.
struct SweepRecord {
  PointStatus status = PointStatus::done;
  SweepFigures figures{};
  std::string limit;    ///< what most of the time goes to, e.g. "bandwidth, 92 % (ffn_down)"
  std::string message;  ///< of a refused point

  /// Bit for bit, so that absent figures are equal.
  bool same_as(const SweepRecord& other) const;
};

struct SweepAxis {
  std::string path;
  std::string unit;
  std::vector<std::string> values;
  bool numeric = false;   ///< all values are numbers
  bool scenario = false;  ///< not a choice: points are compared where they have the same value
};

struct SweepObjective {
  std::string figure;
  bool maximise = false;
};

struct SweepPoint {
  std::uint64_t id = 0;  ///< its place in the grid, the last axis counting fastest
  std::array<std::uint64_t, 2> key{};
  std::vector<std::uint32_t> axis;  ///< index into each axis's values
  std::vector<double> derived;      ///< NaN for a text
  SweepRecord record;
  std::vector<double> violations;  ///< of each constraint, relative; 0 where it holds

  bool done() const { return record.status == PointStatus::done; }
  bool feasible() const;
};

/// Points by id, as often as asked; nothing is kept between two of them.
class SweepPoints {
 public:
  using Visitor = std::function<void(const SweepPoint&)>;
  virtual ~SweepPoints() = default;
  virtual std::uint64_t size() const = 0;
  virtual void each(const Visitor& visit) const = 0;
};

/// Points that are in memory.
class ListedPoints : public SweepPoints {
 public:
  explicit ListedPoints(std::vector<SweepPoint> points) : points_(std::move(points)) {}
  std::uint64_t size() const override { return points_.size(); }
  void each(const Visitor& visit) const override {
    for (const SweepPoint& point : points_) visit(point);
  }

 private:
  std::vector<SweepPoint> points_;
};

/// All that a run of one point finds out.
struct SweepReport {
  std::uint64_t id = 0;
  RunResult result;
};
inline constexpr std::uint64_t kMostReports = 256;

struct SweepResult {
  std::string version;
  std::string name, summary, source;
  std::string timing;
  std::string search;             ///< "grid", "random, seed 1", ...
  std::uint64_t grid_points = 0;  ///< in the whole grid, conditions not looked at
  std::uint64_t planned = 0;      ///< that the search asks for, as far as it is known
  std::vector<std::pair<std::string, std::string>> base;  ///< "machine" -> "mixpe-128x128"
  /// Names of machines and the like that are files of the sweep's own -> where they lie.
  std::vector<std::pair<std::string, std::string>> files;
  std::vector<SweepAxis> axes;
  std::vector<std::string> derived;     ///< names
  std::vector<std::string> conditions;  ///< as written
  std::vector<std::string> constraints;
  std::vector<SweepObjective> objectives;
  std::shared_ptr<const SweepPoints> points;
  std::vector<SweepReport> reports;  ///< of some points, by id

  const SweepReport* report_of(std::uint64_t id) const;  ///< null where there is none

  /// The figure of a point by its objective, smaller is better; NaN where absent.
  double cost(const SweepPoint& point, const SweepObjective& objective) const;
  /// The point's values of the axes that are no choice.
  std::vector<std::uint32_t> scenario_of(const SweepPoint& point) const;
  std::vector<double> costs(const SweepPoint& point) const;
};

/// Index into kSweepFigures, or kSweepFigureCount.
std::size_t find_figure(std::string_view name);

/// How much one axis alone moves a figure.
struct MainEffect {
  std::size_t axis = 0;
  std::vector<double> means;  ///< of the figure by value of the axis; NaN without a point
  double explained = 0;  ///< share of the figure's variance between the values (eta squared), 0..1
  double ratio = 1;      ///< largest mean over smallest
};

/// What tables and pages say of a sweep as a whole.
struct SweepSummary {
  std::uint64_t points = 0, feasible = 0, refused = 0, failed = 0;
  std::optional<SweepPoint> first_refused, first_failed;

  /// The feasible points that no other feasible point of the same scenario beats in all objectives,
  /// by id; those without a figure for one of them are left out. Of equal points all are in it.
  std::vector<SweepPoint> front;

  /// Of one scenario, that is of one value of each axis that is no choice. Without such axes there
  /// is one.
  struct Scenario {
    std::vector<std::uint32_t> values;  ///< of those axes, in their order
    /// By objective: the feasible point with the least cost, the first of equals; then the one
    /// where the first constraint need not hold, the second, ...
    std::vector<std::vector<std::optional<SweepPoint>>> best;
  };
  std::vector<Scenario> scenarios;  ///< by their values

  /// By objective, of each axis; over all points that are done, feasible or not.
  std::vector<std::vector<MainEffect>> effects;

  bool on_front(std::uint64_t id) const;
};
/// One pass; memory grows with the front and the axes, not with the points.
SweepSummary summarise(const SweepResult& result);

/// The points that are worth a report of their own, at most `most`, by id: the best of each
/// objective and scenario, the front (where it is longer than that, evenly along its first
/// objective), then what would be best without a constraint; with `others` as many more of all that
/// are done as there is room for, evenly.
std::vector<SweepPoint> points_to_report(const SweepResult& result, const SweepSummary& summary,
                                         std::uint64_t most, bool others = false);

// Sets of costs, smaller is better.
using Costs = std::vector<double>;
/// At least as good in all, better in one.
bool dominates(const Costs& a, const Costs& b);
/// Fronts peeled one after the other: the rank of each, from 0.
std::vector<std::size_t> front_ranks(const std::vector<Costs>& all);
/// The volume between the set and `reference`, which every counted member dominates.
double hypervolume(std::vector<Costs> set, const Costs& reference);

}  // namespace systole
