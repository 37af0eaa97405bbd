// What the end-to-end tests of sweeps share: a study of 150 points, and processes that are killed.
#pragma once

#include <gtest/gtest.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <string>
#include <utility>
#include <vector>

#include "tests/cli/process.hpp"

namespace systole::tests {

inline constexpr const char* kStudy =
    "name: study\nsummary: a test\n"
    "base: {machine: mixpe-128x128, recipe: mixpe-w4a8, model: llama-2-7b, prefill: 512,\n"
    "       decode: 1, prompt: cached, timing: analytic}\n"
    "axes:\n"
    "  machine.array.rows: [32, 48, 64, 96, 128]\n"
    "  machine.array.cols: [32, 48, 64, 96, 128]\n"
    "  machine.memory.dram.channels: [4, 16, 32]\n"
    "  recipe: [mixpe-w4a8, w8a8]\n"
    "derived: {macs_of_array: machine.array.rows * machine.array.cols}\n"
    "constraints: [area_mm2 <= 40]\n"
    "objectives: [minimise: tpot_ms, maximise: tokens_per_joule]\n";

/// Starts systole in a process group of its own.
inline pid_t start(const std::vector<std::string>& arguments,
                   const std::vector<std::pair<std::string, std::string>>& environment = {}) {
  const pid_t process = fork();
  if (process == 0) {
    setpgid(0, 0);
    for (const auto& [name, value] : environment) setenv(name.c_str(), value.c_str(), 1);
    if (std::freopen("/dev/null", "w", stdout) == nullptr) _exit(126);
    if (std::freopen("/dev/null", "w", stderr) == nullptr) _exit(126);
    std::vector<char*> words = {const_cast<char*>(SYSTOLE_BINARY)};
    for (const std::string& each : arguments) words.push_back(const_cast<char*>(each.c_str()));
    words.push_back(nullptr);
    execv(SYSTOLE_BINARY, words.data());
    _exit(127);
  }
  setpgid(process, process);
  return process;
}

/// The bytes of what is merged.
inline std::string merged(const TemporaryFolder& folder, const std::string& arguments) {
  const std::string file = folder.path("merged.h5");
  const Outcome outcome = run_systole("sweep merge " + arguments + " --quiet --out " + file);
  EXPECT_EQ(outcome.exit_code, 0) << outcome.errors;
  return read_file(file);
}

/// Of the study, by one process that nothing disturbs.
inline std::string calm_bytes(const TemporaryFolder& folder, const std::string& more = "") {
  const std::string file = folder.write("study.yaml", kStudy), out = folder.path("calm");
  EXPECT_EQ(run_systole("sweep " + file + " --quiet --out " + out + more).exit_code, 0);
  return merged(folder, out);
}

}  // namespace systole::tests
