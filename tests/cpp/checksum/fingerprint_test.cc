#include "checksum/fingerprint.h"

#include <gtest/gtest.h>

#include <cstring>
#include <random>
#include <string>
#include <string_view>
#include <vector>

#include "checksum/paths.h"

namespace tensorbundle::checksum {
namespace {

std::string FromHex(std::string_view hex) {
  std::string bytes;
  for (size_t i = 0; i < hex.size(); i += 2) {
    bytes += static_cast<char>(std::stoi(std::string(hex.substr(i, 2)), nullptr, 16));
  }
  return bytes;
}

Fingerprint Stored(std::string_view hex) {
  Fingerprint value;
  const std::string bytes = FromHex(hex);
  std::memcpy(&value.low, bytes.data(), 8);
  std::memcpy(&value.high, bytes.data() + 8, 8);
  return value;
}

Fingerprint Of(const FingerprintKey& key, std::string_view text) {
  Fingerprinter fingerprinter(key);
  fingerprinter.Update(AsBytes(text));
  return fingerprinter.value();
}

std::string RandomText(size_t size, unsigned seed = 1) {
  std::mt19937 random(seed);
  std::string text(size, '\0');
  for (char& c : text) c = static_cast<char>(random());
  return text;
}

// RFC 8452, appendix A.
const FingerprintKey kKey(Stored("25629347589242761d31f826ba4b757b"));
const std::string kBlocks =
    FromHex("4f4f95668c83dfb6401762bb2d01a262d1a24ddd2721d006bbe45f20d3c9f362");

TEST(FingerprintTest, TheExampleOfTheRfc) {
  EXPECT_EQ(Of(kKey, kBlocks), Stored("f7a3b47b846119fae5b7866cf5e5b77e"));
  EXPECT_EQ(kKey.value(), Stored("25629347589242761d31f826ba4b757b"));
}

TEST(FingerprintTest, NothingAndZerosHaveTheFingerprintZero) {
  EXPECT_EQ(Of(kKey, ""), Fingerprint());
  EXPECT_EQ(Of(kKey, std::string(100, '\0')), Fingerprint());
}

TEST(FingerprintTest, EveryPathGivesTheSame) {
  const auto paths = AvailablePolyvalPaths();
  // The powers by the definition alone: each is the one before, times the key.
  uint64_t powers[32][2] = {};
  powers[31][0] = kKey.value().low;
  powers[31][1] = kKey.value().high;
  for (int i = 31; i-- > 0;) {
    paths.front().extend(powers[i], powers, std::as_bytes(std::span(powers[i + 1])));
  }
  for (size_t blocks = 0; blocks < 150; ++blocks) {
    const std::string text = RandomText(16 * blocks);
    const Fingerprint expected = Of(kKey, text);
    for (const PolyvalPath& path : paths) {
      uint64_t state[2] = {0, 0};
      path.extend(state, powers, AsBytes(text));
      EXPECT_EQ((Fingerprint{state[0], state[1]}), expected) << path.name << " " << blocks;
    }
  }
}

TEST(FingerprintTest, PiecesMakeTheSameAsTheWhole) {
  const std::string text = RandomText(1000);
  for (const size_t piece : {1, 3, 15, 16, 17, 127, 128, 500, 1000}) {
    Fingerprinter fingerprinter(kKey);
    for (size_t begin = 0; begin < text.size(); begin += piece) {
      fingerprinter.Update(AsBytes(std::string_view(text).substr(begin, piece)));
    }
    EXPECT_EQ(fingerprinter.value(), Of(kKey, text)) << piece;
  }
}

TEST(FingerprintTest, TwoRunsAreCombined) {
  const std::string text = RandomText(5000);
  for (const size_t cut : {0, 16, 160, 1600, 4992}) {
    const Fingerprint first = Of(kKey, text.substr(0, cut));
    const Fingerprint second = Of(kKey, text.substr(cut));
    EXPECT_EQ(Combine(kKey, first, second, text.size() - cut), Of(kKey, text)) << cut;
  }
}

TEST(FingerprintTest, OneBitAnywhereChangesIt) {
  std::string text = RandomText(333);
  const Fingerprint before = Of(kKey, text);
  for (size_t i = 0; i < text.size(); ++i) {
    for (int bit = 0; bit < 8; ++bit) {
      text[i] = static_cast<char>(text[i] ^ (1 << bit));
      EXPECT_FALSE(Of(kKey, text) == before);
      text[i] = static_cast<char>(text[i] ^ (1 << bit));
    }
  }
}

TEST(FingerprintTest, AnotherKeyGivesAnother) {
  const FingerprintKey other(Stored("00000000000000000000000000000002"));
  EXPECT_FALSE(Of(other, kBlocks) == Of(kKey, kBlocks));
}

}  // namespace
}  // namespace tensorbundle::checksum
