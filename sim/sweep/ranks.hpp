// Processes that work on one sweep together. mpirun and srun only start them and say which is
// which; the work is shared out by locks on a file in the sweep's folder, which every one of them
// must see. The system takes a lock from a process that ends, however it ends: what it had is taken
// by another.
#pragma once

#include <cstdint>
#include <functional>
#include <string>

#include "sim/core/progress.hpp"

namespace systole::sweep {

struct Rank {
  std::uint64_t rank = 0, size = 1;
  std::string
      launch;  ///< the same for all ranks of one launch, another for the next; may be unknown
};

/// As OpenMPI's or MPICH's mpirun, or srun, has put it into the environment; one of one without.
/// Throws ConfigError where it makes no sense.
Rank rank_of_environment();

/// Pieces of work shared out among processes. A file of a mark a piece: the lock on a mark's byte
/// is held by the one who works on the piece, the mark says that the piece is done.
class Claims {
 public:
  /// Comes in, and waits while the first to come prepares the file. `identity`: of the launch and
  /// the work; ConfigError when processes of another identity are at work, or where the file system
  /// has no locks.
  Claims(std::string path, const std::string& identity);
  ~Claims();
  Claims(const Claims&) = delete;
  Claims& operator=(const Claims&) = delete;

  /// Nobody else is at work and the marks there are, if any, are of another identity. All others
  /// wait until this process calls begin() or is gone.
  bool first() const { return first_; }
  void begin();

  /// Calls `work` for every piece of [from, from + count) that this process gets, and returns when
  /// all of them have been done by someone. Throws Interrupted when the user asked to stop.
  void share(std::uint64_t from, std::uint64_t count,
             const std::function<void(std::uint64_t)>& work, Progress& progress);

 private:
  bool lock(short kind, std::uint64_t at, bool wait);
  std::string marks(std::uint64_t from, std::uint64_t count) const;
  std::string identity_in_file() const;
  [[noreturn]] void fail(const std::string& what) const;

  std::string path_, identity_;
  int file_ = -1;
  bool first_ = false;
};

}  // namespace systole::sweep
