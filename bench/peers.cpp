#include "bench/peers.hpp"

#include <dlfcn.h>

#include <array>
#include <cmath>
#include <cstdlib>
#include <string>
#include <vector>

#include "bench/peak.hpp"

namespace systole::bench {
namespace {

/// Any spread of bytes will do.
class Bytes {
 public:
  std::uint8_t next() {
    state_ = state_ * 1664525u + 1013904223u;  // Numerical Recipes' LCG
    return static_cast<std::uint8_t>(state_ >> 24);
  }

 private:
  std::uint32_t state_ = 1;
};

void* open_first(std::initializer_list<const char*> names) {
  for (const char* name : names) {
    if (void* library = dlopen(name, RTLD_NOW | RTLD_GLOBAL)) return library;
  }
  return nullptr;
}

template <class Function>
bool find(void* library, const char* name, Function& function) {
  function = reinterpret_cast<Function>(dlsym(library, name));
  return function != nullptr;
}

// --- oneDNN ------------------------------------------------------------------------------------
// Version 2's C interface, declared here so that no header is needed. Descriptors are structures
// that the library fills: opaque to us, held in more room than any version 2 takes.

using Status = int;
struct alignas(64) Descriptor {
  std::array<unsigned char, 8192> room;
};
struct Version {
  int major, minor, patch;
};
struct Argument {
  int which;
  void* memory;
};
constexpr int kCpu = 1, kInOrder = 1;
constexpr int kS32 = 4, kS8 = 5, kU8 = 6;  // dnnl_data_type_t
constexpr int kAny = 1, kRowMajor = 3;     // dnnl_format_tag_t: any, ab
constexpr int kWeightsDescriptor = 131;    // dnnl_query_weights_md
constexpr int kSource = 1, kDestination = 17, kWeights = 33;

struct OneDnn {
  const Version* (*version)() = nullptr;
  Status (*engine_create)(void**, int, std::size_t) = nullptr;
  Status (*stream_create)(void**, void*, int) = nullptr;
  Status (*stream_wait)(void*) = nullptr;
  Status (*memory_desc_init_by_tag)(Descriptor*, int, const std::int64_t*, int, int) = nullptr;
  Status (*matmul_desc_init)(Descriptor*, const void*, const void*, const void*,
                             const void*) = nullptr;
  Status (*primitive_desc_create)(void**, const void*, const void*, void*, const void*) = nullptr;
  const void* (*primitive_desc_query_md)(const void*, int, int) = nullptr;
  Status (*reorder_create)(void**, const void*, void*, const void*, void*, const void*) = nullptr;
  Status (*primitive_create)(void**, const void*) = nullptr;
  Status (*primitive_execute)(const void*, void*, int, const Argument*) = nullptr;
  Status (*memory_create)(void**, const void*, void*, void*) = nullptr;
  Status (*memory_destroy)(void*) = nullptr;
  Status (*primitive_destroy)(void*) = nullptr;
  Status (*primitive_desc_destroy)(void*) = nullptr;
  void (*set_threads)(int) = nullptr;
  void* engine = nullptr;
  void* stream = nullptr;
  std::string name = "-";
  bool usable = false;
};

OneDnn open_onednn() {
  OneDnn d;
  // Its threads look for the next product a while, as ours do, but not the milliseconds that
  // libgomp would spin, which are taken from whoever runs next. (Iterations: about 200 us on
  // Zen 4.)
  setenv("GOMP_SPINCOUNT", "20000", 0);
  void* library = open_first({"libdnnl.so.2"});
  if (library == nullptr) return d;
  const bool complete = find(library, "dnnl_version", d.version) &&
                        find(library, "dnnl_engine_create", d.engine_create) &&
                        find(library, "dnnl_stream_create", d.stream_create) &&
                        find(library, "dnnl_stream_wait", d.stream_wait) &&
                        find(library, "dnnl_memory_desc_init_by_tag", d.memory_desc_init_by_tag) &&
                        find(library, "dnnl_matmul_desc_init", d.matmul_desc_init) &&
                        find(library, "dnnl_primitive_desc_create", d.primitive_desc_create) &&
                        find(library, "dnnl_primitive_desc_query_md", d.primitive_desc_query_md) &&
                        find(library, "dnnl_reorder_primitive_desc_create", d.reorder_create) &&
                        find(library, "dnnl_primitive_create", d.primitive_create) &&
                        find(library, "dnnl_primitive_execute", d.primitive_execute) &&
                        find(library, "dnnl_memory_create", d.memory_create) &&
                        find(library, "dnnl_memory_destroy", d.memory_destroy) &&
                        find(library, "dnnl_primitive_destroy", d.primitive_destroy) &&
                        find(library, "dnnl_primitive_desc_destroy", d.primitive_desc_destroy);
  if (!complete || d.version()->major != 2) return d;
  find(RTLD_DEFAULT, "omp_set_num_threads", d.set_threads);
  d.name = "oneDNN " + std::to_string(d.version()->major) + "." +
           std::to_string(d.version()->minor) + "." + std::to_string(d.version()->patch);
  d.usable = d.set_threads != nullptr && d.engine_create(&d.engine, kCpu, 0) == 0 &&
             d.stream_create(&d.stream, d.engine, kInOrder) == 0;
  return d;
}

const OneDnn& onednn() {
  static const OneDnn library = open_onednn();
  return library;
}

/// An object of the library's, with what destroys it.
class Object {
 public:
  explicit Object(Status (*destroy)(void*)) : destroy_(destroy) {}
  Object(const Object&) = delete;
  Object& operator=(const Object&) = delete;
  ~Object() {
    if (held_ != nullptr) destroy_(held_);
  }
  void** made() { return &held_; }
  void* get() const { return held_; }

