#include "engine/page_supply.h"

#include <gtest/gtest.h>
#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <vector>

#include "io/aligned_buffer.h"

namespace tensorbundle::engine {
namespace {

constexpr uint64_t kMiB = 1u << 20;

TEST(PageSupplyTest, StaysWithHugePagesWhileTheyComeFast) {
  PageSupply supply;
  for (int i = 0; i < 1000; ++i) supply.Measure(4 * kMiB, 4.2e6 / 10e9);
  EXPECT_FALSE(supply.prefers_small_pages());
}

TEST(PageSupplyTest, TakesSmallPagesOnceAStretchOfHugeOnesWasSlow) {
  PageSupply supply;
  for (int i = 0; i < 100; ++i) supply.Measure(4 * kMiB, 4.2e6 / 20e9);
  int slow = 0;
  while (!supply.prefers_small_pages() && slow < 100) {
    supply.Measure(4 * kMiB, 4.2e6 / 1e9);
    ++slow;
  }
  EXPECT_LE(slow, 2 * 8) << "earlier speed does not hide it for longer than a stretch";
}

TEST(PageSupplyTest, OneSlowBlockIsChance) {
  PageSupply supply;
  supply.Measure(4 * kMiB, 4.2e6 / 2e9);  // the thread lost its processor
  for (int i = 0; i < 7; ++i) supply.Measure(4 * kMiB, 4.2e6 / 20e9);
  EXPECT_FALSE(supply.prefers_small_pages());
}

// Whether each page of a region is there.
std::vector<unsigned char> PresentPages(Bytes memory) {
  std::vector<unsigned char> present(memory.size() / static_cast<size_t>(::getpagesize()));
  EXPECT_EQ(::mincore(const_cast<std::byte*>(memory.data()), memory.size(), present.data()),
            0);
  return present;
}

TEST(PageSupplyTest, SuppliedMemoryHasItsPagesAndOnlyThatMemory) {
  const auto buffer = io::AlignedBuffer::Allocate(8 * kMiB);
  ASSERT_TRUE(buffer.ok());
  const MutableBytes all = buffer->bytes();
  PageSupply::UseSmallPages(all);
  TransferSeconds seconds;
  PageSupply supply;
  // Neither end at a page.
  supply.Supply(all.subspan(kMiB + 100, 2 * kMiB), seconds);
  const auto present = PresentPages(all);
  const size_t per_mib = kMiB / static_cast<size_t>(::getpagesize());
  if (std::count(present.begin(), present.end(), 1) == 0) {
    GTEST_SKIP() << "the kernel has no MADV_POPULATE_WRITE (Linux 5.14)";
  }
  EXPECT_EQ(std::count(present.begin(), present.end(), 1), static_cast<long>(2 * per_mib + 1));
  EXPECT_EQ(present[per_mib - 1], 0);
  EXPECT_EQ(present[per_mib], 1);
  EXPECT_EQ(present[3 * per_mib], 1);
  EXPECT_EQ(present[3 * per_mib + 1], 0);
  EXPECT_GT(seconds.page_faults, 0);
}

TEST(PageSupplyTest, WhatMemoryHoldsIsKept) {
  const auto buffer = io::AlignedBuffer::Allocate(kMiB);
  ASSERT_TRUE(buffer.ok());
  const MutableBytes all = buffer->bytes();
  std::fill(all.begin(), all.end(), std::byte{7});
  TransferSeconds seconds;
  PageSupply().Supply(all.subspan(10, kMiB - 20), seconds);
  EXPECT_TRUE(
      std::all_of(all.begin(), all.end(), [](std::byte b) { return b == std::byte{7}; }));
}

}  // namespace
}  // namespace tensorbundle::engine
