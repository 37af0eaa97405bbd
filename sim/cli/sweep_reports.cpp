#include "sim/cli/sweep_reports.hpp"

#include <fmt/format.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <csignal>
#include <cstdio>
#include <cstring>
#include <deque>
#include <filesystem>
#include <map>
#include <optional>
#include <string_view>
#include <utility>

#include "reports/result_file.hpp"
#include "sim/core/error.hpp"
#include "sim/core/point_command.hpp"
#include "sim/sweep/evaluate.hpp"
#include "sim/sweep/journal.hpp"
#include "sim/sweep/space.hpp"

namespace systole::cli {
namespace {

namespace fs = std::filesystem;

/// Processes that may be killed over one point before it is taken to be at fault.
constexpr int kTries = 8;

// What a process of a point ends with.
constexpr int kConfigFault = 2, kDefect = 70;

std::string folder_of(const std::string& sweep) { return sweep + "/reports"; }
std::string path_of(const std::string& sweep, const SweepPoint& point) {
  return folder_of(sweep) + "/" + sweep::key_text(point.key) + ".h5";
}

/// Whether a result is of the point: files come and go under everyone's hands.
bool agrees(const RunResult& result, const SweepPoint& point) {
  const auto figure = [&](std::string_view name) {
    return point.record.figures[find_figure(name)];
  };
  return static_cast<double>(result.cycles) == figure("cycles") &&
         result.energy_pj * 1e-9 == figure("energy_mj") && result.area_mm2 == figure("area_mm2");
}

/// What a folder keeps; damaged files and others' are none.
std::optional<RunResult> kept(const std::vector<std::string>& folders, const SweepPoint& point) {
  for (const std::string& folder : folders) {
    const std::string path = path_of(folder, point);
    if (!fs::exists(path)) continue;
    try {
      RunResult result = reports::read_result(path);
      if (agrees(result, point)) return result;
    } catch (const ConfigError&) {
    }
  }
  return std::nullopt;
}

/// Processes, each of which writes the file of one point.
class Writers {
 public:
  Writers(const sweep::PointSpace& space, std::string version, std::string folder)
      : space_(space), version_(std::move(version)), folder_(std::move(folder)) {}

  void run(std::deque<SweepPoint> points, unsigned jobs, Progress& progress) {
    for (SweepPoint& point : points) waiting_.push_back({std::move(point), 0, -1});
    const std::uint64_t all = waiting_.size();
    std::uint64_t done = 0;
    std::optional<std::string> fault;
    while (!waiting_.empty() || !running_.empty()) {
      progress.report("reports of points", done, all);
      const bool stop = progress.cancelled() || fault;
      while (!stop && !waiting_.empty() && running_.size() < jobs) start();
      if (running_.empty()) break;
      if (const std::optional<std::string> said = wait_for_one(done)) fault = said;
    }
    progress.report("reports of points", done, all);
    if (fault) throw ConfigError(*fault);
    if (!waiting_.empty()) throw Interrupted();
  }

 private:
  struct Task {
    SweepPoint point;
    int tries = 0;
    int said = -1;  ///< where its process says what is wrong
  };

  void start() {
    Task task = std::move(waiting_.front());
    waiting_.pop_front();
    int ends[2];
    SYSTOLE_CHECK(::pipe(ends) == 0, "no pipe");
    std::fflush(nullptr);
    const pid_t process = ::fork();
    if (process < 0) throw ConfigError(std::string("no process: ") + std::strerror(errno));
    if (process == 0) {
      ::close(ends[0]);
      std::signal(SIGINT, SIG_IGN);  // who started this decides when to stop
      ::_exit(write(task.point, ends[1]));
    }
    ::close(ends[1]);
    task.said = ends[0];
    running_.emplace(process, std::move(task));
  }

  /// The life of a process.
  int write(const SweepPoint& point, int said) const {
    const auto say = [&](const std::string& text) {
      return ::write(said, text.data(), text.size()) == static_cast<ssize_t>(text.size());
    };
    try {
      sweep::Evaluator evaluator(space_, version_);
      RunResult result = evaluator.run(point.id);
      SYSTOLE_CHECK(agrees(result, point), "a point's report has other figures than the point");
      result.version = version_;
      reports::write_result(path_of(folder_, point), result);
      return 0;
    } catch (const ConfigError& error) {
      return say(error.what()) ? kConfigFault : kDefect;
    } catch (const std::exception& error) {
      say(error.what());
      return kDefect;
    }
  }

  /// Counts it, or puts it back where its process was killed. What a ConfigError said.
  std::optional<std::string> wait_for_one(std::uint64_t& done) {
    int status = 0;
    const pid_t process = ::waitpid(-1, &status, 0);
    const auto it = running_.find(process);
    if (it == running_.end()) return std::nullopt;  // a signal, or nobody of ours
    Task task = std::move(it->second);
    running_.erase(it);
    const std::string said = everything_from(task.said);
    if (WIFEXITED(status) && WEXITSTATUS(status) == 0) {
      ++done;
    } else if (WIFEXITED(status) && WEXITSTATUS(status) == kConfigFault) {
      return said;
    } else if (WIFEXITED(status) || ++task.tries >= kTries) {
      throw InternalError(fmt::format("the report of point {}: {}", task.point.id,
                                      said.empty() ? "its process was killed" : said));
    } else {
      waiting_.push_back(std::move(task));
    }
    return std::nullopt;
  }

  static std::string everything_from(int file) {
    std::string text;
    std::array<char, 4096> buffer{};
    while (true) {
      const ssize_t n = ::read(file, buffer.data(), buffer.size());
      if (n < 0 && errno == EINTR) continue;
      if (n <= 0) break;
      text.append(buffer.data(), static_cast<std::size_t>(n));
    }
    ::close(file);
    return text;
  }

  const sweep::PointSpace& space_;
  std::string version_, folder_;
  std::deque<Task> waiting_;
  std::map<pid_t, Task> running_;
};

}  // namespace

ReportWish report_wish(std::optional<std::uint64_t> option) {
  if (!option) return {};
  if (*option > kMostReports) {
    throw ConfigError(
        fmt::format("--reports: found {}; expected at most {}", *option, kMostReports));
  }
  return {*option, true};
}

std::vector<SweepReport> reports_of(const SweepResult& result, const configs::SweepConfig& config,
                                    const std::vector<SweepPoint>& points,
                                    const ReportSettings& settings, Progress& progress) {
  std::map<std::uint64_t, RunResult> known;
  std::deque<SweepPoint> missing;
  for (const SweepPoint& point : points) {
    if (auto found = kept(settings.folders, point)) {
      known.emplace(point.id, std::move(*found));
    } else {
      missing.push_back(point);
    }
  }
  if (!missing.empty()) {
    const std::string& folder = settings.folders.front();
    sweep::make_folder(folder_of(folder));
    const sweep::PointSpace space(config);
    Writers(space, result.version, folder).run(missing, settings.jobs, progress);
    for (const SweepPoint& point : missing) {
      known.emplace(point.id, reports::read_result(path_of(folder, point)));
    }
  }
  std::vector<SweepReport> reports;
  for (const SweepPoint& point : points) {
    reports.push_back({point.id, std::move(known.at(point.id))});
    reports.back().result.command = command_of(result, point);
  }
  return reports;
}

}  // namespace systole::cli
