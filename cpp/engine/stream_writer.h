// Saves tensors one after the other, in whatever order they come, as one bundle.
//
// Small tensors are collected, large ones written at once (engine/stream_shards.h); whoever
// added a tensor may change it from then on.
//
// The bundle becomes visible as one of Save() does (engine/commit.h): all of it, when
// Finish() returns, or nothing.  A write that fails ends the writer, and removes what was
// made; a tensor that is refused changes nothing.
//
// Ownership: owns the storage, its open files and the lock of the prefix, and a record of
// each tensor for the index.
//
// Threads: any thread may call any method; one at a time gets in.

#pragma once

#include <atomic>
#include <cstdint>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>

#include "base/result.h"
#include "engine/commit.h"
#include "engine/observer.h"
#include "engine/partition.h"
#include "engine/stages.h"
#include "engine/stream_shards.h"
#include "engine/tensor_view.h"
#include "engine/writer.h"
#include "format/entry.h"
#include "io/storage.h"

namespace tensorbundle::engine {

// The memory that small tensors are collected in; a tensor of a quarter of it is large.
constexpr uint64_t kStreamMemory = 16u << 20;  // bytes

class StreamWriter {
 public:
  // Takes the prefix's lock; no data file exists before it has bytes.  With `coverage`
  // kPartial, partitioned tensors may have gaps.  options.observer is not looked at.
  //
  // REQUIRES: `memory` is several granules of any device
  //
  // Errors: kLocked, kInvalidArgument, those of Publication::Begin()
  static Result<std::unique_ptr<StreamWriter>> Open(std::shared_ptr<io::Storage> storage,
                                                    std::string prefix,
                                                    const SaveOptions& options,
                                                    Coverage coverage,
                                                    uint64_t memory = kStreamMemory);

  // Borrows the tensor's memory until it returns.  `observer` may be null.
  //
  // Errors: kInvalidArgument  the name is none, or the writer has ended
  //         kAlreadyExists    it is there already, whole or in parts
  //         kCancelled, kSystem, ...: the writer has ended, and nothing is left
  Status Add(const TensorView& tensor, Observer* observer);

  // The same of a part; its name is the whole tensor's.  One that is all of the tensor is
  // a tensor.
  //
  // Errors: kInvalidArgument  engine/partition.h refuses it; or its dtype, or the whole
  //                           shape, is not that of other parts
  Status AddPart(const TensorView& part, const format::Shape& shape,
                 const format::Slice& slice, Observer* observer);

  // Makes the bundle durable and visible.
  //
  // Errors: kInvalidArgument  a tensor lacks parts: they may still be added
  //         kCancelled, kSystem, ...: the writer has ended, and the old bundle is there
  Result<SaveReport> Finish(Observer* observer);

  // Ends the writer, and removes what was made; nothing where it has ended.
  void Abort();

  // Whether tensors may be added.  Never waits.
  bool is_open() const { return is_open_; }

 private:
  struct Parts {
    format::DType dtype = format::DType::kFloat32;
    PartSet set;
  };

  StreamWriter(std::shared_ptr<io::Storage> storage, const SaveOptions& options,
               Coverage coverage);

  Status CheckOpen() const;
  Status CheckNew(std::string_view name) const;
  Status AddPartLocked(const TensorView& part, const format::Shape& shape,
                       const format::Slice& slice, Observer* observer);
  Status AddEntry(const std::string& key, const TensorView& tensor, Observer* observer);
  Status WriteIndex();
  Status PublishAll(Observer* observer);
  Status End(Status status);

  const std::shared_ptr<io::Storage> storage_;
  SaveOptions options_;
  const Coverage coverage_;

  std::atomic<bool> is_open_ = true;
  std::mutex mutex_;  // guards everything below
  // Before the shards, so that their files are closed when it removes them.
  std::unique_ptr<Publication> publication_;  // null: the writer has ended
  std::string why_ended_;
  std::unique_ptr<StreamShards> shards_;          // null: likewise
  std::map<std::string, format::Entry> entries_;  // by key, of parts too: the index's order
  std::map<std::string, Parts> parts_;
  SaveReport report_;
  Clock::time_point start_ = Clock::now();
};

}  // namespace tensorbundle::engine
