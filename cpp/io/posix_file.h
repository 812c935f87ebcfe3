// One file that is open through a descriptor: buffered, or direct where it has granules.
//
// Each object owns its descriptor.  Threads: as storage.h says.

#pragma once

#include <string>

#include "io/file.h"
#include "io/posix_calls.h"
#include "io/unique_fd.h"

namespace tensorbundle::io {

class PosixReadableFile final : public ReadableFile {
 public:
  PosixReadableFile(std::string path, RegularFile file, Granule granule = {});

  Granule granule() const override { return granule_; }
  Status ReadAt(uint64_t offset, MutableBytes out) const override;
  uint64_t size() const override { return file_.size; }
  FileIdentity identity() const override { return file_.identity; }
  const std::string& path() const override { return path_; }
  int descriptor() const override { return file_.fd.get(); }

 private:
  const std::string path_;
  const RegularFile file_;
  const Granule granule_;
};

// What a WritableFile tells by methods of these names.
struct WritableTraits {
  Granule granule;
  bool prefers_huge_pages = false;
  bool is_reused = false;
};

class PosixWritableFile final : public WritableFile {
 public:
  PosixWritableFile(std::string path, UniqueFd fd, const WritableTraits& traits = {});

  Granule granule() const override { return traits_.granule; }
  bool prefers_huge_pages() const override { return traits_.prefers_huge_pages; }
  bool is_reused() const override { return traits_.is_reused; }
  Status Allocate(uint64_t size) override;
  Status WriteAt(uint64_t offset, Bytes bytes) override;
  Status Truncate(uint64_t size) override;
  Status Sync() override;
  Status Close() override;
  const std::string& path() const override { return path_; }
  int descriptor() const override { return fd_.get(); }

 private:
  const std::string path_;
  UniqueFd fd_;  // invalid once closed
  const WritableTraits traits_;
  Status sync_status_;  // the first failure of Sync(), for good
};

}  // namespace tensorbundle::io
