// A ring without a kernel over files without descriptors: what a device does, in a test.
//
// Requests wait until their completion is asked for, newest first, and only then go to
// the file: a failure arrives late, while others are in flight, as it does from a disk.
//
// Threads: the files are guarded, and one DeviceFiles serves all rings; a ring is its
// thread's.

#pragma once

#include <cerrno>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <vector>

#include "base/alignment.h"
#include "io/file.h"
#include "io/ring.h"

namespace tensorbundle::io {

// How a storage's direct files and their queues behave.
struct Device {
  Granule granule;
  bool is_asynchronous = false;  // queues are rings
  bool answers_short = false;    // rings: a write of several granules moves all but one
  uint64_t nothing_at = 0;       // rings: that write, from 1 on, moves nothing; 0: none
  bool prefers_huge_pages = false;
};

// The files that are open, by the numbers they have in place of descriptors.
class DeviceFiles {
 public:
  int Add(WritableFile& file) {
    const std::lock_guard guard(mutex_);
    files_[++last_] = &file;
    return last_;
  }
  void Remove(int number) {
    const std::lock_guard guard(mutex_);
    files_.erase(number);
  }
  WritableFile* Find(int number) {
    const std::lock_guard guard(mutex_);
    const auto found = files_.find(number);
    return found == files_.end() ? nullptr : found->second;
  }
  uint64_t CountWrite() {
    const std::lock_guard guard(mutex_);
    return ++writes_;
  }

 private:
  std::mutex mutex_;
  int last_ = 1 << 20;  // no real descriptor is so large
  std::map<int, WritableFile*> files_;
  uint64_t writes_ = 0;
};

class DeviceRing final : public Ring {
 public:
  // `fail` says what becomes of a submission or of a wait.
  DeviceRing(const Device& device, std::shared_ptr<DeviceFiles> files,
             std::function<Status(bool is_submission)> fail)
      : device_(device), files_(std::move(files)), fail_(std::move(fail)) {}

  Status Submit(const RingRequest& request) override {
    TB_RETURN_IF_ERROR(fail_(true));
    waiting_.push_back(request);
    return Status();
  }

  Result<RingCompletion> Wait() override {
    TB_RETURN_IF_ERROR(fail_(false));
    const RingRequest request = waiting_.back();
    waiting_.pop_back();
    return RingCompletion{request.tag, Write(request)};
  }

 private:
  int64_t Write(const RingRequest& request) {
    WritableFile* file = files_->Find(request.fd);
    if (file == nullptr) return -EBADF;
    if (files_->CountWrite() == device_.nothing_at) return 0;
    Bytes bytes = request.memory;
    const uint64_t granule = device_.granule.offset;
    if (request.offset % granule != 0 || bytes.size() % granule != 0 ||
        !IsAligned(bytes.data(), device_.granule.memory)) {
      return -EINVAL;
    }
    if (device_.answers_short && bytes.size() > granule) {
      bytes = bytes.first(bytes.size() - granule);
    }
    const Status status = file->WriteAt(request.offset, bytes);
    return status.ok() ? static_cast<int64_t>(bytes.size()) : -int64_t{status.error_number()};
  }

  const Device device_;
  const std::shared_ptr<DeviceFiles> files_;
  const std::function<Status(bool)> fail_;
  std::vector<RingRequest> waiting_;
};

}  // namespace tensorbundle::io
