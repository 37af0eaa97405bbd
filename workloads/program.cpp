#include "workloads/program.hpp"

namespace systole::workloads {

std::uint64_t Operation::macs() const {
  switch (kind) {
    case OpKind::gemm:
      return m * n * k * batch;
    case OpKind::attention:
      return 2 * m * share * n * k * batch;
    case OpKind::vector:
      return 0;
  }
  return 0;
}

}  // namespace systole::workloads
