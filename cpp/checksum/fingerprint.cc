#include "checksum/fingerprint.h"

#include <algorithm>
#include <cstring>

#include "checksum/kernels.h"
#include "checksum/paths.h"

namespace tensorbundle::checksum {
namespace {

PolyvalFunction FastestPolyval() {
  static const PolyvalFunction fastest = AvailablePolyvalPaths().back().extend;
  return fastest;
}

// The product of two elements of the field, as POLYVAL takes it: divided by x^128.
Fingerprint Product(const Fingerprint& a, const Fingerprint& b) {
  uint64_t state[2] = {0, 0};
  uint64_t powers[kPolyvalPowers][2] = {};  // of which the last counts
  powers[kPolyvalPowers - 1][0] = b.low;
  powers[kPolyvalPowers - 1][1] = b.high;
  const uint64_t words[2] = {a.low, a.high};
  std::byte block[sizeof(words)];
  std::memcpy(block, words, sizeof(words));
  PolyvalPortable(state, powers, block, 1);
  return {state[0], state[1]};
}

}  // namespace

FingerprintKey::FingerprintKey(const Fingerprint& value) {
  static_assert(kPowers == kPolyvalPowers);
  Fingerprint power = value;
  for (size_t i = kPowers; i-- > 0; power = Product(power, value)) {
    powers_[i][0] = power.low;
    powers_[i][1] = power.high;
  }
}

void Fingerprinter::Update(Bytes bytes) {
  if (partial_size_ > 0) {
    const size_t count = std::min(bytes.size(), kBlock - partial_size_);
    std::copy_n(bytes.begin(), count, partial_.begin() + partial_size_);
    partial_size_ += count;
    bytes = bytes.subspan(count);
    if (partial_size_ < kBlock) return;
    FastestPolyval()(state_, key_->powers_, partial_);
    partial_size_ = 0;
  }
  const size_t whole = bytes.size() - bytes.size() % kBlock;
  FastestPolyval()(state_, key_->powers_, bytes.first(whole));
  partial_size_ = bytes.size() - whole;
  std::copy(bytes.begin() + static_cast<ptrdiff_t>(whole), bytes.end(), partial_.begin());
}

Fingerprint Fingerprinter::value() const {
  uint64_t state[2] = {state_[0], state_[1]};
  if (partial_size_ > 0) {
    auto padded = partial_;
    std::fill(padded.begin() + static_cast<ptrdiff_t>(partial_size_), padded.end(),
              std::byte{0});
    FastestPolyval()(state, key_->powers_, padded);
  }
  return {state[0], state[1]};
}

Fingerprint Combine(const FingerprintKey& key, const Fingerprint& first,
                    const Fingerprint& second, uint64_t second_size) {
  // first * key^blocks, by squaring.
  Fingerprint shifted = first;
  Fingerprint power = key.value();
  const uint64_t partial = second_size % Fingerprint::kSize != 0 ? 1 : 0;
  for (uint64_t left = second_size / Fingerprint::kSize + partial; left > 0; left /= 2) {
    if (left % 2 == 1) shifted = Product(shifted, power);
    power = Product(power, power);
  }
  return {shifted.low ^ second.low, shifted.high ^ second.high};
}

}  // namespace tensorbundle::checksum
