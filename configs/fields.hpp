// The field lists: every configurable value once, with its key (unit in the name), range and
// one-line meaning. Reader, validator, echo and `systole show` are visitors of these lists.
#pragma once

#include <array>
#include <concepts>
#include <cstdint>
#include <limits>
#include <map>
#include <string>
#include <string_view>
#include <type_traits>
#include <vector>

#include "configs/dram.hpp"
#include "configs/energy.hpp"
#include "configs/machine.hpp"
#include "configs/model.hpp"
#include "configs/paper.hpp"
#include "configs/recipe.hpp"
#include "configs/tier.hpp"

namespace systole::configs {

/// The kinds of file of the shipped library; each is a folder of configs/.
enum class Kind : std::uint8_t { machine, recipe, model, dram, tier, energy, paper };
inline constexpr std::array<std::string_view, 7> kKindNames = {"machine", "recipe", "model", "dram",
                                                               "tier",    "energy", "paper"};
inline constexpr std::array<std::string_view, 7> kKindTitles = {
    "machine", "recipe", "model", "DRAM", "memory tier", "energy table", "paper"};
inline constexpr std::array<std::string_view, 7> kKindFolders = {
    "machines", "recipes", "models", "dram", "tiers", "energy", "papers"};

/// What a field means and which values it may have. Integers: low..high inclusive.
struct Info {
  std::string_view meaning;
  double low = 0.0;
  double high = std::numeric_limits<double>::infinity();
  bool low_excluded = false;  ///< the value must be above `low`, not equal to it
  bool required = false;      ///< the file must name it: there is no sensible default

