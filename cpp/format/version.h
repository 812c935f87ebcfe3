// VersionDef of versions.proto: who wrote a checkpoint, and who may read it.  Bundles and V1
// checkpoints have one each, and number their readers alike.

#pragma once

#include <cstdint>

#include "base/bytes.h"
#include "base/status.h"

namespace tensorbundle::format {

constexpr int32_t kBundleVersion = 1;  // TensorFlow's kTensorBundleVersion

enum VersionField : uint32_t { kProducer = 1, kMinConsumer = 2, kBadConsumers = 3 };

struct Version {
  int64_t producer = 0;
  int64_t min_consumer = 0;
  bool refuses_us = false;  // kBundleVersion is among the bad consumers
};

// Adds to `version`, as a message that is given twice is merged.
//
// Errors: kBadHeader
Status ReadVersion(Bytes message, Version& version);

// TensorFlow's CheckVersions, with 0 as the least producer.
//
// Errors: kUnsupportedVersion
Status CheckVersion(const Version& version);

}  // namespace tensorbundle::format
