// An open bundle: its header and index, and the way to its data files.
//
// Opening reads the index's frame (footer, index block) and the block with the header;
// other blocks are read, and entries decoded, when asked for.  The index is never mapped: a
// page of a map that its file lost meanwhile is a SIGBUS, and one that was changed after it
// was checked is not found out.  Data files are opened when bytes are wanted and are named by
// the shard number only after it has been checked against the header.
//
// Ownership: a Bundle owns the index, open or not, and the mapping of every shard that was
// mapped through it.  Views share the shard's mapping, so they may outlive it.
//
// Threads: immutable but for what is known of shards, which has a lock; any thread may
// call any method.
//
// Trust: the index is from disk.  A view that leaves here lies inside its shard, and a
// shard that is opened here belongs to the index that was opened, even while another
// process replaces the bundle.

#pragma once

#include <bit>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>
#include <vector>

#include "base/bytes.h"
#include "base/result.h"
#include "format/entry.h"
#include "format/table.h"
#include "format/table_cursor.h"
#include "format/table_lookup.h"
#include "io/mapped_file.h"
#include "io/storage.h"

namespace tensorbundle::engine {

// Whether the index takes a descriptor as long as the bundle is open, or only while it is
// read: for those who open thousands of bundles at once.
enum class IndexHold : uint8_t { kOpen, kReopened };

class Bundle {
 public:
  // Called with each tensor's name and what DecodeEntry() made of its value.
  using Visitor = std::function<Status(std::string_view name, Result<format::Entry> entry)>;

  // Errors: kSystem (ENOENT: no index), kNotRegularFile, kConcurrentModification, and
  //         those of format/table.h and DecodeHeader()
  static Result<std::unique_ptr<Bundle>> Open(std::shared_ptr<io::Storage> storage,
                                              std::string prefix,
                                              IndexHold hold = IndexHold::kOpen);

  // Errors: kNotFound, and those of DecodeEntry() and CheckShard()
  Result<format::Entry> Find(std::string_view name) const;

  // For many names, which best ascend; `lookup` is of MakeLookup(), of one thread.
  format::TableLookup MakeLookup() const { return format::TableLookup(*table_); }
  Result<format::Entry> Find(std::string_view name, format::TableLookup& lookup) const;

  // The entry of a partitioned tensor's part.
  //
  // Errors: kMissingSlice, and those of DecodeEntry() and CheckShard()
  Result<format::Entry> FindPart(std::string_view name, const format::Slice& slice,
                                 format::TableLookup& lookup) const;

  // Visits all tensors in the order of their names; the header and the parts of
  // partitioned tensors are not tensors.  One bad entry does not hide the others.
  Status ForEach(const Visitor& visit) const;

  // Goes through all keys of the index, the header and the parts of partitioned tensors
  // included; faults are told without the index's path.
  format::TableCursor MakeCursor() const { return format::TableCursor(*table_); }

  // What stands in the index under `key`, other than the header.
  //
  // Errors: those of DecodeEntry(), and kBadShardId
  Result<format::Entry> Decode(std::string_view key, Bytes value) const;

  // Whether `key` is a tensor's: not the header's, not that of a partition's part.
  static bool IsName(std::string_view key);

  // Errors: kCheckpointGone  the bundle was replaced, or deleted, since it was opened
  Status CheckCurrent() const;

  // Like ForEach(), but does not decode the entries: damage to them is not seen.
  using NameVisitor = std::function<Status(std::string_view name)>;
  Status ForEachName(const NameVisitor& visit) const;

  // The bytes of a whole tensor in its mapped shard, and what keeps them mapped.
  struct View {
    std::shared_ptr<const io::MappedFile> file;
    Bytes bytes;
  };
  // Errors: kOutOfBounds, kMissingShard, kCheckpointGone
  //         kUnsupportedEndianness  IsForeign(entry)
  //         kUnsupportedLayout  the tensor is partitioned
  Result<View> Map(const format::Entry& entry, io::MapAccess access) const;

  // Errors: kMissingShard, kCheckpointGone, kNotRegularFile, kSystem
  Result<std::unique_ptr<io::ReadableFile>> OpenShard(uint32_t shard) const;
  // Past the page cache, where the storage can (io::Storage::OpenDirect).
  Result<std::unique_ptr<io::ReadableFile>> OpenShardDirect(uint32_t shard) const;

  // In which order the words of tensors are stored.
  std::endian byte_order() const {
    return header_.big_endian ? std::endian::big : std::endian::little;
  }
  // Whether the tensor's numbers are stored in the other byte order than this machine's.
  bool IsForeign(const format::Entry& entry) const {
    return header_.big_endian && format::InfoOf(entry.dtype).swap_size > 1;
  }

  // Why a shard is better read than mapped; empty where a map does.
  std::string WhyNotMap(uint32_t shard) const;

  const format::Header& header() const { return header_; }
  uint64_t index_size() const { return index_->size(); }  // bytes, of the file
  // All of it, read anew: unlike entries, its bytes are not checked.
  //
  // Errors: kConcurrentModification, kSystem
  Result<std::vector<std::byte>> ReadWholeIndex() const;
  const std::string& prefix() const { return prefix_; }
  std::string index_path() const;
  std::string ShardPath(uint32_t shard) const;
  io::Storage& storage() const { return *storage_; }

 private:
  Bundle(std::shared_ptr<io::Storage> storage, std::string prefix)
      : storage_(std::move(storage)), prefix_(std::move(prefix)) {}

  std::string WhyNotMapFile(const std::string& path) const;
  Status ReadIndex(IndexHold hold);
  template <typename File>
  Result<File> CheckOpened(uint32_t shard, Result<File> file) const;

  const std::shared_ptr<io::Storage> storage_;
  const std::string prefix_;
  std::unique_ptr<const format::TableReader> table_;
  std::shared_ptr<const io::ReadableFile> index_;  // keeps its identity
  format::Header header_;

  using ShardKey = std::pair<uint32_t, io::MapAccess>;
  mutable std::mutex mutex_;
  mutable std::map<ShardKey, std::shared_ptr<const io::MappedFile>> shards_;  // guarded
  mutable std::map<uint32_t, std::string> why_not_map_;  // guarded: what was asked before
};

}  // namespace tensorbundle::engine
