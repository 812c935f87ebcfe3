#include "engine/tensor_list.h"

#include <gtest/gtest.h>

#include <string>
#include <vector>

namespace tensorbundle::engine {
namespace {

TEST(TensorListTest, NamesAndShapesAreCopiedAndStayWhereTheyAre) {
  TensorList list;
  for (size_t i = 0; i < 10'000; ++i) {
    // Gone after each round.
    const std::string outer(i % 7, 'o');
    const std::string name = std::to_string(i);
    const std::vector<uint64_t> shape(i % 3, i);
    list.Reserve(i % 5);
    list.Add(outer, name, shape).size = i;
  }
  ASSERT_EQ(list.views().size(), 10'000u);
  for (size_t i = 0; i < list.views().size(); ++i) {
    const TensorView& view = list.views()[i];
    EXPECT_EQ(view.name, std::string(i % 7, 'o') + std::to_string(i));
    EXPECT_EQ(format::Shape(view.shape.begin(), view.shape.end()), format::Shape(i % 3, i));
    EXPECT_EQ(view.size, i);
  }
}

TEST(TensorListTest, ATensorMayHaveNeitherNameNorDimensions) {
  TensorList list;
  const TensorView& view = list.Add("", "", {});
  EXPECT_TRUE(view.name.empty());
  EXPECT_TRUE(view.shape.empty());
}

}  // namespace
}  // namespace tensorbundle::engine
