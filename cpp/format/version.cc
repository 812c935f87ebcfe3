#include "format/version.h"

#include <string>

#include "format/coding.h"
#include "format/wire.h"

namespace tensorbundle::format {
namespace {

Status NotAVersion() {
  return Status(Code::kBadHeader, "the version is not a well-formed message");
}

void AddBadConsumer(uint64_t consumer, Version& version) {
  if (consumer == static_cast<uint64_t>(kBundleVersion)) version.refuses_us = true;
}

// A repeated number, packed (as proto3 writes it) or not.
bool ReadBadConsumers(const FieldReader& field, Version& version) {
  uint64_t consumer = 0;
  if (field.GetVarint(consumer)) {
    AddBadConsumer(consumer, version);
    return true;
  }
  Bytes packed;
  if (!field.GetBytes(packed)) return false;
  Cursor cursor(packed);
  while (!cursor.done()) {
    if (!cursor.ReadVarint64(consumer)) return false;
    AddBadConsumer(consumer, version);
  }
  return true;
}

}  // namespace

Status ReadVersion(Bytes message, Version& version) {
  FieldReader fields(message);
  while (fields.Next()) {
    uint64_t number = 0;
    switch (fields.number()) {
      case kProducer:
        if (!fields.GetVarint(number)) return NotAVersion();
        version.producer = static_cast<int64_t>(number);
        break;
      case kMinConsumer:
        if (!fields.GetVarint(number)) return NotAVersion();
        version.min_consumer = static_cast<int64_t>(number);
        break;
      case kBadConsumers:
        if (!ReadBadConsumers(fields, version)) return NotAVersion();
        break;
      default: break;
    }
  }
  return fields.ok() ? Status() : NotAVersion();
}

Status CheckVersion(const Version& version) {
  if (version.producer < 0) {
    return Status(
        Code::kUnsupportedVersion,
        "the producer's version is " + std::to_string(version.producer) + ", less than 0");
  }
  if (version.min_consumer > kBundleVersion) {
    return Status(Code::kUnsupportedVersion, "the bundle needs a reader of version " +
                                                 std::to_string(version.min_consumer) +
                                                 ", this one has " +
                                                 std::to_string(kBundleVersion));
  }
  if (version.refuses_us) {
    return Status(Code::kUnsupportedVersion,
                  "the bundle refuses readers of version " + std::to_string(kBundleVersion));
  }
  return Status();
}

}  // namespace tensorbundle::format
