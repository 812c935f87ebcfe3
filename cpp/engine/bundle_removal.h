// Deletes bundles that nobody needs any longer: each under its lock, its index first, so
// that what is left by a failure is no bundle.
//
// Threads: one thread.

#pragma once

#include <map>
#include <string>
#include <vector>

#include "base/status.h"
#include "engine/bundle.h"
#include "io/storage.h"

namespace tensorbundle::engine {

class BundleRemoval {
 public:
  explicit BundleRemoval(io::Storage& storage) : storage_(storage) {}

  // Removes PREFIX.index, PREFIX.fingerprints and every PREFIX.data-?????-of-?????, digits for
  // question marks, that was in the directory when Remove() was first called for a bundle
  // there.
  //
  // Errors: kLocked          a save of the prefix is under way
  //         kCheckpointGone  the prefix has another bundle than the one that was opened
  //         kSystem
  Status Remove(const Bundle& bundle);

 private:
  using NamesByPrefix = std::map<std::string, std::vector<std::string>, std::less<>>;
  Result<const NamesByPrefix*> FilesIn(const std::string& directory);

  io::Storage& storage_;
  std::map<std::string, NamesByPrefix> directories_;  // names in each, but for indexes
};

}  // namespace tensorbundle::engine
