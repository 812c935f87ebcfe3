// The index file: a sorted table of keys and values in checksummed blocks.
//
//   data block 0, trailer | data block 1, trailer | ...
//   metaindex block, trailer | index block, trailer | footer (48 bytes)
//   trailer  type byte (0 plain, 1 Snappy), fixed32 masked CRC-32C of block + type
//   footer   metaindex handle, index handle, zeros to 40 bytes, fixed64 magic
//   handle   varint64 offset, varint64 size (without the trailer)
//
// The format is LevelDB's table without filters; cpp/FORMAT.md works it out byte by
// byte.  Ours never compresses; reading accepts Snappy.
//
// Ownership: TableBuilder borrows its sink; TableReader owns its source and every block
// that it has read, so a value lives as long as the reader.
//
// Threads: a TableBuilder is used by one thread.  A TableReader may be used by any
// number of threads at once: a block is checked once, whoever comes first.
//
// Trust: TableReader takes a whole file from disk.  Open() reads the footer, the metaindex
// block and the index block; handles must lie inside the file, in order, without overlap.
// A data block is read and checked (checksum, order of keys) when it is first needed.
// What was checked is what is used: a copy, which nobody can change or cut short meanwhile.

#pragma once

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/bytes.h"
#include "base/result.h"
#include "base/status.h"
#include "format/block.h"

namespace tensorbundle::format {

constexpr uint64_t kTableMagic = 0xdb4775248b80fb57;
constexpr size_t kFooterSize = 48;
constexpr size_t kBlockTrailerSize = 5;
constexpr uint64_t kBlockSize = 262144;        // TensorFlow's, before it is cut
constexpr uint32_t kRestartInterval = 16;      // data blocks; the index block has 1
constexpr uint64_t kMaxBlockSize = 64u << 20;  // decoded bytes we accept in one block
constexpr uint64_t kMaxValueSize = 32u << 20;  // bytes we write in one value
constexpr uint64_t kMaxGrowth = 2;             // bytes decoded per byte of the file, plus
constexpr uint64_t kGrowthAllowance = 48u << 20;
constexpr uint64_t kMaxKeyGrowth = 64;  // bytes of whole keys per byte of a block

struct BlockHandle {
  uint64_t offset = 0;
  uint64_t size = 0;
  friend bool operator==(const BlockHandle&, const BlockHandle&) = default;
};

class TableBuilder {
 public:
  // Takes the file's bytes in order.
  using Sink = std::function<Status(Bytes)>;

  explicit TableBuilder(Sink sink);

  // A refused key changes nothing.  A failure of the sink is final: Add() and
  // Finish() return it from then on.
  //
  // Errors: kBadKeyOrder, kDuplicateKey  `key` is not greater than the one before it
  //         kLimitExceeded               `key` or `value` is too large
  //         whatever the sink returns
  Status Add(std::string_view key, std::string_view value);

  // Writes what is left.  REQUIRES: called once, last
  Status Finish();

  uint64_t size() const { return offset_; }  // bytes given to the sink

 private:
  Status CheckKey(std::string_view key, std::string_view value) const;
  Status FlushDataBlock();
  Result<BlockHandle> WriteBlock(BlockBuilder& block);
  Status WriteFooter(const BlockHandle& metaindex, const BlockHandle& index);
  Status Write(Bytes bytes);
  void AddPendingIndexEntry(std::string_view separator);

  Sink sink_;
  Status sink_status_;
  uint64_t offset_ = 0;
  BlockBuilder data_block_;
  BlockBuilder index_block_;
  std::string last_key_;
  bool any_key_ = false;
  std::optional<BlockHandle> pending_handle_;  // a finished block without index entry
};

// Where a table's bytes come from: a file, or memory.  Any thread may read.
class TableSource {
 public:
  virtual ~TableSource() = default;
  virtual uint64_t size() const = 0;  // bytes, when it was opened
  // Fills `out` with the bytes at `offset`, or fails.
  virtual Status ReadAt(uint64_t offset, MutableBytes out) const = 0;
};

class TableReader {
 public:
  using Visitor = std::function<Status(std::string_view key, Bytes value)>;

  // Errors: kTruncatedIndex, kBadMagic, kBadHandle, kBadBlock, kBadBlockChecksum,
  //         kBadCompression, kBadKeyOrder, kDuplicateKey, kLimitExceeded, and whatever the
  //         source returns
  static Result<std::unique_ptr<TableReader>> Open(std::unique_ptr<const TableSource> source,
                                                   uint64_t max_block_size = kMaxBlockSize);
  // Of bytes in memory, which must outlive the reader.
  static Result<std::unique_ptr<TableReader>> Open(Bytes file);

  // The value of `key`, or nothing where there is none.  Reads one block, whose faults,
  // like Open()'s, are reported to each who needs it.
  Result<std::optional<Bytes>> Find(std::string_view key) const;

  // Visits all entries in the order of their keys; stops at the first failure, be it
  // of a block, like Open()'s, or of `visit`.
  Status ForEach(const Visitor& visit) const;

  size_t num_blocks() const { return blocks_.size(); }

 private:
  friend class TableCursor;  // format/table_cursor.h
  friend class TableLookup;  // format/table_lookup.h

  using Block = std::vector<std::byte>;  // decoded, without its trailer

  struct CheckedBlock {
    Status fault;  // why the block cannot be used
    Block contents;
  };
  struct DataBlock {
    std::string separator;  // no key in the block is greater
    BlockHandle handle;
    mutable std::unique_ptr<const CheckedBlock> owned;
    mutable std::atomic<const CheckedBlock*> checked = nullptr;  // the same, published
  };

  TableReader(std::unique_ptr<const TableSource> source, uint64_t max_block_size);

  struct Footer {
    BlockHandle metaindex;
    BlockHandle index;
  };
  Result<Footer> ReadFooter() const;
  Status CheckMetaindexBlock(const BlockHandle& metaindex) const;
  Status ReadIndexBlock(const BlockHandle& index);
  Status AddDataBlock(std::string_view separator, Bytes value, const BlockHandle& index);
  Status CheckPlace(const BlockHandle& handle, const std::string& what) const;
  Result<Block> LoadBlock(const BlockHandle& handle) const;
  Result<Block> Decompress(Bytes stored) const;
  Status ChargeMemory(uint64_t size) const;
  Result<BlockReader> CheckedContents(size_t index) const;
  const CheckedBlock* CheckBlock(size_t index) const;
  Status CheckKeys(size_t index, Bytes contents) const;

  const std::unique_ptr<const TableSource> source_;
  const uint64_t size_;  // bytes, of the file
  const uint64_t max_block_size_;
  std::deque<DataBlock> blocks_;  // a deque, as atomics do not move
  mutable std::atomic<uint64_t> memory_left_;
  mutable std::array<std::mutex, 16> check_mutexes_;  // shared, as blocks may be very many
};

}  // namespace tensorbundle::format
