// A paper as configuration: the accelerators that it compares, the layers that it ran, the values
// that it printed, and which published closed-form model relates them. The models are in
// sim/analytic.
#pragma once

#include <array>
#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <vector>

namespace systole::configs {

/// The closed-form models of the field.
enum class PaperModel : std::uint8_t { bitfusion, bitmod, scale_sim };
inline constexpr std::array<std::string_view, 3> kPaperModelNames = {"bitfusion", "bitmod",
                                                                     "scale_sim"};

/// What stays in the array, in the spelling of the papers' configuration files.
enum class PaperDataflow : std::uint8_t { ws, os, is };
inline constexpr std::array<std::string_view, 3> kPaperDataflowNames = {"ws", "os", "is"};

/// What the attention products of BitMoD's simulator look like: as its figures were made (one
/// product over all heads, commit 6b68523), or a product a KV head (HEAD, commit e445a5f).
enum class BitmodAttention : std::uint8_t { joint, per_head };
inline constexpr std::array<std::string_view, 2> kBitmodAttentionNames = {"joint", "per_head"};

/// One layer, or `times` equal ones in a row: a convolution of square output, or with edge and
/// kernel 1 a fully connected layer.
struct PaperLayer {
  std::uint32_t times = 1;
  std::uint32_t rows = 1;          ///< vectors a sample (tokens); 1 for convolutions
  std::uint32_t edge = 1;          ///< of the output
  std::uint32_t kernel = 1;        ///< height, and width unless that is said
  std::uint32_t kernel_width = 0;  ///< 0 = kernel
  std::uint32_t in = 0, out = 0;   ///< channels

  std::uint32_t width() const { return kernel_width == 0 ? kernel : kernel_width; }
  friend bool operator==(const PaperLayer&, const PaperLayer&) = default;
};

/// Layers that repeat as a group.
struct PaperBlock {
  std::uint32_t times = 1;
  std::vector<PaperLayer> layers;

  friend bool operator==(const PaperBlock&, const PaperBlock&) = default;
};

// --- the BitFusion family: BitFusion, ANT, OliVe, MixPE -----------------------------------------

/// An array whose elements multiply pmax-bit operands, or several narrower ones.
struct BitfusionMachine {
  std::string name;
  std::uint32_t rows = 0, cols = 0;  ///< N and M of the model, keys a and c of its files
  std::uint32_t max_bits = 0, min_bits = 0;
  PaperDataflow dataflow = PaperDataflow::os;
  double leakage_nw = 0, dynamic_nw = 0;  ///< of one element
  std::string pe;  ///< nearest processing element of ours, for the physical twin; may be empty
  std::uint32_t weight_bits = 0, activation_bits = 0;  ///< of the twin; 0: as the layer list says

  friend bool operator==(const BitfusionMachine&, const BitfusionMachine&) = default;
};

/// A network as some of the machines run it: equal layers, bits by machine.
struct BitfusionWorkload {
  std::string network;
  std::map<std::string, std::string> bits;  ///< by machine: "8 4x14 8", a width a layer
  std::vector<PaperBlock> blocks;
  std::string note;

  friend bool operator==(const BitfusionWorkload&, const BitfusionWorkload&) = default;
};

/// SRAM price of one of the three buffers, a bit.
struct BitfusionBuffer {
  std::uint64_t bytes = 0;
  double read_pj_per_bit = 0, write_pj_per_bit = 0;
  double leakage_mw = 0;  ///< all banks

  friend bool operator==(const BitfusionBuffer&, const BitfusionBuffer&) = default;
};

struct BitfusionPaper {
  std::uint32_t batch = 0;
  double clock_mhz = 0;
  std::uint32_t dram_bits_per_cycle = 0;
  BitfusionBuffer weight, activation, output;
  double dram_read_pj_per_bit = 0, dram_write_pj_per_bit = 0, dram_static_nj_per_cycle = 0;
  /// The search breaks ties with prices of its own.
  double search_dram_read_pj_per_bit = 0, search_dram_write_pj_per_bit = 0,
         search_dram_static_nj_per_cycle = 0;
  std::string reference;  ///< the machine that figures are divided by
  std::vector<BitfusionMachine> machines;
  std::vector<BitfusionWorkload> workloads;

  friend bool operator==(const BitfusionPaper&, const BitfusionPaper&) = default;
};

// --- BitMoD --------------------------------------------------------------------------------------

struct BitmodModel {
  std::string name;
  std::uint32_t layers = 0, hidden = 0, ffn = 0, heads = 0, kv_heads = 0, vocab = 0;
  bool gated = false;  ///< three matrices in the feed-forward part, not two

