// What went wrong, and where: the only way the core reports a failure.
//
// A Status is a value.  OK is a null pointer, so success costs nothing; a
// failure owns its details.  The core throws no exceptions: a function that can
// fail returns Status or Result<T> (base/result.h), and the compiler refuses to
// let either be dropped.
//
// Threads: a Status is immutable but for the With...() calls of its owner.
//
// The message says what was expected and what was found, in lower case and
// without a final stop.  The place (path, tensor, shard, offset) lives in fields
// of its own, so that the bindings can hand each to Python.

#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

namespace tensorbundle {

// One code per kind of fault.  CodeName() gives the spelling that users see in
// `error.code`.  Groups matter to the bindings: IsCorruption(), IsUnsupported().
enum class Code : uint8_t {
  kOk,
  // The caller's fault.
  kInvalidArgument,
  kNotFound,       // a tensor name that is not in the bundle
  kAlreadyExists,  // a tensor name given twice
  kOutOfRange,     // a range that is not inside its container
  // The world's.
  kSystem,          // a system call failed; error_number() says why
  kLocked,          // another save holds the prefix
  kCancelled,       // the observer asked to stop
  kCheckpointGone,  // replaced or deleted since it was opened
  // The file's: the bytes are not a bundle, or are damaged.
  kTruncatedIndex,
  kBadMagic,
  kBadHandle,
  kBadBlock,
  kBadBlockChecksum,
  kBadCompression,
  kBadKeyOrder,
  kDuplicateKey,
  kMissingHeader,
  kBadHeader,
  kBadEntry,
  kBadDType,
  kBadShape,
  kBadShardId,
  kBadSlice,
  kMissingSlice,
  kSizeMismatch,
  kOutOfBounds,
  kMissingShard,
  kDataChecksumMismatch,
  kBadStringLengths,
  kNotRegularFile,
  kLimitExceeded,
  kConcurrentModification,  // a file became shorter while it was open
  // The file is sound, but asks for what this build or library lacks.
  kUnsupportedVersion,
  kUnsupportedFormat,
  kUnsupportedDType,
  kUnsupportedRank,
  kUnsupportedEndianness,
  kUnsupportedLayout,   // a partitioned tensor where only a whole one will do
  kUnsupportedBackend,  // direct I/O where the file system has none
};

// "BadMagic" for kBadMagic.
std::string_view CodeName(Code code);
bool IsCorruption(Code code);
bool IsUnsupported(Code code);

class [[nodiscard]] Status {
 public:
  Status() = default;  // OK
  Status(Code code, std::string message);

  // A failed system call: `operation` as in "pwrite", `path` the file it was for.
  static Status System(int error_number, std::string_view operation, std::string path);

  Status(const Status& other);
  Status& operator=(const Status& other);
  Status(Status&&) noexcept = default;
  Status& operator=(Status&&) noexcept = default;
  ~Status() = default;

  bool ok() const { return details_ == nullptr; }
  Code code() const { return ok() ? Code::kOk : details_->code; }

  // 0 where no system call failed.
  int error_number() const { return ok() ? 0 : details_->error_number; }

  // Empty, or absent, where unknown.
  const std::string& message() const;
  const std::string& path() const;
  const std::string& key() const;  // the tensor's name, its bytes as stored
  std::optional<int64_t> shard() const;
  std::optional<uint64_t> offset() const;  // bytes from the start of `path`

  // Fill in a place that the failing layer did not know.  What is already known
  // is kept: the innermost layer knows best.  No effect on OK.
  Status WithPath(std::string path) &&;
  Status WithKey(std::string key) &&;
  Status WithShard(int64_t shard) &&;
  Status WithOffset(uint64_t offset) &&;

  // Says in the message itself what a place has no field for: "part 0,2:-".
  Status Within(std::string_view what) &&;

  // Message and place in one line, control characters in names escaped.
  std::string ToString() const;

 private:
  struct Details {
    Code code = Code::kOk;
    int error_number = 0;
    std::string message;
    std::string path;
    std::string key;
    std::optional<int64_t> shard;
    std::optional<uint64_t> offset;
  };
  std::unique_ptr<Details> details_;  // null if and only if OK
};

}  // namespace tensorbundle

// Returns the status of `expr` from this function unless it is OK.
#define TB_RETURN_IF_ERROR(expr)                \
  do {                                          \
    ::tensorbundle::Status tb_status_ = (expr); \
    if (!tb_status_.ok()) return tb_status_;    \
  } while (false)
