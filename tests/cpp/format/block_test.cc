#include "format/block.h"

#include <gtest/gtest.h>

#include "format/hex.h"
#include "format/table_file.h"

namespace tensorbundle::format {
namespace {

std::string Build(uint32_t restart_interval, const KeysAndValues& entries) {
  BlockBuilder builder(restart_interval);
  for (const auto& [key, value] : entries) builder.Add(key, value);
  const uint64_t estimate = builder.SizeEstimate();
  std::string block(builder.Finish());
  EXPECT_EQ(block.size(), estimate);
  return block;
}

Status Walk(std::string_view bytes, KeysAndValues* entries = nullptr) {
  const auto block = BlockReader::Open(AsBytes(bytes));
  if (!block.ok()) return block.status();
  BlockIterator entry(*block);
  while (entry.Next()) {
    if (entries == nullptr) continue;
    entries->emplace_back(std::string(entry.key()), std::string(AsText(entry.value())));
  }
  return entry.status();
}

Code CodeOf(std::string_view bytes) { return Walk(bytes).code(); }

KeysAndValues Numbered(int count) {
  KeysAndValues entries;
  for (int i = 0; i < count; ++i) {
    entries.emplace_back("key" + std::to_string(200000 + 2 * i), std::to_string(i));
  }
  return entries;
}

// STYLE.md, 8.4: computed there, not copied.
TEST(Block, AKeySharesItsPrefixWithTheOneBefore) {
  EXPECT_EQ(ToHex(Build(16, {{"layer/bias", "A"}, {"layer/kernel", "B"}})),
            ToHex(RawEntry(0, 10, 1, "layer/biasA")) + "0606016b65726e656c42" +
                "00000000"
                "01000000");
}

TEST(Block, AnEmptyBlockHasOneRestartPoint) {
  EXPECT_EQ(ToHex(Build(16, {})), "0000000001000000");
  EXPECT_EQ(CodeOf(Build(16, {})), Code::kOk);
}

TEST(Block, EverySixteenthKeyIsWhole) {
  const std::string block = Build(16, Numbered(33));
  EXPECT_EQ(LoadFixed32(AsBytes(block).last(4)), 3u);
  const std::string every = Build(1, Numbered(33));
  EXPECT_EQ(LoadFixed32(AsBytes(every).last(4)), 33u);
}

TEST(Block, AResetBuilderStartsAnew) {
  BlockBuilder builder(16);
  builder.Add("abc", "1");
  builder.Finish();
  builder.Reset();
  EXPECT_TRUE(builder.empty());
  builder.Add("abd", "2");
  EXPECT_EQ(builder.Finish(), Build(16, {{"abd", "2"}}));
}

TEST(Block, EntriesComeBackInOrderWhateverTheRestartInterval) {
  const KeysAndValues entries = Numbered(100);
  for (const uint32_t interval : {1u, 2u, 16u, 1024u}) {
    KeysAndValues read;
    EXPECT_TRUE(Walk(Build(interval, entries), &read).ok());
    EXPECT_EQ(read, entries) << interval;
  }
}

TEST(Block, SeekFindsTheFirstKeyThatIsNotLess) {
  const KeysAndValues entries = Numbered(100);
  for (const uint32_t interval : {1u, 3u, 16u, 1024u}) {
    const std::string bytes = Build(interval, entries);
    const auto block = BlockReader::Open(AsBytes(bytes));
    ASSERT_TRUE(block.ok());
    for (int i = 0; i < 100; ++i) {
      const std::string key = "key" + std::to_string(200000 + 2 * i);
      BlockIterator exact(*block);
      ASSERT_TRUE(exact.Seek(key));
      EXPECT_EQ(exact.key(), key);
      BlockIterator between(*block);
      ASSERT_TRUE(between.Seek("key" + std::to_string(199999 + 2 * i)));
      EXPECT_EQ(between.key(), key);
    }
    BlockIterator behind(*block);
    EXPECT_FALSE(behind.Seek("z"));
    EXPECT_TRUE(behind.status().ok());
    BlockIterator first(*block);
    ASSERT_TRUE(first.Seek(""));
    EXPECT_EQ(AsText(first.value()), "0");
  }
}

TEST(Block, AfterSeekTheRestFollows) {
  const std::string bytes = Build(4, Numbered(20));
  BlockIterator entry(*BlockReader::Open(AsBytes(bytes)));
  ASSERT_TRUE(entry.Seek("key200014"));
  int count = 1;
  while (entry.Next()) ++count;
  EXPECT_TRUE(entry.status().ok());
  EXPECT_EQ(count, 13);
}

TEST(Block, StepTellsHowAKeyComparesToTheOneBefore) {
  const std::string bytes =
      PlainBlock({{"", ""}, {"b", ""}, {"b", ""}, {"a", ""}, {"a\xff", ""}});
  BlockIterator entry(*BlockReader::Open(AsBytes(bytes)));
  using Step = BlockIterator::Step;
  for (const Step step :
       {Step::kAscends, Step::kAscends, Step::kRepeats, Step::kDescends, Step::kAscends}) {
    ASSERT_TRUE(entry.Next());
    EXPECT_EQ(entry.step(), step) << entry.key();
  }
  // Compressed: "abc", then 2 shared bytes and "b" or "c".
  for (const auto& [suffix, step] : {std::pair("b", Step::kDescends), {"c", Step::kRepeats}}) {
    const std::string two =
        RawBlock(RawEntry(0, 3, 0, "abc") + RawEntry(2, 1, 0, suffix), {0}, 1);
    BlockIterator compressed(*BlockReader::Open(AsBytes(two)));
    ASSERT_TRUE(compressed.Next() && compressed.Next());
    EXPECT_EQ(compressed.step(), step);
  }
}

TEST(Block, ABlockWithoutItsRestartPointsIsRefused) {
  const std::string entry = RawEntry(0, 1, 1, "kv");
  EXPECT_EQ(CodeOf(RawBlock(entry, {0}, 1)), Code::kOk);
  EXPECT_EQ(CodeOf(""), Code::kBadBlock);
  EXPECT_EQ(CodeOf("abc"), Code::kBadBlock);
  EXPECT_EQ(CodeOf(RawBlock("", {}, 1)), Code::kBadBlock);
  EXPECT_EQ(CodeOf(RawBlock(entry, {0}, 0)), Code::kBadBlock);
  EXPECT_EQ(CodeOf(RawBlock(entry, {0}, UINT32_MAX)), Code::kBadBlock);
  EXPECT_EQ(CodeOf(RawBlock(entry, {0}, 1u << 30)), Code::kBadBlock);  // 2^32 bytes
  EXPECT_EQ(CodeOf(RawBlock(entry, {0}, 3)), Code::kBadBlock);
}

TEST(Block, ARestartPointIsTheStartOfAWholeKey) {
  const std::string first = RawEntry(0, 2, 0, "ab");
  const std::string whole = RawEntry(0, 2, 0, "ac");
  const std::string shared = RawEntry(1, 1, 0, "c");
  EXPECT_EQ(CodeOf(RawBlock(first + whole, {0, 5}, 2)), Code::kOk);
  EXPECT_EQ(CodeOf(RawBlock(first + shared, {0, 5}, 2)), Code::kBadBlock);
  EXPECT_EQ(CodeOf(RawBlock(first + whole, {0, 4}, 2)), Code::kBadBlock);
  EXPECT_EQ(CodeOf(RawBlock(first + whole, {0, 6}, 2)), Code::kBadBlock);
  EXPECT_EQ(CodeOf(RawBlock(first + whole, {0, 0}, 2)), Code::kBadBlock);
  EXPECT_EQ(CodeOf(RawBlock(first + whole, {0, 10}, 2)), Code::kBadBlock);
  EXPECT_EQ(CodeOf(RawBlock(first + whole, {0, 0x7fffffff}, 2)), Code::kBadBlock);
  EXPECT_EQ(CodeOf(RawBlock(first + whole, {0x7fffffff}, 1)), Code::kBadBlock);
  EXPECT_EQ(CodeOf(RawBlock("", {0, 0}, 2)), Code::kBadBlock);
}

TEST(Block, LengthsThatLeaveTheBlockAreRefused) {
  const auto one = [](std::string_view entry) { return CodeOf(RawBlock(entry, {0}, 1)); };
  EXPECT_EQ(one(RawEntry(1, 1, 1, "kv")), Code::kBadBlock);  // shared with nothing
  EXPECT_EQ(one(RawEntry(0, 3, 0, "kv")), Code::kBadBlock);
  EXPECT_EQ(one(RawEntry(0, 1, 2, "kv")), Code::kBadBlock);
  EXPECT_EQ(one(RawEntry(0, 1u << 31, (1u << 31) + 1, "kv")), Code::kBadBlock);  // wraps to 1
  EXPECT_EQ(one(RawEntry(0, UINT32_MAX, 3, "kv")), Code::kBadBlock);
  EXPECT_EQ(one(FromHex("00 81 80 80 80 80 80 00 00 6b")), Code::kBadBlock);  // 7 bytes
  EXPECT_EQ(one(FromHex("00 01")), Code::kBadBlock);                          // cut
  EXPECT_EQ(CodeOf(RawBlock(RawEntry(0, 2, 0, "ab") + RawEntry(3, 1, 0, "c"), {0}, 1)),
            Code::kBadBlock);
}

TEST(Block, AFaultIsNotTheEndEvenForASeek) {
  const std::string bytes = RawBlock(
      RawEntry(0, 1, 0, "a") + RawEntry(0, 9, 0, "b") + RawEntry(0, 1, 0, "c"), {0, 4, 8}, 3);
  BlockIterator entry(*BlockReader::Open(AsBytes(bytes)));
  EXPECT_FALSE(entry.Seek("c"));
  EXPECT_EQ(entry.status().code(), Code::kBadBlock);
  EXPECT_FALSE(entry.Next());
}

TEST(Block, AKeyAboveTheLimitIsRefused) {
  const auto key_of = [](uint32_t size) {
    return CodeOf(RawBlock(RawEntry(0, size, 0, std::string(size, 'k')), {0}, 1));
  };
  EXPECT_EQ(key_of(kMaxKeySize), Code::kOk);
  EXPECT_EQ(key_of(kMaxKeySize + 1), Code::kLimitExceeded);
}

}  // namespace
}  // namespace tensorbundle::format
