// What a Llama-architecture shape must satisfy before anything is sized by it.
#pragma once

#include <cstdint>
#include <string>

#include "configs/model.hpp"
#include "configs/recipe.hpp"
#include "quant/format.hpp"

namespace systole::workloads {

/// The shape with `head_dim` filled in (hidden / heads where it was 0). `where` (a file, a model
/// name) opens the message of the ConfigError, which lists every fault: zero or absurd dimensions,
/// heads not a multiple of kv_heads, odd head_dim, a hidden size that heads do not divide,
/// non-positive theta or epsilon. The upper limits keep every product of this folder (MACs, bytes)
/// inside 64 bits.
configs::ModelShape validated(configs::ModelShape shape, const std::string& where);

/// Throws one ConfigError for a recipe that is invalid, or that the timed machine does not model:
/// it times policies that are one format with one scale a tensor, channel, token or group, and of
/// keys and values every one that is the same in all layers. The functional executor takes every
/// recipe.
void require_timed(const configs::Recipe& recipe);

/// Whether keys and values are kept as tokens of one format each, without windows, classes, sparse
/// parts or transforms on read; others lie as kv_layout says.
bool plain_cache(const configs::Recipe& recipe);

/// The embedding table is stored as its own policy says, or, when that is not given, as the head is
/// where that is a float format, else in fp16: a look-up has no integer form here. A tied model
/// whose head is a float format therefore stores one table.
quant::Format embedding_format(const configs::Recipe& recipe);

}  // namespace systole::workloads
