// A bundle's files as spans of memory: what fuzzers read from, at no cost.
//
// Ownership: the bytes are borrowed and outlive the storage.

#pragma once

#include <cerrno>
#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "base/bytes.h"
#include "io/file_faults.h"
#include "io/storage.h"

namespace tensorbundle::fuzz {

class ByteFile final : public io::ReadableFile {
 public:
  ByteFile(std::string path, Bytes bytes) : path_(std::move(path)), bytes_(bytes) {}

  Status ReadAt(uint64_t offset, MutableBytes out) const override {
    const auto part = Subspan(bytes_, offset, out.size());
    if (!part.ok()) return io::NotInFile(path_, offset, out.size(), 0);
    std::copy(part->begin(), part->end(), out.begin());
    return Status();
  }
  uint64_t size() const override { return bytes_.size(); }
  const std::string& path() const override { return path_; }
  io::FileIdentity identity() const override { return {}; }

 private:
  const std::string path_;
  const Bytes bytes_;
};

// Files that are only read.
class ByteStorage final : public io::Storage {
 public:
  void Add(std::string path, Bytes bytes) { files_[std::move(path)] = bytes; }

  Result<std::unique_ptr<io::ReadableFile>> OpenForRead(const std::string& path) override {
    const auto found = files_.find(path);
    if (found == files_.end()) return Status::System(ENOENT, "open", path);
    return std::unique_ptr<io::ReadableFile>(std::make_unique<ByteFile>(path, found->second));
  }
  Result<io::FileIdentity> Identify(const std::string&) override { return io::FileIdentity(); }
  Result<io::FileSystemKind> FileSystem(const std::string& path) override {
    return ReadOnly(path);
  }
  Result<std::shared_ptr<const io::MappedFile>> Map(const std::string& path,
                                                    io::MapAccess) override {
    return ReadOnly(path);
  }
  Result<std::unique_ptr<io::WritableFile>> Create(const std::string& path) override {
    return ReadOnly(path);
  }
  Status Rename(const std::string& from, const std::string&) override {
    return ReadOnly(from);
  }
  Status Remove(const std::string& path) override { return ReadOnly(path); }
  Status Link(const std::string& from, const std::string&) override { return ReadOnly(from); }
  Status SyncFile(const std::string& path) override { return ReadOnly(path); }
  Result<bool> Exists(const std::string& path) override { return files_.contains(path); }
  Result<std::vector<std::string>> List(const std::string& path) override {
    return ReadOnly(path);
  }
  Result<bool> MakeDirectory(const std::string& path) override { return ReadOnly(path); }
  Status RemoveDirectory(const std::string& path) override { return ReadOnly(path); }
  Status SyncDirectory(const std::string& path) override { return ReadOnly(path); }
  Result<std::unique_ptr<io::Lock>> TryLock(const std::string& path) override {
    return ReadOnly(path);
  }

 private:
  static Status ReadOnly(const std::string& path) {
    return Status::System(EROFS, "write", path);
  }

  std::map<std::string, Bytes> files_;
};

}  // namespace tensorbundle::fuzz