 private:
  Status (*destroy_)(void*);
  void* held_ = nullptr;
};

struct IntegerProduct {
  std::vector<std::uint8_t> a;
  std::vector<std::int8_t> b;
  std::vector<std::int32_t> c;
  Object memory_a{onednn().memory_destroy}, memory_b{onednn().memory_destroy},
      memory_c{onednn().memory_destroy};
  Object primitive{onednn().primitive_destroy};
  std::array<Argument, 3> arguments{};
};

std::shared_ptr<IntegerProduct> prepare(std::size_t m, std::size_t n, std::size_t k) {
  const OneDnn& d = onednn();
  auto p = std::make_shared<IntegerProduct>();
  Bytes bytes;
  for (std::size_t i = 0; i < m * k; ++i) p->a.push_back(bytes.next());
  for (std::size_t i = 0; i < k * n; ++i) p->b.push_back(static_cast<std::int8_t>(bytes.next()));
  p->c.resize(m * n);
  const auto side = [](std::size_t x) { return static_cast<std::int64_t>(x); };
  const std::array<std::int64_t, 12> a_dims{side(m), side(k)}, b_dims{side(k), side(n)},
      c_dims{side(m), side(n)};
  static Descriptor a, b_plain, b_any, c, product;
  bool ok = d.memory_desc_init_by_tag(&a, 2, a_dims.data(), kU8, kRowMajor) == 0 &&
            d.memory_desc_init_by_tag(&b_plain, 2, b_dims.data(), kS8, kRowMajor) == 0 &&
            d.memory_desc_init_by_tag(&b_any, 2, b_dims.data(), kS8, kAny) == 0 &&
            d.memory_desc_init_by_tag(&c, 2, c_dims.data(), kS32, kRowMajor) == 0 &&
            d.matmul_desc_init(&product, &a, &b_any, nullptr, &c) == 0;
  Object how{d.primitive_desc_destroy}, reorder{d.primitive_desc_destroy};
  Object mover{d.primitive_destroy};
  Object plain{d.memory_destroy};
  ok = ok && d.primitive_desc_create(how.made(), &product, nullptr, d.engine, nullptr) == 0;
  const void* packed = ok ? d.primitive_desc_query_md(how.get(), kWeightsDescriptor, 0) : nullptr;
  void* const allocate = reinterpret_cast<void*>(~std::uintptr_t{0});  // DNNL_MEMORY_ALLOCATE
  ok = ok && packed != nullptr &&
       d.memory_create(p->memory_a.made(), &a, d.engine, p->a.data()) == 0 &&
       d.memory_create(p->memory_b.made(), packed, d.engine, allocate) == 0 &&
       d.memory_create(plain.made(), &b_plain, d.engine, p->b.data()) == 0 &&
       d.memory_create(p->memory_c.made(), &c, d.engine, p->c.data()) == 0 &&
       d.reorder_create(reorder.made(), &b_plain, d.engine, packed, d.engine, nullptr) == 0 &&
       d.primitive_create(mover.made(), reorder.get()) == 0 &&
       d.primitive_create(p->primitive.made(), how.get()) == 0;
  if (!ok) return nullptr;
  const std::array<Argument, 2> move{{{kSource, plain.get()}, {kDestination, p->memory_b.get()}}};
  if (d.primitive_execute(mover.get(), d.stream, 2, move.data()) != 0) return nullptr;
  d.stream_wait(d.stream);
  p->arguments = {{{kSource, p->memory_a.get()},
                   {kWeights, p->memory_b.get()},
                   {kDestination, p->memory_c.get()}}};
  return p;
}

void execute(const IntegerProduct& p) {
  onednn().primitive_execute(p.primitive.get(), onednn().stream, 3, p.arguments.data());
  onednn().stream_wait(onednn().stream);
}

bool onednn_is_right() {
  constexpr std::size_t kM = 5, kN = 37, kK = 70;
  const auto p = prepare(kM, kN, kK);
  if (p == nullptr) return false;
  execute(*p);
  for (std::size_t m = 0; m < kM; ++m) {
    for (std::size_t n = 0; n < kN; ++n) {
      std::int32_t sum = 0;
      for (std::size_t k = 0; k < kK; ++k) sum += p->a[m * kK + k] * p->b[k * kN + n];
      if (sum != p->c[m * kN + n]) return false;
    }
  }
  return true;
}

// --- OpenBLAS ----------------------------------------------------------------------------------

struct OpenBlas {
  void (*sgemm)(int, int, int, int, int, int, float, const float*, int, const float*, int, float,
                float*, int) = nullptr;
  void (*set_threads)(int) = nullptr;
  std::string name = "-";
  bool usable = false;
};

constexpr int kRowMajorBlas = 101, kPlain = 111, kTransposed = 112;

OpenBlas open_openblas() {
  OpenBlas b;
  if (is_available(Peak::fma512)) setenv("OPENBLAS_CORETYPE", "SkylakeX", 0);
  void* library = open_first({"libopenblas.so.0", "libopenblas.so"});
  if (library == nullptr) return b;
  char* (*corename)() = nullptr;
  char* (*config)() = nullptr;
  b.usable = find(library, "cblas_sgemm", b.sgemm) &&
             find(library, "openblas_set_num_threads", b.set_threads) &&
             find(library, "openblas_get_corename", corename) &&
             find(library, "openblas_get_config", config);
  if (!b.usable) return b;
  const std::string text = config();  // "OpenBLAS 0.3.21 ..."
  b.name = text.substr(0, text.find(' ', text.find(' ') + 1)) + " " + corename();
  return b;
}

const OpenBlas& openblas() {
  static const OpenBlas library = open_openblas();
  return library;
}

struct FloatProduct {
  std::size_t m, n, k;
  std::vector<float> a, b, c;
};

std::shared_ptr<FloatProduct> float_product(std::size_t m, std::size_t n, std::size_t k) {
  auto p = std::make_shared<FloatProduct>(FloatProduct{m, n, k, {}, {}, {}});
  Bytes bytes;
  const auto value = [&] { return (static_cast<float>(bytes.next()) - 127.5f) * 0.01f; };
  for (std::size_t i = 0; i < m * k; ++i) p->a.push_back(value());
  for (std::size_t i = 0; i < n * k; ++i) p->b.push_back(value());
  p->c.resize(m * n);
  return p;
}

void multiply(FloatProduct& p) {
  const auto side = [](std::size_t x) { return static_cast<int>(x); };
  openblas().sgemm(kRowMajorBlas, kPlain, kTransposed, side(p.m), side(p.n), side(p.k), 1.0f,
                   p.a.data(), side(p.k), p.b.data(), side(p.k), 0.0f, p.c.data(), side(p.n));
}

bool openblas_is_right() {
  const auto p = float_product(7, 45, 130);
  multiply(*p);
  for (std::size_t m = 0; m < p->m; ++m) {
    for (std::size_t n = 0; n < p->n; ++n) {
      double sum = 0.0, magnitude = 0.0;
      for (std::size_t k = 0; k < p->k; ++k) {
        const double product = static_cast<double>(p->a[m * p->k + k]) * p->b[n * p->k + k];
        sum += product;
        magnitude += std::fabs(product);
      }
      if (!(std::fabs(sum - p->c[m * p->n + n]) <= 1e-5 * magnitude)) return false;
    }
  }
  return true;
}

}  // namespace

PeerProduct onednn_u8s8s32(std::size_t m, std::size_t n, std::size_t k, unsigned threads) {
  const OneDnn& d = onednn();
  if (!d.usable) return {"-", {}};
  d.set_threads(static_cast<int>(threads));
  static const bool right = onednn_is_right();
  if (!right) return {d.name + " (wrong results)", {}};
  auto p = prepare(m, n, k);
  if (p == nullptr) return {d.name + " (refused the shape)", {}};
  return {d.name + " u8s8s32 packed", [p, threads] {
            onednn().set_threads(static_cast<int>(threads));
            execute(*p);
          }};
}

PeerProduct openblas_sgemm(std::size_t m, std::size_t n, std::size_t k, unsigned threads) {
  const OpenBlas& b = openblas();
  if (!b.usable) return {"-", {}};
  static const bool right = openblas_is_right();
  if (!right) return {b.name + " (wrong results)", {}};
  auto p = float_product(m, n, k);
  return {b.name + " sgemm", [p, threads] {
            openblas().set_threads(static_cast<int>(threads));
            multiply(*p);
          }};
}

}  // namespace systole::bench
