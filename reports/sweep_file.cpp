#include "reports/sweep_file.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <filesystem>
#include <functional>
#include <limits>
#include <span>
#include <tuple>
#include <utility>
#include <vector>

#include "reports/hdf5_file.hpp"
#include "reports/result_file.hpp"
#include "sim/core/error.hpp"

namespace systole::reports {
namespace {

constexpr std::uint64_t kMaxPoints = 1u << 26, kMaxTextBytes = 1u << 20;

using Texts = std::vector<std::string>;
using Counts = std::vector<std::uint64_t>;

/// Points whose rows are in memory at once.
constexpr std::uint64_t kBlock = 4096;

/// The columns of points, filled block by block.
class PointColumns {
 public:
  PointColumns(Hdf5Writer& file, std::uint64_t rows) : file_(file), rows_(rows) {}

  template <class T>
  void add(const std::string& name, std::string_view unit, std::uint64_t longest,
           std::function<T(const SweepPoint&)> value) {
    using Column = Hdf5Writer::Column;
    constexpr Column kKind = std::is_same_v<T, double>        ? Column::number
                             : std::is_same_v<T, std::string> ? Column::text
                                                              : Column::count;
    file_.column(name, kKind, rows_, longest, unit);
    std::get<std::vector<Values<T>>>(columns_).push_back({name, std::move(value), {}});
  }

  void take(const SweepPoint& point) {
    each([&](auto& column) { column.held.push_back(column.value(point)); });
    if (++held_ == kBlock) flush();
  }
  void flush() {
    each([&](auto& column) {
      file_.fill(column.name, written_, column.held);
      column.held.clear();
    });
    written_ += std::exchange(held_, 0);
  }

 private:
  template <class T>
  struct Values {
    std::string name;
    std::function<T(const SweepPoint&)> value;
    std::vector<T> held;
  };
  void each(const auto& action) {
    for (auto& column : std::get<0>(columns_)) action(column);
    for (auto& column : std::get<1>(columns_)) action(column);
    for (auto& column : std::get<2>(columns_)) action(column);
  }

  Hdf5Writer& file_;
  std::uint64_t rows_, written_ = 0, held_ = 0;
  std::tuple<std::vector<Values<std::uint64_t>>, std::vector<Values<double>>,
             std::vector<Values<std::string>>>
      columns_;
};

/// Reads a column that must have a row for every point.
template <class T>
std::vector<T> column_for(const Hdf5Reader& file, const std::string& name, std::size_t rows) {
  std::vector<T> values;
  file.column(name, values);
  if (values.size() != rows) {
    file.fail(fmt::format("{} has {} rows; expected {}", name, values.size(), rows));
  }
  return values;
}

constexpr Hdf5Limits kLimits = {kMaxPoints, kMaxTextBytes, std::uint64_t{1} << 36};

/// Points of a merged file, read block by block. Every column is checked when it is opened: that
/// all are there and as long as each other is known before the first point.
class StoredPoints : public SweepPoints {
 public:
  StoredPoints(const std::string& path, const SweepResult& header)
      : file_(path, kLimits), rows_(file_.row_count("/points/id")) {
    for (const SweepAxis& axis : header.axes) values_.push_back(axis.values.size());
    derived_ = header.derived.size();
    constraints_ = header.constraints.size();
    block(0, 0);
  }
  std::uint64_t size() const override { return rows_; }
  void each(const Visitor& visit) const override {
    for (std::uint64_t first = 0; first < rows_; first += kBlock) {
      for (const SweepPoint& point : block(first, std::min(kBlock, rows_ - first))) visit(point);
    }
  }

 private:
  std::vector<SweepPoint> block(std::uint64_t first, std::uint64_t count) const {
    std::vector<SweepPoint> points(count);
    const auto each = [&](const std::string& name, auto kind, const auto& store) {
      const std::uint64_t rows = file_.row_count(name);
      if (rows != rows_) file_.fail(fmt::format("{} has {} rows; expected {}", name, rows, rows_));
      std::vector<decltype(kind)> column;
      file_.rows(name, first, count, column);
      for (std::size_t i = 0; i < column.size(); ++i) store(points[i], column[i]);
    };
    using Count = std::uint64_t;
    each("/points/id", Count{}, [](SweepPoint& p, Count v) { p.id = v; });
    each("/points/key_high", Count{}, [](SweepPoint& p, Count v) { p.key[0] = v; });
    each("/points/key_low", Count{}, [](SweepPoint& p, Count v) { p.key[1] = v; });
    each("/points/status", Count{}, [&](SweepPoint& p, Count v) {
      if (v > static_cast<Count>(PointStatus::failed)) {
        file_.fail("/points/status is out of range");
      }
      p.record.status = static_cast<PointStatus>(v);
    });
    for (std::size_t a = 0; a < values_.size(); ++a) {
      each(fmt::format("/points/axis_{}", a), Count{}, [&](SweepPoint& p, Count v) {
        if (v >= values_[a]) file_.fail(fmt::format("/points/axis_{} is out of range", a));
        p.axis.push_back(static_cast<std::uint32_t>(v));
      });
    }
    for (std::size_t d = 0; d < derived_; ++d) {
      each(fmt::format("/points/derived_{}", d), double{},
           [](SweepPoint& p, double v) { p.derived.push_back(v); });
    }
    for (std::size_t c = 0; c < constraints_; ++c) {
      each(fmt::format("/points/violation_{}", c), double{},
           [](SweepPoint& p, double v) { p.violations.push_back(v); });
    }
    each("/points/limit", std::string{},
         [](SweepPoint& p, const std::string& v) { p.record.limit = v; });
    each("/points/message", std::string{},
         [](SweepPoint& p, const std::string& v) { p.record.message = v; });
    for (std::size_t f = 0; f < kSweepFigureCount; ++f) {
      each("/figures/" + std::string(kSweepFigures[f].name), double{},
           [f](SweepPoint& p, double v) { p.record.figures[f] = v; });
    }
    return points;
  }

