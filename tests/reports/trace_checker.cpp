#include "tests/reports/trace_checker.hpp"

#include <algorithm>
#include <cmath>
#include <map>
#include <set>
#include <utility>

namespace systole::reports {

std::vector<std::string> trace_faults(const nlohmann::json& trace) {
  using Json = nlohmann::json;
  std::vector<std::string> faults;
  if (!trace.is_object() || !trace.contains("traceEvents") || !trace["traceEvents"].is_array()) {
    return {"no traceEvents"};
  }
  // Picoseconds: the times are decimal microseconds, which doubles do not hold exactly.
  const auto ps = [](const Json& us) { return std::llround(us.get<double>() * 1e6); };
  std::map<int, std::vector<std::pair<long long, long long>>> slices;
  std::set<int> named;
  for (const Json& event : trace["traceEvents"]) {
    const auto fault = [&](const std::string& what) {
      faults.push_back(what + ": " + event.dump());
    };
    bool whole = true;
    for (const char* key : {"ph", "name"})
      whole = whole && event.contains(key) && event[key].is_string();
    for (const char* key : {"pid", "tid"}) {
      whole = whole && event.contains(key) && event[key].is_number_integer();
    }
    whole = whole && event.contains("ts") && event["ts"].is_number() && event.contains("args") &&
            event["args"].is_object();
    if (!whole) {
      fault("lacks a member");
      continue;
    }
    if (event["ts"].get<double>() < 0) fault("before the start");
    const std::string phase = event["ph"];
    if (phase == "X") {
      if (!event.contains("dur") || !event["dur"].is_number() || event["dur"].get<double>() < 0) {
        fault("no duration");
        continue;
      }
      slices[event["tid"]].emplace_back(ps(event["ts"]), ps(event["ts"]) + ps(event["dur"]));
    } else if (phase == "C") {
      for (const auto& [key, value] : event["args"].items()) {
        if (!value.is_number() || value.get<double>() < 0) fault("counter is no number");
      }
    } else if (phase == "M") {
      if (event["name"] == "thread_name") named.insert(event["tid"].get<int>());
    } else {
      fault("unknown phase");
    }
  }
  for (auto& [thread, of_thread] : slices) {
    if (!named.contains(thread)) faults.push_back("track without a name " + std::to_string(thread));
    std::ranges::sort(of_thread);
    for (std::size_t i = 1; i < of_thread.size(); ++i) {
      if (of_thread[i].first < of_thread[i - 1].second) {
        faults.push_back("overlap on track " + std::to_string(thread) + " at " +
                         std::to_string(of_thread[i].first));
        break;
      }
    }
  }
  return faults;
}

}  // namespace systole::reports
