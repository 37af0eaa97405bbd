#include "reports/hdf5_file.hpp"

#include <fcntl.h>
#include <hdf5.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <type_traits>
#include <utility>

#include "sim/core/error.hpp"

namespace systole::reports {

static_assert(std::is_same_v<hid_t, std::int64_t> || sizeof(hid_t) == sizeof(std::int64_t));
static_assert(std::is_same_v<herr_t, int>);

namespace {

template <herr_t (*Close)(hid_t)>
Hdf5Handle owned(hid_t id) {
  return Hdf5Handle(id, [](std::int64_t handle) -> int { return Close(handle); });
}

Hdf5Handle text_type(std::uint64_t width) {
  Hdf5Handle type = owned<H5Tclose>(H5Tcopy(H5T_C_S1));
  H5Tset_size(type.id(), static_cast<std::size_t>(width));
  H5Tset_strpad(type.id(), H5T_STR_NULLPAD);
  H5Tset_cset(type.id(), H5T_CSET_UTF8);
  return type;
}

/// Texts side by side, each padded with NUL to the longest. Width at least 1: HDF5 has no empty
/// type.
template <class Text>
std::string padded(std::span<const Text> values, std::uint64_t& width) {
  width = 1;
  for (const Text& value : values) width = std::max<std::uint64_t>(width, value.size());
  std::string bytes(width * values.size(), '\0');
  for (std::size_t i = 0; i < values.size(); ++i) {
    std::copy(values[i].begin(), values[i].end(),
              bytes.begin() + static_cast<std::ptrdiff_t>(i * width));
  }
  return bytes;
}

std::vector<std::string> unpadded(const std::string& bytes, std::uint64_t width) {
  std::vector<std::string> values(bytes.size() / width);
  for (std::size_t i = 0; i < values.size(); ++i) {
    std::string_view text(bytes.data() + i * width, width);
    const std::size_t last = text.find_last_not_of('\0');
    values[i] = text.substr(0, last == std::string_view::npos ? 0 : last + 1);
  }
  return values;
}

/// Flushes a file or directory to the device; false with errno set when that fails.
/// Where `name` lies while names are below the group `inside`.
std::string below(const std::string& inside, const std::string& name) {
  if (inside.empty()) return name;
  return name == "/" ? inside : inside + name;
}

bool sync_path(const std::string& path) {
  const int descriptor = ::open(path.c_str(), O_RDONLY | O_CLOEXEC);
  if (descriptor < 0) return false;
  const bool good = ::fsync(descriptor) == 0;
  const int error = errno;
  ::close(descriptor);
  errno = error;
  return good;
}

std::string directory_of(const std::string& path) {
  const std::string directory = std::filesystem::path(path).parent_path().string();
  return directory.empty() ? "." : directory;
}

std::string times(std::span<const hsize_t> extents) {
  if (extents.empty()) return "a scalar";
  std::string text = "extents";
  for (const hsize_t extent : extents) text += " " + std::to_string(extent);
  return text;
}

}  // namespace

bool Hdf5Handle::close() {
  if (id_ < 0) return true;
  const std::int64_t id = std::exchange(id_, -1);
  return closer_(id) >= 0;
}

Hdf5Quiet::Hdf5Quiet() {
  // After it refused a damaged file the library can fail to tidy itself up at exit and prints
  // "infinite loop closing library" (1.10.8). Every file is closed by its owner, so it has nothing
  // to do there. Must be the first call of the library.
  [[maybe_unused]] static const int once = H5dont_atexit();
  H5Eget_auto2(H5E_DEFAULT, reinterpret_cast<H5E_auto2_t*>(&function_), &data_);
  H5Eset_auto2(H5E_DEFAULT, nullptr, nullptr);
}

Hdf5Quiet::~Hdf5Quiet() {
  H5Eset_auto2(H5E_DEFAULT, reinterpret_cast<H5E_auto2_t>(function_), data_);
}

// --- writing
// --------------------------------------------------------------------------------------

Hdf5Writer::Hdf5Writer(std::string path) : path_(std::move(path)) {
  namespace fs = std::filesystem;
  std::error_code ignored;
  if (path_.empty()) fail("the name is empty");
  const std::string directory = directory_of(path_);
  if (!fs::is_directory(directory, ignored)) fail("'" + directory + "' is not a directory");
  if (fs::exists(path_, ignored) && !fs::is_regular_file(path_, ignored)) {
    fail(fs::is_directory(path_, ignored) ? "it is a directory" : "it is not a regular file");
  }
  temporary_ = path_ + ".tmp" + std::to_string(::getpid());
  // The system says why a name cannot be written; the library does not.
  const int descriptor = ::open(temporary_.c_str(), O_CREAT | O_TRUNC | O_WRONLY | O_CLOEXEC, 0666);
  if (descriptor < 0) {
    const std::string reason = std::strerror(errno);
    temporary_.clear();
    fail(reason);
  }
  ::close(descriptor);
  const Hdf5Handle creation = owned<H5Pclose>(H5Pcreate(H5P_FILE_CREATE));
  H5Pset_obj_track_times(creation.id(), false);
  const Hdf5Handle access = owned<H5Pclose>(H5Pcreate(H5P_FILE_ACCESS));
  // 1.8 or later: every piece of metadata carries a checksum, and any reader since 2008 opens it.
  H5Pset_libver_bounds(access.id(), H5F_LIBVER_V18, H5F_LIBVER_V18);
  file_ = owned<H5Fclose>(H5Fcreate(temporary_.c_str(), H5F_ACC_TRUNC, creation.id(), access.id()));
  if (!file_.valid()) {
    ::unlink(temporary_.c_str());
    fail("the HDF5 library cannot create it");
  }
}

Hdf5Writer::~Hdf5Writer() {
  file_.close();
  if (!temporary_.empty()) ::unlink(temporary_.c_str());
}

void Hdf5Writer::fail(const std::string& what) const {
  throw ConfigError("cannot write '" + path_ + "': " + what);
}

void Hdf5Writer::enter(const std::string& group) {
  inside_.clear();
  if (!group.empty()) this->group(group);
  inside_ = group;
}

void Hdf5Writer::group(const std::string& name) {
  const std::string place = below(inside_, name);
  const Hdf5Handle creation = owned<H5Pclose>(H5Pcreate(H5P_GROUP_CREATE));
  H5Pset_obj_track_times(creation.id(), false);
  const Hdf5Handle group = owned<H5Gclose>(
      H5Gcreate2(file_.id(), place.c_str(), H5P_DEFAULT, creation.id(), H5P_DEFAULT));
  if (!group.valid()) fail("cannot create the group '" + place + "'");
}

Hdf5Handle Hdf5Writer::create(const std::string& name, std::int64_t type,
                              std::span<const std::uint64_t> extents) {
  const std::string place = below(inside_, name);
  const std::vector<hsize_t> dims(extents.begin(), extents.end());
  const Hdf5Handle space = owned<H5Sclose>(
      dims.empty() ? H5Screate(H5S_SCALAR)
                   : H5Screate_simple(static_cast<int>(dims.size()), dims.data(), nullptr));
  const Hdf5Handle creation = owned<H5Pclose>(H5Pcreate(H5P_DATASET_CREATE));
  H5Pset_obj_track_times(creation.id(), false);
  H5Pset_layout(creation.id(), H5D_CONTIGUOUS);
  Hdf5Handle dataset = owned<H5Dclose>(H5Dcreate2(file_.id(), place.c_str(), type, space.id(),
                                                  H5P_DEFAULT, creation.id(), H5P_DEFAULT));
  if (!dataset.valid()) fail("cannot create the dataset '" + place + "'");
  return dataset;
}

void Hdf5Writer::write(const std::string& name, std::int64_t type,
                       std::span<const std::uint64_t> extents, const void* data,
                       std::string_view unit) {
  Hdf5Handle dataset = create(name, type, extents);
  const bool empty = std::find(extents.begin(), extents.end(), 0) != extents.end();
  if (!empty && H5Dwrite(dataset.id(), type, H5S_ALL, H5S_ALL, H5P_DEFAULT, data) < 0) {
    fail("cannot write the dataset '" + name + "'; is the disk full?");
  }
  dataset.close();
  if (!unit.empty()) attribute(name, "unit", unit);
}

void Hdf5Writer::column(const std::string& name, Column kind, std::uint64_t rows,
                        std::uint64_t longest, std::string_view unit) {
  const Hdf5Handle text = text_type(std::max<std::uint64_t>(longest, 1));
  const std::int64_t type = kind == Column::count    ? H5T_STD_U64LE
                            : kind == Column::number ? H5T_IEEE_F64LE
                                                     : text.id();
  create(name, type, std::array{rows}).close();
  if (!unit.empty()) attribute(name, "unit", unit);
}

void Hdf5Writer::fill(const std::string& name, std::uint64_t first, std::uint64_t rows,
                      std::int64_t type, const void* data) {
  if (rows == 0) return;
  const Hdf5Handle dataset =
      owned<H5Dclose>(H5Dopen2(file_.id(), below(inside_, name).c_str(), H5P_DEFAULT));
  const Hdf5Handle space = owned<H5Sclose>(H5Dget_space(dataset.id()));
  const hsize_t start = first, count = rows;
  const Hdf5Handle memory = owned<H5Sclose>(H5Screate_simple(1, &count, nullptr));
  if (H5Sselect_hyperslab(space.id(), H5S_SELECT_SET, &start, nullptr, &count, nullptr) < 0 ||
      H5Dwrite(dataset.id(), type, memory.id(), space.id(), H5P_DEFAULT, data) < 0) {
    fail("cannot write the dataset '" + name + "'; is the disk full?");
  }
}

void Hdf5Writer::fill(const std::string& name, std::uint64_t first,
                      std::span<const std::uint64_t> values) {
  fill(name, first, values.size(), H5T_NATIVE_UINT64, values.data());
}
void Hdf5Writer::fill(const std::string& name, std::uint64_t first,
                      std::span<const double> values) {
  fill(name, first, values.size(), H5T_NATIVE_DOUBLE, values.data());
}
void Hdf5Writer::fill(const std::string& name, std::uint64_t first,
                      std::span<const std::string> values) {
  std::uint64_t width = 0;
  const std::string bytes = padded(values, width);
  fill(name, first, values.size(), text_type(width).id(), bytes.data());
}

void Hdf5Writer::scalar(const std::string& name, std::uint64_t value, std::string_view unit) {
  write(name, H5T_STD_U64LE, {}, &value, unit);
}
void Hdf5Writer::scalar(const std::string& name, double value, std::string_view unit) {
  write(name, H5T_IEEE_F64LE, {}, &value, unit);
}
void Hdf5Writer::scalar(const std::string& name, const std::string& value, std::string_view unit) {
  std::uint64_t width = 0;
  const std::string bytes = padded(std::span(&value, 1), width);
  write(name, text_type(width).id(), {}, bytes.data(), unit);
}

void Hdf5Writer::column(const std::string& name, std::span<const std::uint64_t> values,
                        std::string_view unit) {
  write(name, H5T_STD_U64LE, std::array{std::uint64_t{values.size()}}, values.data(), unit);
}
void Hdf5Writer::column(const std::string& name, std::span<const double> values,
                        std::string_view unit) {
  write(name, H5T_IEEE_F64LE, std::array{std::uint64_t{values.size()}}, values.data(), unit);
}
void Hdf5Writer::column(const std::string& name, std::span<const std::string> values,
                        std::string_view unit) {
  std::uint64_t width = 0;
  const std::string bytes = padded(values, width);
  write(name, text_type(width).id(), std::array{std::uint64_t{values.size()}}, bytes.data(), unit);
}

void Hdf5Writer::table(const std::string& name, std::span<const std::uint64_t> values,
                       std::span<const std::string_view> names, std::string_view unit) {
  SYSTOLE_CHECK(!names.empty() && values.size() % names.size() == 0, "ragged table " + name);
  write(name, H5T_STD_U64LE,
        std::array{std::uint64_t{values.size() / names.size()}, std::uint64_t{names.size()}},
        values.data(), unit);
  attribute_texts(name, "columns", names, false);
}

namespace {

struct NumberType {
  std::int64_t id;
  std::uint64_t bytes;
  const char* name;
};
NumberType number_type(Hdf5Number type) {
  switch (type) {
    case Hdf5Number::int8:
      return {H5T_STD_I8LE, 1, "8-bit integers"};
    case Hdf5Number::uint8:
      return {H5T_STD_U8LE, 1, "unsigned 8-bit integers"};
    case Hdf5Number::int16:
      return {H5T_STD_I16LE, 2, "16-bit integers"};
    case Hdf5Number::uint16:
      return {H5T_STD_U16LE, 2, "unsigned 16-bit integers"};
    case Hdf5Number::int32:
      return {H5T_STD_I32LE, 4, "32-bit integers"};
    case Hdf5Number::uint32:
      return {H5T_STD_U32LE, 4, "unsigned 32-bit integers"};
    case Hdf5Number::float32:
      break;
  }
  return {H5T_IEEE_F32LE, 4, "32-bit floating point"};
}

}  // namespace

void Hdf5Writer::array(const std::string& name, Hdf5Number type,
                       std::span<const std::uint64_t> extents,
                       std::span<const std::uint8_t> bytes) {
  std::uint64_t size = number_type(type).bytes;
  for (const std::uint64_t extent : extents) size *= extent;
  SYSTOLE_CHECK(size == bytes.size(), "array " + name + ": extents and bytes disagree");
  write(name, number_type(type).id, extents, bytes.data(), {});
}

void Hdf5Writer::attribute_texts(const std::string& object, const char* name,
                                 std::span<const std::string_view> values, bool scalar) {
  std::uint64_t width = 0;
  const std::string bytes = padded(values, width);
  const Hdf5Handle type = text_type(width);
  const hsize_t extent = values.size();
  const Hdf5Handle space =
      owned<H5Sclose>(scalar ? H5Screate(H5S_SCALAR) : H5Screate_simple(1, &extent, nullptr));
  const Hdf5Handle attribute =
      owned<H5Aclose>(H5Acreate_by_name(file_.id(), below(inside_, object).c_str(), name, type.id(),
                                        space.id(), H5P_DEFAULT, H5P_DEFAULT, H5P_DEFAULT));
  if (!attribute.valid() || H5Awrite(attribute.id(), type.id(), bytes.data()) < 0) {
    fail("cannot write the attribute '" + std::string(name) + "' of '" + object + "'");
  }
}

void Hdf5Writer::attribute(const std::string& object, const char* name, std::string_view value) {
  attribute_texts(object, name, std::span(&value, 1), true);
}

void Hdf5Writer::attribute(const std::string& object, const char* name, std::uint64_t value) {
  const Hdf5Handle space = owned<H5Sclose>(H5Screate(H5S_SCALAR));
  const Hdf5Handle attribute = owned<H5Aclose>(
      H5Acreate_by_name(file_.id(), below(inside_, object).c_str(), name, H5T_STD_U64LE, space.id(),
                        H5P_DEFAULT, H5P_DEFAULT, H5P_DEFAULT));
  if (!attribute.valid() || H5Awrite(attribute.id(), H5T_NATIVE_UINT64, &value) < 0) {
    fail("cannot write the attribute '" + std::string(name) + "' of '" + object + "'");
  }
}

void Hdf5Writer::commit() {
  if (!file_.close()) fail("not everything could be written; is the disk full?");
  if (!sync_path(temporary_)) fail(std::strerror(errno));
  if (std::rename(temporary_.c_str(), path_.c_str()) != 0) fail(std::strerror(errno));
  temporary_.clear();
  sync_path(directory_of(path_));  // some file systems cannot; the file itself is safe
}

// --- reading
// --------------------------------------------------------------------------------------

struct Hdf5Reader::Dataset {
  std::string name;
  Hdf5Handle handle;
  std::uint64_t elements = 0;
};

Hdf5Reader::Hdf5Reader(std::string path, Hdf5Limits limits)
    : path_(std::move(path)), limits_(limits) {
  namespace fs = std::filesystem;
  struct stat status {};
  if (::stat(path_.c_str(), &status) != 0) fail(std::strerror(errno));
  if (!S_ISREG(status.st_mode)) fail("it is not a regular file");
  file_bytes_ = static_cast<std::uint64_t>(status.st_size);
  std::ifstream stream(path_, std::ios::binary);
  if (!stream) fail(std::strerror(errno));
  // Superblock: 8 bytes of signature, then its version. Versions 0 and 1 belong to the format
  // without checksums, which the library parses with less care and which we never write.
  std::array<char, 9> start{};
  stream.read(start.data(), static_cast<std::streamsize>(start.size()));
  if (stream.gcount() != static_cast<std::streamsize>(start.size()) ||
      std::memcmp(start.data(), "\x89HDF\r\n\x1a\n", 8) != 0) {
    fail("it is not an HDF5 file; expected a result written by systole");
  }
  if (start[8] != 2 && start[8] != 3) {
    fail("it is an HDF5 file of an older kind (superblock " +
         std::to_string(static_cast<unsigned char>(start[8])) +
         "); expected a result written by systole");
  }
  file_ = owned<H5Fclose>(H5Fopen(path_.c_str(), H5F_ACC_RDONLY, H5P_DEFAULT));
  if (!file_.valid()) fail("it is truncated or damaged: the HDF5 library cannot open it");
}

void Hdf5Reader::fail(const std::string& what) const {
  throw ConfigError("cannot read '" + path_ +
                    "': " + (inside_.empty() ? "" : "in '" + inside_ + "': ") + what);
}

/// Whether every component of the path exists. What soft and external links name is not this file's
/// content, so they are refused.
bool Hdf5Reader::has(const std::string& name) const {
  const std::string place = below(inside_, name);
  if (place == "/") return true;
  for (std::size_t end = place.find('/', 1);; end = place.find('/', end + 1)) {
    const std::string part = place.substr(0, end);
    const htri_t exists = H5Lexists(file_.id(), part.c_str(), H5P_DEFAULT);
    if (exists == 0) return false;
    H5L_info_t info{};
    if (exists < 0 || H5Lget_info(file_.id(), part.c_str(), &info, H5P_DEFAULT) < 0) {
      fail("the file is damaged at '" + part + "'");
    }
    if (info.type != H5L_TYPE_HARD) fail("'" + part + "' is a link to elsewhere");
    if (end == std::string::npos) return true;
  }
}

Hdf5Handle Hdf5Reader::open_object(const std::string& name) const {
  const std::string place = below(inside_, name);
  if (!has(name)) fail("'" + name + "' is missing");
  Hdf5Handle object = owned<H5Oclose>(H5Oopen(file_.id(), place.c_str(), H5P_DEFAULT));
  if (!object.valid()) fail("'" + name + "' is damaged");
  return object;
}

Hdf5Reader::Dataset Hdf5Reader::open_whole(const std::string& name) const {
  const std::string place = below(inside_, name);
  if (!has(name)) fail("the dataset '" + name + "' is missing");
  Dataset dataset{name, owned<H5Dclose>(H5Dopen2(file_.id(), place.c_str(), H5P_DEFAULT)), 1};
  if (!dataset.handle.valid()) fail("'" + name + "' is damaged or not a dataset");
  const Hdf5Handle creation = owned<H5Pclose>(H5Dget_create_plist(dataset.handle.id()));
  if (!creation.valid() || H5Pget_layout(creation.id()) != H5D_CONTIGUOUS ||
      H5Pget_nfilters(creation.id()) != 0 || H5Pget_external_count(creation.id()) != 0) {
    fail("'" + name + "' is not stored contiguously in this file");
  }
  return dataset;
}

Hdf5Reader::Dataset Hdf5Reader::open(const std::string& name, bool scalar,
                                     std::uint64_t columns) const {
  Dataset dataset = open_whole(name);
  const Hdf5Handle space = owned<H5Sclose>(H5Dget_space(dataset.handle.id()));
  if (!space.valid()) fail("'" + name + "' is damaged");
  const H5S_class_t kind = H5Sget_simple_extent_type(space.id());
  if (kind != H5S_SCALAR && kind != H5S_SIMPLE) fail("'" + name + "' has no extents");
  const int rank = kind == H5S_SCALAR ? 0 : H5Sget_simple_extent_ndims(space.id());
  const int expected = scalar ? 0 : columns == 0 ? 1 : 2;
  if (rank != expected) {
    fail("'" + name + "' has rank " + std::to_string(rank) + ", expected " +
         std::to_string(expected));
  }
  std::array<hsize_t, 2> extents{};
  if (rank > 0 && H5Sget_simple_extent_dims(space.id(), extents.data(), nullptr) != rank) {
    fail("'" + name + "' is damaged");
  }
  if (rank == 2 && extents[1] != columns) {
    fail("'" + name + "' has " + times(extents) + ", expected " + std::to_string(columns) +
         " columns");
  }
  if (rank > 0 && extents[0] > limits_.rows) {
    fail("'" + name + "' has " + std::to_string(extents[0]) + " rows, expected at most " +
         std::to_string(limits_.rows));
  }
  if (rank > 0) dataset.elements = extents[0] * (rank == 2 ? columns : 1);
  return dataset;
}

std::uint64_t Hdf5Reader::checked_elements(const Dataset& dataset, std::int64_t type,
                                           const char* expected) const {
  const Hdf5Handle found = owned<H5Tclose>(H5Dget_type(dataset.handle.id()));
  if (!found.valid() || H5Tequal(found.id(), type) <= 0) {
    fail("'" + dataset.name + "' has another element type, expected " + expected);
  }
  return dataset.elements;
}

/// `element_bytes` and `dataset.elements` are within the limits, so their product cannot overflow.
void Hdf5Reader::read(const Dataset& dataset, std::int64_t type, std::uint64_t element_bytes,
                      void* data) const {
  if (dataset.elements == 0) return;
  if (H5Dread(dataset.handle.id(), type, H5S_ALL, H5S_ALL, H5P_DEFAULT, data) < 0) {
    fail("'" + dataset.name + "' (" + std::to_string(dataset.elements * element_bytes) +
         " bytes) cannot be read; the file is truncated or damaged");
  }
}

void Hdf5Reader::read_rows(const Dataset& dataset, std::int64_t type, std::uint64_t first,
                           std::uint64_t count, void* data) const {
  if (count == 0) return;
  SYSTOLE_CHECK(first + count <= dataset.elements, "rows beyond the last of " + dataset.name);
  const Hdf5Handle space = owned<H5Sclose>(H5Dget_space(dataset.handle.id()));
  const hsize_t start = first, rows = count;
  const Hdf5Handle memory = owned<H5Sclose>(H5Screate_simple(1, &rows, nullptr));
  if (H5Sselect_hyperslab(space.id(), H5S_SELECT_SET, &start, nullptr, &rows, nullptr) < 0 ||
      H5Dread(dataset.handle.id(), type, memory.id(), space.id(), H5P_DEFAULT, data) < 0) {
    fail("'" + dataset.name + "' cannot be read; the file is truncated or damaged");
  }
}

namespace {

/// Whether the dataset's bytes lie inside the file, before anything is allocated for them.
bool stored_whole(hid_t dataset, std::uint64_t bytes, std::uint64_t file_bytes) {
  if (bytes == 0) return true;
  const haddr_t offset = H5Dget_offset(dataset);
  return H5Dget_storage_size(dataset) == bytes && offset != HADDR_UNDEF && bytes <= file_bytes &&
         offset <= file_bytes - bytes;
}

}  // namespace

std::uint64_t Hdf5Reader::stored_counts(const Dataset& dataset) const {
  return stored_numbers(dataset, H5T_STD_U64LE, "unsigned 64-bit");
}
std::uint64_t Hdf5Reader::stored_reals(const Dataset& dataset) const {
  return stored_numbers(dataset, H5T_IEEE_F64LE, "64-bit floating point");
}
std::uint64_t Hdf5Reader::stored_numbers(const Dataset& dataset, std::int64_t type,
                                         const char* expected) const {
  const std::uint64_t count = checked_elements(dataset, type, expected);
  if (!stored_whole(dataset.handle.id(), count * 8, file_bytes_)) {
    fail("'" + dataset.name + "' is not in the file");
  }
  return count;
}

void Hdf5Reader::scalar(const std::string& name, std::uint64_t& value) const {
  const Dataset dataset = open(name, true, 0);
  stored_counts(dataset);
  read(dataset, H5T_NATIVE_UINT64, 8, &value);
}

void Hdf5Reader::scalar(const std::string& name, double& value) const {
  const Dataset dataset = open(name, true, 0);
  stored_reals(dataset);
  read(dataset, H5T_NATIVE_DOUBLE, 8, &value);
}

void Hdf5Reader::scalar(const std::string& name, std::string& value) const {
  std::vector<std::string> one;
  texts(name, true, one);
  value = std::move(one.front());
}

void Hdf5Reader::column(const std::string& name, std::vector<std::uint64_t>& values) const {
  const Dataset dataset = open(name, false, 0);
  const std::uint64_t count = stored_counts(dataset);
  values.resize(count);
  read(dataset, H5T_NATIVE_UINT64, 8, values.data());
}

void Hdf5Reader::column(const std::string& name, std::vector<double>& values) const {
  const Dataset dataset = open(name, false, 0);
  const std::uint64_t count = stored_reals(dataset);
  values.resize(count);
  read(dataset, H5T_NATIVE_DOUBLE, 8, values.data());
}

void Hdf5Reader::column(const std::string& name, std::vector<std::string>& values) const {
  texts(name, false, values);
}

std::uint64_t Hdf5Reader::text_width(const Dataset& dataset) const {
  const Hdf5Handle type = owned<H5Tclose>(H5Dget_type(dataset.handle.id()));
  const std::uint64_t width = type.valid() ? H5Tget_size(type.id()) : 0;
  if (width == 0 || H5Tget_class(type.id()) != H5T_STRING || H5Tis_variable_str(type.id()) != 0) {
    fail("'" + dataset.name + "' has another element type, expected text of a fixed width");
  }
  if (width > limits_.text_bytes) {
    fail("'" + dataset.name + "' holds texts of " + std::to_string(width) +
         " bytes, expected at most " + std::to_string(limits_.text_bytes));
  }
  const std::uint64_t bytes = dataset.elements * width;  // <= 2^20 * 2^20
  if (bytes > limits_.dataset_bytes || !stored_whole(dataset.handle.id(), bytes, file_bytes_)) {
    fail("'" + dataset.name + "' claims " + std::to_string(bytes) +
         " bytes that are not in the file");
  }
  return width;
}

void Hdf5Reader::texts(const std::string& name, bool scalar,
                       std::vector<std::string>& values) const {
  const Dataset dataset = open(name, scalar, 0);
  const std::uint64_t width = text_width(dataset);
  std::string data(dataset.elements * width, '\0');
  read(dataset, text_type(width).id(), width, data.data());
  values = unpadded(data, width);
}

std::uint64_t Hdf5Reader::row_count(const std::string& name) const {
  return open(name, false, 0).elements;
}

void Hdf5Reader::rows(const std::string& name, std::uint64_t first, std::uint64_t count,
                      std::vector<std::uint64_t>& values) const {
  const Dataset dataset = open(name, false, 0);
  stored_counts(dataset);
  values.resize(count);
  read_rows(dataset, H5T_NATIVE_UINT64, first, count, values.data());
}

void Hdf5Reader::rows(const std::string& name, std::uint64_t first, std::uint64_t count,
                      std::vector<double>& values) const {
  const Dataset dataset = open(name, false, 0);
  stored_reals(dataset);
  values.resize(count);
  read_rows(dataset, H5T_NATIVE_DOUBLE, first, count, values.data());
}

void Hdf5Reader::rows(const std::string& name, std::uint64_t first, std::uint64_t count,
                      std::vector<std::string>& values) const {
  const Dataset dataset = open(name, false, 0);
  const std::uint64_t width = text_width(dataset);
  std::string data(count * width, '\0');
  read_rows(dataset, text_type(width).id(), first, count, data.data());
  values = unpadded(data, width);
}

void Hdf5Reader::table(const std::string& name, std::vector<std::uint64_t>& values,
                       std::span<const std::string_view> names) const {
  const Dataset dataset = open(name, false, names.size());
  const std::uint64_t count = stored_counts(dataset);
  const std::vector<std::string> found = attribute_texts(name, "columns", false);
  if (!std::equal(found.begin(), found.end(), names.begin(), names.end())) {
    std::string expected;
    for (const std::string_view column : names) expected += " " + std::string(column);
    fail("the columns of '" + name + "' have other names, expected" + expected);
  }
  values.resize(count);
  read(dataset, H5T_NATIVE_UINT64, 8, values.data());
}

std::vector<std::uint8_t> Hdf5Reader::array(const std::string& name, Hdf5Number type,
                                            std::span<const std::uint64_t> extents) const {
  constexpr std::size_t kMostDimensions = 8;
  SYSTOLE_CHECK(extents.size() <= kMostDimensions, "array of more than 8 dimensions");
  Dataset dataset = open_whole(name);
  const Hdf5Handle space = owned<H5Sclose>(H5Dget_space(dataset.handle.id()));
  const int rank = space.valid() ? H5Sget_simple_extent_ndims(space.id()) : -1;
  if (rank != static_cast<int>(extents.size())) {
    fail("'" + name + "' has rank " + std::to_string(rank) + ", expected " +
         std::to_string(extents.size()));
  }
  std::array<hsize_t, kMostDimensions> found{};
  if (rank > 0) H5Sget_simple_extent_dims(space.id(), found.data(), nullptr);
  const std::span<const hsize_t> found_extents(found.data(), extents.size());
  const std::vector<hsize_t> wanted(extents.begin(), extents.end());
  if (!std::equal(wanted.begin(), wanted.end(), found_extents.begin())) {
    fail("'" + name + "' has " + times(found_extents) + ", expected " + times(wanted));
  }
  const NumberType number = number_type(type);
  for (const std::uint64_t extent : extents) {
    if (__builtin_mul_overflow(dataset.elements, extent, &dataset.elements)) {
      fail("'" + name + "' is too large");
    }
  }
  checked_elements(dataset, number.id, number.name);
  if (dataset.elements > limits_.dataset_bytes / number.bytes ||
      !stored_whole(dataset.handle.id(), dataset.elements * number.bytes, file_bytes_)) {
    fail("'" + name + "' claims " + std::to_string(dataset.elements) +
         " elements that are not in the file");
  }
  std::vector<std::uint8_t> bytes(dataset.elements * number.bytes);
  read(dataset, number.id, number.bytes, bytes.data());
  return bytes;
}

std::vector<std::string> Hdf5Reader::attribute_texts(const std::string& object, const char* name,
                                                     bool scalar) const {
  const std::string where = "the attribute '" + std::string(name) + "' of '" + object + "'";
  const Hdf5Handle owner = open_object(object);
  if (H5Aexists(owner.id(), name) <= 0) fail(where + " is missing");
  const Hdf5Handle attribute = owned<H5Aclose>(H5Aopen(owner.id(), name, H5P_DEFAULT));
  const Hdf5Handle type = owned<H5Tclose>(H5Aget_type(attribute.id()));
  const Hdf5Handle space = owned<H5Sclose>(H5Aget_space(attribute.id()));
  if (!attribute.valid() || !type.valid() || !space.valid()) fail(where + " is damaged");
  const hssize_t count = H5Sget_simple_extent_npoints(space.id());
  const std::uint64_t width = H5Tget_size(type.id());
  // Attributes live in object headers, at most 64 KiB each.
  constexpr std::uint64_t kMost = 1u << 16;
  if (H5Tget_class(type.id()) != H5T_STRING || H5Tis_variable_str(type.id()) != 0 || width == 0 ||
      width > kMost || count < (scalar ? 1 : 0) ||
      static_cast<std::uint64_t>(count) > kMost / width || (scalar && count != 1)) {
    fail(where + " is not text of a fixed width");
  }
  std::string data(static_cast<std::uint64_t>(count) * width, '\0');
  if (H5Aread(attribute.id(), text_type(width).id(), data.data()) < 0) fail(where + " is damaged");
  return unpadded(data, width);
}

std::string Hdf5Reader::text_attribute(const std::string& object, const char* name) const {
  return attribute_texts(object, name, true).front();
}

std::uint64_t Hdf5Reader::count_attribute(const std::string& object, const char* name) const {
  const std::string where = "the attribute '" + std::string(name) + "' of '" + object + "'";
  const Hdf5Handle owner = open_object(object);
  if (H5Aexists(owner.id(), name) <= 0) fail(where + " is missing");
  const Hdf5Handle attribute = owned<H5Aclose>(H5Aopen(owner.id(), name, H5P_DEFAULT));
  const Hdf5Handle type = owned<H5Tclose>(H5Aget_type(attribute.id()));
  const Hdf5Handle space = owned<H5Sclose>(H5Aget_space(attribute.id()));
  std::uint64_t value = 0;
  if (!attribute.valid() || !type.valid() || !space.valid() ||
      H5Sget_simple_extent_npoints(space.id()) != 1 || H5Tequal(type.id(), H5T_STD_U64LE) <= 0 ||
      H5Aread(attribute.id(), H5T_NATIVE_UINT64, &value) < 0) {
    fail(where + " is not one unsigned 64-bit number");
  }
  return value;
}

}  // namespace systole::reports
