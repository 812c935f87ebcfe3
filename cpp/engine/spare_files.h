// Data files of bundles that were replaced or removed, kept to be written anew.
//
// Freeing the blocks of a large file may take longer than writing it (ext4 with discard), and
// holds up whoever allocates some meanwhile.  So a file that a save has replaced gets a
// temporary name, as those of a save under way have, and the next save of about that size
// writes into it.  What the next save would have no use for is removed at once: one directory
// at a time, and no more files than the last save into it has written.
//
// Safety.  A file is written into only when
//   - no index names it, also after a power cut: the directory was synced since;
//   - nobody has it open or mapped, and it has no other name (io::Storage::ReopenDirect);
//   - it is the very file that was kept: others may have swept it.
// Whatever stands in the way, a new file is made, and nobody is told.
//
// Ownership: owns the files, and removes those that are left when it goes.  A forked child's
// copy owns none.
//
// Threads: any thread may call any method.

#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <mutex>
#include <set>
#include <string>
#include <vector>

#include "io/storage.h"

namespace tensorbundle::engine {

class SpareFiles {
 public:
  // `storage` removes what is left in the end.
  explicit SpareFiles(std::shared_ptr<io::Storage> storage);

  SpareFiles(const SpareFiles&) = delete;
  SpareFiles& operator=(const SpareFiles&) = delete;
  ~SpareFiles();

  // A save into `directory` has written data files of these sizes, in bytes: the next one will
  // want the same.  Removes what it would have no use for.
  void Expect(io::Storage& storage, const std::string& directory,
              const std::vector<uint64_t>& sizes);

  // Takes over a data file under its final name, in place of its removal; false where it is of
  // no use, and as it was.  `is_settled`: no index names it, also after a power cut.
  //
  // REQUIRES: no index names it, and the lock of its prefix is held
  bool Keep(io::Storage& storage, const std::string& path, bool is_settled);

  // Gives a file that has been moved to `path`, to write about `size` bytes into; null where
  // there is none.
  std::unique_ptr<io::WritableFile> Take(io::Storage& storage, const std::string& path,
                                         uint64_t size);

  // Whether `path` is one of them.
  bool Has(const std::string& path) const;

  // Removes them all.  May be used on.
  void Clear();

 private:
  struct Spare {
    std::string path;
    io::FileIdentity identity;
    bool is_settled = false;
  };
  using Spares = std::multimap<uint64_t, Spare>;  // by size in bytes

  bool IsOurs() const;
  bool Settle(io::Storage& storage);

  const std::shared_ptr<io::Storage> storage_;
  const int64_t process_;
  mutable std::mutex mutex_;
  std::string directory_;           // guarded: of the last save
  std::multiset<uint64_t> wanted_;  // guarded: sizes for which there is no spare yet
  Spares spares_;                   // guarded: all in directory_
};

}  // namespace tensorbundle::engine
