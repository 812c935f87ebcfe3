#include "format/fingerprint_list.h"

#include <string_view>

#include "checksum/crc32c.h"
#include "format/coding.h"

namespace tensorbundle::format {
namespace {

using checksum::Fingerprint;

constexpr std::string_view kMagic = "tbprints";
constexpr size_t kHeadSize =
    kMagic.size() + 2 * Fingerprint::kSize + 2 * sizeof(uint64_t);  // before the first
constexpr size_t kTailSize = sizeof(uint32_t);

void PutFingerprint(std::string& out, const Fingerprint& fingerprint) {
  PutFixed64(out, fingerprint.low);
  PutFixed64(out, fingerprint.high);
}

// Takes the first bytes of `rest`, which are there.
uint64_t TakeFixed64(Bytes& rest) {
  const uint64_t value = LoadFixed64(rest.first(sizeof(uint64_t)));
  rest = rest.subspan(sizeof(uint64_t));
  return value;
}

Fingerprint TakeFingerprint(Bytes& rest) {
  const uint64_t low = TakeFixed64(rest);
  return {low, TakeFixed64(rest)};
}

}  // namespace

std::string EncodeFingerprints(const FingerprintList& list) {
  std::string out(kMagic);
  out.reserve(kHeadSize + list.fingerprints.size() * Fingerprint::kSize + kTailSize);
  PutFingerprint(out, list.key);
  PutFixed64(out, list.index_size);
  PutFingerprint(out, list.index);
  PutFixed64(out, list.fingerprints.size());
  for (const Fingerprint& fingerprint : list.fingerprints) PutFingerprint(out, fingerprint);
  PutFixed32(out, checksum::Mask(checksum::Compute(AsBytes(out))).value());
  return out;
}

Result<FingerprintList> DecodeFingerprints(Bytes file) {
  if (file.size() < kHeadSize + kTailSize || !AsText(file).starts_with(kMagic)) {
    return Status(Code::kUnsupportedFormat, "this is not a file of fingerprints");
  }
  const Bytes body = file.first(file.size() - kTailSize);
  const checksum::MaskedCrc32c stored(LoadFixed32(file.last(kTailSize)));
  if (stored != checksum::Mask(checksum::Compute(body))) {
    return Status(Code::kDataChecksumMismatch, "the fingerprints' checksum is wrong");
  }
  Bytes rest = body.subspan(kMagic.size());
  FingerprintList list;
  list.key = TakeFingerprint(rest);
  list.index_size = TakeFixed64(rest);
  list.index = TakeFingerprint(rest);
  const uint64_t count = TakeFixed64(rest);
  if (rest.size() % Fingerprint::kSize != 0 || count != rest.size() / Fingerprint::kSize) {
    return Status(Code::kSizeMismatch, std::to_string(count) + " fingerprints in " +
                                           std::to_string(rest.size()) + " bytes");
  }
  list.fingerprints.reserve(count);
  while (!rest.empty()) list.fingerprints.push_back(TakeFingerprint(rest));
  return list;
}

}  // namespace tensorbundle::format