  Hdf5Reader file_;
  std::uint64_t rows_;
  std::vector<std::size_t> values_;
  std::size_t derived_ = 0, constraints_ = 0;
};

}  // namespace

namespace {

std::string report_group(std::size_t number) { return fmt::format("/reports/{}", number); }

/// Within the limits of a run's own file.
std::vector<SweepReport> read_reports(const std::string& path) {
  Hdf5Reader file(path);
  Counts ids;
  file.column("/reports/id", ids);
  if (ids.size() > kMostReports) {
    file.fail(
        fmt::format("/reports/id has {} rows; expected at most {}", ids.size(), kMostReports));
  }
  std::vector<SweepReport> reports;
  for (const std::uint64_t id : ids) {
    if (!reports.empty() && id <= reports.back().id) file.fail("/reports/id is not in order");
    file.enter(report_group(reports.size()));
    reports.push_back({id, take_result(file)});
    file.enter("");
  }
  return reports;
}

}  // namespace

void write_sweep_result(const std::string& path, const SweepResult& result) {
  Hdf5Writer file(path);
  file.attribute("/", "format", kSweepFormat);
  file.attribute("/", "schema_version", kSweepSchemaVersion);
  file.group("/identity");
  for (const auto& [name, text] : {std::pair("version", &result.version),
                                   {"name", &result.name},
                                   {"summary", &result.summary},
                                   {"source", &result.source},
                                   {"timing", &result.timing},
                                   {"search", &result.search}}) {
    file.scalar(fmt::format("/identity/{}", name), *text, "");
  }
  file.scalar("/identity/grid_points", result.grid_points, "");
  file.scalar("/identity/planned", result.planned, "");

  file.group("/space");
  const auto put_pairs = [&](const char* first_name, const char* second_name,
                             const KeyValues& pairs) {
    Texts firsts, seconds;
    for (const auto& [first, second] : pairs) {
      firsts.push_back(first);
      seconds.push_back(second);
    }
    file.column(first_name, firsts, "");
    file.column(second_name, seconds, "");
  };
  put_pairs("/space/base_name", "/space/base_value", result.base);
  put_pairs("/space/file_name", "/space/file_path", result.files);
  Texts paths;
  Counts numeric, scenario;
  for (const SweepAxis& axis : result.axes) {
    paths.push_back(axis.path);
    numeric.push_back(axis.numeric ? 1 : 0);
    scenario.push_back(axis.scenario ? 1 : 0);
  }
  file.column("/space/axis_path", paths, "");
  file.column("/space/axis_numeric", numeric, "");
  file.column("/space/axis_scenario", scenario, "");
  for (std::size_t a = 0; a < result.axes.size(); ++a) {
    file.column(fmt::format("/space/axis_values_{}", a), result.axes[a].values, "");
  }
  file.column("/space/derived", result.derived, "");
  file.column("/space/conditions", result.conditions, "");
  file.column("/space/constraints", result.constraints, "");
  Texts figures;
  Counts maximise;
  for (const SweepObjective& objective : result.objectives) {
    figures.push_back(objective.figure);
    maximise.push_back(objective.maximise ? 1 : 0);
  }
  file.column("/space/objective_figure", figures, "");
  file.column("/space/objective_maximise", maximise, "");

  // Texts are as wide as their longest: a pass of its own, nothing of it is kept.
  std::uint64_t longest_limit = 0, longest_message = 0;
  result.points->each([&](const SweepPoint& point) {
    longest_limit = std::max<std::uint64_t>(longest_limit, point.record.limit.size());
    longest_message = std::max<std::uint64_t>(longest_message, point.record.message.size());
  });
  PointColumns columns(file, result.points->size());
  file.group("/points");
  using Count = std::uint64_t;
  const auto counts = [&](const std::string& name, std::function<Count(const SweepPoint&)> value) {
    columns.add<Count>("/points/" + name, "", 0, std::move(value));
  };
  const auto numbers = [&](const std::string& name, std::string_view unit,
                           std::function<double(const SweepPoint&)> value) {
    columns.add<double>(name, unit, 0, std::move(value));
  };
  counts("id", [](const SweepPoint& p) { return p.id; });
  counts("key_high", [](const SweepPoint& p) { return p.key[0]; });
  counts("key_low", [](const SweepPoint& p) { return p.key[1]; });
  counts("status", [](const SweepPoint& p) { return static_cast<Count>(p.record.status); });
  for (std::size_t a = 0; a < result.axes.size(); ++a) {
    counts(fmt::format("axis_{}", a), [a](const SweepPoint& p) { return p.axis[a]; });
  }
  for (std::size_t d = 0; d < result.derived.size(); ++d) {
    numbers(fmt::format("/points/derived_{}", d), "",
            [d](const SweepPoint& p) { return p.derived[d]; });
  }
  for (std::size_t c = 0; c < result.constraints.size(); ++c) {
    numbers(fmt::format("/points/violation_{}", c), "1",
            [c](const SweepPoint& p) { return p.violations[c]; });
  }
  columns.add<std::string>("/points/limit", "", longest_limit,
                           [](const SweepPoint& p) { return p.record.limit; });
  columns.add<std::string>("/points/message", "", longest_message,
                           [](const SweepPoint& p) { return p.record.message; });
  file.group("/figures");
  for (std::size_t f = 0; f < kSweepFigureCount; ++f) {
    numbers("/figures/" + std::string(kSweepFigures[f].name), kSweepFigures[f].unit,
            [f](const SweepPoint& p) { return p.record.figures[f]; });
  }
  result.points->each([&](const SweepPoint& point) { columns.take(point); });
  columns.flush();

  file.group("/reports");
  Counts ids;
  for (const SweepReport& report : result.reports) ids.push_back(report.id);
  file.column("/reports/id", ids, "");
  for (std::size_t i = 0; i < result.reports.size(); ++i) {
    file.enter(report_group(i));
    put_result(file, result.reports[i].result);
    file.enter("");
  }
  file.commit();
}

SweepResult read_sweep_result(const std::string& path) {
  const Hdf5Reader file(path, kLimits);
  const std::string format = file.text_attribute("/", "format");
  if (format != kSweepFormat) {
    file.fail(format == kResultFormat
                  ? "it is the result of one run, not a merged sweep: systole report shows it"
                  : "it is not a merged sweep (attribute 'format')");
  }
  const std::uint64_t version = file.count_attribute("/", "schema_version");
  if (version != kSweepSchemaVersion) {
    file.fail(fmt::format("its schema version is {}, this systole reads version {}", version,
                          kSweepSchemaVersion));
  }
  SweepResult result;
  for (const auto& [name, text] : {std::pair("version", &result.version),
                                   {"name", &result.name},
                                   {"summary", &result.summary},
                                   {"source", &result.source},
                                   {"timing", &result.timing},
                                   {"search", &result.search}}) {
    file.scalar(fmt::format("/identity/{}", name), *text);
  }
  file.scalar("/identity/grid_points", result.grid_points);
  file.scalar("/identity/planned", result.planned);

  Texts names, values;
  const auto take_pairs = [&](const char* first_name, const char* second_name, KeyValues& pairs) {
    file.column(first_name, names);
    values = column_for<std::string>(file, second_name, names.size());
    for (std::size_t i = 0; i < names.size(); ++i) pairs.emplace_back(names[i], values[i]);
  };
  take_pairs("/space/base_name", "/space/base_value", result.base);
  take_pairs("/space/file_name", "/space/file_path", result.files);
  file.column("/space/axis_path", names);
  const auto numeric = column_for<std::uint64_t>(file, "/space/axis_numeric", names.size());
  const auto scenario = column_for<std::uint64_t>(file, "/space/axis_scenario", names.size());
  for (std::size_t a = 0; a < names.size(); ++a) {
    SweepAxis& axis = result.axes.emplace_back();
    axis.path = names[a];
    axis.numeric = numeric[a] != 0;
    axis.scenario = scenario[a] != 0;
    file.column(fmt::format("/space/axis_values_{}", a), axis.values);
  }
  file.column("/space/derived", result.derived);
  file.column("/space/conditions", result.conditions);
  file.column("/space/constraints", result.constraints);
  file.column("/space/objective_figure", names);
  const auto maximise = column_for<std::uint64_t>(file, "/space/objective_maximise", names.size());
  for (std::size_t o = 0; o < names.size(); ++o) {
    if (find_figure(names[o]) == kSweepFigureCount) {
      file.fail("its objective '" + names[o] + "' is no figure of this version");
    }
    result.objectives.push_back({names[o], maximise[o] != 0});
  }

  result.points = std::make_shared<StoredPoints>(path, result);
  result.reports = read_reports(path);
  return result;
}

bool is_sweep_result(const std::string& path) {
  try {
    const Hdf5Reader file(path);
    return file.text_attribute("/", "format") == kSweepFormat;
  } catch (const ConfigError&) {
    return false;
  }
}

}  // namespace systole::reports
