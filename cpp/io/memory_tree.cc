#include "io/memory_tree.h"

#include <algorithm>
#include <cerrno>
#include <utility>
#include <vector>

#include "base/text.h"

namespace tensorbundle::io {
namespace {

// The names between the slashes, without empty ones and ".".
std::vector<std::string> Components(const std::string& path) {
  std::vector<std::string> components;
  for (size_t start = 0; start < path.size();) {
    const size_t slash = std::min(path.find('/', start), path.size());
    std::string name = path.substr(start, slash - start);
    if (!name.empty() && name != ".") components.push_back(std::move(name));
    start = slash + 1;
  }
  return components;
}

bool IsInside(const MemoryNode* node, const MemoryNode& directory) {
  if (node == &directory) return true;
  for (const auto& [name, child] : directory.children) {
    if (IsInside(node, *child)) return true;
  }
  return false;
}

// What rename(2) refuses where both places have been found; 0 where it would not.
int WhyNotRename(const MemoryPlace& from, const MemoryPlace& to) {
  if (from.node == nullptr) return ENOENT;
  if (from.directory == nullptr || to.directory == nullptr) return EBUSY;
  const bool is_directory = from.node->is_directory();
  if (is_directory && IsInside(to.directory.get(), *from.node)) return EINVAL;
  if (to.node == nullptr || to.node == from.node) return 0;
  if (is_directory && !to.node->is_directory()) return ENOTDIR;
  if (!is_directory && to.node->is_directory()) return EISDIR;
  return to.node->children.empty() ? 0 : ENOTEMPTY;
}

}  // namespace

Result<MemoryPlace> MemoryTree::Find(const std::string& path,
                                     std::string_view operation) const {
  if (path.empty()) return Status::System(ENOENT, operation, path);
  std::vector<std::shared_ptr<MemoryNode>> trail = {root_};  // for ".."
  MemoryPlace place{nullptr, "", root_};
  for (std::string& name : Components(path)) {
    if (place.node == nullptr) return Status::System(ENOENT, operation, path);
    if (!place.node->is_directory()) return Status::System(ENOTDIR, operation, path);
    if (name == "..") {
      if (trail.size() > 1) trail.pop_back();
      place = {nullptr, "", trail.back()};
      continue;
    }
    const auto child = place.node->children.find(name);
    const bool found = child != place.node->children.end();
    place = {place.node, std::move(name), found ? child->second : nullptr};
    trail.push_back(place.node);
  }
  return place;
}

Status MemoryTree::Rename(const std::string& from, const std::string& to) {
  const std::string operation = "rename to " + Quoted(to);
  TB_ASSIGN_OR_RETURN(const MemoryPlace source, Find(from, operation));
  auto found = Find(to, operation);
  if (!found.ok()) return Status::System(found.status().error_number(), operation, from);
  const MemoryPlace& target = *found;
  const int refused = WhyNotRename(source, target);
  if (refused != 0) return Status::System(refused, operation, from);
  if (source.node == target.node) return Status();
  source.directory->children.erase(source.name);
  target.directory->children[target.name] = source.node;
  return Status();
}

Status MemoryTree::Link(const std::string& from, const std::string& to) {
  const std::string operation = "link to " + Quoted(to);
  TB_ASSIGN_OR_RETURN(const MemoryPlace source, Find(from, operation));
  if (source.node == nullptr) return Status::System(ENOENT, operation, from);
  if (source.node->is_directory()) return Status::System(EPERM, operation, from);
  auto target = Find(to, operation);
  if (!target.ok()) return Status::System(target.status().error_number(), operation, from);
  if (target->node != nullptr) return Status::System(EEXIST, operation, from);
  target->directory->children[target->name] = source.node;
  return Status();
}

}  // namespace tensorbundle::io
