#include "reports/sweep_file.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <filesystem>
#include <limits>
#include <span>
#include <vector>

#include "reports/hdf5_file.hpp"
#include "sim/core/error.hpp"

namespace systole::reports {
namespace {

constexpr std::string_view kFormat = "systole-sweep";
constexpr std::uint64_t kMaxPoints = 1u << 26, kMaxTextBytes = 1u << 20;

using Texts = std::vector<std::string>;
using Counts = std::vector<std::uint64_t>;
using Numbers = std::vector<double>;

/// One value of every point as a column.
template <class T>
std::vector<T> column_of(const SweepResult& result, const auto& value) {
  std::vector<T> all;
  all.reserve(result.points.size());
  for (const SweepPoint& point : result.points) all.push_back(static_cast<T>(value(point)));
  return all;
}

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

}  // namespace

void write_sweep_result(const std::string& path, const SweepResult& result) {
  Hdf5Writer file(path);
  file.attribute("/", "format", kFormat);
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
  Texts keys, values;
  for (const auto& [key, value] : result.base) {
    keys.push_back(key);
    values.push_back(value);
  }
  file.column("/space/base_name", keys, "");
  file.column("/space/base_value", values, "");
  Texts paths;
  Counts numeric;
  for (const SweepAxis& axis : result.axes) {
    paths.push_back(axis.path);
    numeric.push_back(axis.numeric ? 1 : 0);
  }
  file.column("/space/axis_path", paths, "");
  file.column("/space/axis_numeric", numeric, "");
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

  file.group("/points");
  const auto counts = [&](const std::string& name, const auto& value) {
    file.column("/points/" + name, column_of<std::uint64_t>(result, value), "");
  };
  const auto texts = [&](const std::string& name, const auto& value) {
    file.column("/points/" + name, column_of<std::string>(result, value), "");
  };
  counts("id", [](const SweepPoint& p) { return p.id; });
  counts("key_high", [](const SweepPoint& p) { return p.key[0]; });
  counts("key_low", [](const SweepPoint& p) { return p.key[1]; });
  counts("status", [](const SweepPoint& p) { return static_cast<std::uint64_t>(p.record.status); });
  for (std::size_t a = 0; a < result.axes.size(); ++a) {
    counts(fmt::format("axis_{}", a), [a](const SweepPoint& p) { return p.axis[a]; });
  }
  for (std::size_t d = 0; d < result.derived.size(); ++d) {
    file.column(fmt::format("/points/derived_{}", d),
                column_of<double>(result, [d](const SweepPoint& p) { return p.derived[d]; }), "");
  }
  for (std::size_t c = 0; c < result.constraints.size(); ++c) {
    file.column(fmt::format("/points/violation_{}", c),
                column_of<double>(result, [c](const SweepPoint& p) { return p.violations[c]; }),
                "1");
  }
  texts("limit", [](const SweepPoint& p) { return p.record.limit; });
  texts("message", [](const SweepPoint& p) { return p.record.message; });
  file.group("/figures");
  for (std::size_t f = 0; f < kSweepFigureCount; ++f) {
    file.column("/figures/" + std::string(kSweepFigures[f].name),
                column_of<double>(result, [f](const SweepPoint& p) { return p.record.figures[f]; }),
                kSweepFigures[f].unit);
  }
  file.commit();
}

SweepResult read_sweep_result(const std::string& path) {
  const Hdf5Reader file(path, {kMaxPoints, kMaxTextBytes, std::uint64_t{1} << 32});
  if (file.text_attribute("/", "format") != kFormat) {
    file.fail("it is not a merged sweep (attribute 'format')");
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
  file.column("/space/base_name", names);
  values = column_for<std::string>(file, "/space/base_value", names.size());
  for (std::size_t i = 0; i < names.size(); ++i) result.base.emplace_back(names[i], values[i]);
  file.column("/space/axis_path", names);
  const auto numeric = column_for<std::uint64_t>(file, "/space/axis_numeric", names.size());
  for (std::size_t a = 0; a < names.size(); ++a) {
    SweepAxis& axis = result.axes.emplace_back();
    axis.path = names[a];
    axis.numeric = numeric[a] != 0;
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

  Counts ids;
  file.column("/points/id", ids);
  result.points.resize(ids.size());
  const auto each = [&](const std::string& name, auto kind, const auto& store) {
    const auto column = column_for<decltype(kind)>(file, name, ids.size());
    for (std::size_t i = 0; i < column.size(); ++i) store(result.points[i], column[i]);
  };
  using Count = std::uint64_t;
  each("/points/id", Count{}, [](SweepPoint& p, Count v) { p.id = v; });
  each("/points/key_high", Count{}, [](SweepPoint& p, Count v) { p.key[0] = v; });
  each("/points/key_low", Count{}, [](SweepPoint& p, Count v) { p.key[1] = v; });
  each("/points/status", Count{}, [&](SweepPoint& p, Count v) {
    if (v > static_cast<Count>(PointStatus::failed)) file.fail("/points/status is out of range");
    p.record.status = static_cast<PointStatus>(v);
  });
  for (std::size_t a = 0; a < result.axes.size(); ++a) {
    each(fmt::format("/points/axis_{}", a), Count{}, [&](SweepPoint& p, Count v) {
      if (v >= result.axes[a].values.size()) {
        file.fail(fmt::format("/points/axis_{} is out of range", a));
      }
      p.axis.push_back(static_cast<std::uint32_t>(v));
    });
  }
  for (std::size_t d = 0; d < result.derived.size(); ++d) {
    each(fmt::format("/points/derived_{}", d), double{},
         [](SweepPoint& p, double v) { p.derived.push_back(v); });
  }
  for (std::size_t c = 0; c < result.constraints.size(); ++c) {
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
  return result;
}

bool is_sweep_result(const std::string& path) {
  try {
    const Hdf5Reader file(path);
    return file.text_attribute("/", "format") == kFormat;
  } catch (const ConfigError&) {
    return false;
  }
}

}  // namespace systole::reports
