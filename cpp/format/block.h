// A block of the index: sorted keys, prefix-compressed, with restart points.
//
//   entry    varint32 shared, varint32 non_shared, varint32 value_size,
//            key[shared..], value
//   tail     fixed32 restart_offset[num_restarts], fixed32 num_restarts
//
// Every `restart_interval` entries the key is written whole (shared = 0) and its
// offset goes into the tail, so that a search can bisect.
//
// Ownership: BlockBuilder owns its bytes; BlockReader borrows them.
//
// Threads: a BlockBuilder is used by one thread; a BlockReader is immutable, each
// BlockIterator belongs to one thread.
//
// Trust: BlockReader takes bytes from disk.  Every length is checked against what
// is left of the block, every restart point against the entry it points to; an
// iterator that meets a fault stops with a status, and never looks like the end of
// the block.  Whether keys ascend the iterator only reports, see step().

#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/bytes.h"
#include "base/result.h"
#include "base/status.h"
#include "format/coding.h"

namespace tensorbundle::format {

constexpr uint64_t kMaxKeySize = 1u << 20;  // bytes

class BlockBuilder {
 public:
  // REQUIRES: restart_interval > 0
  explicit BlockBuilder(uint32_t restart_interval);

  // REQUIRES: key is greater than every key added so far (TableBuilder checks it)
  void Add(std::string_view key, std::string_view value);

  // Appends the tail and returns the block, valid until Reset().
  std::string_view Finish();
  void Reset();

  bool empty() const { return buffer_.empty(); }
  uint64_t SizeEstimate() const;  // bytes that Finish() would return

 private:
  const uint32_t restart_interval_;
  std::string buffer_;
  std::vector<uint32_t> restarts_;
  uint32_t entries_since_restart_ = 0;
  std::string last_key_;
};

class BlockReader {
 public:
  // Takes constant time: entries are checked as an iterator gets to them.
  //
  // Errors: kBadBlock  no room for the restart points, none of them, or the first is
  //                    not at the first entry
  static Result<BlockReader> Open(Bytes block);

 private:
  friend class BlockIterator;
  BlockReader(Bytes entries, Bytes restarts) : entries_(entries), restarts_(restarts) {}

  size_t num_restarts() const { return restarts_.size() / sizeof(uint32_t); }
  size_t RestartOffset(size_t restart) const;

  Bytes entries_;
  Bytes restarts_;  // fixed32 each, without the count
};

// Starts before the first entry.  An iteration from the first to the last entry has
// checked the whole block but for the order of its keys.
//
// Errors, in status(): kBadBlock, kLimitExceeded (a key above kMaxKeySize)
class BlockIterator {
 public:
  // How a key compares to the one before it.
  enum class Step { kAscends, kRepeats, kDescends };

  explicit BlockIterator(BlockReader block) : block_(block) {}

  // Moves to the next entry; false at the end and at a fault.
  bool Next();

  // Moves to the first entry whose key is not less than `target`; false like
  // Next().  Called at most once, before Next().
  //
  // REQUIRES: the keys ascend
  bool Seek(std::string_view target);

  const Status& status() const { return status_; }
  // Valid until the iterator moves, and as long as the block's bytes; after the end,
  // those of the last entry.
  std::string_view key() const { return key_; }
  Bytes value() const { return value_; }
  // Of key(), since the last Next(); kAscends for the first entry.
  Step step() const { return step_; }

 private:
  struct Prefix {  // what stands before an entry's key and value
    uint32_t shared = 0;
    uint32_t non_shared = 0;
    uint32_t value_size = 0;
  };

  bool Fail(Code code, const std::string& message);
  bool ReadEntry(Prefix& prefix, Bytes& suffix, Bytes& value, size_t& end);
  bool CheckRestart(const Prefix& prefix);
  bool KeyAtRestart(size_t restart, std::string_view& key);

  BlockReader block_;
  size_t next_ = 0;          // offset of the next entry
  size_t next_restart_ = 0;  // the first restart point that is not behind us
  std::string key_;
  Bytes value_;
  Step step_ = Step::kAscends;
  bool any_entry_ = false;
  Status status_;
};

}  // namespace tensorbundle::format
