// Units as types: a number whose unit is only in a comment drifts from it. Construction is
// explicit, arithmetic stays within one unit, and like divided by like is a plain number.
#pragma once

#include <bit>
#include <compare>
#include <cstdint>

namespace systole {

/// A number of `Tag`s. Aggregates of it are zero-initialised; nothing converts implicitly.
template <class Tag, class Rep>
class Quantity {
 public:
  using rep = Rep;
  constexpr Quantity() = default;
  constexpr explicit Quantity(Rep value) : value_(value) {}

  constexpr Rep count() const { return value_; }

  friend constexpr auto operator<=>(Quantity, Quantity) = default;
  constexpr Quantity& operator+=(Quantity other) { return value_ += other.value_, *this; }
  constexpr Quantity& operator-=(Quantity other) { return value_ -= other.value_, *this; }
  friend constexpr Quantity operator+(Quantity a, Quantity b) { return a += b; }
  friend constexpr Quantity operator-(Quantity a, Quantity b) { return a -= b; }
  friend constexpr Quantity operator*(Quantity a, Rep n) { return Quantity(a.value_ * n); }
  friend constexpr Quantity operator*(Rep n, Quantity a) { return Quantity(n * a.value_); }
  friend constexpr double operator/(Quantity a, Quantity b) {
    return static_cast<double>(a.value_) / static_cast<double>(b.value_);
  }

 private:
  Rep value_{};
};

/// Clock cycles of the accelerator's own clock unless a name says otherwise (DRAM counts its own).
using Cycles = Quantity<struct CycleUnit, std::uint64_t>;
using Bytes = Quantity<struct ByteUnit, std::uint64_t>;
using Bits = Quantity<struct BitUnit, std::uint64_t>;
using MacOps = Quantity<struct MacUnit, std::uint64_t>;
using Picojoules = Quantity<struct PicojouleUnit, double>;
using SquareMillimetres = Quantity<struct SquareMillimetreUnit, double>;
using Milliwatts = Quantity<struct MilliwattUnit, double>;
using Nanoseconds = Quantity<struct NanosecondUnit, double>;

/// The bytes that hold `bits`, rounded up.
constexpr Bytes bytes_for(Bits bits) { return Bytes((bits.count() + 7) / 8); }

/// Integer division rounded up; `divisor` > 0.
constexpr std::uint64_t ceil_div(std::uint64_t value, std::uint64_t divisor) {
  return value / divisor + (value % divisor != 0 ? 1 : 0);
}

/// Levels of a tree over `n` leaves: the least l with 2^l >= n; n > 0.
constexpr std::uint64_t log2_up(std::uint64_t n) {
  return static_cast<std::uint64_t>(std::bit_width(n - 1));
}

/// A clock: the only way from cycles to time and back.
class ClockDomain {
 public:
  constexpr explicit ClockDomain(double megahertz) : megahertz_(megahertz) {}
  constexpr double megahertz() const { return megahertz_; }
  constexpr Nanoseconds period() const { return Nanoseconds(1e3 / megahertz_); }
  constexpr Nanoseconds time(Cycles cycles) const {
    return Nanoseconds(static_cast<double>(cycles.count()) * 1e3 / megahertz_);
  }

 private:
  double megahertz_;
};

/// Energy of `power` drawn for `time`: 1 mW x 1 ns = 1 pJ.
constexpr Picojoules energy(Milliwatts power, Nanoseconds time) {
  return Picojoules(power.count() * time.count());
}

}  // namespace systole