  friend bool operator==(const BitmodModel&, const BitmodModel&) = default;
};

/// Prices of a buffer whose port is `bits` wide, for one word of all of them.
struct BitmodBuffer {
  std::uint32_t bits = 0;
  double read_pj = 0, write_pj = 0;

  friend bool operator==(const BitmodBuffer&, const BitmodBuffer&) = default;
};

/// One phase of an accelerator. Its array decides how wide the buffers' ports are.
struct BitmodPhase {
  std::uint32_t rows = 0, cols = 0;
  std::vector<double> weight_bits;  ///< one, or one a model

  friend bool operator==(const BitmodPhase&, const BitmodPhase&) = default;
};

struct BitmodMachine {
  std::string name;
  BitmodAttention attention = BitmodAttention::joint;
  std::uint32_t lanes = 1;  ///< products a PE adds at once
  bool bit_serial = false;
  std::uint32_t kv_bits = 16;
  double pe_pj = 0;  ///< one PE, one cycle, before placement
  BitmodPhase prefill, generation;
  std::string pe;

  friend bool operator==(const BitmodMachine&, const BitmodMachine&) = default;
};

struct BitmodPaper {
  std::uint32_t context = 0;
  std::uint32_t activation_bits = 16;
  std::uint32_t dram_bits_per_cycle = 0;
  std::uint64_t buffer_bytes = 0;  ///< each of the two
  double dram_pj_per_bit = 0;
  double placement_factor = 1;
  std::vector<BitmodBuffer> buffers;
  std::vector<BitmodModel> models;
  std::vector<BitmodMachine> machines;

  friend bool operator==(const BitmodPaper&, const BitmodPaper&) = default;
};

// --- SCALE-Sim -----------------------------------------------------------------------------------

struct ScaleSimMachine {
  std::string name;
  std::uint32_t rows = 0, cols = 0;
  PaperDataflow dataflow = PaperDataflow::ws;
  std::string pe;

  friend bool operator==(const ScaleSimMachine&, const ScaleSimMachine&) = default;
};

/// A layer of a topology: a product (m, n, k), or a convolution.
struct ScaleSimLayer {
  std::vector<std::uint32_t> gemm;  ///< m, n, k
  std::vector<std::uint32_t> conv;  ///< height, width, kernel height, width, channels, filters,
                                    ///< stride

  friend bool operator==(const ScaleSimLayer&, const ScaleSimLayer&) = default;
};

struct ScaleSimNetwork {
  std::string name;
  std::vector<ScaleSimLayer> layers;

  friend bool operator==(const ScaleSimNetwork&, const ScaleSimNetwork&) = default;
};

struct ScaleSimPaper {
  std::vector<ScaleSimMachine> machines;
  std::vector<ScaleSimNetwork> networks;

  friend bool operator==(const ScaleSimPaper&, const ScaleSimPaper&) = default;
};

// --- what was printed ----------------------------------------------------------------------------

/// Values of one network on one machine, digits as printed. The network "mean" is the arithmetic
/// mean over the networks.
struct PublishedValues {
  std::string network, machine;
  std::map<std::string, std::string> values;  ///< by metric
  bool cut = false;                           ///< the last digit was cut, not rounded
  std::string note;                           ///< the cause, where our value differs
  std::string erratum;  ///< why these printed values are wrong; they are shown and not matched

  friend bool operator==(const PublishedValues&, const PublishedValues&) = default;
};

struct PaperConfig {
  std::string name;
  std::string summary;
  std::string source;
  PaperModel model = PaperModel::bitfusion;
  std::string figure;        ///< what the published values are: "MICRO'22, Fig. 13"
  double tolerance = 0;      ///< 0: equal at the printed digits; else the share that is accepted
  std::string note;          ///< what a reader must know of the published values
  BitfusionPaper bitfusion;  ///< of these three, the one that `model` names
  BitmodPaper bitmod;
  ScaleSimPaper scale_sim;
  std::vector<PublishedValues> published;

  friend bool operator==(const PaperConfig&, const PaperConfig&) = default;
};

/// "8 4x14 (4 8)x3" -> a number for each layer. Throws ConfigError saying what is malformed; at
/// most `limit` numbers.
std::vector<std::uint32_t> expand_runs(std::string_view text, std::size_t limit);

/// The layers of a workload one by one (`times` of each is 1).
std::vector<PaperLayer> expand(const std::vector<PaperBlock>& blocks);

}  // namespace systole::configs
