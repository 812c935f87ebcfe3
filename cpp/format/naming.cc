#include "format/naming.h"

#include <cstddef>

namespace tensorbundle::format {
namespace {

constexpr size_t kMinDigits = 5;  // of a number in a shard's name
constexpr size_t kIdDigits = 16;  // of a save's id, hexadecimal
constexpr std::string_view kShardMark = ".data-";
constexpr std::string_view kFingerprintsSuffix = ".fingerprints";
constexpr std::string_view kTemporaryMark = ".tmp.";
constexpr std::string_view kHexDigits = "0123456789abcdef";

std::string Padded(uint32_t number) {
  std::string digits = std::to_string(number);
  if (digits.size() >= kMinDigits) return digits;
  return std::string(kMinDigits - digits.size(), '0') + digits;
}

// Removes `prefix` from the front of `text`; false where it is not there.
bool Consume(std::string_view& text, std::string_view prefix) {
  if (!text.starts_with(prefix)) return false;
  text.remove_prefix(prefix.size());
  return true;
}

// Reads exactly five digits, which is all that a number up to kMaxShards takes.
bool ConsumeNumber(std::string_view& text, uint32_t& number) {
  static_assert(kMaxShards <= 99999);
  if (text.size() < kMinDigits) return false;
  number = 0;
  for (const char c : text.substr(0, kMinDigits)) {
    if (c < '0' || c > '9') return false;
    number = number * 10 + static_cast<uint32_t>(c - '0');
  }
  text.remove_prefix(kMinDigits);
  return true;
}

bool IsSaveId(std::string_view text) {
  return text.size() == kIdDigits &&
         text.find_first_not_of(kHexDigits) == std::string_view::npos;
}

// "a/.b" for "a/b".
std::string HiddenPath(std::string_view path) {
  const size_t slash = path.rfind('/');
  const size_t base = slash == std::string_view::npos ? 0 : slash + 1;
  std::string hidden(path.substr(0, base));
  hidden += '.';
  hidden += path.substr(base);
  return hidden;
}

}  // namespace

std::string IndexPath(std::string_view prefix) { return std::string(prefix) + ".index"; }

std::string ShardPath(std::string_view prefix, uint32_t shard, uint32_t num_shards) {
  std::string path(prefix);
  path += kShardMark;
  path += Padded(shard) + "-of-" + Padded(num_shards);
  return path;
}

std::string FingerprintsPath(std::string_view prefix) {
  std::string path(prefix);
  path += kFingerprintsSuffix;
  return path;
}

std::string LockPath(std::string_view prefix) {
  return HiddenPath(prefix) + ".tensorbundle-lock";
}

std::string TemporaryPath(std::string_view final_path, uint64_t save_id) {
  std::string path = HiddenPath(final_path);
  path += kTemporaryMark;
  for (size_t digit = kIdDigits; digit-- > 0;)
    path += kHexDigits[save_id >> (4 * digit) & 0xf];
  return path;
}

std::optional<ShardName> ParseShardName(std::string_view file_name,
                                        std::string_view prefix_name) {
  ShardName name{};
  const bool well_formed = Consume(file_name, prefix_name) && Consume(file_name, kShardMark) &&
                           ConsumeNumber(file_name, name.shard) &&
                           Consume(file_name, "-of-") &&
                           ConsumeNumber(file_name, name.num_shards) && file_name.empty();
  if (!well_formed || name.shard >= name.num_shards) return std::nullopt;
  return name;
}

std::optional<std::string_view> PrefixOfShardName(std::string_view file_name) {
  const size_t end = file_name.rfind(kShardMark);
  if (end == std::string_view::npos) return std::nullopt;
  const std::string_view prefix = file_name.substr(0, end);
  if (!ParseShardName(file_name, prefix).has_value()) return std::nullopt;
  return prefix;
}

std::optional<std::string_view> PrefixOfFingerprintsName(std::string_view file_name) {
  if (!file_name.ends_with(kFingerprintsSuffix)) return std::nullopt;
  return file_name.substr(0, file_name.size() - kFingerprintsSuffix.size());
}

bool IsTemporaryName(std::string_view file_name, std::string_view prefix_name) {
  const size_t mark_and_id = kTemporaryMark.size() + kIdDigits;
  if (!Consume(file_name, ".") || file_name.size() < mark_and_id) return false;
  const std::string_view base = file_name.substr(0, file_name.size() - mark_and_id);
  std::string_view tail = file_name.substr(base.size());
  if (!Consume(tail, kTemporaryMark) || !IsSaveId(tail)) return false;
  return base == IndexPath(prefix_name) || base == FingerprintsPath(prefix_name) ||
         ParseShardName(base, prefix_name).has_value();
}

}  // namespace tensorbundle::format
