#include "sim/sweep/pool.hpp"

#include <fcntl.h>
#include <poll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <chrono>
#include <csignal>
#include <cstdio>
#include <cstring>
#include <deque>
#include <optional>
#include <utility>

#include "sim/core/error.hpp"

namespace systole::sweep {
namespace {

// Both ends are the same program on the same machine: numbers as they lie in memory.
//   to the worker:   count, ids
//   from the worker: Reply, then its points, each {id, computed, length} and the encoded record;
//                    or Reply with a fault and its text
enum class ReplyKind : std::uint32_t { points, config_fault, defect };
struct Reply {
  ReplyKind kind = ReplyKind::points;
  std::uint32_t bytes = 0;
};
struct PointHead {
  std::uint64_t id = 0;
  std::uint32_t computed = 0;  ///< 2: by a simulation
  std::uint32_t bytes = 0;
};

/// Times that a batch is given out to workers that die, before one of them is taken to be at fault
/// for it: then its points go out one by one. Random kills do not come near it.
constexpr int kTries = 8;
/// A worker should answer about so often: seldom enough for fsync, often enough for progress.
constexpr double kBatchSeconds = 0.25;

bool send_all(int socket, const void* data, std::size_t bytes) {
  const char* at = static_cast<const char*>(data);
  while (bytes > 0) {
    const ssize_t n = ::send(socket, at, bytes, MSG_NOSIGNAL);
    if (n < 0 && errno == EINTR) continue;
    if (n <= 0) return false;
    at += n;
    bytes -= static_cast<std::size_t>(n);
  }
  return true;
}

bool receive_all(int socket, void* data, std::size_t bytes) {
  char* at = static_cast<char*>(data);
  while (bytes > 0) {
    const ssize_t n = ::recv(socket, at, bytes, 0);
    if (n < 0 && errno == EINTR) continue;
    if (n <= 0) return false;
    at += n;
    bytes -= static_cast<std::size_t>(n);
  }
  return true;
}

template <class T>
void put(std::string& out, const T& value) {
  out.append(reinterpret_cast<const char*>(&value), sizeof value);
}

template <class T>
T take(std::string_view& in) {
  T value;
  SYSTOLE_CHECK(in.size() >= sizeof value, "a worker's answer is shorter than it says");
  std::memcpy(&value, in.data(), sizeof value);
  in.remove_prefix(sizeof value);
  return value;
}

}  // namespace

struct WorkerPool::Impl {
  struct Batch {
    std::vector<PointId> points;
    int tries = 0;
  };
  struct Worker {
    pid_t process = 0;
    int socket = -1;
    std::optional<Batch> batch;
    std::chrono::steady_clock::time_point given;
    std::string received;
  };

  Impl(const PointSpace& point_space, PoolSettings pool_settings, const JournalIndex& all_known,
       const JournalIndex& all_shared)
      : space(point_space),
        settings(std::move(pool_settings)),
        known(all_known),
        shared(all_shared) {}

  ~Impl() {
    // Without a finish() something was thrown: workers end when they find nobody at the other end.
    for (Worker& worker : workers) {
      if (worker.socket >= 0) ::close(worker.socket);
    }
    for (const Worker& worker : workers) {
      if (worker.process > 0) reap(worker.process, nullptr);
    }
  }

  const PointSpace& space;
  PoolSettings settings;
  const JournalIndex& known;
  const JournalIndex& shared;
  std::vector<Worker> workers;
  PoolCounts counts;
  std::uint64_t batch_points = 1;

  static void reap(pid_t process, rusage* usage) {
    while (::wait4(process, nullptr, 0, usage) < 0 && errno == EINTR) {
    }
  }

  void start(Worker& worker) {
    int ends[2];
    SYSTOLE_CHECK(::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) == 0, "no socket");
    std::fflush(nullptr);
    const pid_t process = ::fork();
    if (process < 0) throw ConfigError(std::string("no process: ") + std::strerror(errno));
    if (process == 0) {
      // An end that stays open here would keep its worker from noticing that we are gone.
      for (const Worker& other : workers) {
        if (other.socket >= 0) ::close(other.socket);
      }
      ::close(ends[0]);
      std::signal(SIGINT, SIG_IGN);  // the one who gives out the points decides when to stop
      std::signal(SIGPIPE, SIG_IGN);
      work(ends[1]);
      ::_exit(0);
    }
    ::close(ends[1]);
    worker = {process, ends[0], std::nullopt, {}, {}};
  }

