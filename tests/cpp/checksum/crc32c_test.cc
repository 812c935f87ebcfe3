#include "checksum/crc32c.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <random>
#include <type_traits>

#include "checksum/reference.h"

namespace tensorbundle::checksum {
namespace {

using testing::KnownVectors;
using testing::RandomBytes;

static_assert(!std::is_convertible_v<Crc32c, MaskedCrc32c>);
static_assert(!std::is_convertible_v<MaskedCrc32c, Crc32c>);
static_assert(!std::is_constructible_v<Crc32c, MaskedCrc32c>);
static_assert(!std::is_constructible_v<MaskedCrc32c, Crc32c>);
static_assert(!std::is_convertible_v<uint32_t, Crc32c>);
static_assert(!std::is_convertible_v<uint32_t, MaskedCrc32c>);
static_assert(!std::is_convertible_v<Crc32c, uint32_t>);
static_assert(!std::is_convertible_v<MaskedCrc32c, uint32_t>);

TEST(Compute, GivesTheKnownVectors) {
  for (const auto& vector : KnownVectors()) {
    EXPECT_EQ(Compute(vector.bytes), Crc32c(vector.crc)) << vector.name;
  }
}

TEST(Extend, OfTheChecksumOfNoBytesIsCompute) {
  EXPECT_EQ(Extend(Crc32c(), AsBytes("123456789")), Crc32c(0xe3069283U));
}

TEST(Extend, GoesOnWhereTheChecksumEnded) {
  EXPECT_EQ(Extend(Compute(AsBytes("1234")), AsBytes("56789")), Crc32c(0xe3069283U));
}

TEST(Extend, ByNoBytesChangesNothing) {
  EXPECT_EQ(Extend(Crc32c(0xe3069283U), Bytes()), Crc32c(0xe3069283U));
}

TEST(Mask, GivesTheWorkedExampleOfTheFormat) {
  EXPECT_EQ(Mask(Crc32c(0xe3069283U)), MaskedCrc32c(0xc78ab0e5U));
  EXPECT_EQ(Unmask(MaskedCrc32c(0xc78ab0e5U)), Crc32c(0xe3069283U));
  EXPECT_EQ(Mask(Crc32c(0)), MaskedCrc32c(0xa282ead8U));
}

TEST(Mask, IsUndoneByUnmask) {
  std::mt19937 engine(1);
  for (int round = 0; round < 1000; ++round) {
    const Crc32c crc(static_cast<uint32_t>(engine()));
    ASSERT_EQ(Unmask(Mask(crc)), crc);
    ASSERT_NE(Mask(crc).value(), crc.value());
  }
}

TEST(Combine, GivesTheKnownVectorFromItsParts) {
  const Crc32c first = Compute(AsBytes("1234"));
  EXPECT_EQ(Combine(first, Compute(AsBytes("56789")), 5), Crc32c(0xe3069283U));
}

TEST(Combine, AgreesWithExtendAtEverySecondSize) {
  const std::vector<std::byte> memory = RandomBytes(3000, 2);
  const Bytes bytes(memory);
  const Crc32c first = Compute(bytes.first(100));
  for (size_t size = 0; size <= bytes.size() - 100; ++size) {
    const Bytes second = bytes.subspan(100, size);
    ASSERT_EQ(Combine(first, Compute(second), size), Extend(first, second)) << size;
  }
}

TEST(Combine, WithNoBytesOnEitherSideChangesNothing) {
  const Crc32c crc = Compute(AsBytes("123456789"));
  EXPECT_EQ(Combine(crc, Crc32c(), 0), crc);
  EXPECT_EQ(Combine(Crc32c(), crc, 9), crc);
}

TEST(Combine, OfManyPartsInAnyGroupingIsTheWhole) {
  const std::vector<std::byte> memory = RandomBytes(6'000'000, 3);
  const Bytes bytes(memory);
  const size_t a = 1'234'567;
  const size_t b = 3'000'001;
  const size_t c = bytes.size() - a - b;
  const Crc32c crc_a = Compute(bytes.first(a));
  const Crc32c crc_b = Compute(bytes.subspan(a, b));
  const Crc32c crc_c = Compute(bytes.last(c));
  EXPECT_EQ(Combine(Combine(crc_a, crc_b, b), crc_c, c), Compute(bytes));
  EXPECT_EQ(Combine(crc_a, Combine(crc_b, crc_c, c), b + c), Compute(bytes));
}

// The checksum of 2^log_size zero bytes, by putting each run behind itself.
Crc32c ZerosByDoubling(int log_size) {
  const std::byte zero{0};
  Crc32c crc = Compute(Bytes(&zero, 1));
  for (int k = 0; k < log_size; ++k) crc = Combine(crc, crc, uint64_t{1} << k);
  return crc;
}

TEST(Combine, DoublesRunsOfZerosAsExtendDoes) {
  const std::vector<std::byte> zeros(size_t{1} << 22);
  for (int k = 0; k <= 22; ++k) {
    EXPECT_EQ(ZerosByDoubling(k), Compute(Bytes(zeros).first(size_t{1} << k))) << k;
  }
}

// The polynomial is x + 1 times a primitive one of degree 31, so x^(2^31 - 1) is 1: as
// many zero bytes as that (8 times around) leave the shift of the first part as it was.
TEST(Combine, OfHugeSizesGoesAroundTheOrderOfX) {
  constexpr uint64_t kOrder = (uint64_t{1} << 31) - 1;
  const Crc32c first(0x12345678U);
  const Crc32c second(0x9abcdef0U);
  for (const uint64_t rounds : {uint64_t{1}, uint64_t{513}, uint64_t{1} << 10,
                                uint64_t{1} << 20, (uint64_t{1} << 32) + 12345}) {
    for (const uint64_t size : {uint64_t{0}, uint64_t{1}, uint64_t{7}, uint64_t{4096}}) {
      EXPECT_EQ(Combine(first, second, rounds * kOrder + size), Combine(first, second, size))
          << rounds << " rounds and " << size;
    }
  }
  EXPECT_EQ(Combine(first, second, UINT64_MAX), Combine(first, second, UINT64_MAX % kOrder));
}

TEST(Combine, OfHugeSizesGroupsAtWill) {
  const uint64_t big = uint64_t{1} << 41;
  const uint64_t bigger = uint64_t{1} << 45;
  const Crc32c big_zeros = ZerosByDoubling(41);
  const Crc32c bigger_zeros = ZerosByDoubling(45);
  const Crc32c one = Compute(AsBytes("1"));
  const Crc32c left = Combine(Combine(one, big_zeros, big), bigger_zeros, bigger);
  const Crc32c right = Combine(one, Combine(big_zeros, bigger_zeros, bigger), big + bigger);
  EXPECT_EQ(left, right);
  // Zeros behind zeros are zeros, whichever run comes first.
  EXPECT_EQ(Combine(big_zeros, bigger_zeros, bigger), Combine(bigger_zeros, big_zeros, big));
}

// Copies `size` bytes between the given distances from multiples of 64 and checks the
// checksum, the copy, the source and the memory around the copy.
void CheckCopy(size_t size, size_t source_offset, size_t destination_offset) {
  constexpr size_t kFence = 128;
  const std::byte untouched{0xa5};
  std::vector<std::byte> from = RandomBytes(size + 2 * kFence, 4);
  std::vector<std::byte> to(size + 3 * kFence, untouched);
  const size_t misaligned = reinterpret_cast<uintptr_t>(to.data()) % 64;
  const size_t begin = kFence - misaligned + destination_offset;
  const Bytes source = Bytes(from).subspan(source_offset, size);
  const Crc32c crc =
      ExtendCopy(Crc32c(0x31415926U), MutableBytes(to).subspan(begin, size), source);

  EXPECT_EQ(crc, Extend(Crc32c(0x31415926U), source));
  EXPECT_TRUE(std::equal(source.begin(), source.end(), Bytes(to).subspan(begin).begin()));
  EXPECT_EQ(from, RandomBytes(size + 2 * kFence, 4));
  const auto is_untouched = [&](std::byte byte) { return byte == untouched; };
  const Bytes before = Bytes(to).first(begin);
  const Bytes after = Bytes(to).subspan(begin + size);
  EXPECT_TRUE(std::all_of(before.begin(), before.end(), is_untouched));
  EXPECT_TRUE(std::all_of(after.begin(), after.end(), is_untouched));
}

TEST(ExtendCopy, CopiesExactlyAndWritesNothingElse) {
  for (const size_t size : {0U, 1U, 63U, 64U, 1000U, 32'767U, 32'768U, 32'769U, 300'001U}) {
    for (const size_t offset : {0U, 1U, 8U, 63U}) {
      SCOPED_TRACE(::testing::Message() << size << " bytes, offset " << offset);
      CheckCopy(size, 0, offset);
      CheckCopy(size, offset, 0);
    }
  }
}

// Copies this large may take another way, past the caches.
TEST(ExtendCopy, OfManyMebibytesCopiesExactlyAndWritesNothingElse) {
  constexpr size_t kMany = size_t{4} << 20;
  for (const size_t extra : {0U, 1U, 255U, 256U, 319U}) {
    SCOPED_TRACE(::testing::Message() << "4 MiB and " << extra);
    CheckCopy(kMany + extra, 5, extra % 64);
  }
  CheckCopy(kMany - 1, 0, 0);
  CheckCopy(kMany, 0, 1);
  CheckCopy(kMany, 0, 63);
}

}  // namespace
}  // namespace tensorbundle::checksum
