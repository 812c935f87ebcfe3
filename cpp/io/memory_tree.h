// The names of a memory storage: a tree of directories with files at its leaves.
//
// There are no symbolic links, and the working directory is the root: "a" is "/a".
//
// Threads: none of its own; memory_storage guards it.

#pragma once

#include <map>
#include <memory>
#include <string>
#include <string_view>

#include "base/result.h"
#include "io/memory_file.h"

namespace tensorbundle::io {

struct MemoryNode {
  bool is_directory() const { return file == nullptr; }

  std::shared_ptr<MemoryFile> file;  // null in a directory
  std::map<std::string, std::shared_ptr<MemoryNode>> children;
  bool locked = false;
};

// Where a path leads.  The root, "." and ".." have no directory that names them.
struct MemoryPlace {
  std::shared_ptr<MemoryNode> directory;  // null where nothing names `node`
  std::string name;                       // in `directory`
  std::shared_ptr<MemoryNode> node;       // null where nothing stands there
};

class MemoryTree {
 public:
  // Errors: kSystem  ENOENT: a directory on the way is missing, or the path empty;
  //                  ENOTDIR: a file is in the way
  Result<MemoryPlace> Find(const std::string& path, std::string_view operation) const;

  // As rename(2).
  Status Rename(const std::string& from, const std::string& to);

  // As link(2): one node, two names.
  Status Link(const std::string& from, const std::string& to);

 private:
  const std::shared_ptr<MemoryNode> root_ = std::make_shared<MemoryNode>();
};

}  // namespace tensorbundle::io
