#include "engine/bundle_removal.h"

#include <utility>

#include "engine/commit.h"
#include "format/naming.h"

namespace tensorbundle::engine {

Status BundleRemoval::Remove(const Bundle& bundle) {
  const std::string& prefix = bundle.prefix();
  const std::string directory = io::DirectoryOf(prefix);
  TB_ASSIGN_OR_RETURN(const auto lock, LockBundle(storage_, prefix));
  TB_RETURN_IF_ERROR(bundle.CheckCurrent());
  TB_ASSIGN_OR_RETURN(const NamesByPrefix* const names, FilesIn(directory));
  TB_RETURN_IF_ERROR(storage_.Remove(format::IndexPath(prefix)));
  const auto files = names->find(io::BaseNameOf(prefix));
  if (files == names->end()) return Status();
  Status first;  // the others go all the same
  for (const std::string& name : files->second) {
    Status status = storage_.Remove(io::JoinPath(directory, name));
    if (first.ok()) first = std::move(status);
  }
  return first;
}

// Listed once: there may be very many bundles in one directory.
Result<const BundleRemoval::NamesByPrefix*> BundleRemoval::FilesIn(
    const std::string& directory) {
  const auto known = directories_.find(directory);
  if (known != directories_.end()) return &known->second;
  TB_ASSIGN_OR_RETURN(std::vector<std::string> names, storage_.List(directory));
  NamesByPrefix& by_prefix = directories_[directory];
  for (std::string& name : names) {
    auto prefix = format::PrefixOfShardName(name);
    if (!prefix.has_value()) prefix = format::PrefixOfFingerprintsName(name);
    if (prefix.has_value()) by_prefix[std::string(*prefix)].push_back(std::move(name));
  }
  return &by_prefix;
}

}  // namespace tensorbundle::engine
