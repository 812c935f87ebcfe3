// The file PREFIX.fingerprints: what tells a later save which tensors have changed.
//
//   magic          8 bytes, "tbprints"
//   key            16 bytes: of the fingerprints (checksum/fingerprint.h)
//   index size     fixed64
//   index          16 bytes: the fingerprint of the whole index file
//   count          fixed64
//   fingerprints   16 bytes for each value in the index that has bytes in a data file, in
//                  the order of their keys; so no names are needed
//   checksum       fixed32, masked CRC-32C of all before
//
// The file belongs to exactly one index: where size and fingerprint differ, it says nothing.
//
// Trust: decoding takes bytes from disk.  A sound file with wrong fingerprints would make a
// save keep old bytes; like the data files, it is believed once its checksum is right.

#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "base/bytes.h"
#include "base/result.h"
#include "checksum/fingerprint.h"

namespace tensorbundle::format {

struct FingerprintList {
  checksum::Fingerprint key;
  uint64_t index_size = 0;  // bytes
  checksum::Fingerprint index;
  std::vector<checksum::Fingerprint> fingerprints;
  friend bool operator==(const FingerprintList&, const FingerprintList&) = default;
};

std::string EncodeFingerprints(const FingerprintList& list);

// Errors: kUnsupportedFormat     not such a file
//         kDataChecksumMismatch  damaged
//         kSizeMismatch          not as long as it says
Result<FingerprintList> DecodeFingerprints(Bytes file);

}  // namespace tensorbundle::format
