#include "format/block.h"

#include <algorithm>
#include <cassert>

namespace tensorbundle::format {
namespace {

// Bytes that `a` and `b` have in common at their start.
size_t CommonPrefix(std::string_view a, std::string_view b) {
  const size_t shorter = std::min(a.size(), b.size());
  size_t size = 0;
  // Eight at a time: keys of one index have most of their bytes in common.
  constexpr size_t kStep = 8;
  while (shorter - size >= kStep && a.substr(size, kStep) == b.substr(size, kStep)) {
    size += kStep;
  }
  while (size < shorter && a[size] == b[size]) ++size;
  return size;
}

BlockIterator::Step StepFor(int order_to_previous) {
  if (order_to_previous > 0) return BlockIterator::Step::kAscends;
  return order_to_previous == 0 ? BlockIterator::Step::kRepeats
                                : BlockIterator::Step::kDescends;
}

}  // namespace

BlockBuilder::BlockBuilder(uint32_t restart_interval)
    : restart_interval_(restart_interval), restarts_{0} {
  assert(restart_interval > 0);
}

void BlockBuilder::Add(std::string_view key, std::string_view value) {
  size_t shared = 0;
  if (entries_since_restart_ < restart_interval_) {
    shared = CommonPrefix(last_key_, key);
  } else {
    restarts_.push_back(static_cast<uint32_t>(buffer_.size()));
    entries_since_restart_ = 0;
  }
  PutVarint32(buffer_, static_cast<uint32_t>(shared));
  PutVarint32(buffer_, static_cast<uint32_t>(key.size() - shared));
  PutVarint32(buffer_, static_cast<uint32_t>(value.size()));
  buffer_ += key.substr(shared);
  buffer_ += value;
  last_key_ = key;
  ++entries_since_restart_;
}

std::string_view BlockBuilder::Finish() {
  for (const uint32_t restart : restarts_) PutFixed32(buffer_, restart);
  PutFixed32(buffer_, static_cast<uint32_t>(restarts_.size()));
  return buffer_;
}

void BlockBuilder::Reset() {
  buffer_.clear();
  restarts_ = {0};
  entries_since_restart_ = 0;
  last_key_.clear();
}

uint64_t BlockBuilder::SizeEstimate() const {
  return buffer_.size() + restarts_.size() * sizeof(uint32_t) + sizeof(uint32_t);
}

Result<BlockReader> BlockReader::Open(Bytes block) {
  constexpr size_t kWord = sizeof(uint32_t);
  if (block.size() < kWord) {
    return Status(Code::kBadBlock, "a block of " + std::to_string(block.size()) +
                                       " bytes has no room for its restart count");
  }
  const uint64_t count = LoadFixed32(block.last(kWord));
  const size_t room = block.size() - kWord;
  if (count == 0 || count > room / kWord) {
    return Status(Code::kBadBlock, "a block of " + std::to_string(block.size()) +
                                       " bytes claims " + std::to_string(count) +
                                       " restart points");
  }
  const size_t entries_size = room - count * kWord;
  const BlockReader reader(block.first(entries_size),
                           block.subspan(entries_size, count * kWord));
  if (const size_t first = reader.RestartOffset(0); first != 0) {
    return Status(Code::kBadBlock,
                  "the first restart point is at " + std::to_string(first) + ", not 0");
  }
  return reader;
}

size_t BlockReader::RestartOffset(size_t restart) const {
  return LoadFixed32(restarts_.subspan(restart * sizeof(uint32_t), sizeof(uint32_t)));
}

bool BlockIterator::Fail(Code code, const std::string& message) {
  status_ =
      Status(code, "entry at byte " + std::to_string(next_) + " of the block: " + message);
  return false;
}

// Decodes the entry at next_ and the offset where it ends, but moves nothing.
bool BlockIterator::ReadEntry(Prefix& prefix, Bytes& suffix, Bytes& value, size_t& end) {
  const Bytes rest = block_.entries_.subspan(next_);
  Cursor cursor(rest);
  if (!cursor.ReadVarint32(prefix.shared) || !cursor.ReadVarint32(prefix.non_shared) ||
      !cursor.ReadVarint32(prefix.value_size)) {
    return Fail(Code::kBadBlock, "its lengths are not three 32-bit varints");
  }
  if (prefix.shared > key_.size()) {
    return Fail(Code::kBadBlock, "it shares " + std::to_string(prefix.shared) +
                                     " bytes with a key of " + std::to_string(key_.size()));
  }
  // Two reads, each against what is left: 2^31 + (2^31 + 1) is 1 in 32 bits.
  if (!cursor.ReadBytes(prefix.non_shared, suffix) ||
      !cursor.ReadBytes(prefix.value_size, value)) {
    return Fail(Code::kBadBlock, std::to_string(prefix.non_shared) + " bytes of key and " +
                                     std::to_string(prefix.value_size) +
                                     " of value are not inside the block");
  }
  const uint64_t key_size = uint64_t{prefix.shared} + prefix.non_shared;
  if (key_size > kMaxKeySize) {
    return Fail(Code::kLimitExceeded, "a key of " + std::to_string(key_size) +
                                          " bytes; the limit is " +
                                          std::to_string(kMaxKeySize));
  }
  end = next_ + cursor.position();
  return true;
}

// Every restart point must be the start of an entry that stands on its own.
bool BlockIterator::CheckRestart(const Prefix& prefix) {
  if (next_restart_ == block_.num_restarts()) return true;
  const size_t restart = block_.RestartOffset(next_restart_);
  if (next_ < restart) return true;
  if (next_ > restart || prefix.shared != 0) {
    return Fail(Code::kBadBlock, "restart point " + std::to_string(next_restart_) + ", byte " +
                                     std::to_string(restart) +
                                     ", is not the start of a whole key");
  }
  ++next_restart_;
  return true;
}

bool BlockIterator::Next() {
  if (!status_.ok()) return false;
  if (next_ == block_.entries_.size()) {
    // An empty block has a restart point, too, at 0.
    if (next_restart_ == block_.num_restarts() || (next_ == 0 && block_.num_restarts() == 1)) {
      return false;
    }
    return Fail(Code::kBadBlock, "restart point " + std::to_string(next_restart_) +
                                     " is behind the last entry");
  }
  Prefix prefix;
  Bytes suffix;
  Bytes value;
  size_t end = 0;
  if (!ReadEntry(prefix, suffix, value, end) || !CheckRestart(prefix)) return false;
  // The shared part is equal by definition.
  const std::string_view key_suffix = AsText(suffix);
  step_ = any_entry_
              ? StepFor(key_suffix.compare(std::string_view(key_).substr(prefix.shared)))
              : Step::kAscends;
  any_entry_ = true;
  key_.resize(prefix.shared);
  key_ += key_suffix;
  value_ = value;
  next_ = end;
  return true;
}

bool BlockIterator::KeyAtRestart(size_t restart, std::string_view& key) {
  next_ = block_.RestartOffset(restart);
  if (next_ >= block_.entries_.size()) {
    return Fail(Code::kBadBlock,
                "restart point " + std::to_string(restart) + " is behind the last entry");
  }
  Prefix prefix;
  Bytes suffix;
  Bytes value;
  size_t end = 0;
  if (!ReadEntry(prefix, suffix, value, end)) return false;  // shared is 0, as key_ is empty
  key = AsText(suffix);
  return true;
}

bool BlockIterator::Seek(std::string_view target) {
  assert(!any_entry_);
  if (block_.entries_.empty()) return Next();
  // The last restart point whose key is less than `target`, else the first.
  size_t low = 0;
  size_t high = block_.num_restarts();
  while (high - low > 1) {
    const size_t middle = low + (high - low) / 2;
    std::string_view key;
    if (!KeyAtRestart(middle, key)) return false;
    (key < target ? low : high) = middle;
  }
  next_ = block_.RestartOffset(low);
  next_restart_ = low;
  while (Next()) {
    if (key() >= target) return true;
  }
  return false;
}

}  // namespace tensorbundle::format
