#include <gtest/gtest.h>

#include <map>
#include <memory>
#include <optional>
#include <random>

#include "format/table_file.h"

namespace tensorbundle::format {
namespace {

std::unique_ptr<TableReader> OpenTable(std::string_view file) {
  auto reader = TableReader::Open(AsBytes(file));
  EXPECT_TRUE(reader.ok()) << reader.status().ToString();
  return std::move(reader).value();
}

std::optional<std::string> Find(const TableReader& reader, std::string_view key) {
  const auto value = reader.Find(key);
  EXPECT_TRUE(value.ok()) << value.status().ToString();
  if (!value.ok() || !value->has_value()) return std::nullopt;
  return std::string(AsText(**value));
}

KeysAndValues TwentyThousand() {
  KeysAndValues entries = {{"", "header"}};
  for (int i = 0; i < 20000; ++i) {
    const std::string number = std::to_string(100000 + i);
    entries.emplace_back("layer_" + number + "/kernel",
                         "value " + number + std::string(30, '.'));
  }
  return entries;
}

TEST(TableReader, EveryKeyOfManyBlocksIsFound) {
  const KeysAndValues entries = TwentyThousand();
  const std::string file = BuildTable(entries);
  const auto reader = OpenTable(file);
  EXPECT_GT(reader->num_blocks(), 3u);
  for (const auto& [key, value] : entries) EXPECT_EQ(Find(*reader, key), value);
}

TEST(TableReader, AKeyThatIsNotThereIsNotFound) {
  const KeysAndValues entries = TwentyThousand();
  const std::string file = BuildTable(entries);
  const auto reader = OpenTable(file);
  EXPECT_EQ(Find(*reader, std::string(1, '\0')), std::nullopt);
  EXPECT_EQ(Find(*reader, "layer_1"), std::nullopt);
  EXPECT_EQ(Find(*reader, "zzz"), std::nullopt);
  EXPECT_EQ(Find(*reader, "\xff"), std::nullopt);
  for (size_t i = 1; i < entries.size(); i += 7) {
    EXPECT_EQ(Find(*reader, entries[i].first + "x"), std::nullopt);
    EXPECT_EQ(Find(*reader, entries[i].first.substr(0, 12)), std::nullopt);
  }
}

TEST(TableReader, AnEmptyTableHasNoKeys) {
  const std::string file = BuildTable({});
  const auto reader = OpenTable(file);
  EXPECT_EQ(reader->num_blocks(), 0u);
  EXPECT_EQ(Find(*reader, ""), std::nullopt);
  EXPECT_EQ(CodeOfTable(file), Code::kOk);
}

TEST(TableReader, ABlockWithoutEntriesHasNoKeys) {
  TableFile table;
  table.AddDataBlock(RawBlock("", {0}, 1), "z");
  const std::string file = table.Finish();
  EXPECT_EQ(Find(*OpenTable(file), ""), std::nullopt);
  EXPECT_EQ(CodeOfTable(file), Code::kOk);
}

TEST(TableReader, RandomKeysAreFoundLikeInAMap) {
  std::mt19937_64 random(7);
  std::map<std::string, std::string> expected;
  const auto random_key = [&random] {
    std::string key;
    for (size_t size = random() % 10; size > 0; --size)
      key += static_cast<char>(random() % 5 * 63);
    return key;
  };
  for (int i = 0; i < 5000; ++i) expected[random_key()] = std::string(random() % 300, 'v');
  const std::string file = BuildTable({expected.begin(), expected.end()});
  const auto reader = OpenTable(file);
  for (int i = 0; i < 20000; ++i) {
    const std::string key = random_key();
    const auto found = expected.find(key);
    if (found == expected.end()) {
      EXPECT_EQ(Find(*reader, key), std::nullopt);
    } else {
      EXPECT_EQ(Find(*reader, key), found->second);
    }
  }
}

TEST(TableReader, ForEachVisitsInOrderAndStopsWhenTold) {
  const std::string file = BuildTable({{"a", "1"}, {"b", "2"}, {"c", "3"}});
  const auto reader = OpenTable(file);
  std::string visited;
  const Status status = reader->ForEach([&visited](std::string_view key, Bytes) {
    visited += key;
    return key == "b" ? Status(Code::kCancelled, "enough") : Status();
  });
  EXPECT_EQ(status.code(), Code::kCancelled);
  EXPECT_EQ(visited, "ab");
}

// LevelDB and others choose other block sizes, restart intervals and separators.
TEST(TableReader, OtherWritersBlocksAreRead) {
  TableFile table;
  BlockBuilder sparse(1024);
  for (int i = 100; i < 200; ++i) sparse.Add("a" + std::to_string(i), std::to_string(i));
  table.AddDataBlock(sparse.Finish(), "a199");
  table.AddDataBlock(PlainBlock({{"b", "1"}}), "b");
  table.AddDataBlock(PlainBlock({{"c", "2"}}), "zzz");
  const std::string file = table.Finish();
  const auto reader = OpenTable(file);
  EXPECT_EQ(Find(*reader, "a150"), "150");
  EXPECT_EQ(Find(*reader, "b"), "1");
  EXPECT_EQ(Find(*reader, "c"), "2");
  EXPECT_EQ(CodeOfTable(file), Code::kOk);
}

TEST(TableReader, APrefixCompressedIndexBlockIsRead) {
  TableFile table;
  const BlockHandle first = table.Append(PlainBlock({{"ab1", "1"}}));
  const BlockHandle second = table.Append(PlainBlock({{"ab3", "3"}}));
  BlockBuilder index(16);
  index.Add("ab2", HandleBytes(first) + "behind the handle");  // TensorFlow tolerates it
  index.Add("ab4", HandleBytes(second));
  const std::string file = table.FinishWithIndex(index.Finish());
  EXPECT_EQ(Find(*OpenTable(file), "ab3"), "3");
}

TEST(TableReader, GapsBetweenBlocksAreAccepted) {
  TableFile table;
  table.bytes().append(100, 'x');
  table.AddDataBlock(PlainBlock({{"a", "1"}}), "a");
  table.bytes().append(1 << 20, '\0');
  table.AddDataBlock(PlainBlock({{"b", "2"}}), "b");
  table.bytes().append(1 << 20, '\0');
  const std::string file = table.Finish();
  EXPECT_EQ(Find(*OpenTable(file), "b"), "2");
}

TEST(TableReader, ADamagedMetaindexBlockIsRefused) {
  TableFile table;
  table.AddDataBlock(PlainBlock({{"a", "1"}}), "a");
  std::string file = table.Finish();
  const size_t metaindex = file.find(std::string("\0\0\0\0\1\0\0\0\0\xc0", 10));
  ASSERT_NE(metaindex, std::string::npos);
  EXPECT_EQ(CodeOfTable(file), Code::kOk);
  file[metaindex] = 'x';
  const Status status = TableReader::Open(AsBytes(file)).status();
  EXPECT_EQ(status.code(), Code::kBadBlockChecksum);
  EXPECT_EQ(status.offset(), metaindex);
}

TEST(TableReader, OpeningReadsNoDataBlock) {
  std::string file = BuildTable({{"a", "1"}});
  file[0] = 'x';
  EXPECT_TRUE(TableReader::Open(AsBytes(file)).ok());
  EXPECT_EQ(CodeOfTable(file), Code::kBadBlockChecksum);
}

TEST(TableReader, AFaultyBlockDoesNotHideTheOthers) {
  TableFile table;
  table.AddDataBlock(PlainBlock({{"a", "1"}}), "a");
  const size_t second = table.bytes().size();
  table.AddDataBlock(PlainBlock({{"b", "2"}}), "b");
  table.AddDataBlock(PlainBlock({{"c", "3"}}), "c");
  std::string file = table.Finish();
  file[second + 3] = 'x';
  const auto reader = OpenTable(file);
  EXPECT_EQ(Find(*reader, "a"), "1");
  EXPECT_EQ(Find(*reader, "c"), "3");
  for (int i = 0; i < 2; ++i) {  // the same report each time
    const Status status = reader->Find("b").status();
    EXPECT_EQ(status.code(), Code::kBadBlockChecksum);
    EXPECT_EQ(status.offset(), second);
  }
}

}  // namespace
}  // namespace tensorbundle::format
