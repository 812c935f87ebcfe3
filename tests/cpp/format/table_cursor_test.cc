#include "format/table_cursor.h"

#include <gtest/gtest.h>

#include <string>

#include "format/table_file.h"

namespace tensorbundle::format {
namespace {

KeysAndValues Numbers(int begin, int end) {
  KeysAndValues entries;
  for (int i = begin; i < end; ++i) {
    entries.emplace_back(std::to_string(100'000 + i), std::string(900, 'v'));
  }
  return entries;
}

TEST(TableCursorTest, SeveralGoThroughOneTableAtTheirOwnPace) {
  const KeysAndValues entries = Numbers(0, 1000);
  const std::string file = BuildTable(entries);
  const auto table = TableReader::Open(AsBytes(file));
  ASSERT_TRUE(table.ok());
  ASSERT_GT((*table)->num_blocks(), 3u);
  TableCursor slow(**table);
  TableCursor fast(**table);
  for (size_t i = 0; i < entries.size(); ++i) {
    if (i % 2 == 0) {
      ASSERT_TRUE(slow.Next());
      EXPECT_EQ(slow.key(), entries[i / 2].first);
    }
    ASSERT_TRUE(fast.Next());
    EXPECT_EQ(fast.key(), entries[i].first);
    EXPECT_EQ(AsText(fast.value()), entries[i].second);
  }
  EXPECT_FALSE(fast.Next());
  EXPECT_FALSE(fast.Next());
  EXPECT_TRUE(fast.status().ok());
}

TEST(TableCursorTest, ATableWithoutEntriesHasNone) {
  const std::string file = BuildTable({});
  const auto table = TableReader::Open(AsBytes(file));
  ASSERT_TRUE(table.ok());
  TableCursor cursor(**table);
  EXPECT_FALSE(cursor.Next());
  EXPECT_TRUE(cursor.status().ok());
}

TEST(TableCursorTest, ADamagedBlockEndsItAndIsNotTakenForTheEnd) {
  TableFile table_file;
  table_file.AddDataBlock(PlainBlock({{"a", "1"}, {"b", "2"}}), "b");
  table_file.AddDataBlock(PlainBlock({{"d", "3"}, {"c", "4"}}), "e");
  const std::string file = table_file.Finish();
  const auto table = TableReader::Open(AsBytes(file));
  ASSERT_TRUE(table.ok());
  TableCursor cursor(**table);
  EXPECT_TRUE(cursor.Next());
  EXPECT_TRUE(cursor.Next());
  EXPECT_EQ(cursor.key(), "b");
  for (int time = 0; time < 2; ++time) {
    EXPECT_FALSE(cursor.Next());
    EXPECT_EQ(cursor.status().code(), Code::kBadKeyOrder);
  }
}

}  // namespace
}  // namespace tensorbundle::format
