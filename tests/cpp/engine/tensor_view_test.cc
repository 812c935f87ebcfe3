#include "engine/tensor_view.h"

#include <gtest/gtest.h>

#include <cstring>
#include <numeric>
#include <random>
#include <string>

#include "format/string_tensor.h"

namespace tensorbundle::engine {
namespace {

std::string ReadAll(const StagedSource& source, uint64_t size, uint64_t block) {
  std::string out(size, '?');
  const MutableBytes bytes(reinterpret_cast<std::byte*>(out.data()), out.size());
  for (uint64_t at = 0; at < size; at += block) {
    EXPECT_TRUE(source.Read(at, bytes.subspan(at, std::min(block, size - at))).ok());
  }
  return out;
}

// The definition: element by element, in C order.
std::string Gather(const StridedLayout& layout) {
  uint64_t count = 1;
  for (const uint64_t n : layout.shape) count *= n;
  std::string out;
  for (uint64_t i = 0; i < count; ++i) {
    int64_t position = 0;
    uint64_t index = i;
    for (size_t d = layout.shape.size(); d-- > 0;) {
      position += static_cast<int64_t>(index % layout.shape[d]) * layout.strides[d];
      index /= layout.shape[d];
    }
    std::string element(reinterpret_cast<const char*>(layout.data + position),
                        layout.element_size);
    for (size_t s = 0; layout.swap_size > 1 && s < element.size(); s += layout.swap_size) {
      std::reverse(element.begin() + static_cast<ptrdiff_t>(s),
                   element.begin() + static_cast<ptrdiff_t>(s + layout.swap_size));
    }
    out += element;
  }
  return out;
}

class StridedSourceTest : public ::testing::Test {
 protected:
  StridedSourceTest() : memory_(1 << 16) {
    std::mt19937 random(3);
    for (std::byte& b : memory_) b = static_cast<std::byte>(random());
  }

  void ExpectGathered(const StridedLayout& layout) {
    const std::string expected = Gather(layout);
    const auto source = MakeStridedSource(layout);
    for (const uint64_t block : {uint64_t{1}, uint64_t{3}, uint64_t{64}, uint64_t{1} << 20}) {
      EXPECT_EQ(ReadAll(*source, expected.size(), block), expected) << "blocks of " << block;
    }
  }

  std::vector<std::byte> memory_;
};

TEST_F(StridedSourceTest, ATransposedMatrixIsReadInCOrder) {
  ExpectGathered({memory_.data(), {7, 5}, {4, 28}, 4, 1});
}

TEST_F(StridedSourceTest, EveryElementSizeIsReadWhateverTheBlocks) {
  for (const uint32_t size : {1u, 2u, 4u, 8u, 16u}) {
    ExpectGathered({memory_.data(), {6, 3, 5}, {size * 2, size * 40, size * 130}, size, 1});
  }
}

TEST_F(StridedSourceTest, NegativeAndZeroStridesAreReadToo) {
  ExpectGathered({memory_.data() + 4000, {10, 4}, {-64, 4}, 4, 1});
  ExpectGathered({memory_.data(), {3, 50}, {0, 2}, 2, 1});
  ExpectGathered({memory_.data(), {50, 3}, {2, 0}, 2, 1});
}

TEST_F(StridedSourceTest, DimensionsOfOneAndNoneAreNoObstacle) {
  ExpectGathered({memory_.data(), {1, 9, 1, 4, 1}, {999, 80, 5, 4, 77}, 4, 1});
  ExpectGathered({memory_.data() + 3, {}, {}, 8, 1});
}

TEST_F(StridedSourceTest, TheOtherByteOrderIsTurnedPerComponent) {
  ExpectGathered({memory_.data(), {33}, {8}, 8, 8});
  ExpectGathered({memory_.data(), {33}, {2}, 2, 2});
  ExpectGathered({memory_.data(), {9, 5}, {16, 160}, 16, 8});  // complex128
}

TEST(StridedSourceSignTest, SignsArePutRightWhileTheBytesAreRead) {
  const std::vector<float> values = {1, -2, 3, 4};  // two complex numbers
  StridedLayout layout;
  layout.data = reinterpret_cast<const std::byte*>(values.data());
  layout.shape = {2};
  layout.strides = {8};
  layout.element_size = 8;
  layout.component_size = 4;
  const auto read = [&] {
    const std::string bytes = ReadAll(*MakeStridedSource(layout), 16, 5);
    std::vector<float> out(4);
    std::memcpy(out.data(), bytes.data(), 16);
    return out;
  };
  layout.negate_imaginary = true;
  EXPECT_EQ(read(), (std::vector<float>{1, 2, 3, -4}));
  layout.negate_all = true;
  EXPECT_EQ(read(), (std::vector<float>{-1, -2, -3, 4}));
  layout.negate_imaginary = false;
  EXPECT_EQ(read(), (std::vector<float>{-1, 2, -3, -4}));
}

TEST(StringSourceTest, TheBytesAreTheLayoutThenTheStrings) {
  const std::vector<std::string> strings = {"hello", "", std::string(300, 'x'), "", "z"};
  std::vector<Bytes> elements;
  for (const std::string& s : strings) elements.push_back(AsBytes(s));
  TensorView view;
  ASSERT_TRUE(SetStrings(elements, view).ok());
  const auto layout = format::LayOutStrings(elements);
  std::string expected = layout->head;
  for (const std::string& s : strings) expected += s;
  EXPECT_EQ(view.size, expected.size());
  EXPECT_EQ(view.crc, layout->crc);
  for (const uint64_t block : {uint64_t{1}, uint64_t{7}, uint64_t{1000}}) {
    EXPECT_EQ(ReadAll(*view.staged, view.size, block), expected);
  }
}

TEST(StringSourceTest, NoStringsAreJustTheirChecksum) {
  TensorView view;
  ASSERT_TRUE(SetStrings({}, view).ok());
  EXPECT_EQ(view.size, 4u);
  EXPECT_EQ(ReadAll(*view.staged, 4, 4), "\xd8\xea\x82\xa2");  // bundle_format: n = 0
}

}  // namespace
}  // namespace tensorbundle::engine
