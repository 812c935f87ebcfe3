#include "engine/name_order.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <random>
#include <set>
#include <string>
#include <vector>

#include "engine/tensor_list.h"
#include "format/block.h"
#include "format/slices.h"

namespace tensorbundle::engine {
namespace {

class NameOrderTest : public testing::Test {
 protected:
  Result<std::vector<uint32_t>> Order(const std::vector<std::string>& names) {
    TensorList list;
    for (const std::string& name : names) list.Add("", name, {});
    return OrderByName(list.views());
  }

  void ExpectSorted(const std::vector<std::string>& names) {
    const auto order = Order(names);
    ASSERT_TRUE(order.ok()) << order.status().ToString();
    std::vector<std::string> sorted;
    for (const uint32_t i : *order) sorted.push_back(names[i]);
    std::vector<std::string> expected = names;
    std::sort(expected.begin(), expected.end());
    EXPECT_EQ(sorted, expected);
  }
};

TEST_F(NameOrderTest, NamesAreSortedByTheirBytes) {
  ExpectSorted({});
  ExpectSorted({"a"});
  ExpectSorted({"a", "b", "c"});
  ExpectSorted({"c", "b", "a"});
  ExpectSorted({"\xff", "\x7f", "\x80", "A"});
  ExpectSorted({"layer/b", "layer/a", "layer/", "layer"});
}

TEST_F(NameOrderTest, AZeroByteIsNotTheEndOfAName) {
  const std::string zero(1, '\0');
  ExpectSorted({"b", "a" + zero + zero, "a", "a" + zero, "a" + zero + "b"});
  ExpectSorted({"same" + std::string(8, '\0'), "same" + std::string(7, '\0'), "same"});
}

TEST_F(NameOrderTest, LongCommonPartsAndRandomBytesAreSorted) {
  std::mt19937 random(1);
  for (const size_t common : {size_t{0}, size_t{3}, size_t{100}}) {
    std::set<std::string> names;
    while (names.size() < 2000) {
      std::string name(common, 'p');
      for (size_t i = random() % 20 + 1; i > 0; --i) {
        name += static_cast<char>(random() % 3 * 127);
      }
      if (name.front() != '\0') names.insert(name);
    }
    std::vector<std::string> shuffled(names.begin(), names.end());
    std::shuffle(shuffled.begin(), shuffled.end(), random);
    ExpectSorted(shuffled);
  }
}

TEST_F(NameOrderTest, ANameGivenTwiceIsToldWhereverItStands) {
  for (const auto& names :
       {std::vector<std::string>{"a", "b", "b", "c"}, {"b", "c", "a", "b"}}) {
    const Status status = Order(names).status();
    EXPECT_EQ(status.code(), Code::kAlreadyExists);
    EXPECT_EQ(status.key(), "b");
  }
}

TEST_F(NameOrderTest, WhatIsNoNameIsRefused) {
  const std::string part = format::EncodeSliceKey("a", {format::Extent{0, 1}});
  for (const std::string& bad :
       {std::string(), part, std::string(format::kMaxKeySize + 1, 'x')}) {
    EXPECT_EQ(Order({"a", bad}).status().code(), Code::kInvalidArgument);
    EXPECT_EQ(Order({bad}).status().code(), Code::kInvalidArgument);
  }
}

}  // namespace
}  // namespace tensorbundle::engine
