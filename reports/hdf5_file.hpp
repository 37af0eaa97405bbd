// HDF5 for results: the C API (1.10) behind two small classes, one that writes a whole file or none
// and one that reads a file it does not trust. Only scalars, columns and tables of three element
// types exist (unsigned 64-bit, IEEE double, UTF-8 text of a fixed width), and arrays of small
// numbers, so that everything can be checked.
//
// HDF5 keeps global state and the packaged library is not thread-safe: use from one thread at a
// time (reports/result_file.hpp holds a lock).
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace systole::reports {

/// Owns one identifier of the HDF5 library (hid_t, which is std::int64_t since 1.10) and closes it.
class Hdf5Handle {
 public:
  using Closer = int (*)(std::int64_t);
  Hdf5Handle() = default;
  Hdf5Handle(std::int64_t id, Closer closer) : id_(id), closer_(closer) {}
  Hdf5Handle(Hdf5Handle&& other) noexcept { swap(other); }
  Hdf5Handle& operator=(Hdf5Handle&& other) noexcept {
    swap(other);
    return *this;
  }
  ~Hdf5Handle() { close(); }

  std::int64_t id() const { return id_; }
  bool valid() const { return id_ >= 0; }
  /// Closes now; false when the library reports an error (for a file: not everything was written).
  bool close();

 private:
  void swap(Hdf5Handle& other) noexcept {
    std::swap(id_, other.id_);
    std::swap(closer_, other.closer_);
  }
  std::int64_t id_ = -1;
  Closer closer_ = nullptr;
};

/// Elements of arrays beyond the three above: operands and results of kernels.
enum class Hdf5Number : std::uint8_t { int8, uint8, int16, uint16, int32, uint32, float32 };

/// What a reader accepts before it allocates anything.
struct Hdf5Limits {
  std::uint64_t rows = 1u << 20;           ///< of one column
  std::uint64_t text_bytes = 1u << 20;     ///< width of one text
  std::uint64_t dataset_bytes = 1u << 28;  ///< of one dataset; it must also lie inside the file
};

/// Keeps the library from printing its error stack to stderr while it lives.
class Hdf5Quiet {
 public:
  Hdf5Quiet();
  ~Hdf5Quiet();
  Hdf5Quiet(const Hdf5Quiet&) = delete;
  Hdf5Quiet& operator=(const Hdf5Quiet&) = delete;

 private:
  int (*function_)(std::int64_t, void*) = nullptr;
  void* data_ = nullptr;
};

/// Writes a file under a temporary name beside `path`; commit() makes it appear under its own name,
/// whole. Without commit() nothing is left behind. Object times are off and objects are created in
/// the caller's order, so the same calls give the same bytes. Errors: ConfigError naming the file.
class Hdf5Writer {
 public:
  /// Throws ConfigError when the directory is missing or not writable, or `path` is not a regular
  /// file.
  explicit Hdf5Writer(std::string path);
  ~Hdf5Writer();
  Hdf5Writer(const Hdf5Writer&) = delete;
  Hdf5Writer& operator=(const Hdf5Writer&) = delete;

  /// Makes a group; names from here on are below it, "" for the file itself.
  void enter(const std::string& group);
  void group(const std::string& name);

  // Scalar datasets. `unit` becomes the attribute "unit" ("" writes none).
  void scalar(const std::string& name, std::uint64_t value, std::string_view unit);
  void scalar(const std::string& name, double value, std::string_view unit);
  void scalar(const std::string& name, const std::string& value, std::string_view unit);

  // Columns [rows]. Texts are padded with NUL to the longest, so trailing NULs are not kept.
  void column(const std::string& name, std::span<const std::uint64_t> values,
              std::string_view unit);
  void column(const std::string& name, std::span<const double> values, std::string_view unit);
  void column(const std::string& name, std::span<const std::string> values, std::string_view unit);

  // A column that is written in pieces: its rows first, of texts the longest too, then what is in
  // them.
  enum class Column : std::uint8_t { count, number, text };
  void column(const std::string& name, Column kind, std::uint64_t rows, std::uint64_t longest,
              std::string_view unit);
  void fill(const std::string& name, std::uint64_t first, std::span<const std::uint64_t> values);
  void fill(const std::string& name, std::uint64_t first, std::span<const double> values);
  void fill(const std::string& name, std::uint64_t first, std::span<const std::string> values);

  /// Table [rows, names.size()], row-major; the attribute "columns" holds `names`.
  void table(const std::string& name, std::span<const std::uint64_t> values,
             std::span<const std::string_view> names, std::string_view unit);

  /// An array of any rank, little-endian, row-major; `bytes` holds its elements so.
  void array(const std::string& name, Hdf5Number type, std::span<const std::uint64_t> extents,
             std::span<const std::uint8_t> bytes);

  // Attributes of a group or dataset.
  void attribute(const std::string& object, const char* name, std::string_view value);
  void attribute(const std::string& object, const char* name, std::uint64_t value);

  /// Closes, fsyncs and renames. Nothing may be written afterwards.
  void commit();

 private:
  void write(const std::string& name, std::int64_t type, std::span<const std::uint64_t> extents,
             const void* data, std::string_view unit);
  Hdf5Handle create(const std::string& name, std::int64_t type,
                    std::span<const std::uint64_t> extents);
  void fill(const std::string& name, std::uint64_t first, std::uint64_t rows, std::int64_t type,
            const void* data);
  void attribute_texts(const std::string& object, const char* name,
                       std::span<const std::string_view> values, bool scalar);
  [[noreturn]] void fail(const std::string& what) const;

  Hdf5Quiet quiet_;
  std::string path_, temporary_, inside_;
  Hdf5Handle file_;
};

/// Reads a file that may be truncated, damaged or hostile. Every dataset is checked for link kind
/// (no soft or external links), element type, rank, extents, layout (contiguous, no filters, no
/// external storage) and its place inside the file before memory is allocated for it. Errors:
/// ConfigError naming the file, the object, what was found and what was expected.
class Hdf5Reader {
 public:
  explicit Hdf5Reader(std::string path, Hdf5Limits limits = {});

  const std::string& path() const { return path_; }
  /// Names from here on are below a group, "" for the file itself.
  void enter(std::string group) { inside_ = std::move(group); }
  bool has(const std::string& name) const;

  void scalar(const std::string& name, std::uint64_t& value) const;
  void scalar(const std::string& name, double& value) const;
  void scalar(const std::string& name, std::string& value) const;
  void column(const std::string& name, std::vector<std::uint64_t>& values) const;
  void column(const std::string& name, std::vector<double>& values) const;
  void column(const std::string& name, std::vector<std::string>& values) const;
  /// Some rows of a column, in the memory of those; how many it has.
  void rows(const std::string& name, std::uint64_t first, std::uint64_t count,
            std::vector<std::uint64_t>& values) const;
  void rows(const std::string& name, std::uint64_t first, std::uint64_t count,
            std::vector<double>& values) const;
  void rows(const std::string& name, std::uint64_t first, std::uint64_t count,
            std::vector<std::string>& values) const;
  std::uint64_t row_count(const std::string& name) const;

  /// Table [rows, names.size()]; the file's column names must be `names`, in that order.
  void table(const std::string& name, std::vector<std::uint64_t>& values,
             std::span<const std::string_view> names) const;
  /// The bytes of an array of exactly that type and those extents, little-endian, row-major.
  std::vector<std::uint8_t> array(const std::string& name, Hdf5Number type,
                                  std::span<const std::uint64_t> extents) const;
  std::string text_attribute(const std::string& object, const char* name) const;
  std::uint64_t count_attribute(const std::string& object, const char* name) const;

  [[noreturn]] void fail(const std::string& what) const;

 private:
  struct Dataset;
  /// The dataset, stored in one piece in this file; its extents are not looked at.
  Dataset open_whole(const std::string& name) const;
  /// Opens and checks everything but the element type. `columns` 0: rank 1.
  Dataset open(const std::string& name, bool scalar, std::uint64_t columns) const;
  void read(const Dataset& dataset, std::int64_t type, std::uint64_t element_bytes,
            void* data) const;
  std::uint64_t checked_elements(const Dataset& dataset, std::int64_t type,
                                 const char* expected) const;
  /// How many, of a dataset of 64-bit numbers that lies whole in the file.
  std::uint64_t stored_counts(const Dataset& dataset) const;
  std::uint64_t stored_reals(const Dataset& dataset) const;
  std::uint64_t stored_numbers(const Dataset& dataset, std::int64_t type,
                               const char* expected) const;
  void texts(const std::string& name, bool scalar, std::vector<std::string>& values) const;
  /// Width of a text dataset that lies whole in the file and is within the limits.
  std::uint64_t text_width(const Dataset& dataset) const;
  void read_rows(const Dataset& dataset, std::int64_t type, std::uint64_t first,
                 std::uint64_t count, void* data) const;
  std::vector<std::string> attribute_texts(const std::string& object, const char* name,
                                           bool scalar) const;
  Hdf5Handle open_object(const std::string& name) const;

  Hdf5Quiet quiet_;
  std::string path_, inside_;
  Hdf5Limits limits_;
  std::uint64_t file_bytes_ = 0;
  Hdf5Handle file_;
};

}  // namespace systole::reports
