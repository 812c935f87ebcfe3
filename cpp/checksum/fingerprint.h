// 128 bits that tell whether two tensors have the same bytes.
//
// A fingerprint is POLYVAL (RFC 8452, section 3) under a random key: the bytes are the
// coefficients, 16 to each, of a polynomial over GF(2^128), and the fingerprint is its value
// at the key.  Two different polynomials of degree n agree at n of the 2^128 points at most.
// So two different runs of the same size, up to 2^40 bytes, have the same fingerprint with a
// probability below 2^-91, whatever they are, as long as nobody chose them who knew the key.
// A CRC has no such bound: half of 2^16 tensors that differ would find one that agrees.
//
// It is no defence against somebody who has read the key and writes the tensors.  SHA-256
// would be one, at a fraction of the speed: benchmarks/test_checksum.py.
//
// The bytes are padded with zeros to whole blocks: sizes are for others to compare.
//
// Threads: a key is immutable; a Fingerprinter belongs to one thread.

#pragma once

#include <array>
#include <cstddef>
#include <cstdint>

#include "base/bytes.h"

namespace tensorbundle::checksum {

struct Fingerprint {
  static constexpr size_t kSize = 16;  // bytes, as it is stored: the low word first
  uint64_t low = 0;
  uint64_t high = 0;
  friend bool operator==(const Fingerprint&, const Fingerprint&) = default;
};

class FingerprintKey {
 public:
  // `value` is 128 random bits.
  explicit FingerprintKey(const Fingerprint& value);

  Fingerprint value() const { return {powers_[kPowers - 1][0], powers_[kPowers - 1][1]}; }

 private:
  friend class Fingerprinter;
  friend Fingerprint Combine(const FingerprintKey& key, const Fingerprint& first,
                             const Fingerprint& second, uint64_t second_size);

  static constexpr size_t kPowers = 32;
  uint64_t powers_[kPowers][2];  // of the key, which is the last; the highest first
};

// The fingerprint of bytes that come piece by piece.
class Fingerprinter {
 public:
  // The key outlives this.
  explicit Fingerprinter(const FingerprintKey& key) : key_(&key) {}

  void Update(Bytes bytes);

  // Of all bytes so far.
  Fingerprint value() const;

 private:
  static constexpr size_t kBlock = 16;

  const FingerprintKey* key_;
  uint64_t state_[2] = {0, 0};
  std::array<std::byte, kBlock> partial_ = {};  // bytes that are no whole block yet
  size_t partial_size_ = 0;
};

// The fingerprint of two runs of bytes, one after the other, from those of each.
//
// REQUIRES: the first is of whole blocks of 16 bytes
Fingerprint Combine(const FingerprintKey& key, const Fingerprint& first,
                    const Fingerprint& second, uint64_t second_size);

}  // namespace tensorbundle::checksum
