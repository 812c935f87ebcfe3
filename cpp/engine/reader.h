// Reads many tensors at once: planned, parallel, checked.
//
// Requests are ordered by shard and offset.  Neighbouring small tensors are fetched by
// one large read and copied out; large ones are cut into parts and read straight to
// their destination.  The checksum is taken of each block while it is in cache.  The
// same pass verifies: a request without destination is read, checked and dropped.
//
// Bytes are read by system calls, never through a map, so a file that shrinks meanwhile is
// an error and not a signal.
//
// Threads: a ReadTensors() is called on one thread and starts its own; any number of
// them may run at once on one Bundle.

#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "base/bytes.h"
#include "base/result.h"
#include "engine/box_copy.h"
#include "engine/bundle.h"
#include "engine/observer.h"
#include "engine/partition.h"
#include "engine/stages.h"
#include "engine/transfer_options.h"
#include "format/entry.h"

namespace tensorbundle::engine {

// Where the bytes of a tensor go that do not lie in memory as they do in the file.
struct Spread {
  BoxCopy copy;
  MutableBytes target;
};

struct ReadRequest {
  std::string name;  // for messages
  // Not one with slices, whose parts are requests of their own (engine/assembly.h).
  format::Entry entry;
  // Of entry.size bytes; or empty: check the tensor only.  Numbers arrive in this machine's
  // byte order, strings and variants encoded; whoever decodes them checks them
  // (format/elements.h).
  MutableBytes out;
  bool fresh = false;  // nobody has touched that memory yet, so its pages are missing
  // Takes every block, if there is no `out`; usually null.  REQUIRES: not of strings
  std::shared_ptr<const Spread> spread = nullptr;
  // Of a partitioned tensor: which it is, for messages.
  // NOLINTNEXTLINE(readability-redundant-member-init): so that initializers may leave it out
  std::string part = {};
};

// How a shard is read.  kAuto reads past the page cache where the file system can and the
// file is not mostly in the cache already.
enum class ReadMode : uint8_t { kAuto, kBuffered, kDirect };

// Bounds the scratch memory of a load, 4 MiB per thread.
constexpr size_t kMaxReadThreads = 64;

struct ReadOptions {
  bool verify = true;
  ReadMode mode = ReadMode::kBuffered;
  size_t num_threads = 0;  // 0: one per processor
  TransferOptions transfer;
  Observer* observer = nullptr;  // may be null
};

struct ReadReport {
  uint64_t num_tensors = 0;
  uint64_t bytes = 0;         // of the tensors
  uint64_t direct_bytes = 0;  // of these: read past the page cache
  size_t num_threads = 0;
  double seconds = 0;
  double plan_seconds = 0;   // of these: before anything was read
  TransferSeconds stages;    // of all threads
  std::string queue_reason;  // why a thread had no queue of the wanted kind
};

// What is wrong with one tensor; its status names tensor, path, shard and offset.
struct Fault {
  size_t request = 0;  // index into the requests
  Status status;
};

// Opens every shard the requests need and holds each range against its size, so that
// a missing or short file is named before anything is allocated or read.
//
// Errors: kMissingShard, kOutOfBounds, kUnsupportedLayout, ...: of the first that fails
Status CheckRequests(const Bundle& bundle, std::span<const ReadRequest> requests);

// Fills every destination, or fails: then destinations hold anything.
//
// Errors: kDataChecksumMismatch, kBadStringLengths, those of CheckRequests(),
//         kCancelled, kSystem
Result<ReadReport> ReadTensors(const Bundle& bundle, std::span<const ReadRequest> requests,
                               const ReadOptions& options);

// Checks every request, whatever is wrong with others, and adds a fault for each that
// fails.  REQUIRES: no request has a destination
//
// Errors: kCancelled
Result<ReadReport> VerifyTensors(const Bundle& bundle, std::span<const ReadRequest> requests,
                                 const ReadOptions& options, std::vector<Fault>& faults);

}  // namespace tensorbundle::engine
