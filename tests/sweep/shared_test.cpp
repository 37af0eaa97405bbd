// What points share changes none of them: each is compared, bit for bit, with the same point by
// itself in a process of its own.
#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cstdlib>
#include <filesystem>
#include <fstream>

#include "configs/library.hpp"
#include "configs/sweep.hpp"
#include "sim/core/random.hpp"
#include "sim/sweep/evaluate.hpp"

namespace systole::sweep {
namespace {

namespace fs = std::filesystem;

/// Stands for the perplexity of studies with a quality: any figure that differs by recipe.
double length_of_name(const configs::Recipe& recipe) {
  return static_cast<double>(recipe.name.size());
}

std::string evaluated(Evaluator& evaluator, PointId id) {
  const PointKey key = evaluator.key(id);
  return encode(key, evaluator.evaluate());
}

std::string alone(const PointSpace& space, PointId id) {
  int ends[2];
  EXPECT_EQ(pipe(ends), 0);
  const pid_t child = fork();
  if (child == 0) {
    Evaluator evaluator(space, "test", "", length_of_name);
    const std::string bytes = evaluated(evaluator, id);
    _exit(write(ends[1], bytes.data(), bytes.size()) == static_cast<ssize_t>(bytes.size()) ? 0 : 1);
  }
  close(ends[1]);
  std::string bytes;
  std::array<char, 4096> buffer{};
  for (ssize_t n; (n = read(ends[0], buffer.data(), buffer.size())) > 0;) {
    bytes.append(buffer.data(), static_cast<std::size_t>(n));
  }
  close(ends[0]);
  int status = 0;
  waitpid(child, &status, 0);
  EXPECT_EQ(status, 0) << "the process of point " << id;
  return bytes;
}

void compare(const configs::SweepConfig& config, int points, std::uint64_t seed,
             const std::string& timings_folder = "") {
  SCOPED_TRACE(config.name + ", seed " + std::to_string(seed));
  const PointSpace space(config);
  Evaluator shared(space, "test", timings_folder, length_of_name);
  Random random(seed);
  int refused = 0;
  for (int i = 0; i < points; ++i) {
    const PointId id = random.next() % space.size();
    if (!space.admits(id)) continue;
    const std::string together = evaluated(shared, id);
    EXPECT_EQ(together, alone(space, id)) << "point " << id;
    PointKey key;
    SweepRecord record;
    ASSERT_TRUE(decode(together, key, record));
    refused += record.status == PointStatus::done ? 0 : 1;
  }
  EXPECT_GE(3 * (points - refused), points)
      << "a study of which most points are refused compares nothing";
}

TEST(SharedWork, PointsOfEveryShippedStudyAreWhatTheyAreAlone) {
  for (const configs::Entry& study : configs::list_sweeps()) {
    configs::SweepConfig config = configs::load_sweep(study.name);
    if (config.base.timing != configs::SweepTiming::analytic) continue;
    compare(config, 40, 7);
  }
}

/// Points that share all kinds of things: the whole, all but prices, some regions.
constexpr const char* kTileStudy =
    "name: shared\nsummary: a test\n"
    "base: {machine: mixpe-128x128, recipe: mixpe-w4a8, model: qwen3-0.6b, prefill: 96,\n"
    "       decode: 2, prompt: cached, timing: tile}\n"
    "axes:\n"
    "  machine.array.cols: [64, 128]\n"
    "  machine.memory.weight.capacity_bytes: [524288, 1048576]\n"
    "  machine.memory.dram.channels: [8, 16]\n"
    "  machine.memory.dram.read_pj_per_bit: [3, 7]\n"
    "  machine.energy: [nangate45, nangate45-lstp]\n"
    "  recipe: [mixpe-w4a8, w8a8]\n"
    "  prefill: [96, 160]\n"
    "objectives: [minimise: tpot_ms]\n";

TEST(SharedWork, TilePointsAreWhatTheyAreAlone) {
  compare(configs::read_sweep(kTileStudy, "shared.yaml"), 10, 3);
}

TEST(SharedWork, TimingsOfAnEarlierSweepAndTornOnesChangeNothing) {
  std::string pattern = (fs::temp_directory_path() / "systole-timings-XXXXXX").string();
  const std::string folder = mkdtemp(pattern.data());
  const configs::SweepConfig config = configs::read_sweep(kTileStudy, "shared.yaml");
  compare(config, 5, 5, folder);
  std::uint64_t number = 0;
  for (const auto& entry : fs::recursive_directory_iterator(folder)) {
    if (!entry.is_regular_file()) continue;
    EXPECT_TRUE(entry.path().extension().empty()) << entry.path() << " was left behind";
    // Kept, cut short and one bit other, in turn.
    if (++number % 3 == 1) fs::resize_file(entry.path(), fs::file_size(entry.path()) / 2);
    if (number % 3 != 2) continue;
    std::fstream file(entry.path(), std::ios::binary | std::ios::in | std::ios::out);
    file.seekg(60);
    const int byte = file.get();
    file.seekp(60);
    file.put(static_cast<char>(byte ^ 1));
  }
  EXPECT_GT(number, 10u);
  compare(config, 5, 5, folder);
  fs::remove_all(folder);
}

}  // namespace
}  // namespace systole::sweep
