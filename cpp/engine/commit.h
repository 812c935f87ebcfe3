// How a bundle becomes visible: all of it or nothing, durable when it returns.
//
//   0  take the lock .PREFIX.tensorbundle-lock, at once or not at all; sweep temporary files
//      that a killed save of this prefix left behind; fsync the parent of a directory that
//      was just made, or that holds only hidden files and so may have been
//   1  choose the shard count in the names such that no data file of that count
//      exists: the old index and its data stay valid until step 6
//   2  create every shard under a temporary name, in the same directory, or adopt a file
//      that is there already: a hard link, under the final name at once, for it is whole
//   3  write it, make it exactly its size, fdatasync, close; of an adopted one only the sync,
//      as nobody knows who wrote it
//   4  rename the shards to their names
//   5  fsync the directory: the names are durable before an index can mention them
//   6  write the index under a temporary name, and the fingerprints, if there are to be any;
//      fdatasync, close, rename the index: the commit; then the fingerprints, which say
//      nothing as long as another index stands there (format/fingerprint_list.h)
//   7  fsync the directory: only now may a save return
//   8  remove the data files of the bundle that was there before, and its fingerprints
//      where there are no new ones; release the lock
//
// Without spare files (engine/spare_files.h), no step writes into a file that had a name
// before the save began.  With them, step 8 keeps data files of the old bundle under temporary
// names, and step 2 of a later save takes them in place of new ones: by then no index names
// them, also after a power cut, and nobody has them open.  A file with several names, of as
// many bundles, never changes, and is gone when the last of them is.
//
// Before step 6 a failure removes what was made, and the old bundle is as it was.  A
// crash before it leaves temporary files, or shards that no index mentions; the next
// save of the prefix sweeps both.  From step 6 on the new bundle is there; where step
// 7 fails the save fails, since after a power cut either bundle may be found, both
// whole.
//
// Ownership: a Publication borrows the storage and owns the lock.
//
// Threads: one thread, but for CreateShard(), FinishShard() and what their files allow.

#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "base/bytes.h"
#include "base/result.h"
#include "base/status.h"
#include "checksum/fingerprint.h"
#include "engine/spare_files.h"
#include "io/storage.h"

namespace tensorbundle::engine {

class IndexWriter;

// kNone leaves out every sync: what a crash leaves is then the file system's choice,
// but a reader still never sees half a bundle.
enum class Durability : uint8_t { kFull, kNone };

// Keeps everybody else, who asks, from changing the bundle at `prefix`.
//
// Errors: kLocked  a save of this prefix is under way
Result<std::unique_ptr<io::Lock>> LockBundle(io::Storage& storage, const std::string& prefix);

// Adds all that an index has, the header first.
using IndexFill = std::function<Status(IndexWriter& index)>;

class Publication {
 public:
  // Steps 0 and 1.  Creates the directory where only its last level is missing.  `spares` may
  // be null, and outlives the Publication.
  //
  // Errors: kLocked  another save of this prefix is under way
  static Result<std::unique_ptr<Publication>> Begin(io::Storage& storage, std::string prefix,
                                                    uint32_t num_shards, Durability durability,
                                                    SpareFiles* spares = nullptr);

  Publication(const Publication&) = delete;
  Publication& operator=(const Publication&) = delete;
  ~Publication();  // removes everything unless Commit() got past its rename

  // The count in the names: what the header says.  At least the one asked for.
  uint32_t num_shards() const { return num_shards_; }

  // Step 2.  May be called by several threads at once.  `size` is what the file will have, in
  // bytes; where it is not known, or most of it is gaps, 0: then it is no spare file.
  Result<std::unique_ptr<io::WritableFile>> CreateShard(uint32_t shard, uint64_t size = 0);

  // Steps 2 and 3 of a shard that is the regular file `path`.  Returns its size in bytes.
  //
  // Errors: kNotRegularFile
  //         kSystem  io::IsLinkRefusal(): the bytes have to be written anew, by CreateShard()
  Result<uint64_t> AdoptShard(uint32_t shard, const std::string& path);

  // The rest of step 3, of a shard whose bytes are written: what lies behind `size` is cut
  // off.  May be called by several threads at once.
  Status FinishShard(io::WritableFile& file, uint64_t size) const;

  // Steps 4 and 5.  REQUIRES: every shard is finished or adopted
  Status PublishShards();

  // Step 6 of the index, but for its rename.  Returns its size in bytes.  All bytes of the
  // file also go to `fingerprinter`, unless it is null.
  //
  // Errors: those of `fill`, of IndexWriter, of the storage
  Result<uint64_t> WriteIndex(const IndexFill& fill,
                              checksum::Fingerprinter* fingerprinter = nullptr);
  // Likewise of the fingerprints, where there are to be any.  REQUIRES: the index is written
  Status WriteFingerprints(Bytes content);
  // Step 6's renames, and step 7.  REQUIRES: the index is written
  Status Commit();
  // Step 8.  Removing large files takes a while on some file systems.
  // REQUIRES: Commit() has returned without an error
  void RemoveReplaced();

  // Bytes of the shards that are spare files.  REQUIRES: no CreateShard() is under way
  uint64_t reused_bytes() const { return reused_bytes_; }

 private:
  Publication(io::Storage& storage, std::string prefix, Durability durability,
              SpareFiles* spares);

  Status MakeDirectory();
  Status SyncParentOfNew();
  Status LookAround(uint32_t num_shards);
  Status Sweep(const std::string& path);
  Result<std::unique_ptr<io::WritableFile>> CreateSmall(const std::string& final_path);
  void Remember(const std::string& temporary_path, const std::string& final_path);
  Status SyncAndClose(io::WritableFile& file) const;
  Status SyncDirectory();

  io::Storage& storage_;
  const std::string prefix_;
  const std::string directory_;
  const Durability durability_;
  SpareFiles* const spares_;  // may be null
  const uint64_t save_id_;
  std::unique_ptr<io::Lock> lock_;
  bool made_directory_ = false;
  bool committed_ = false;
  uint32_t num_shards_ = 0;
  std::vector<std::string> old_files_;  // removed once the new bundle stands

  struct Unfinished {
    std::string temporary_path;
    std::string final_path;
  };
  std::mutex mutex_;
  std::vector<Unfinished> unfinished_;  // guarded by mutex_
  std::vector<std::string> published_;  // guarded: paths of shards under their final names
  std::vector<uint64_t> sizes_;         // guarded: of CreateShard()
  uint64_t reused_bytes_ = 0;           // guarded
};

}  // namespace tensorbundle::engine