  constexpr Info in(double lowest, double highest) const {
    return {meaning, lowest, highest, false, required};
  }
  constexpr Info above_zero() const { return {meaning, 0.0, high, true, required}; }
  constexpr Info any() const {
    return {meaning, -std::numeric_limits<double>::infinity(), high, false, required};
  }
  constexpr Info must() const { return {meaning, low, high, low_excluded, true}; }
};

/// `const T` or `T`: one list serves the reader, which writes, and the printers, which do not.
template <class C, class T>
concept Maybe = std::same_as<std::remove_const_t<C>, T>;

/// What a visitor of the lists tells apart.
template <class T>
inline constexpr bool kIsMap = false;
template <class T>
inline constexpr bool kIsMap<std::map<std::string, T>> = true;
template <class T>
inline constexpr bool kIsVector = false;
template <class T>
inline constexpr bool kIsVector<std::vector<T>> = true;

/// How deep and large a machine of ours may be; beyond it a number is a slip of the keyboard.
inline constexpr double kMaxEdge = 4096;
inline constexpr double kMaxBytes = 1099511627776.0;  // 1 TiB
inline constexpr double kMaxClockMhz = 20000;
inline constexpr double kMaxTile = 1 << 30;

/// How sure a figure is.
inline constexpr Info kBand = Info{"relative band, 0.15 is +-15 %; 0: not stated"}.in(0, 10);
inline constexpr Info kNode = Info{"node of this price; 0: the table's"}.in(0, 1000);

// --- names of the enumerations -----------------------------------------------------------------
constexpr const auto& enum_names(Dataflow) { return kDataflowNames; }
constexpr const auto& enum_names(FoldOverlap) { return kFoldOverlapNames; }
constexpr const auto& enum_names(Interconnect) { return kInterconnectNames; }
constexpr const auto& enum_names(Split) { return kSplitNames; }
constexpr const auto& enum_names(DequantisePlace) { return kDequantisePlaceNames; }
constexpr const auto& enum_names(AttentionSchedule) { return kAttentionScheduleNames; }
constexpr const auto& enum_names(BankPorts) { return kBankPortsNames; }
constexpr const auto& enum_names(ScratchpadLayout) { return kScratchpadLayoutNames; }
constexpr const auto& enum_names(CacheReplacement) { return kCacheReplacementNames; }
constexpr const auto& enum_names(CacheWrite) { return kCacheWriteNames; }
constexpr const auto& enum_names(NocKind) { return kNocKindNames; }
constexpr const auto& enum_names(NocArbitration) { return kNocArbitrationNames; }
constexpr const auto& enum_names(Objective) { return kObjectiveNames; }
constexpr const auto& enum_names(LoopOrder) { return kLoopOrderNames; }
constexpr const auto& enum_names(Dequantise) { return kDequantiseNames; }
constexpr const auto& enum_names(PaperModel) { return kPaperModelNames; }
constexpr const auto& enum_names(PaperDataflow) { return kPaperDataflowNames; }
constexpr const auto& enum_names(BitmodAttention) { return kBitmodAttentionNames; }
constexpr const auto& enum_names(DramPolicy) { return kDramPolicyNames; }
constexpr const auto& enum_names(WindowRelease) { return kWindowReleaseNames; }
constexpr const auto& enum_names(BufferScope) { return kBufferScopeNames; }
constexpr const auto& enum_names(PagePolicy) { return kPagePolicyNames; }
constexpr const auto& enum_names(RefreshMode) { return kRefreshModeNames; }
constexpr const auto& enum_names(EccMode) { return kEccModeNames; }
constexpr const auto& enum_names(TierKind) { return kTierKindNames; }
constexpr const auto& enum_names(PlacedClass) { return kPlacedClassNames; }
constexpr const auto& enum_names(PlacedSalience) { return kPlacedSalienceNames; }
constexpr const auto& enum_names(PimPlace) { return kPimPlaceNames; }
constexpr const auto& enum_names(quant::Format) { return quant::kFormatNames; }
constexpr const auto& enum_names(quant::Granularity) { return quant::kGranularityNames; }
constexpr const auto& enum_names(quant::Affine) { return quant::kAffineNames; }
constexpr const auto& enum_names(quant::RangeRule) { return quant::kRangeRuleNames; }
constexpr const auto& enum_names(quant::Rounding) { return quant::kRoundingNames; }
constexpr const auto& enum_names(quant::ScaleRule) { return quant::kScaleRuleNames; }
constexpr const auto& enum_names(quant::Contract) { return quant::kContractNames; }
constexpr const auto& enum_names(quant::ParameterSource) { return quant::kParameterSourceNames; }
constexpr const auto& enum_names(quant::TransformOp) { return quant::kTransformOpNames; }
constexpr const auto& enum_names(quant::TransformAxis) { return quant::kTransformAxisNames; }
constexpr const auto& enum_names(quant::Where) { return quant::kWhereNames; }
constexpr const auto& enum_names(quant::FactorRule) { return quant::kFactorRuleNames; }
constexpr const auto& enum_names(quant::OutlierKind) { return quant::kOutlierKindNames; }
constexpr const auto& enum_names(quant::TokenKind) { return quant::kTokenKindNames; }
constexpr const auto& enum_names(quant::Flush) { return quant::kFlushNames; }
constexpr const auto& enum_names(quant::Scorer) { return quant::kScorerNames; }
constexpr const auto& enum_names(quant::Keep) { return quant::kKeepNames; }
constexpr const auto& enum_names(quant::Anchor) { return quant::kAnchorNames; }
constexpr const auto& enum_names(quant::ScheduleKind) { return quant::kScheduleKindNames; }
constexpr const auto& enum_names(quant::MapUnit) { return quant::kMapUnitNames; }
constexpr const auto& enum_names(quant::Sensitivity) { return quant::kSensitivityNames; }
constexpr const auto& enum_names(quant::BitOrder) { return quant::kBitOrderNames; }
constexpr const auto& enum_names(quant::Interleave) { return quant::kInterleaveNames; }
constexpr const auto& enum_names(quant::Metadata) { return quant::kMetadataNames; }
constexpr const auto& enum_names(quant::Method) { return quant::kMethodNames; }
constexpr const auto& enum_names(quant::TokenWeighting) { return quant::kTokenWeightingNames; }

/// A field that most files leave alone: printers leave it out where it has its default.
template <class V, class T>
void rare(V& v, std::string_view key, T& member, const std::remove_const_t<T>& usual,
          const Info& info) {
  if constexpr (requires { V::kLeavesOutDefaults; }) {
    if (member == usual) return;
  }
  v(key, member, info);
}

template <class V, class C>
void describe_identity(V& v, C& c) {
  v("name", c.name, Info{"as --machine, --recipe, ... and reports say it"}.must());
  v("summary", c.summary, Info{"one line for `systole list`"}.must());
  v("source", c.source, Info{"where the numbers come from; what is assumed"}.must());
}

// --- DRAM --------------------------------------------------------------------------------------
template <class V, Maybe<DramControllerConfig> C>
void describe(V& v, C& c) {
  const DramControllerConfig usual;
  rare(v, "policy", c.policy, usual.policy,
       Info{"queues and who goes next, after which simulator"});
  rare(v, "release", c.release, usual.release,
       Info{"a request leaves the shared window at its activate or at its column command"});
  rare(v, "write_high", c.write_high, usual.write_high,
       Info{"writes begin when their queue is fuller than this part"}.in(0, 1));
  rare(v, "write_low", c.write_low, usual.write_low,
       Info{"and end when it is emptier than this part"}.in(0, 1));
  rare(v, "row_hit_cap", c.row_hit_cap, usual.row_hit_cap,
       Info{"accesses that may pass an older request of the bank; 0: any number"}.in(0, 65536));
  const auto turn = [](std::string_view meaning) { return Info{meaning}.in(0, 65536); };
  rare(v, "write_turn", c.write_turn, usual.write_turn,
       turn("queuefuls of writes until waiting reads have their turn; 0: any number"));
  rare(v, "read_turn", c.read_turn, usual.read_turn,
       turn("queuefuls of reads until waiting writes have theirs; 0: any number"));
  rare(v, "bank_queue", c.bank_queue, usual.bank_queue,
       Info{"commands a bank's queue holds (per-bank-queues)"}.in(1, 65536));
  rare(v, "buffer", c.buffer, usual.buffer,
       Info{"read_queue is the depth of a bank's buffer or of all of a direction's "
            "(bank-machines)"});
  rare(v, "page", c.page, usual.page, Info{"when rows close that nobody conflicts with"});
  rare(v, "page_accesses", c.page_accesses, usual.page_accesses,
       Info{"accesses after which the adaptive policy closes a row"}.in(1, 65536));
  rare(v, "map", c.map, usual.map,
       Info{"RBC, BGL, MOP or MOPX, or fields from the most significant: 'row column bank group "
            "column:2'"});
  rare(v, "map_xor", c.map_xor, usual.map_xor,
       Info{"fields that row bits are added to, with the first such bit: 'group=0 bank=2'"});
  rare(v, "lump_bytes", c.lump_bytes, usual.lump_bytes,
       Info{"MOP, MOPX: consecutive bytes in one row"}.in(1, 1 << 20));
  const auto priority = Info{"requests count as so many read queues older than they are"}.in(0, 64);
  rare(v, "priority_weights", c.priority[0], 0u, priority);
  rare(v, "priority_activations", c.priority[1], 0u, priority);
  rare(v, "priority_kv_cache", c.priority[2], 0u, priority);
}

template <class V, Maybe<DramConfig> C>
void describe(V& v, C& c) {
  const auto clocks = [](std::string_view meaning) { return Info{meaning}.in(1, 1e6).must(); };
  describe_identity(v, c);
  v("clock_mhz", c.clock_mhz, Info{"command clock, 1 / tCK"}.in(1, kMaxClockMhz).must());
  v("burst_bytes", c.burst_bytes, Info{"bytes one column access moves"}.in(1, 4096).must());
  v("burst_clocks", c.burst_clocks, clocks("clocks one burst holds the data bus"));
  v("bank_groups", c.bank_groups, Info{"power of two"}.in(1, 64).must());
  v("banks_per_group", c.banks_per_group, Info{"power of two"}.in(1, 64).must());
  v("row_bytes", c.row_bytes, Info{"bytes of one open row, all devices"}.in(64, 1 << 20).must());
  v("capacity_bytes", c.capacity_bytes, Info{"of one channel"}.in(1 << 20, kMaxBytes).must());
  v("cl", c.cl, clocks("read command to first data"));
  v("cwl", c.cwl, clocks("write command to first data"));
  v("rcd_read", c.rcd_read, clocks("activate to read"));
  v("rcd_write", c.rcd_write, clocks("activate to write"));
  v("rp", c.rp, clocks("precharge to activate"));
  v("ras", c.ras, clocks("activate to precharge, same bank"));
  v("rc", c.rc, clocks("activate to activate, same bank"));
  v("ccd_s", c.ccd_s, clocks("column to column, other bank group"));
  v("ccd_l", c.ccd_l, clocks("column to column, same bank group"));
  v("rrd_s", c.rrd_s, clocks("activate to activate, other bank group"));
  v("rrd_l", c.rrd_l, clocks("activate to activate, same bank group"));
  v("faw", c.faw, clocks("window of at most four activates"));
  v("wtr_s", c.wtr_s, clocks("end of write data to read, other bank group"));
  v("wtr_l", c.wtr_l, clocks("end of write data to read, same bank group"));
  v("rtp", c.rtp, clocks("read to precharge"));
  v("wr", c.wr, clocks("end of write data to precharge"));
  v("read_to_write", c.read_to_write, clocks("read command to write command"));
  v("refi", c.refi, clocks("one refresh due every so many clocks"));
  v("rfc", c.rfc, clocks("one all-bank refresh lasts so long"));
  const auto more = [](std::string_view meaning) { return Info{meaning}.in(0, 1e6); };
  rare(v, "ccd_l_write", c.ccd_l_write, 0u, more("write to write, same bank group; 0: ccd_l"));
  rare(v, "ppd", c.ppd, 0u, more("precharge to precharge, any bank"));
  rare(v, "rp_all", c.rp_all, 0u, more("precharge of all banks; 0: rp"));
  rare(v, "activates_32", c.activates_32, 0u, more("window of at most 32 activates; 0: none"));
  rare(v, "ranks", c.ranks, 1u, Info{"that share the data bus"}.in(1, 8));
  rare(v, "pseudo_channels", c.pseudo_channels, 1u,
       Info{"that share the command buses and the queues"}.in(1, 8));
  rare(v, "rtrs", c.rtrs, 0u, more("between bursts of two ranks"));
  const auto slots = [](std::string_view meaning) { return Info{meaning}.in(1, 16); };
  rare(v, "activate_slots", c.activate_slots, 1u,
       slots("clocks of the command bus of an activate"));
  rare(v, "column_slots", c.column_slots, 1u,
       slots("clocks of the command bus of a read or write"));
  rare(v, "precharge_slots", c.precharge_slots, 1u, slots("the same of a precharge"));
  rare(v, "split_activate", c.split_activate, 0u,
       more("ACT-2 follows ACT-1 in a free slot within so many clocks; 0: one command"));
  rare(v, "row_bus", c.row_bus, false, Info{"row commands have a command bus of their own"});
  rare(v, "command_align", c.command_align, 1u,
       Info{"activates and column commands begin at multiples of so many clocks"}.in(1, 16));
  rare(v, "wck_off", c.wck_off, 0u,
       more("the data clock stops so long after the data and a CAS starts it again; 0: it runs"));
  rare(v, "refresh", c.refresh, RefreshMode::all_bank,
       Info{"all banks of a rank, one bank, one bank of each group, or not at all"});
  rare(v, "refi_bank", c.refi_bank, 0u, more("per-bank, same-bank: one is due every so many"));
  rare(v, "rfc_bank", c.rfc_bank, 0u, more("per-bank, same-bank: lasts so long"));
  rare(v, "refresh_to_activate", c.refresh_to_activate, 0u,
       more("per-bank: refresh of a bank to the activate of another"));
  rare(v, "power_down_after", c.power_down_after, 0u,
       Info{"idle clocks until the channel powers down; 0: never"}.in(0, 1e9));
  rare(v, "xp", c.xp, 0u, more("end of power-down to the next command"));
  rare(v, "power_down_mw", c.power_down_mw, 0.0, Info{"instead of standby_mw in power-down"});
  rare(v, "ecc", c.ecc, EccMode::none,
       Info{"check bits: none, on wires of their own, or as bursts among the data"});
  rare(v, "ecc_bursts", c.ecc_bursts, 8u,
       Info{"inline: data bursts that a burst of check bits covers"}.in(1, 1024));
  v("read_queue", c.read_queue, Info{"read bursts the controller holds"}.in(1, 65536).must());
  v("write_queue", c.write_queue, Info{"write bursts the controller holds"}.in(1, 65536).must());
  if constexpr (requires { V::kLeavesOutDefaults; }) {
    if (c.controller != DramControllerConfig{}) {
      v("controller", c.controller, Info{"queues and policy"});
    }
  } else {
    v("controller", c.controller, Info{"queues and policy"});
  }
  v("activate_pj", c.activate_pj, Info{"one activate and precharge of a row"}.above_zero().must());
  v("read_pj_per_bit", c.read_pj_per_bit, Info{"core and I/O"}.above_zero().must());
  v("write_pj_per_bit", c.write_pj_per_bit, Info{"core and I/O"}.above_zero().must());
  v("refresh_pj", c.refresh_pj, Info{"one all-bank refresh"}.must());
  v("standby_mw", c.standby_mw, Info{"background power of the channel"}.must());
  v("energy_source", c.energy_source, Info{"source and uncertainty of the energies"}.must());
  rare(v, "energy_band", c.energy_band, 0.0, kBand);
}

// --- energy ------------------------------------------------------------------------------------
template <class V, Maybe<PePrice> C>
void describe(V& v, C& c) {
  const auto pj = [](std::string_view meaning) { return Info{meaning}.in(0, 1e9); };
  v("area_um2", c.area_um2, Info{"of one PE; 0: the source gives none"}.must());
  v("mac_pj", c.mac_pj,
    Info{"one multiply-accumulate pass, registers included"}.above_zero().must());
  rare(v, "mac_glitch_pj", c.mac_glitch_pj, 0.0,
       pj("the same with transitions that do not settle; 0: not known"));
  rare(v, "mac_zero_pj", c.mac_zero_pj, 0.0, pj("a pass with a zero operand; 0: as mac_pj"));
  rare(v, "mac_hold_pj", c.mac_hold_pj, 0.0,
       pj("a pass whose stationary operand is held; 0: as mac_pj"));
  rare(v, "mac_quiet_pj", c.mac_quiet_pj, 0.0,
       pj("a pass without its operand toggles; 0: passes are not split"));
  rare(v, "operand_toggle_pj", c.operand_toggle_pj, 0.0, pj("one operand bit that changes"));
  v("leakage_uw", c.leakage_uw, Info{"of one PE; 0: the source gives none"}.must());
  v("max_clock_mhz", c.max_clock_mhz,
    Info{"what the synthesis met; 0: not stated"}.in(0, kMaxClockMhz).must());
  v("source", c.source, Info{"how the figures were made"}.must());
  rare(v, "area_band", c.area_band, 0.0, kBand);
  rare(v, "energy_band", c.energy_band, 0.0, kBand);
  rare(v, "node_nm", c.node_nm, 0.0, kNode);
}

template <class V, Maybe<OpPrice> C>
void describe(V& v, C& c) {
  v("pj", c.pj, Info{"one operation"}.above_zero().must());
  v("area_um2", c.area_um2, Info{"of one unit; 0 where the source gives none"});
  v("source", c.source, Info{"publication or derivation"}.must());
  rare(v, "area_band", c.area_band, 0.0, kBand);
  rare(v, "energy_band", c.energy_band, 0.0, kBand);
  rare(v, "node_nm", c.node_nm, 0.0, kNode);
}

template <class V, Maybe<NodeScale> C>
void describe(V& v, C& c) {
  const auto factor = [](std::string_view meaning) { return Info{meaning}.in(0, 1e6); };
  const auto volts = [](std::string_view meaning) { return Info{meaning}.in(0.4, 2).must(); };
  rare(v, "from_nm", c.from_nm, 0.0,
       Info{"node of the figures before; present where they are scaled already"}.in(0, 1000));
  v("to_nm", c.to_nm, Info{"node the figures are brought to"}.in(1, 1000).must());
  v("from_v", c.from_v, volts("supply of the figures before"));
  v("to_v", c.to_v, volts("supply after"));
  v("source", c.source, Info{"who says that scaling is fair, and with which factors"}.must());
  rare(v, "logic_area", c.logic_area, 0.0, factor("of PEs and operations; 0: Stillmaker and Baas"));
  rare(v, "logic_energy", c.logic_energy, 0.0, factor("0: Stillmaker and Baas"));
  rare(v, "logic_leakage", c.logic_leakage, 0.0, factor("0: assumed that of CACTI's SRAM"));
  rare(v, "logic_delay", c.logic_delay, 0.0,
       factor("divides max_clock_mhz; 0: Stillmaker and Baas"));
  rare(v, "sram_area", c.sram_area, 0.0, factor("0: step between CACTI 7 nodes, 22 to 45 nm"));
  rare(v, "sram_energy", c.sram_energy, 0.0, factor("0: the same, of reads"));
  rare(v, "sram_leakage", c.sram_leakage, 0.0, factor("0: the same"));
  rare(v, "sram_delay", c.sram_delay, 0.0, factor("0: the same"));
}

template <class V, Maybe<SramPoint> C>
void describe(V& v, C& c) {
  v("bytes", c.bytes, Info{"of the bank"}.in(64, kMaxBytes).must());
  v("word_bytes", c.word_bytes, Info{"one access"}.in(1, 4096).must());
  v("read_pj", c.read_pj, Info{"a word"}.above_zero().must());
  v("write_pj", c.write_pj, Info{"a word"}.above_zero().must());
  v("leakage_mw", c.leakage_mw, Info{"of the bank"}.must());
  v("area_mm2", c.area_mm2, Info{"of the bank"}.above_zero().must());
  v("access_ns", c.access_ns, Info{"address to data"}.above_zero().must());
}

template <class V, Maybe<SramFit> C>
void describe(V& v, C& c) {
  v("c", c.c, Info{"y at 64 KiB and 32-byte words"}.above_zero().must());
  v("size_exponent", c.size_exponent, Info{"of bytes / 64 KiB"}.any().must());
  v("word_exponent", c.word_exponent, Info{"of word_bytes / 32"}.any().must());
}

template <class V, Maybe<EnergyTable> C>
void describe(V& v, C& c) {
  describe_identity(v, c);
  v("node_nm", c.node_nm, Info{"technology node of the table"}.in(1, 1000).must());
  v("pes", c.pes, Info{"processing elements as synthesised, by design name"}.must());
  v("ops", c.ops, Info{"single operations of vector unit and dequantiser, by name"}.must());
  rare(v, "mixed_nodes", c.mixed_nodes, std::string(),
       Info{"why prices of other nodes stand here unscaled; without it they are refused"});
  rare(v, "scale", c.scale, {}, Info{"brings all prices to another node"});
  v("sram_source", c.sram_source,
    Info{"tool, cells, temperature, ports of the SRAM figures"}.must());
  rare(v, "sram_node_nm", c.sram_node_nm, 0.0, kNode);
  rare(v, "sram_area_band", c.sram_area_band, 0.0, kBand);
  rare(v, "sram_energy_band", c.sram_energy_band, 0.0, kBand);
  rare(v, "sram_fit_area_band", c.sram_fit_area_band, 0.0, kBand);
  rare(v, "sram_fit_energy_band", c.sram_fit_energy_band, 0.0, kBand);
  v("sram_points", c.sram_points, Info{"single-bank SRAMs, used where size and word match"});
  v("sram_read_pj", c.sram_read_pj,
    Info{"fit c (bytes / 64 KiB)^size_exponent (word_bytes / 32)^word_exponent"}.must());
  v("sram_write_pj", c.sram_write_pj, Info{"fit"}.must());
  v("sram_leakage_mw", c.sram_leakage_mw, Info{"fit"}.must());
  v("sram_area_mm2", c.sram_area_mm2, Info{"fit"}.must());
  v("sram_access_ns", c.sram_access_ns, Info{"fit"}.must());
}

// --- machine -----------------------------------------------------------------------------------
template <class V, Maybe<ArrayConfig> C>
void describe(V& v, C& c) {
  v("pe", c.pe, Info{"a PE design of the energy table, see `systole list pes`"}.must());
  v("rows", c.rows,
    Info{"PEs along K (held weights or activations) or M (held sums)"}.in(1, kMaxEdge).must());
  v("cols", c.cols, Info{"PEs along N (M where activations are held)"}.in(1, kMaxEdge).must());
  v("dataflow", c.dataflow, Info{"which operand stays in the array"}.must());
  v("fold_overlap", c.fold_overlap, Info{"what one array-sized tile hides of its neighbours"});
  rare(v, "interconnect", c.interconnect, Interconnect::systolic,
       Info{"how operands reach the PEs: from PE to PE, or by buses with adder trees"});
  rare(v, "drain_words", c.drain_words, 0u,
       Info{"sums that leave the array a cycle; 0: one a column"}.in(0, kMaxEdge));
  rare(v, "count", c.count, 1u, Info{"equal arrays that share each product"}.in(1, 1024));
  rare(v, "split", c.split, Split::automatic, Info{"dimension divided among the arrays"});
}

template <class V, Maybe<DequantiserConfig> C>
void describe(V& v, C& c) {
  v("lanes", c.lanes, Info{"scale-and-add operations a cycle"}.in(1, 65536));
  v("latency_cycles", c.latency_cycles, Info{"sum in to result out"}.in(1, 1000));
  rare(v, "place", c.place, DequantisePlace::edge,
       Info{"behind the array, in its loop, or in each PE"});
}

template <class V, Maybe<KvDequantiserConfig> C>
void describe(V& v, C& c) {
  const auto rate = [](std::string_view meaning) { return Info{meaning}.in(1, 1 << 20); };
  v("lanes", c.lanes, rate("codes unpacked a cycle, and multiply-adds"));
  v("lut_ports", c.lut_ports, rate("table look-ups a cycle"));
  v("transform_adds", c.transform_adds, rate("butterflies of Hadamard transforms a cycle"));
  v("rope_elements", c.rope_elements, rate("elements a cycle that RoPE on read turns"));
  v("gather_elements", c.gather_elements, rate("elements a cycle that a permutation moves"));
  v("sparse_macs", c.sparse_macs, rate("outliers added back a cycle"));
  v("topk_elements", c.topk_elements, rate("scores a cycle that a top-k selection takes"));
  v("latency_cycles", c.latency_cycles, Info{"code in to value out"}.in(1, 1000));
  v("staging_bytes", c.staging_bytes,
    Info{"on chip, for sinks and windows of all layers; 0: they wait in DRAM"}.in(0, kMaxBytes));
  v("masked_writes", c.masked_writes, Info{"a burst written in part needs no read before"});
  rare(v, "combining_bytes", c.combining_bytes, std::uint64_t{0},
       Info{"write-combining buffer of coded caches: bursts wait in it until they are complete; 0: "
            "they are written token by token"}
           .in(0, kMaxBytes));
}

template <class V, Maybe<VectorConfig> C>
void describe(V& v, C& c) {
  v("lanes", c.lanes, Info{"fp32 operations a cycle"}.in(1, 65536));
  v("latency_cycles", c.latency_cycles, Info{"operand in to result out"}.in(1, 1000));
}

template <class V, Maybe<ScratchpadConfig> C>
void describe(V& v, C& c) {
  v("capacity_bytes", c.capacity_bytes,
    Info{"all banks, all buffers: both halves of a double buffer"}.in(64, kMaxBytes).must());
  v("banks", c.banks,
    Info{"power of two; each reads and writes a word a cycle unless `ports` says else"}
        .in(1, 4096)
        .must());
  v("word_bytes", c.word_bytes,
    Info{"power of two; one port access of one bank"}.in(1, 1024).must());
  v("read_latency_cycles", c.read_latency_cycles,
    Info{"request accepted to data valid"}.in(1, 1000));
  rare(v, "ports", c.ports, BankPorts::r1w1, Info{"of a bank: what may happen in one cycle"});
  rare(v, "buffers", c.buffers, 2u, Info{"2: double buffer; more: further ahead"}.in(1, 64));
  rare(v, "layout", c.layout, ScratchpadLayout::streamed,
       Info{"how a tile lies in it: as the array takes it, or in rows"});
}

template <class V, Maybe<DmaConfig> C>
void describe(V& v, C& c) {
  v("segment_bytes", c.segment_bytes, Info{"longest request to one channel"}.in(1, 1 << 20));
  v("outstanding", c.outstanding, Info{"segments in flight a direction"}.in(1, 4096));
  rare(v, "engines", c.engines, 1u,
       Info{"pairs of a read and a write engine; transfers are divided among them"}.in(1, 64));
  rare(v, "align_bytes", c.align_bytes, 1u,
       Info{"power of two; requests begin and end at multiples of it"}.in(1, 1 << 20));
  const auto cycles = [](std::string_view meaning) { return Info{meaning}.in(0, 1e6); };
  rare(v, "descriptor_cycles", c.descriptor_cycles, 0u, cycles("to fetch and decode a descriptor"));
  rare(v, "gather_cycles", c.gather_cycles, 0u, cycles("more for every element of a gather"));
  rare(v, "gather_entries", c.gather_entries, 64u,
       Info{"elements a gather descriptor holds; 1: every element has a descriptor of its own"}.in(
           1, 65536));
  rare(v, "descriptors", c.descriptors, 0u,
       Info{"of an engine in progress; 0: any number"}.in(0, 65536));
}

template <class V, Maybe<NocConfig> C>
void describe(V& v, C& c) {
  v("kind", c.kind, Info{"what joins DMA engines and DRAM channels"});
  v("link_bytes", c.link_bytes, Info{"power of two; moved by a link in a cycle"}.in(1, 1024));
  v("hop_cycles", c.hop_cycles, Info{"of a flit from one queue to the next"}.in(1, 1000));
  v("queue", c.queue, Info{"packets that an input queue holds"}.in(1, 1024));
  v("arbitration", c.arbitration, Info{"whose packet takes a link next"});
  v("columns", c.columns,
    Info{"of a mesh; engines lie first in its rows, then channels"}.in(1, 64));
  v("hop_pj_per_byte", c.hop_pj_per_byte, Info{"wires of a hop; queues are priced as SRAM"});
}

template <class V, Maybe<CacheConfig> C>
void describe(V& v, C& c) {
  v("capacity_bytes", c.capacity_bytes,
    Info{"of all channels' slices together; 0: no cache"}.in(0, kMaxBytes));
  v("line_bytes", c.line_bytes, Info{"power of two; a multiple of the burst"}.in(1, 1024));
  v("ways", c.ways, Info{"lines of a set"}.in(1, 256));
  v("replacement", c.replacement, Info{"least recently used, or a tree of bits"});
  v("write", c.write, Info{"back: when a line makes room or a region ends; through: at once"});
  v("mshrs", c.mshrs, Info{"lines that a slice waits for at once"}.in(1, 4096));
  v("hit_cycles", c.hit_cycles, Info{"from the last look-up to the response"}.in(0, 1000));
  v("weights", c.weights, Info{"pass through the cache"});
  v("activations", c.activations, Info{"pass through the cache"});
  v("kv_cache", c.kv_cache, Info{"keys and values pass through the cache"});
}

/// The key `memory.dram`: a shipped DRAM (or an inline one) and how many channels of it there are.
template <class Memory>
struct DramOfMemory {
  Memory& memory;
};
template <class V, class Memory>
void describe(V& v, DramOfMemory<Memory>& c) {
  v("channels", c.memory.channels, Info{"independent channels (HBM: pseudo channels)"}.in(1, 1024));
  v("interleave_bytes", c.memory.interleave_bytes,
    Info{"consecutive addresses go to the next channel after so many bytes"}.in(1, 1 << 20));
  describe(v, c.memory.dram);
}

// --- tiers -------------------------------------------------------------------------------------
template <class V, Maybe<LinkConfig> C>
void describe(V& v, C& c) {
  v("bandwidth_gbs", c.bandwidth_gbs, Info{"10^9 bytes a second each way"}.above_zero().must());
  v("latency_ns", c.latency_ns, Info{"each way, after the last byte has left"}.in(0, 1e9).must());
  v("packet_bytes", c.packet_bytes, Info{"largest payload of a packet"}.in(1, 65536).must());
  v("header_bytes", c.header_bytes,
    Info{"of every packet, request and acknowledgement"}.in(0, 65536).must());
  v("requests", c.requests, Info{"under way together"}.in(1, 65536).must());
  v("pj_per_bit", c.pj_per_bit, Info{"of a bit on the wire"}.in(0, 1e6).must());
  rare(v, "standby_mw", c.standby_mw, 0.0, Info{"while powered"}.in(0, 1e9));
}

/// A tier is of one kind: the other kind's fields are not printed, and refused by validate.
template <class V, Maybe<TierConfig> C>
void describe(V& v, C& c) {
  const TierConfig usual;
  const auto ns = [](std::string_view meaning) { return Info{meaning}.in(0, 1e9); };
  const auto gbs = [](std::string_view meaning) { return Info{meaning}.in(0, 1e6); };
  const auto pj = [](std::string_view meaning) { return Info{meaning}.in(0, 1e9); };
  describe_identity(v, c);
  v("kind", c.kind, Info{"banks of cells, or channels of a DRAM"}.must());
  rare(v, "link", c.link, usual.link, Info{"between the accelerator and the tier"});
  rare(v, "capacity_bytes", c.capacity_bytes, usual.capacity_bytes,
       Info{"of the tier; dram: 0 is channels x the DRAM's"}.in(0, 1e15));
  rare(v, "granularity_bytes", c.granularity_bytes, usual.granularity_bytes,
       Info{"one access of one bank; a part costs all of it"}.in(1, 65536));
  rare(v, "banks", c.banks, usual.banks,
       Info{"consecutive accesses go to consecutive banks"}.in(1, 4096));
  rare(v, "queue", c.queue, usual.queue, Info{"requests held"}.in(1, 65536));
  rare(v, "read_latency_ns", c.read_latency_ns, usual.read_latency_ns, ns("an access of a bank"));
  rare(v, "write_latency_ns", c.write_latency_ns, usual.write_latency_ns,
       ns("until a bank has written"));
  rare(v, "read_bandwidth_gbs", c.read_bandwidth_gbs, usual.read_bandwidth_gbs,
       gbs("of all banks"));
  rare(v, "write_bandwidth_gbs", c.write_bandwidth_gbs, usual.write_bandwidth_gbs,
       gbs("of all banks, writing"));
  rare(v, "read_pj_per_byte", c.read_pj_per_byte, usual.read_pj_per_byte,
       pj("of a byte of an access"));
  rare(v, "write_pj_per_byte", c.write_pj_per_byte, usual.write_pj_per_byte,
       pj("of a byte written"));
  rare(v, "standby_mw", c.standby_mw, usual.standby_mw, pj("leakage or idle power"));
  rare(v, "endurance_writes", c.endurance_writes, usual.endurance_writes,
       Info{"that a line stands; 0: wear does not matter"}.in(0, 1e18));
  rare(v, "wear_region_bytes", c.wear_region_bytes, usual.wear_region_bytes,
       Info{"writes are counted by regions of so many bytes"}.in(1, kMaxBytes));
  rare(v, "channels", c.channels, usual.channels, Info{"of the DRAM"}.in(1, 1024));
  rare(v, "interleave_bytes", c.interleave_bytes, usual.interleave_bytes,
       Info{"consecutive addresses go to the next channel after so many bytes"}.in(1, 1 << 20));
  if constexpr (requires { V::kLeavesOutDefaults; }) {
    if (c.kind == TierKind::dram) v.table("dram", Kind::dram, c.dram, Info{"its standard"});
  } else {
    v.table("dram", Kind::dram, c.dram, Info{"name of a DRAM, or its values inline"});
  }
  v("energy_source", c.energy_source, Info{"where the energies come from"}.must());
  rare(v, "energy_band", c.energy_band, 0.0, kBand);
}

template <class V, Maybe<TierOfMachine> C>
void describe(V& v, C& c) {
  v("name", c.name, Info{"as rules and reports say it"}.must());
  v.table("tier", Kind::tier, c.tier, Info{"name of a memory tier, or its values inline"}.must());
  rare(v, "capacity_bytes", c.capacity_bytes, std::uint64_t{0},
       Info{"instead of the tier's"}.in(1, 1e15));
  rare(v, "channels", c.channels, 0u, Info{"instead of the tier's"}.in(1, 1024));
}

template <class V, Maybe<PlacementRule> C>
void describe(V& v, C& c) {
  const PlacementRule usual;
  rare(v, "class", c.of, usual.of, Info{"whose bytes"});
  rare(v, "first_layer", c.first_layer, usual.first_layer, Info{"from layer"}.in(0, kLastLayer));
  rare(v, "last_layer", c.last_layer, usual.last_layer,
       Info{"up to layer, inclusive"}.in(0, kLastLayer));
  rare(v, "older_than", c.older_than, usual.older_than,
       Info{"KV: tokens with at least so many after them"}.in(0, 1e9));
  rare(v, "page_tokens", c.page_tokens, usual.page_tokens,
       Info{"tokens that grow old together"}.in(1, 65536));
  rare(v, "salience", c.salience, usual.salience, Info{"which part of a KV cache"});
  rare(v, "tokens", c.tokens, usual.tokens, Info{"how many are sinks"}.in(0, 1e9));
  v("tier", c.tier, Info{"where they lie: dram or one of memory.tiers"}.must());
}

template <class V, Maybe<PrefetchConfig> C>
void describe(V& v, C& c) {
  v("staging_bytes", c.staging_bytes,
    Info{"half for the layer that computes, half for the next"}.in(0, 1e15));
  v("tier", c.tier, Info{"where the staging lies"});
  v("chunk_bytes", c.chunk_bytes, Info{"read, then written, as one"}.in(64, 1 << 30));
  v("chunks", c.chunks, Info{"of them under way"}.in(1, 256));
}

template <class V, Maybe<SwapConfig> C>
void describe(V& v, C& c) {
  v("every_steps", c.every_steps, Info{"decode steps between preemptions"}.in(1, 1e9).must());
  v("tier", c.tier, Info{"where the cache waits"}.must());
}

template <class V, Maybe<PimConfig> C>
void describe(V& v, C& c) {
  v("place", c.place, Info{"where attention of single tokens is computed"});
  v("macs_per_clock", c.macs_per_clock, Info{"of one unit, in memory clocks"}.in(1, 65536));
  v("mac_pj", c.mac_pj, Info{"one multiply-accumulate of a unit"}.in(0, 1e6));
  v("read_pj_per_bit", c.read_pj_per_bit, Info{"from the cells to the unit"}.in(0, 1e6));
  v("activate_pj", c.activate_pj, Info{"of one bank's row; 0: the DRAM's"}.in(0, 1e9));
  v("source", c.source, Info{"where the figures come from"});
}

template <class V, Maybe<MemoryConfig> C>
void describe(V& v, C& c) {
  v("weight", c.weight, Info{"scratchpad of the stationary operand"}.must());
  v("activation", c.activation, Info{"scratchpad of the moving operand"}.must());
  v("output", c.output, Info{"scratchpad of partial and finished sums"}.must());
  v("dma", c.dma, Info{"moves tiles between DRAM and scratchpads"});
  rare(v, "noc", c.noc, {}, Info{"between DMA engines and DRAM channels"});
  rare(v, "cache", c.cache, {}, Info{"in front of the DRAM channels, for some classes of traffic"});
  DramOfMemory<C> dram{c};
  v.table("dram", Kind::dram, dram, Info{"name of a DRAM, or its values inline"}.must());
  rare(v, "tiers", c.tiers, {}, Info{"memories besides the DRAM"});
  rare(v, "placement", c.placement, {}, Info{"whose bytes lie where; the first rule that fits"});
  rare(v, "prefetch", c.prefetch, {}, Info{"of the next layer's weights"});
  rare(v, "swap", c.swap, {}, Info{"preemption of the sequence"});
  rare(v, "pim", c.pim, {}, Info{"attention at the memory"});
}

template <class V, Maybe<TileConfig> C>
void describe(V& v, C& c) {
  const auto size = [](std::string_view meaning) { return Info{meaning}.in(0, kMaxTile); };
  v("m", c.m, size("rows of activations; 0: searched"));
  v("n", c.n, size("outputs; 0: searched"));
  v("k", c.k, size("of the reduction; 0: searched"));
}

template <class V, Maybe<FixedMapping> C>
void describe(V& v, C& c) {
  v("tile", c.tile, Info{"what is on chip at a time; beyond the operation's size: all of it"});
  v("order", c.order, Info{"which operand waits while the other passes"});
}

template <class V, Maybe<MappingConfig> C>
void describe(V& v, C& c) {
  v("objective", c.objective, Info{"what tiles and loop orders are chosen for"});
  rare(v, "attention", c.attention, AttentionSchedule::rows,
       Info{"whole rows of scores, or tiled with running sums"});
  rare(v, "fixed", c.fixed, {},
       Info{"tiles and orders not to be searched, by operation name or 'all'"});
}

template <class V, Maybe<MachineConfig> C>
void describe(V& v, C& c) {
  describe_identity(v, c);
  v("clock_mhz", c.clock_mhz, Info{"array, scratchpads, vector unit"}.in(1, kMaxClockMhz).must());
  v("array", c.array, Info{"the systolic array"}.must());
  v("dequantiser", c.dequantiser, Info{"scales finished group sums"});
  rare(v, "kv_dequantiser", c.kv_dequantiser, {},
       Info{"decodes cached keys and values before the array"});
  v("vector", c.vector, Info{"norms, softmax, RoPE, SwiGLU, quantisation"});
  v("memory", c.memory, Info{"scratchpads, DMA, DRAM"}.must());
  v("mapping", c.mapping, Info{"how matrix products are cut for the scratchpads"});
  v.table("energy", Kind::energy, c.energy,
          Info{"name of an energy table, or its values inline"}.must());
}

// --- recipe ------------------------------------------------------------------------------------
template <class V, Maybe<quant::Level> C>
void describe(V& v, C& c) {
  v("box", c.box,
    Info{"elements that share a scale: [outputs, inputs], [tokens, channels] or [tokens, heads, "
         "channels]; 0 is the whole axis"}
        .in(0, 1 << 24)
        .must());
  v("param", c.parameters, Info{"static (calibrated), dynamic (when written) or streaming"});
  v("scale", c.scale, Info{"how the scale is stored"});
  v("zero_bits", c.zero_bits, Info{"stored bits of one zero or minimum"}.in(0, 32));
}

template <class V, Maybe<quant::Transform> C>
void describe(V& v, C& c) {
  v("op", c.op, Info{"diag, perm, had, rot, mean, fft, log2, chol or rope"}.must());
  rare(v, "axis", c.axis, quant::TransformAxis::channel, Info{"along which it runs"});
  v("where", c.where, Info{"fold (offline), write, read or query"}.must());
  rare(v, "size", c.size, 0u, Info{"points or block; 0: the whole axis"}.in(0, 65536));
  rare(v, "factors", c.factors, quant::FactorRule::none,
       Info{"how diag factors or the order are found"});
  rare(v, "alpha", c.alpha, 0.5, Info{"exponent or bound of the factor rule"}.in(0, 1e6));
  rare(v, "rope_pair_tied", c.rope_pair_tied, false, Info{"equal within a rotary pair"});
}

template <class V, Maybe<quant::OutlierPolicy> C>
void describe(V& v, C& c) {
  v("kind", c.kind,
    Info{"dense_sparse, channel_class, protect, clip, split, top_channels, constant"}.must());
  rare(v, "fraction", c.fraction, 0.0,
       Info{"of elements, or of channels in the high class"}.in(0, 1));
  rare(v, "count", c.count, 0u, Info{"most a token (dense_sparse), or channels"}.in(0, 1 << 20));
  rare(v, "value_bits", c.value_bits, 16u, Info{"of one kept value"}.in(8, 32));
  rare(v, "index_bits", c.index_bits, 16u, Info{"of one index"}.in(0, 64));
  rare(v, "dynamic", c.dynamic, false, Info{"chosen at run time instead of by calibration"});
  rare(v, "high", c.high, quant::Format::fp16, Info{"format of the high class"});
  rare(v, "high_bound", c.high_bound, 0,
       Info{"protective range: codes lie within +- this"}.in(0, 32767));
  rare(v, "point", c.point, 0u,
       Info{"first element of the second half; 0: the middle"}.in(0, 1 << 24));
}

template <class V, Maybe<quant::TokenPolicy> C>
void describe(V& v, C& c) {
  v("kind", c.kind, Info{"all, sink, window, salient, evict or retrieve"}.must());
  rare(v, "count", c.count, 0u, Info{"tokens: sinks, window, budget"}.in(0, 1 << 24));
  rare(v, "flush", c.flush, quant::Flush::block, Info{"block: all at once; slide: one a step"});
  rare(v, "scorer", c.scorer, quant::Scorer::first, Info{"what ranks the tokens"});
  rare(v, "ratio", c.ratio, 0.0, Info{"salient share, or share fetched"}.in(0, 1));
  rare(v, "probe", c.probe, 0.1, Info{"share of the query rows that score"}.in(0, 1));
  rare(v, "refresh", c.refresh, 0u, Info{"tokens between classifications"}.in(0, 1 << 24));
  rare(v, "high", c.high, quant::Format::fp16, Info{"format of salient tokens"});
  rare(v, "block", c.block, 1u, Info{"tokens decided together"}.in(1, 65536));
  rare(v, "keep", c.keep, quant::Keep::score, Info{"which of the evictable stay"});
  rare(v, "sinks", c.sinks, 0u, Info{"first tokens always kept"}.in(0, 1 << 20));
  rare(v, "recent", c.recent, 0u, Info{"newest tokens never evicted"}.in(0, 1 << 20));
  rare(v, "queries", c.queries, 8u, Info{"newest queries that score (snap)"}.in(1, 65536));
  rare(v, "representatives", c.representatives, 0u,
       Info{"blocks of the budget kept for representatives"}.in(0, 1 << 20));
  rare(v, "anchor", c.anchor, quant::Anchor::random, Info{"what signatures are measured against"});
  rare(v, "codewords", c.codewords, 0u, Info{"entries of the index codebook"}.in(0, 65536));
  rare(v, "tier", c.tier, std::string("dram"), Info{"where the full cache lives: dram or host"});
}

template <class V, Maybe<quant::ScheduleEntry> C>
void describe(V& v, C& c) {
  rare(v, "match", c.match, std::string(), Info{"layer, range of layers, linear layer or phase"});
  rare(v, "at", c.at, 0.0, Info{"first step, share of the newest tokens, or threshold"}.in(0, 1e9));
  v("format", c.format, Info{"used there"}.must());
}
template <class V, Maybe<quant::Schedule> C>
void describe(V& v, C& c) {
  v("kind", c.kind,
    Info{"static, map, phase, step, feedback, age, budget, spec or denoise"}.must());
  rare(v, "unit", c.unit, quant::MapUnit::layer, Info{"what a map gives formats to"});
  rare(v, "sensitivity", c.sensitivity, quant::Sensitivity::listed, Info{"what ranks the units"});
  rare(v, "mean_bits", c.mean_bits, 0.0, Info{"budget of a map by sensitivity"}.in(0, 16));
  rare(v, "budget_bytes", c.budget_bytes, std::uint64_t{0},
       Info{"codes of one layer"}.in(0, kMaxBytes));
  rare(v, "entries", c.entries, {}, Info{"formats by layer, phase, step, age or width"});
}

template <class V, Maybe<quant::Layout> C>
void describe(V& v, C& c) {
  rare(v, "word_bits", c.word_bits, 8u, Info{"of a packed word"}.in(8, 64));
  rare(v, "order", c.order, quant::BitOrder::lsb, Info{"which code lies lowest in a word"});
  rare(v, "interleave", c.interleave, quant::Interleave::none, Info{"order of codes in memory"});
  rare(v, "page_tokens", c.page_tokens, 0u, Info{"tokens a page; 0: no pages"}.in(0, 65536));
  rare(v, "metadata", c.metadata, quant::Metadata::separate, Info{"where scales lie"});
  rare(v, "align_bytes", c.align_bytes, 1u,
       Info{"pages and tensors are padded to this"}.in(1, 1 << 20));
}

template <class V, Maybe<quant::QuantiserOptions> C>
void describe(V& v, C& c) {
  v("method", c.method, Info{"rtn, gptq, bitmod or qoq"}.must());
  rare(v, "act_order", c.act_order, false, Info{"columns by descending diag(H)"});
  rare(v, "damp", c.damp, 0.01, Info{"share of the mean diagonal added to H"}.in(0, 1));
  rare(v, "block", c.block, 128u, Info{"columns processed together"}.in(1, 65536));
  rare(v, "q_norm", c.q_norm, false, Info{"the decoding table keeps mean and deviation"});
  rare(v, "weighting", c.weighting, quant::TokenWeighting::uniform, Info{"of calibration tokens"});
}

template <class V, Maybe<quant::TensorPolicy> C>
void describe(V& v, C& c) {
  using namespace quant;
  v("format", c.format, Info{"as stored and multiplied, see `systole list formats`"}.must());
  v("granularity", c.granularity, Info{"what shares one scale"});
  v("group", c.group,
    Info{"elements along K that share a scale, for granularity group"}.in(0, 131071));
  v("affine", c.affine, Info{"symmetric, or which form of zero point"});
  v("scale", c.scale, Info{"how scales are stored"});
  rare(v, "zero_bits", c.zero_bits, 0u,
       Info{"stored bits of one zero; 0: by the affine form"}.in(0, 32));
  rare(v, "range", c.range, RangeRule::automatic, Info{"how scales are found"});
  rare(v, "range_value", c.range_value, 0.0, Info{"clip ratio or percentile"}.in(0, 1e6));
  rare(v, "rounding", c.rounding, Rounding::even, Info{"of ties"});
  rare(v, "scale_rule", c.scale_rule, ScaleRule::standard,
       Info{"published variants of block scales"});
  rare(v, "contract", c.contract, Contract::corrected,
       Info{"where paper and released code differ: corrected (paper) or reference (code)"});
  rare(v, "level_count", c.QuantSpec::levels, 0u,
       Info{"levels of `levels`, entries of `lut`"}.in(0, 65536));
  rare(v, "fraction_bits", c.fraction_bits, 0u, Info{"f of Q(i.f)"}.in(0, 16));
  rare(v, "integer_bits", c.integer_bits, 0u, Info{"i of Q(i.f)"}.in(0, 16));
  rare(v, "vector_length", c.vector_length, 0u, Info{"elements a codeword"}.in(0, 1024));
  rare(v, "levels", c.levels, {}, Info{"nested scales, outermost first, instead of granularity"});
  rare(v, "transforms", c.transforms, {}, Info{"what happens to the tensor on its way in and out"});
  rare(v, "outliers", c.outliers, {}, Info{"what is kept apart or bounded"});
  rare(v, "tokens", c.tokens, {}, Info{"which tokens are kept, and how (KV cache)"});
  rare(v, "schedule", c.schedule, {}, Info{"which format when or where"});
  rare(v, "layout", c.layout, {}, Info{"how codes lie in memory"});
  rare(v, "quantiser", c.quantiser, {}, Info{"how weights are quantised offline"});
}

/// The key `tensors`: in files a list of {target: NAME, ...}, in paths `tensors.NAME`.
template <class R>
struct TensorsOfRecipe {
  R& recipe;
};
inline constexpr std::array<std::string_view, kTargetCount> kTargetMeanings = {
    "linear layers q, k, v, o, gate, up, down",
    "the classifier",
    "inputs of the linear layers and of the head",
    "rotated queries",
    "rotated keys in the cache",
    "values in the cache",
    "softmax output",
    "the embedding table",
    "the residual stream"};
inline constexpr std::size_t kFirstRareTarget = static_cast<std::size_t>(Target::embedding);
template <class V, class R>
void describe(V& v, TensorsOfRecipe<R>& c) {
  for (std::size_t t = 0; t < kTargetCount; ++t) {
    const Info info{kTargetMeanings[t]};
    if (t < kFirstRareTarget) {
      v(kTargetNames[t], c.recipe.policies[t], info);
    } else {
      rare(v, kTargetNames[t], c.recipe.policies[t], {}, info);
    }
  }
}

template <class R>
struct ComputeOfRecipe {
  R& recipe;
};
template <class V, class R>
void describe(V& v, ComputeOfRecipe<R>& c) {
  v("dequantise", c.recipe.dequantise,
    Info{"where a quantised weight becomes a real number: after the integer sum, or before"});
}

template <class V, Maybe<Calibration> C>
void describe(V& v, C& c) {
  v("tokens", c.tokens, Info{"taken from the calibration text"}.in(1, 1 << 24));
  v("seed", c.seed, Info{"of random rotations, codebooks and probe rows"});
}

template <class V, Maybe<Recipe> C>
void describe(V& v, C& c) {
  describe_identity(v, c);
  TensorsOfRecipe<C> tensors{c};
  v("tensors", tensors, Info{"one policy a tensor; a tensor not named is fp32"}.must());
  ComputeOfRecipe<C> compute{c};
  v("compute", compute, Info{"how products are formed"});
  rare(v, "calibration", c.calibration, {}, Info{"what calibrated parameters are found with"});
}

// --- model -------------------------------------------------------------------------------------
template <class V, Maybe<ModelShape> C>
void describe(V& v, C& c) {
  describe_identity(v, c);
  v("layers", c.layers, Info{"transformer blocks"}.in(1, 1000).must());
  v("hidden", c.hidden, Info{"width of the residual stream"}.in(1, 1 << 17).must());
  v("intermediate", c.intermediate, Info{"width inside the SwiGLU"}.in(1, 1 << 20).must());
  v("experts", c.experts,
    Info{"SwiGLUs of a layer that tokens are routed to; 0 = dense"}.in(0, 4096));
  v("experts_per_token", c.experts_per_token, Info{"experts that a token goes to"}.in(0, 4096));
  v("heads", c.heads, Info{"query heads"}.in(1, 1024).must());
  v("kv_heads", c.kv_heads, Info{"key and value heads; divides heads"}.in(1, 1024).must());
  v("head_dim", c.head_dim, Info{"even; 0 = hidden / heads"}.in(0, 4096));
  v("vocab", c.vocab, Info{"tokens, padding rows included"}.in(1, 1 << 24).must());
  v("max_positions", c.max_positions, Info{"longest sequence"}.in(1, 1 << 28).must());
  v("sliding_window", c.sliding_window,
    Info{"tokens that a token attends to, itself included; 0 = all"}.in(0, 1 << 28));
  v("rope_theta", c.rope_theta, Info{"base of the rotary angles"}.above_zero());
  v("norm_epsilon", c.norm_epsilon, Info{"added to the mean square of RMSNorm"}.above_zero());
  v("tied_embedding", c.tied_embedding, Info{"the classifier is the embedding matrix"});
}

// --- paper -------------------------------------------------------------------------------------
/// Sides of the papers' layers; beyond it a number is a slip of the keyboard, and products of five
/// of them still fit 64 bits.
inline constexpr double kMaxPaperSide = 1 << 20;

template <class V, Maybe<PaperLayer> C>
void describe(V& v, C& c) {
  rare(v, "times", c.times, 1u, Info{"equal layers in a row"}.in(1, 1000));
  rare(v, "rows", c.rows, 1u, Info{"vectors a sample, such as tokens"}.in(1, 65536));
  rare(v, "edge", c.edge, 1u, Info{"edge of a square output"}.in(1, 4096));
  rare(v, "kernel", c.kernel, 1u, Info{"height of the kernel, and width"}.in(1, 64));
  rare(v, "kernel_width", c.kernel_width, 0u, Info{"where the kernel is not square"}.in(0, 64));
  v("in", c.in, Info{"input channels"}.in(1, kMaxPaperSide).must());
  v("out", c.out, Info{"output channels"}.in(1, kMaxPaperSide).must());
}

template <class V, Maybe<PaperBlock> C>
void describe(V& v, C& c) {
  rare(v, "times", c.times, 1u, Info{"the group repeats so often"}.in(1, 1000));
  v("layers", c.layers, Info{"in order"}.must());
}

template <class V, Maybe<BitfusionMachine> C>
void describe(V& v, C& c) {
  v("name", c.name, Info{"as the paper calls it"}.must());
  v("rows", c.rows,
    Info{"elements along batch (os) or input channels (ws)"}.in(1, kMaxEdge).must());
  v("cols", c.cols, Info{"elements along output channels"}.in(1, kMaxEdge).must());
  v("max_bits", c.max_bits, Info{"widest operand of one element"}.in(1, 64).must());
  v("min_bits", c.min_bits, Info{"narrowest that still gains speed"}.in(1, 64).must());
  v("dataflow", c.dataflow, Info{"os or ws"}.must());
  v("leakage_nw", c.leakage_nw, Info{"of one element"}.must());
  v("dynamic_nw", c.dynamic_nw, Info{"of one element at work"}.must());
  rare(v, "pe", c.pe, {}, Info{"the nearest PE of ours, for the physical twin"});
  rare(v, "weight_bits", c.weight_bits, 0u,
       Info{"of the physical twin, where the layer list counts others"}.in(0, 64));
  rare(v, "activation_bits", c.activation_bits, 0u,
       Info{"of the physical twin, where the layer list counts others"}.in(0, 64));
}

template <class V, Maybe<BitfusionWorkload> C>
void describe(V& v, C& c) {
  v("network", c.network, Info{"as the paper calls it"}.must());
  v("bits", c.bits, Info{"of both operands, a width a layer, by machine"}.must());
  v("blocks", c.blocks, Info{"the layers, in groups that repeat"}.must());
  rare(v, "note", c.note, {}, Info{"where the paper's layers are not the network's"});
}

template <class V, Maybe<BitfusionBuffer> C>
void describe(V& v, C& c) {
  v("bytes", c.bytes, Info{"both halves of the double buffer"}.in(64, kMaxBytes).must());
  v("read_pj_per_bit", c.read_pj_per_bit, Info{"whatever the array"}.must());
  v("write_pj_per_bit", c.write_pj_per_bit, Info{"whatever the array"}.must());
  v("leakage_mw", c.leakage_mw, Info{"all banks; counts in the search alone"}.must());
}

template <class V, Maybe<BitfusionPaper> C>
void describe(V& v, C& c) {
  v("batch", c.batch, Info{"samples"}.in(1, 65536).must());
  v("clock_mhz", c.clock_mhz, Info{"turns power into energy a cycle"}.in(1, kMaxClockMhz).must());
  v("dram_bits_per_cycle", c.dram_bits_per_cycle, Info{"one port"}.in(1, 65536).must());
  v("weight", c.weight, Info{"weight buffer"}.must());
  v("activation", c.activation, Info{"input buffer"}.must());
  v("output", c.output, Info{"output buffer"}.must());
  v("dram_read_pj_per_bit", c.dram_read_pj_per_bit, Info{"reported"}.must());
  v("dram_write_pj_per_bit", c.dram_write_pj_per_bit, Info{"reported"}.must());
  v("dram_static_nj_per_cycle", c.dram_static_nj_per_cycle, Info{"reported as static"}.must());
  v("search_dram_read_pj_per_bit", c.search_dram_read_pj_per_bit, Info{"breaks ties"}.must());
  v("search_dram_write_pj_per_bit", c.search_dram_write_pj_per_bit, Info{"breaks ties"}.must());
  v("search_dram_static_nj_per_cycle", c.search_dram_static_nj_per_cycle,
    Info{"breaks ties"}.must());
  v("reference", c.reference, Info{"figures are divided by those of this machine"}.must());
  v("machines", c.machines, Info{"in the order that reports show"}.must());
  v("workloads", c.workloads, Info{"networks, in the order that reports show"}.must());
}

template <class V, Maybe<BitmodModel> C>
void describe(V& v, C& c) {
  v("name", c.name, Info{"as the paper calls it"}.must());
  v("layers", c.layers, Info{"transformer blocks"}.in(1, 1000).must());
  v("hidden", c.hidden, Info{"width of the residual stream"}.in(1, 65536).must());
  v("ffn", c.ffn, Info{"width inside the feed-forward part"}.in(1, kMaxPaperSide).must());
  v("heads", c.heads, Info{"query heads; divides hidden"}.in(1, 1024).must());
  v("kv_heads", c.kv_heads, Info{"divides heads"}.in(1, 1024).must());
  v("vocab", c.vocab, Info{"rows of the output head"}.in(1, kMaxPaperSide).must());
  v("gated", c.gated, Info{"three feed-forward matrices, not two"});
}

template <class V, Maybe<BitmodBuffer> C>
void describe(V& v, C& c) {
  v("bits", c.bits, Info{"width of the port"}.in(1, 65536).must());
  v("read_pj", c.read_pj, Info{"one word"}.above_zero().must());
  v("write_pj", c.write_pj, Info{"one word"}.above_zero().must());
}

template <class V, Maybe<BitmodPhase> C>
void describe(V& v, C& c) {
  v("rows", c.rows, Info{"PEs along output channels"}.in(1, kMaxEdge).must());
  v("cols", c.cols, Info{"PEs along tokens"}.in(1, kMaxEdge).must());
  v("weight_bits", c.weight_bits, Info{"one, or one a model"}.in(1, 64).must());
}

template <class V, Maybe<BitmodMachine> C>
void describe(V& v, C& c) {
  v("name", c.name, Info{"as the paper calls it"}.must());
  v("attention", c.attention, Info{"joint (as published) or per_head (HEAD)"}.must());
  rare(v, "lanes", c.lanes, 1u, Info{"products a PE adds at once"}.in(1, 64));
  rare(v, "bit_serial", c.bit_serial, false, Info{"two bits of a weight a cycle"});
  rare(v, "kv_bits", c.kv_bits, 16u, Info{"of keys and values"}.in(1, 64));
  v("pe_pj", c.pe_pj, Info{"one PE, one cycle, before placement"}.must());
  v("prefill", c.prefill, Info{"all tokens of the context at once"}.must());
  v("generation", c.generation, Info{"one token"}.must());
  rare(v, "pe", c.pe, {}, Info{"the nearest PE of ours, for the physical twin"});
}

template <class V, Maybe<BitmodPaper> C>
void describe(V& v, C& c) {
  v("context", c.context, Info{"tokens"}.in(1, 65536).must());
  v("activation_bits", c.activation_bits, Info{"of inputs and outputs"}.in(1, 64).must());
  v("dram_bits_per_cycle", c.dram_bits_per_cycle, Info{"both edges"}.in(1, 65536).must());
  v("buffer_bytes", c.buffer_bytes,
    Info{"weights; and as much for inputs"}.in(64, kMaxBytes).must());
  v("dram_pj_per_bit", c.dram_pj_per_bit, Info{"read or written"}.must());
  v("placement_factor", c.placement_factor, Info{"of PE energy, for place and route"}.must());
  v("buffers", c.buffers, Info{"prices by width of the port"}.must());
  v("models", c.models, Info{"in the order that reports show"}.must());
  v("machines", c.machines, Info{"in the order that reports show"}.must());
}

template <class V, Maybe<ScaleSimMachine> C>
void describe(V& v, C& c) {
  v("name", c.name, Info{"as reports say it"}.must());
  v("rows", c.rows, Info{"of the array"}.in(1, kMaxEdge).must());
  v("cols", c.cols, Info{"of the array"}.in(1, kMaxEdge).must());
  v("dataflow", c.dataflow, Info{"ws, os or is"}.must());
  rare(v, "pe", c.pe, {}, Info{"the nearest PE of ours, for the physical twin"});
}

template <class V, Maybe<ScaleSimLayer> C>
void describe(V& v, C& c) {
  const Info side = Info{"m, n, k of a product"}.in(1, kMaxPaperSide);
  rare(v, "gemm", c.gemm, {}, side);
  rare(v, "conv", c.conv, {},
       Info{"height, width, kernel height, width, channels, filters, stride"}.in(1, kMaxPaperSide));
}

template <class V, Maybe<ScaleSimNetwork> C>
void describe(V& v, C& c) {
  v("name", c.name, Info{"as reports say it"}.must());
  v("layers", c.layers, Info{"in order"}.must());
}

template <class V, Maybe<ScaleSimPaper> C>
void describe(V& v, C& c) {
  v("machines", c.machines, Info{"in the order that reports show"}.must());
  v("networks", c.networks, Info{"in the order that reports show"}.must());
}

template <class V, Maybe<PublishedValues> C>
void describe(V& v, C& c) {
  v("network", c.network, Info{"of the lists above, or mean"}.must());
  v("machine", c.machine, Info{"of the lists above"}.must());
  v("values", c.values, Info{"by metric, digits as printed"}.must());
  rare(v, "cut", c.cut, false, Info{"the last printed digit was cut, not rounded"});
  rare(v, "note", c.note, {}, Info{"the cause, where the model's value differs"});
  rare(v, "erratum", c.erratum, {}, Info{"why these are wrong in print; shown, not matched"});
}

template <class V, Maybe<PaperConfig> C>
void describe(V& v, C& c) {
  describe_identity(v, c);
  v("model", c.model, Info{"the closed form behind the figures"}.must());
  v("figure", c.figure, Info{"what was printed, and where"}.must());
  rare(v, "tolerance", c.tolerance, 0.0,
       Info{"share that a value may differ by where no source gives it exactly"}.in(0, 1));
  rare(v, "note", c.note, {}, Info{"what a reader must know of the printed values"});
  switch (c.model) {
    case PaperModel::bitfusion:
      v("bitfusion", c.bitfusion, Info{"machines, prices, layers"}.must());
      break;
    case PaperModel::bitmod:
      v("bitmod", c.bitmod, Info{"machines, prices, models"}.must());
      break;
    case PaperModel::scale_sim:
      v("scale_sim", c.scale_sim, Info{"machines, layers"}.must());
      break;
  }
  v("published", c.published, Info{"the printed values"}.must());
}

// --- what can be described ---------------------------------------------------------------------
struct NullVisitor {
  template <class T>
  void operator()(std::string_view, T&, const Info&) {}
  template <class T>
  void table(std::string_view, Kind, T&, const Info&) {}
};
template <class T>
concept Described = requires(NullVisitor& v, T& t) {
  describe(v, t);
};

}  // namespace systole::configs
