// A ring without a kernel, and files that are only a number: the queue's world in a test.

#pragma once

#include <gtest/gtest.h>

#include <cerrno>
#include <deque>
#include <string>
#include <vector>

#include "io/file.h"
#include "io/ring.h"

namespace tensorbundle::io {

// What became of a ring; outlives it.
struct RingLog {
  std::vector<RingRequest> started;
  size_t in_flight = 0;
  bool destroyed_in_flight = false;
  std::deque<int64_t> answers;  // one per completion; all that was asked for, where none
  bool newest_first = false;
  int submit_error = 0;
  int wait_error = 0;
};

class ScriptedRing final : public Ring {
 public:
  explicit ScriptedRing(RingLog& log) : log_(log) {}
  ~ScriptedRing() override { log_.destroyed_in_flight = log_.in_flight > 0; }

  Status Submit(const RingRequest& request) override {
    if (log_.submit_error != 0) return Status::System(log_.submit_error, "submit", "");
    log_.started.push_back(request);
    waiting_.push_back(request);
    ++log_.in_flight;
    return Status();
  }
  Result<RingCompletion> Wait() override {
    if (log_.wait_error != 0) return Status::System(log_.wait_error, "wait", "");
    EXPECT_FALSE(waiting_.empty()) << "would wait for ever";
    if (waiting_.empty()) return Status::System(EDEADLK, "wait", "");
    const RingRequest request = log_.newest_first ? waiting_.back() : waiting_.front();
    log_.newest_first ? waiting_.pop_back() : waiting_.pop_front();
    --log_.in_flight;
    auto answer = static_cast<int64_t>(request.memory.size());
    if (!log_.answers.empty()) {
      answer = log_.answers.front();
      log_.answers.pop_front();
    }
    return RingCompletion{request.tag, answer};
  }

 private:
  RingLog& log_;
  std::deque<RingRequest> waiting_;
};

// Files that are only a descriptor, a size and a granule.
class FakeReadable final : public ReadableFile {
 public:
  FakeReadable(uint64_t size, Granule granule) : size_(size), granule_(granule) {}
  Granule granule() const override { return granule_; }
  Status ReadAt(uint64_t, MutableBytes) const override {
    return Status(Code::kInvalidArgument, "not through the ring");
  }
  uint64_t size() const override { return size_; }
  const std::string& path() const override { return path_; }
  FileIdentity identity() const override { return {}; }
  int descriptor() const override { return 7; }

 private:
  const std::string path_ = "/fake";
  const uint64_t size_;
  const Granule granule_;
};

class FakeWritable final : public WritableFile {
 public:
  Status Allocate(uint64_t) override { return Status(); }
  Status WriteAt(uint64_t, Bytes) override {
    return Status(Code::kInvalidArgument, "not through the ring");
  }
  Status Truncate(uint64_t) override { return Status(); }
  Status Sync() override { return Status(); }
  Status Close() override { return Status(); }
  const std::string& path() const override { return path_; }
  int descriptor() const override { return 8; }

 private:
  const std::string path_ = "/fake";
};

}  // namespace tensorbundle::io