  /// The worker's life.
  void work(int socket) const {
    std::string answer;
    Reply reply;
    try {
      Evaluator evaluator(space, settings.version, settings.timings_folder, settings.quality);
      JournalWriter journal(settings.journal_folder);
      std::uint64_t count = 0;
      while (receive_all(socket, &count, sizeof count)) {
        std::vector<PointId> points(count);
        if (!receive_all(socket, points.data(), count * sizeof(PointId))) return;
        answer.clear();
        for (const PointId id : points) {
          const PointKey key = evaluator.key(id);
          PointHead head{id, 0, 0};
          std::optional<SweepRecord> record = known.find(key);
          if (!record) {
            record = shared.find(key);
            if (!record) {
              record = evaluator.evaluate();
              head.computed = evaluator.simulated() ? 2 : 1;
            }
            journal.append(key, *record);
          }
          const std::string bytes = encode(key, *record);
          head.bytes = static_cast<std::uint32_t>(bytes.size());
          put(answer, head);
          answer += bytes;
        }
        journal.sync();
        reply = {ReplyKind::points, static_cast<std::uint32_t>(answer.size())};
        if (!send_all(socket, &reply, sizeof reply) ||
            !send_all(socket, answer.data(), answer.size())) {
          return;
        }
      }
      return;
    } catch (const ConfigError& error) {
      reply.kind = ReplyKind::config_fault;
      answer = error.what();
    } catch (const std::exception& error) {
      reply.kind = ReplyKind::defect;
      answer = error.what();
    }
    reply.bytes = static_cast<std::uint32_t>(answer.size());
    if (send_all(socket, &reply, sizeof reply)) send_all(socket, answer.data(), answer.size());
  }

  bool give(Worker& worker, Batch batch) {
    const std::uint64_t count = batch.points.size();
    worker.given = std::chrono::steady_clock::now();
    worker.batch = std::move(batch);
    return send_all(worker.socket, &count, sizeof count) &&
           send_all(worker.socket, worker.batch->points.data(), count * sizeof(PointId));
  }

  /// Reads what is there. False when the worker is gone.
  static bool receive(Worker& worker) {
    std::array<char, 1 << 16> buffer{};
    const ssize_t n = ::recv(worker.socket, buffer.data(), buffer.size(), 0);
    if (n < 0 && (errno == EINTR || errno == EAGAIN)) return true;
    if (n <= 0) return false;
    worker.received.append(buffer.data(), static_cast<std::size_t>(n));
    return true;
  }

  /// Takes a whole answer apart, when it is there.
  bool answered(Worker& worker, const PointSink& sink) {
    std::string_view in = worker.received;
    if (in.size() < sizeof(Reply)) return false;
    const auto reply = take<Reply>(in);
    if (in.size() < reply.bytes) return false;
    in = in.substr(0, reply.bytes);
    if (reply.kind == ReplyKind::config_fault) throw ConfigError(std::string(in));
    if (reply.kind == ReplyKind::defect) throw InternalError(std::string(in));
    while (!in.empty()) {
      const auto head = take<PointHead>(in);
      PointKey key;
      SweepRecord record;
      SYSTOLE_CHECK(in.size() >= head.bytes && decode(in.substr(0, head.bytes), key, record),
                    "a worker's answer is damaged");
      in.remove_prefix(head.bytes);
      ++(head.computed != 0 ? counts.computed : counts.known);
      counts.simulated += head.computed == 2 ? 1 : 0;
      sink(head.id, key, record);
    }
    worker.received.clear();
    const std::chrono::duration<double> took = std::chrono::steady_clock::now() - worker.given;
    const auto size = static_cast<std::uint64_t>(worker.batch->points.size());
    if (took.count() < kBatchSeconds / 2 && size >= batch_points) batch_points = 2 * batch_points;
    if (took.count() > kBatchSeconds * 2 && size <= batch_points) batch_points = size / 2;
    batch_points = std::clamp<std::uint64_t>(batch_points, 1, settings.largest_batch);
    worker.batch.reset();
    return true;
  }

