#include <gtest/gtest.h>

#include <atomic>
#include <barrier>
#include <string>
#include <thread>
#include <vector>

#include "format/table_file.h"

namespace tensorbundle::format {
namespace {

constexpr int kNumThreads = 8;
constexpr int kNumKeys = 2000;

std::string Key(int i) { return "key" + std::to_string(100000 + i); }

// Runs `work` in eight threads that start together.
template <typename Work>
void RunTogether(const Work& work) {
  std::barrier start(kNumThreads);
  std::vector<std::jthread> threads;
  for (int t = 0; t < kNumThreads; ++t) {
    threads.emplace_back([&start, &work, t] {
      start.arrive_and_wait();
      work(t);
    });
  }
}

TEST(TableThread, ManyThreadsMayFindInAFreshReader) {
  KeysAndValues entries;
  for (int i = 0; i < kNumKeys; ++i) {
    entries.emplace_back(Key(i), std::to_string(i) + std::string(1000, 'v'));
  }
  const std::string file = BuildTable(entries);
  for (int round = 0; round < 5; ++round) {
    auto reader = TableReader::Open(AsBytes(file));
    ASSERT_TRUE(reader.ok());
    EXPECT_GT((*reader)->num_blocks(), 4u);
    std::atomic<int> found = 0;
    RunTogether([&](int thread) {
      for (int i = 0; i < kNumKeys; ++i) {
        const int wanted = (i * 7 + thread * 251) % kNumKeys;
        const auto value = (*reader)->Find(Key(wanted));
        if (value.ok() && value->has_value() &&
            AsText(**value) == entries[static_cast<size_t>(wanted)].second) {
          ++found;
        }
      }
    });
    EXPECT_EQ(found, kNumThreads * kNumKeys);
  }
}

TEST(TableThread, EveryThreadIsToldOfTheSameFault) {
  TableFile table;
  table.AddDataBlock(PlainBlock({{"a", "1"}}), "a");
  table.AddDataBlock(PlainBlock({{"z", "2"}, {"c", "3"}}), "z");
  const std::string file = table.Finish();
  auto reader = TableReader::Open(AsBytes(file));
  ASSERT_TRUE(reader.ok());
  std::atomic<int> told = 0;
  RunTogether([&](int) {
    if ((*reader)->Find("c").status().code() == Code::kBadKeyOrder) ++told;
  });
  EXPECT_EQ(told, kNumThreads);
}

}  // namespace
}  // namespace tensorbundle::format
