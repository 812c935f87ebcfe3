#include "engine/sharing.h"

#include <gtest/gtest.h>

namespace tensorbundle::engine {
namespace {

using Sizes = std::vector<std::optional<uint64_t>>;

Candidate At(uint32_t shard, uint64_t offset, uint64_t size) {
  return {size, StoredTensor{shard, offset, checksum::MaskedCrc32c()}};
}

std::vector<uint32_t> Numbers(const std::vector<SharedShard>& shared) {
  std::vector<uint32_t> numbers;
  for (const SharedShard& shard : shared) numbers.push_back(shard.number);
  return numbers;
}

TEST(SharingTest, AFileIsSharedFromHalfOfItsBytesOn) {
  std::vector<Candidate> tensors = {At(0, 0, 50), At(1, 0, 49), {10, {}}, At(2, 0, 100)};
  const auto shared = ChooseShared(tensors, Sizes{100, 100, 100}, 1);
  EXPECT_EQ(Numbers(shared), (std::vector<uint32_t>{0, 2}));
  EXPECT_EQ(shared[1].size, 100u);
  EXPECT_TRUE(tensors[0].stored.has_value());
  EXPECT_FALSE(tensors[1].stored.has_value());
  EXPECT_TRUE(tensors[3].stored.has_value());
}

TEST(SharingTest, WhatIsNotInsideItsFileOrNotAlignedIsWritten) {
  std::vector<Candidate> tensors = {At(0, 0, 64),  At(0, 64, 65),
                                    At(0, 200, 1), At(0, UINT64_MAX - 3, 64),
                                    At(0, 32, 4),  At(1, 0, 8)};
  const auto shared = ChooseShared(tensors, Sizes{128, std::nullopt}, 64);
  EXPECT_EQ(Numbers(shared), std::vector<uint32_t>{0});
  for (size_t i = 1; i < tensors.size(); ++i) EXPECT_FALSE(tensors[i].stored.has_value()) << i;
}

TEST(SharingTest, TensorsThatShareBytesDoNotCountBeyondTheFile) {
  std::vector<Candidate> tensors = {At(0, 0, 100), At(0, 0, 100), At(0, 0, 100)};
  EXPECT_EQ(ChooseShared(tensors, Sizes{100}, 1).size(), 1u);
}

TEST(SharingTest, OfTooManyFilesThoseWithTheMostLiveBytesAreShared) {
  std::vector<Candidate> tensors;
  Sizes sizes;
  for (uint32_t i = 0; i < kMaxSharedShards + 3; ++i) {
    tensors.push_back(At(i, 0, 1000 - i));
    sizes.emplace_back(1000);
  }
  const auto shared = ChooseShared(tensors, sizes, 1);
  ASSERT_EQ(shared.size(), kMaxSharedShards);
  EXPECT_EQ(shared.front().number, 0u);
  EXPECT_EQ(shared.back().number, kMaxSharedShards - 1);
  EXPECT_FALSE(tensors.back().stored.has_value());
}

}  // namespace
}  // namespace tensorbundle::engine
