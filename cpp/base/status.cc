#include "base/status.h"

#include <cstring>
#include <utility>

#include "base/text.h"

namespace tensorbundle {
namespace {

const std::string& Empty() {
  static const std::string empty;
  return empty;
}

}  // namespace

std::string_view CodeName(Code code) {
  switch (code) {
    case Code::kOk: return "Ok";
    case Code::kInvalidArgument: return "InvalidArgument";
    case Code::kNotFound: return "NotFound";
    case Code::kAlreadyExists: return "AlreadyExists";
    case Code::kOutOfRange: return "OutOfRange";
    case Code::kSystem: return "System";
    case Code::kLocked: return "Locked";
    case Code::kCancelled: return "Cancelled";
    case Code::kCheckpointGone: return "CheckpointGone";
    case Code::kTruncatedIndex: return "TruncatedIndex";
    case Code::kBadMagic: return "BadMagic";
    case Code::kBadHandle: return "BadHandle";
    case Code::kBadBlock: return "BadBlock";
    case Code::kBadBlockChecksum: return "BadBlockChecksum";
    case Code::kBadCompression: return "BadCompression";
    case Code::kBadKeyOrder: return "BadKeyOrder";
    case Code::kDuplicateKey: return "DuplicateKey";
    case Code::kMissingHeader: return "MissingHeader";
    case Code::kBadHeader: return "BadHeader";
    case Code::kBadEntry: return "BadEntry";
    case Code::kBadDType: return "BadDType";
    case Code::kBadShape: return "BadShape";
    case Code::kBadShardId: return "BadShardId";
    case Code::kBadSlice: return "BadSlice";
    case Code::kMissingSlice: return "MissingSlice";
    case Code::kSizeMismatch: return "SizeMismatch";
    case Code::kOutOfBounds: return "OutOfBounds";
    case Code::kMissingShard: return "MissingShard";
    case Code::kDataChecksumMismatch: return "DataChecksumMismatch";
    case Code::kBadStringLengths: return "BadStringLengths";
    case Code::kNotRegularFile: return "NotRegularFile";
    case Code::kLimitExceeded: return "LimitExceeded";
    case Code::kConcurrentModification: return "ConcurrentModification";
    case Code::kUnsupportedVersion: return "UnsupportedVersion";
    case Code::kUnsupportedFormat: return "UnsupportedFormat";
    case Code::kUnsupportedDType: return "UnsupportedDType";
    case Code::kUnsupportedRank: return "UnsupportedRank";
    case Code::kUnsupportedEndianness: return "UnsupportedEndianness";
    case Code::kUnsupportedLayout: return "UnsupportedLayout";
    case Code::kUnsupportedBackend: return "UnsupportedBackend";
  }
  return "Unknown";
}

bool IsCorruption(Code code) {
  return code >= Code::kTruncatedIndex && code <= Code::kConcurrentModification;
}

bool IsUnsupported(Code code) { return code >= Code::kUnsupportedVersion; }

Status::Status(Code code, std::string message) : details_(std::make_unique<Details>()) {
  details_->code = code;
  details_->message = std::move(message);
}

Status Status::System(int error_number, std::string_view operation, std::string path) {
  Status status(Code::kSystem, std::string(operation) + ": " + std::strerror(error_number));
  status.details_->error_number = error_number;
  status.details_->path = std::move(path);
  return status;
}

Status::Status(const Status& other)
    : details_(other.ok() ? nullptr : std::make_unique<Details>(*other.details_)) {}

Status& Status::operator=(const Status& other) {
  if (this != &other) {
    details_ = other.ok() ? nullptr : std::make_unique<Details>(*other.details_);
  }
  return *this;
}

const std::string& Status::message() const { return ok() ? Empty() : details_->message; }
const std::string& Status::path() const { return ok() ? Empty() : details_->path; }
const std::string& Status::key() const { return ok() ? Empty() : details_->key; }

std::optional<int64_t> Status::shard() const { return ok() ? std::nullopt : details_->shard; }

std::optional<uint64_t> Status::offset() const {
  return ok() ? std::nullopt : details_->offset;
}

Status Status::WithPath(std::string path) && {
  if (!ok() && details_->path.empty()) details_->path = std::move(path);
  return std::move(*this);
}

Status Status::WithKey(std::string key) && {
  if (!ok() && details_->key.empty()) details_->key = std::move(key);
  return std::move(*this);
}

Status Status::WithShard(int64_t shard) && {
  if (!ok() && !details_->shard.has_value()) details_->shard = shard;
  return std::move(*this);
}

Status Status::WithOffset(uint64_t offset) && {
  if (!ok() && !details_->offset.has_value()) details_->offset = offset;
  return std::move(*this);
}

Status Status::Within(std::string_view what) && {
  if (!ok()) details_->message = std::string(what) + ": " + details_->message;
  return std::move(*this);
}

std::string Status::ToString() const {
  if (ok()) return "ok";
  std::string text;
  if (!path().empty()) text += EscapeForMessage(path()) + ": ";
  if (!key().empty()) text += "tensor " + Quoted(key()) + ": ";
  text += message();
  if (shard().has_value()) text += ", shard " + std::to_string(*shard());
  if (offset().has_value()) text += ", offset " + std::to_string(*offset());
  return text;
}

}  // namespace tensorbundle
