// The names of a bundle's files.
//
// PREFIX.index and PREFIX.data-SSSSS-of-NNNNN, both numbers zero-padded to at least
// five digits.  A file under construction has a hidden name in the same directory,
// .BASE.tmp.ID for a final name BASE, so that no reader takes it for a part of a
// bundle and whoever holds the prefix's lock can tell it for litter.

#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace tensorbundle::format {

constexpr uint32_t kMaxShards = 99999;  // what five digits hold

std::string IndexPath(std::string_view prefix);
std::string ShardPath(std::string_view prefix, uint32_t shard, uint32_t num_shards);
// What a later save may go by (format/fingerprint_list.h).
std::string FingerprintsPath(std::string_view prefix);
// A name that nobody else has a use for: the file is removed after each save.
std::string LockPath(std::string_view prefix);

// `save_id` tells one save's temporary files from another's.
std::string TemporaryPath(std::string_view final_path, uint64_t save_id);

struct ShardName {
  uint32_t shard;
  uint32_t num_shards;
  friend bool operator==(const ShardName&, const ShardName&) = default;
};

// What `file_name` says if it is exactly the name that ShardPath() gives for some
// shard of the bundle whose prefix ends in `prefix_name`; no directories in either.
std::optional<ShardName> ParseShardName(std::string_view file_name,
                                        std::string_view prefix_name);

// The last part of the prefix of the bundle that `file_name` is a shard of, if it is one.
std::optional<std::string_view> PrefixOfShardName(std::string_view file_name);

// The same for the file of FingerprintsPath().
std::optional<std::string_view> PrefixOfFingerprintsName(std::string_view file_name);

// Whether `file_name` is a temporary name of some file of that bundle.
bool IsTemporaryName(std::string_view file_name, std::string_view prefix_name);

}  // namespace tensorbundle::format
