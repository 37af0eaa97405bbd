// A vector of floats that does not write zeros into what is about to be overwritten.
#pragma once

#include <memory>
#include <new>
#include <utility>
#include <vector>

namespace systole::workloads {

template <class T>
struct Unwritten : std::allocator<T> {
  template <class U>
  struct rebind {
    using other = Unwritten<U>;
  };
  template <class U, class... Arguments>
  void construct(U* place, Arguments&&... arguments) {
    if constexpr (sizeof...(Arguments) == 0) {
      ::new (static_cast<void*>(place)) U;
    } else {
      ::new (static_cast<void*>(place)) U(std::forward<Arguments>(arguments)...);
    }
  }
};
using Buffer = std::vector<float, Unwritten<float>>;

}  // namespace systole::workloads
