#include "io/aligned_buffer.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cerrno>
#include <fstream>
#include <string>
#include <utility>

namespace tensorbundle::io {
namespace {

constexpr uint64_t kHugePageSize = uint64_t{2} << 20;

AlignedBuffer Allocate(uint64_t size) {
  auto buffer = AlignedBuffer::Allocate(size);
  EXPECT_EQ(buffer.status().ToString(), "ok");
  return std::move(*buffer);
}

uintptr_t Address(const AlignedBuffer& buffer) {
  return reinterpret_cast<uintptr_t>(buffer.bytes().data());
}

// The address space of this process, in pages.
uint64_t VirtualPages() {
  uint64_t pages = 0;
  std::ifstream("/proc/self/statm") >> pages;
  return pages;
}

TEST(AlignedBufferTest, EveryByteIsZeroAndWritable) {
  for (const uint64_t size : {uint64_t{1}, uint64_t{4096}, uint64_t{5000}, kHugePageSize - 1,
                              kHugePageSize, 2 * kHugePageSize + 4097}) {
    const AlignedBuffer buffer = Allocate(size);
    const MutableBytes bytes = buffer.bytes();
    ASSERT_EQ(buffer.size(), size);
    ASSERT_EQ(bytes.size(), size);
    EXPECT_TRUE(std::all_of(bytes.begin(), bytes.end(),
                            [](std::byte b) { return b == std::byte{0}; }));
    std::fill(bytes.begin(), bytes.end(), std::byte{0xa5});
    EXPECT_EQ(bytes.back(), std::byte{0xa5});
  }
}

TEST(AlignedBufferTest, ASmallBufferIsAlignedToAPage) {
  const AlignedBuffer buffer = Allocate(100);
  EXPECT_EQ(Address(buffer) % 4096, 0u);
}

TEST(AlignedBufferTest, ABigBufferIsAlignedToAHugePage) {
  for (const uint64_t size : {kHugePageSize, kHugePageSize + 1, 5 * kHugePageSize - 4096}) {
    const AlignedBuffer first = Allocate(size);
    const AlignedBuffer small = Allocate(4096);  // moves what follows off the grid
    const AlignedBuffer second = Allocate(size);
    EXPECT_EQ(Address(first) % kHugePageSize, 0u);
    EXPECT_EQ(Address(second) % kHugePageSize, 0u);
  }
}

TEST(AlignedBufferTest, AnEmptyBufferHasNoMemory) {
  const AlignedBuffer buffer = Allocate(0);
  EXPECT_EQ(buffer.size(), 0u);
  EXPECT_EQ(buffer.bytes().data(), nullptr);
}

TEST(AlignedBufferTest, MoreThanThereIsIsAnError) {
  for (const uint64_t size : {uint64_t{1} << 60, UINT64_MAX - kHugePageSize, UINT64_MAX}) {
    const Status status = AlignedBuffer::Allocate(size).status();
    EXPECT_EQ(CodeName(status.code()), "System");
    EXPECT_EQ(status.error_number(), ENOMEM);
  }
}

TEST(AlignedBufferTest, AMovedFromBufferIsEmpty) {
  AlignedBuffer first = Allocate(10);
  first.bytes()[9] = std::byte{7};
  AlignedBuffer second(std::move(first));
  EXPECT_EQ(first.size(), 0u);  // NOLINT(bugprone-use-after-move)
  EXPECT_EQ(first.bytes().data(), nullptr);
  EXPECT_EQ(second.bytes()[9], std::byte{7});
}

TEST(AlignedBufferTest, MoveAssignmentTakesTheBytesAndLeavesTheOtherEmpty) {
  AlignedBuffer first = Allocate(10);
  AlignedBuffer second = Allocate(20);
  second.bytes()[19] = std::byte{7};
  first = std::move(second);
  EXPECT_EQ(second.size(), 0u);  // NOLINT(bugprone-use-after-move)
  ASSERT_EQ(first.size(), 20u);
  AlignedBuffer& itself = first;
  first = std::move(itself);
  ASSERT_EQ(first.size(), 20u);
  EXPECT_EQ(first.bytes()[19], std::byte{7});
}

TEST(AlignedBufferTest, TheMemoryIsGivenBackWhole) {
  const auto round = [] {
    const AlignedBuffer big = Allocate(64 * kHugePageSize + 1);
    AlignedBuffer moved = Allocate(kHugePageSize + 5);
    moved = Allocate(3 * kHugePageSize + 5);
  };
  round();  // the first one may grow what the process keeps
  const uint64_t before = VirtualPages();
  for (int i = 0; i < 100; ++i) round();
  // One lost huge page in each round would be 51200 pages.
  EXPECT_LT(VirtualPages(), before + 100);
}

}  // namespace
}  // namespace tensorbundle::io
