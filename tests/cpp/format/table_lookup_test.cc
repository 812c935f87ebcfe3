#include "format/table_lookup.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <map>
#include <memory>
#include <random>
#include <string>
#include <vector>

#include "format/table_file.h"

namespace tensorbundle::format {
namespace {

std::unique_ptr<TableReader> OpenTable(const std::string& file) {
  auto reader = TableReader::Open(AsBytes(file));
  EXPECT_TRUE(reader.ok()) << reader.status().ToString();
  return std::move(reader).value();
}

class TableLookupTest : public testing::Test {
 protected:
  // 3000 even numbers in many blocks.
  TableLookupTest() {
    for (int i = 0; i < 6000; i += 2) {
      expected_[std::to_string(100'000 + i)] = std::string(static_cast<size_t>(i) % 999, 'v');
    }
    file_ = BuildTable({expected_.begin(), expected_.end()});
    table_ = OpenTable(file_);
    EXPECT_GT(table_->num_blocks(), 3u);
  }

  void ExpectFoundInTurn(const std::vector<std::string>& keys) {
    TableLookup lookup(*table_);
    for (const std::string& key : keys) {
      const auto found = lookup.Find(key);
      ASSERT_TRUE(found.ok()) << found.status().ToString();
      const auto wanted = expected_.find(key);
      ASSERT_EQ(found->has_value(), wanted != expected_.end()) << key;
      if (found->has_value()) {
        EXPECT_EQ(AsText(**found), wanted->second) << key;
      }
    }
  }

  std::map<std::string, std::string> expected_;
  std::string file_;
  std::unique_ptr<TableReader> table_;
};

std::vector<std::string> Keys(int begin, int end, int step) {
  std::vector<std::string> keys;
  for (int i = begin; i < end; i += step) keys.push_back(std::to_string(100'000 + i));
  return keys;
}

TEST_F(TableLookupTest, AllKeysAreFoundInOrder) { ExpectFoundInTurn(Keys(0, 6000, 2)); }

TEST_F(TableLookupTest, KeysThatAreNotThereAreNotFoundAmongThoseThatAre) {
  ExpectFoundInTurn(Keys(0, 6010, 1));
  ExpectFoundInTurn({"", "100000", "1000000", "100002", "2", "", "100000", "~", "100004"});
}

TEST_F(TableLookupTest, KeysFarApartAreFound) {
  for (const int step : {30, 60, 62, 64, 66, 68, 70, 100, 1000, 2998}) {
    ExpectFoundInTurn(Keys(0, 6000, step));
  }
}

TEST_F(TableLookupTest, TheSameKeyIsFoundAgain) {
  ExpectFoundInTurn({"100010", "100010", "100011", "100011", "100012", "100010"});
}

TEST_F(TableLookupTest, KeysAreFoundInAnyOrder) {
  std::vector<std::string> keys = Keys(0, 6000, 1);
  std::reverse(keys.begin(), keys.end());
  ExpectFoundInTurn(keys);
  std::mt19937 random(3);
  std::shuffle(keys.begin(), keys.end(), random);
  ExpectFoundInTurn(keys);
}

TEST_F(TableLookupTest, AKeyBehindABlocksLastButNotItsSeparatorIsNotFound) {
  TableFile file;
  file.AddDataBlock(PlainBlock({{"a", "1"}, {"c", "3"}}), "f");
  file.AddDataBlock(PlainBlock({{"h", "8"}}), "i");
  const std::string bytes = file.Finish();
  expected_ = {{"a", "1"}, {"c", "3"}, {"h", "8"}};
  table_ = OpenTable(bytes);
  ExpectFoundInTurn({"a", "b", "c", "d", "f", "g", "h", "i", "j"});
  ExpectFoundInTurn({"c", "f", "c", "h", "i", "a"});
}

TEST_F(TableLookupTest, ADamagedBlockIsToldAndTheOthersAreRead) {
  const size_t in_first_block = 1000;
  file_[in_first_block] ^= 1;
  table_ = OpenTable(file_);
  TableLookup lookup(*table_);
  EXPECT_EQ(lookup.Find("100000").status().code(), Code::kBadBlockChecksum);
  EXPECT_EQ(lookup.Find("100002").status().code(), Code::kBadBlockChecksum);
  EXPECT_TRUE(lookup.Find("105998").value().has_value());
  EXPECT_EQ(lookup.Find("100004").status().code(), Code::kBadBlockChecksum);
}

}  // namespace
}  // namespace tensorbundle::format