  void run(const std::vector<PointId>& points, Progress& progress, const PointSink& sink) {
    std::deque<Batch> returned;
    std::size_t next = 0;
    std::uint64_t done = 0;
    bool stop = false;
    workers.resize(std::max<std::size_t>(workers.size(), settings.jobs));
    const auto lost = [&](Worker& worker) {
      ::close(worker.socket);
      worker.socket = -1;
      reap(std::exchange(worker.process, 0), nullptr);
      ++counts.replaced_workers;
      if (!worker.batch) return;
      Batch batch = std::move(*worker.batch);
      worker.batch.reset();
      if (++batch.tries >= kTries) {
        if (batch.points.size() == 1) {
          throw InternalError("workers ended while at point " + std::to_string(batch.points[0]) +
                              ", " + std::to_string(kTries) +
                              " times; all other finished points are kept");
        }
        for (const PointId id : batch.points) returned.push_back({{id}, 0});
        return;
      }
      returned.push_back(std::move(batch));
    };
    progress.report("points", 0, points.size());
    while (true) {
      stop = stop || progress.cancelled();
      for (Worker& worker : workers) {
        while (!stop && !worker.batch && (next < points.size() || !returned.empty())) {
          if (worker.socket < 0) start(worker);
          Batch batch;
          if (!returned.empty()) {
            batch = std::move(returned.front());
            returned.pop_front();
          } else {
            // Towards the end batches shrink, so that all workers end together.
            const std::uint64_t share = (points.size() - next) / (2 * workers.size()) + 1;
            const std::uint64_t size = std::min(batch_points, share);
            batch.points.assign(points.begin() + static_cast<std::ptrdiff_t>(next),
                                points.begin() + static_cast<std::ptrdiff_t>(next + size));
            next += size;
          }
          if (!give(worker, std::move(batch))) lost(worker);
        }
      }
      std::vector<pollfd> waiting;
      std::vector<Worker*> of;
      for (Worker& worker : workers) {
        if (!worker.batch) continue;
        waiting.push_back({worker.socket, POLLIN, 0});
        of.push_back(&worker);
      }
      if (waiting.empty()) break;
      constexpr int kLookMs = 200;  // for Ctrl-C
      if (::poll(waiting.data(), waiting.size(), kLookMs) <= 0) continue;
      for (std::size_t i = 0; i < waiting.size(); ++i) {
        if (waiting[i].revents == 0) continue;
        const std::uint64_t size = of[i]->batch->points.size();
        if (!receive(*of[i])) {
          lost(*of[i]);
        } else if (answered(*of[i], sink)) {
          done += size;
          progress.report("points", done, points.size());
        }
      }
    }
    if (stop && (next < points.size() || !returned.empty())) throw Interrupted();
  }

  void finish() {
    for (Worker& worker : workers) {
      if (worker.socket < 0) continue;
      ::close(worker.socket);
      worker.socket = -1;
      rusage usage{};
      reap(std::exchange(worker.process, 0), &usage);
      counts.peak_worker_kib =
          std::max(counts.peak_worker_kib, static_cast<std::uint64_t>(usage.ru_maxrss));
    }
    workers.clear();
  }
};

WorkerPool::WorkerPool(const PointSpace& space, PoolSettings settings, const JournalIndex& known,
                       const JournalIndex& shared)
    : impl_(std::make_unique<Impl>(space, std::move(settings), known, shared)) {}
WorkerPool::~WorkerPool() = default;

void WorkerPool::run(const std::vector<PointId>& points, Progress& progress,
                     const PointSink& sink) {
  impl_->run(points, progress, sink);
}

PoolCounts WorkerPool::finish() {
  impl_->finish();
  return impl_->counts;
}

}  // namespace systole::sweep
