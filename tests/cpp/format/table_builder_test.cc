#include <gtest/gtest.h>

#include <map>
#include <random>

#include "format/hex.h"
#include "format/table_file.h"

namespace tensorbundle::format {
namespace {

constexpr std::string_view kMagicHex = "57fb808b247547db";

size_t NumBlocks(std::string_view file) {
  auto reader = TableReader::Open(AsBytes(file));
  EXPECT_TRUE(reader.ok()) << reader.status().ToString();
  return reader.ok() ? (*reader)->num_blocks() : 0;
}

// bundle_format.md, 13: the metaindex block of every file, and the index block of one
// whose only block has 291 bytes and a last key of 0xff 0xff.
TEST(TableBuilder, TheTailHasTensorFlowsBytes) {
  const std::string value(277, 'v');
  const std::string file = BuildTable({{"\xff\xff", value}});
  const std::string hex = ToHex(file);
  const size_t tail = 291 + kBlockTrailerSize;
  EXPECT_EQ(file.substr(0, 6), FromHex("00 02 95 02 ff ff"));
  EXPECT_EQ(hex.substr(2 * tail, 26),
            "0000000001000000"
            "00"
            "c0f2a1b0");
  const std::string index = hex.substr(2 * (tail + 13));
  EXPECT_EQ(index.substr(0, 30),
            "000203ffff"
            "00a302"
            "00000000"
            "010000");
  EXPECT_EQ(index.substr(32, 10), "00c1e2540e");
  EXPECT_EQ(index.substr(42), "a80208b50210" + std::string(68, '0') + std::string(kMagicHex));
}

TEST(TableBuilder, AnEmptyTableIsTwoEmptyBlocksAndAFooter) {
  EXPECT_EQ(ToHex(BuildTable({})),
            "000000000100000000c0f2a1b0"
            "000000000100000000c0f2a1b0"
            "00080d08" +
                std::string(72, '0') + std::string(kMagicHex));
}

TEST(TableBuilder, SizeCountsWhatTheSinkGot) {
  std::string file;
  TableBuilder builder([&file](Bytes bytes) {
    file += AsText(bytes);
    return Status();
  });
  ASSERT_TRUE(builder.Add("a", "1").ok());
  EXPECT_EQ(builder.size(), 0u);
  ASSERT_TRUE(builder.Finish().ok());
  EXPECT_EQ(builder.size(), file.size());
}

TEST(TableBuilder, AKeyThatIsNotGreaterIsRefused) {
  TableBuilder builder([](Bytes) { return Status(); });
  EXPECT_TRUE(builder.Add("", "header").ok());
  EXPECT_EQ(builder.Add("", "header").code(), Code::kDuplicateKey);
  EXPECT_TRUE(builder.Add("b", "1").ok());
  EXPECT_EQ(builder.Add("b", "2").code(), Code::kDuplicateKey);
  EXPECT_EQ(builder.Add("a", "3").code(), Code::kBadKeyOrder);
  EXPECT_TRUE(builder.Add("b\xff", "4").ok());  // unsigned order, and nothing was broken
  EXPECT_EQ(builder.Add("b\x7f", "5").code(), Code::kBadKeyOrder);
}

TEST(TableBuilder, ARefusedKeyLeavesNoTrace) {
  std::string file;
  TableBuilder builder([&file](Bytes bytes) {
    file += AsText(bytes);
    return Status();
  });
  ASSERT_TRUE(builder.Add("a", "1").ok());
  EXPECT_FALSE(builder.Add("a", "2").ok());
  EXPECT_FALSE(builder.Add(std::string(kMaxKeySize + 1, 'k'), "").ok());
  ASSERT_TRUE(builder.Add("b", "3").ok());
  ASSERT_TRUE(builder.Finish().ok());
  EXPECT_EQ(file, BuildTable({{"a", "1"}, {"b", "3"}}));
}

TEST(TableBuilder, KeysAndValuesHaveALimit) {
  TableBuilder builder([](Bytes) { return Status(); });
  EXPECT_EQ(builder.Add(std::string(kMaxKeySize + 1, 'k'), "").code(), Code::kLimitExceeded);
  EXPECT_EQ(builder.Add("k", std::string(kMaxValueSize + 1, 'v')).code(),
            Code::kLimitExceeded);
}

TEST(TableBuilder, TheLargestKeyAndValueCanBeReadAgain) {
  const KeysAndValues entries = {
      {"a", "1"},
      {std::string(kMaxKeySize, 'k'), std::string(kMaxValueSize, 'v')},
      {"z", "2"}};
  KeysAndValues read;
  const std::string file = BuildTable(entries);
  EXPECT_TRUE(ReadAll(file, &read).ok());
  EXPECT_EQ(read, entries);
  EXPECT_EQ(NumBlocks(file), 3u);
}

TEST(TableBuilder, ABlockIsCutOnceItHasReachedItsSize) {
  // An entry of 3 + 1 + 1 bytes of head, key "a" and the value, and 8 of tail.
  const uint64_t overhead = 5 + 1 + 8;
  const auto blocks_with = [&](uint64_t value_size) {
    return NumBlocks(BuildTable({{"a", std::string(value_size, 'v')}, {"b", "1"}}));
  };
  EXPECT_EQ(blocks_with(kBlockSize - overhead - 1), 1u);
  EXPECT_EQ(blocks_with(kBlockSize - overhead), 2u);
}

TEST(TableBuilder, AnEntryOfTwoBlocksSizeStartsItsOwn) {
  const auto blocks_with = [](uint64_t value_size) {
    return NumBlocks(BuildTable({{"a", "1"}, {"b", std::string(value_size, 'v')}}));
  };
  EXPECT_EQ(blocks_with(2 * kBlockSize - 2), 1u);
  EXPECT_EQ(blocks_with(2 * kBlockSize - 1), 2u);
  EXPECT_EQ(NumBlocks(BuildTable({{"b", std::string(2 * kBlockSize, 'v')}})), 1u);
}

TEST(TableBuilder, AFailureOfTheSinkIsFinal) {
  for (int failing_call = 1; failing_call <= 7; ++failing_call) {
    int calls = 0;
    TableBuilder builder([&](Bytes) {
      return ++calls == failing_call ? Status::System(5, "write", "x.index") : Status();
    });
    Status status;
    for (const char* key : {"a", "b", "c"}) {
      if (status.ok()) status = builder.Add(key, std::string(kBlockSize / 2, 'v'));
    }
    if (!status.ok()) {
      EXPECT_EQ(builder.Add("z", "").code(), Code::kSystem);
    }
    EXPECT_EQ(builder.Finish().code(), Code::kSystem) << failing_call;
    EXPECT_EQ(calls, failing_call);
  }
}

TEST(TableBuilder, RandomTablesReadBackAsTheyWere) {
  std::mt19937_64 random(20240601);
  for (int round = 0; round < 40; ++round) {
    std::map<std::string, std::string> expected;
    const size_t count = random() % 2000;
    for (size_t i = 0; i < count; ++i) {
      std::string key;
      for (size_t size = random() % 12; size > 0; --size) {
        key += static_cast<char>(random() % 4 == 0 ? 0xff : random() % 3);
      }
      expected[key] = std::string(random() % 900, static_cast<char>(random()));
    }
    const KeysAndValues entries(expected.begin(), expected.end());
    const std::string file = BuildTable(entries);
    KeysAndValues read;
    ASSERT_TRUE(ReadAll(file, &read).ok());
    EXPECT_EQ(read, entries);
  }
}

}  // namespace
}  // namespace tensorbundle::format
