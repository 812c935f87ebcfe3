// The header, BundleHeaderProto of tensor_bundle.proto.

#include "format/entry.h"
#include "format/naming.h"
#include "format/version.h"
#include "format/wire.h"

namespace tensorbundle::format {
namespace {

enum HeaderField : uint32_t { kNumShards = 1, kEndianness = 2, kVersion = 3 };

constexpr uint64_t kLittle = 0;
constexpr uint64_t kBig = 1;

Status NotAHeader(std::string_view what) {
  return Status(Code::kBadHeader, std::string(what) + " is not a well-formed message");
}

// SavedTensorSlices of saved_tensor_slice.proto, which a V1 checkpoint has under the
// empty key, begins with a message where our header has a number.
bool IsV1Header(Bytes value) {
  FieldReader fields(value);
  bool is_message = false;
  while (fields.Next()) {
    Bytes meta;
    if (fields.number() == kNumShards) is_message = fields.GetBytes(meta);
  }
  return fields.ok() && is_message;
}

// The numbers of a header as they stand in the file, each checked alone later.
struct RawHeader {
  uint64_t num_shards = 0;
  uint64_t endianness = kLittle;
  Version version;
};

Status ReadHeader(Bytes value, RawHeader& header) {
  FieldReader fields(value);
  while (fields.Next()) {
    Bytes version;
    switch (fields.number()) {
      case kNumShards:
        if (!fields.GetVarint(header.num_shards)) return NotAHeader("the header");
        break;
      case kEndianness:
        if (!fields.GetVarint(header.endianness)) return NotAHeader("the header");
        break;
      case kVersion:
        if (!fields.GetBytes(version)) return NotAHeader("the header");
        TB_RETURN_IF_ERROR(ReadVersion(version, header.version));
        break;
      default: break;
    }
  }
  return fields.ok() ? Status() : NotAHeader("the header");
}

}  // namespace

std::string EncodeHeader(const Header& header) {
  std::string version;
  PutVarintField(version, kProducer, kBundleVersion);
  std::string out;
  PutVarintField(out, kNumShards, header.num_shards);
  if (header.big_endian) PutVarintField(out, kEndianness, kBig);
  PutBytesField(out, kVersion, version);
  return out;
}

Result<Header> DecodeHeader(Bytes value) {
  if (IsV1Header(value)) {
    return Status(Code::kUnsupportedFormat,
                  "this is a V1 checkpoint (SavedTensorSlices), not a bundle");
  }
  RawHeader raw;
  TB_RETURN_IF_ERROR(ReadHeader(value, raw));
  TB_RETURN_IF_ERROR(CheckVersion(raw.version));
  if (raw.num_shards == 0 || raw.num_shards > kMaxShards) {
    return Status(Code::kBadHeader, "num_shards is " +
                                        std::to_string(static_cast<int64_t>(raw.num_shards)) +
                                        ", not from 1 to " + std::to_string(kMaxShards));
  }
  if (raw.endianness > kBig) {
    return Status(Code::kBadHeader, "endianness is " +
                                        std::to_string(static_cast<int64_t>(raw.endianness)) +
                                        ", neither 0 nor 1");
  }
  Header header;
  header.num_shards = static_cast<uint32_t>(raw.num_shards);
  header.big_endian = raw.endianness == kBig;
  return header;
}

}  // namespace tensorbundle::format
