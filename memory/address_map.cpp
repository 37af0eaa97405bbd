#include "memory/address_map.hpp"

#include <algorithm>
#include <bit>
#include <charconv>
#include <limits>
#include <sstream>
#include <string>

#include "sim/core/error.hpp"

namespace systole::memory {

namespace {

const std::vector<std::string> kFieldNames = {"row", "rank", "bank", "group", "pseudo", "column"};

[[noreturn]] void refuse(const configs::DramConfig& config, const std::string& what) {
  throw ConfigError("dram '" + config.name + "': " + what);
}

std::uint32_t bits_of(const configs::DramConfig& config, const char* field, std::uint32_t value) {
  if (!std::has_single_bit(value)) {
    refuse(config,
           std::string(field) + ": expected a power of two, found " + std::to_string(value));
  }
  return static_cast<std::uint32_t>(std::countr_zero(value));
}

std::uint32_t mask_of(std::uint32_t bits) {
  return bits >= 32 ? std::numeric_limits<std::uint32_t>::max() : (std::uint32_t{1} << bits) - 1;
}

/// A word of a map: a field, and a number after `separator` or none.
struct Word {
  std::size_t field = 0;
  bool numbered = false;
  std::uint32_t number = 0;
};

std::vector<Word> words_of(const configs::DramConfig& config, const char* key,
                           const std::string& text, char separator) {
  std::vector<Word> words;
  std::istringstream stream(text);
  for (std::string token; stream >> token;) {
    const std::size_t cut = token.find(separator);
    const std::string name = token.substr(0, cut);
    const auto found = std::find(kFieldNames.begin(), kFieldNames.end(), name);
    if (found == kFieldNames.end()) {
      std::vector<std::string> known = kFieldNames;
      if (separator == ':') known.insert(known.end(), {"RBC", "BGL", "MOP", "MOPX"});
      refuse(config, std::string(key) + ": " + unknown_name_message("map or field", name, known));
    }
    Word word{static_cast<std::size_t>(found - kFieldNames.begin()), cut != std::string::npos, 0};
    if (word.numbered) {
      const char* const end = token.data() + token.size();
      const auto read = std::from_chars(token.data() + cut + 1, end, word.number);
      if (read.ec != std::errc() || read.ptr != end || word.number > 31) {
        refuse(config, std::string(key) + ": found '" + token + "'; expected " + name + separator +
                           " and a number up to 31");
      }
    }
    words.push_back(word);
  }
  return words;
}

}  // namespace

AddressMap::AddressMap(const configs::DramConfig& config)
    : burst_bits_(bits_of(config, "burst_bytes", config.burst_bytes)) {
  width_[kRank] = bits_of(config, "ranks", config.ranks);
  width_[kPseudo] = bits_of(config, "pseudo_channels", config.pseudo_channels);
  width_[kGroup] = bits_of(config, "bank_groups", config.bank_groups);
  width_[kBank] = bits_of(config, "banks_per_group", config.banks_per_group);
  const std::uint32_t row_bits = bits_of(config, "row_bytes", config.row_bytes);
  if (row_bits < burst_bits_) {
    refuse(config, "row_bytes: expected at least burst_bytes (" +
                       std::to_string(config.burst_bytes) + "), found " +
                       std::to_string(config.row_bytes));
  }
  width_[kColumn] = row_bits - burst_bits_;
  const std::uint32_t lump = bits_of(config, "controller.lump_bytes", config.controller.lump_bytes);
  const std::string low = std::to_string(std::clamp(lump, burst_bits_, row_bits) - burst_bits_);

  const std::string& name = config.controller.map;
  const bool hashed = name == "MOPX";
  if (name == "RBC") {
    parse(config, "row rank bank group pseudo column");
  } else if (name == "BGL") {
    parse(config, "row rank bank column group pseudo");
  } else if (name == "MOP" || hashed) {
    parse(config, "row column rank bank group pseudo column:" + low);
  } else {
    parse(config, name);
  }
  const std::string bank_bit = std::to_string(width_[kGroup]);
  const std::string pseudo_bit = std::to_string(width_[kGroup] + width_[kBank]);
  parse_hashes(config, hashed ? "group=0 bank=" + bank_bit + " pseudo=" + pseudo_bit
                              : config.controller.map_xor);
  if (hashed && !config.controller.map_xor.empty()) {
    refuse(config, "controller.map_xor: MOPX has its own; name another map with it");
  }
}

void AddressMap::parse(const configs::DramConfig& config, const std::string& map) {
  const std::vector<Word> words = words_of(config, "controller.map", map, ':');
  const std::uint64_t banks_bytes = std::uint64_t{config.row_bytes} * config.banks();
  const std::uint64_t rows = std::max<std::uint64_t>(config.capacity_bytes / banks_bytes, 1);
  width_[kRow] = std::min<std::uint32_t>(static_cast<std::uint32_t>(std::bit_width(rows - 1)), 31);
  std::array<std::uint32_t, kFields> left = width_;
  for (const Word& word : words) {
    if (word.numbered) left[word.field] -= std::min(word.number, left[word.field]);
  }
  std::array<bool, kFields> rest{};
  for (const Word& word : words) {
    if (word.numbered) continue;
    if (rest[word.field]) {
      refuse(config, "controller.map: '" + kFieldNames[word.field] +
                         "' is there twice without a number of bits");
    }
    rest[word.field] = true;
  }
  // From the least significant: each piece holds the lowest bits of its field that are left.
  std::array<std::uint32_t, kFields> at{};
  for (std::size_t i = words.size(); i-- > 0;) {
    const Word& word = words[i];
    const std::uint32_t bits = word.numbered ? word.number : left[word.field];
    if (bits == 0) continue;
    const auto field = static_cast<Field>(word.field);
    pieces_.push_back({field, static_cast<std::uint8_t>(bits), static_cast<std::uint8_t>(at[field]),
                       mask_of(bits)});
    at[field] += bits;
  }
  for (std::size_t field = 0; field < kFields; ++field) {
    if (at[field] == width_[field]) continue;
    refuse(config, "controller.map: expected " + std::to_string(width_[field]) + " bits of '" +
                       kFieldNames[field] + "', found " + std::to_string(at[field]));
  }
  // The topmost piece takes what lies beyond the capacity.
  std::uint32_t below = 0;
  for (std::size_t i = 0; i + 1 < pieces_.size(); ++i) below += pieces_[i].bits;
  period_bits_ = burst_bits_ + below;
  if (!pieces_.empty()) {
    pieces_.back().mask = mask_of(32u - pieces_.back().at);
    if (pieces_.back().field != kRow) pieces_.back().mask = mask_of(pieces_.back().bits);
    if (pieces_.front().field == kColumn) lump_bits_ = pieces_.front().bits;
  }
}

void AddressMap::parse_hashes(const configs::DramConfig& config, const std::string& text) {
  std::uint32_t hashed_rows = 0;
  for (const Word& word : words_of(config, "controller.map_xor", text, '=')) {
    if (word.field == kRow || word.field == kColumn) {
      refuse(config, "controller.map_xor: '" + kFieldNames[word.field] +
                         "' cannot be hashed; expected rank, bank, group or pseudo");
    }
    if (width_[word.field] == 0) continue;
    hashes_.push_back({static_cast<Field>(word.field), static_cast<std::uint8_t>(word.number),
                       mask_of(width_[word.field])});
    hashed_rows = std::max(hashed_rows, word.number + width_[word.field]);
  }
  const bool row_on_top = !pieces_.empty() && pieces_.back().field == kRow;
  // A row cut in two, or below another field: equal work only a whole channel away.
  if (row_on_top && pieces_.back().at == 0) {
    period_bits_ += hashed_rows;
  } else if (!pieces_.empty()) {
    period_bits_ += pieces_.back().bits;
  }
}

std::uint64_t AddressMap::burst_of(const DramLocation& place) const {
  std::array<std::uint32_t, kFields> field{};
  field[kRow] = place.row;
  field[kColumn] = place.column;
  std::uint32_t bank = place.bank;
  const auto take = [&](Field f) {
    field[f] = bank & mask_of(width_[f]);
    bank >>= width_[f];
  };
  take(kBank);
  take(kGroup);
  take(kRank);
  take(kPseudo);
  for (const Hash& hash : hashes_) field[hash.field] ^= (place.row >> hash.row_bit) & hash.mask;
  std::uint64_t burst = 0;
  std::uint32_t shift = 0;
  for (const Piece& piece : pieces_) {
    burst |= std::uint64_t{(field[piece.field] >> piece.at) & piece.mask} << shift;
    shift += piece.bits;
  }
  return burst;
}

}  // namespace systole::memory
