#include "engine/diff.h"

#include <gtest/gtest.h>

#include <string>
#include <utility>
#include <vector>

#include "engine/tensors.h"

namespace tensorbundle::engine {
namespace {

class DiffTest : public ::testing::Test {
 protected:
  DiffTest() : storage_(io::MakeMemoryStorage()) {}

  std::unique_ptr<Bundle> Saved(
      const std::string& prefix,
      const std::vector<std::pair<std::string, std::string>>& tensors) {
    TestTensors made;
    for (const auto& [name, text] : tensors) made.AddText(name, text);
    EXPECT_TRUE(Save(*storage_, prefix, made.views(), {}).ok());
    return std::move(*Bundle::Open(storage_, prefix));
  }

  // "name:difference" of each tensor.
  static std::vector<std::string> Told(const Bundle& first, const Bundle& second) {
    constexpr std::string_view kNames[] = {"same",    "removed", "added",
                                           "changed", "differs", "untold"};
    const auto found = Diff(first, second);
    EXPECT_TRUE(found.ok());
    std::vector<std::string> told;
    for (const TensorDifference& tensor : *found) {
      told.push_back(tensor.name + ":" +
                     std::string(kNames[static_cast<size_t>(tensor.difference)]));
    }
    return told;
  }

  std::shared_ptr<io::Storage> storage_;
};

TEST_F(DiffTest, EachTensorIsToldInTheOrderOfTheNames) {
  const auto first = Saved("a", {{"d", "one"}, {"a", "same"}, {"c", "abc"}, {"f", ""}});
  const auto second = Saved("b", {{"a", "same"}, {"b", "x"}, {"c", "abd"}, {"d", "three"}});
  EXPECT_EQ(Told(*first, *second), (std::vector<std::string>{"a:same", "b:added", "c:differs",
                                                             "d:changed", "f:removed"}));
  EXPECT_EQ(
      Told(*second, *first),
      (std::vector<std::string>{"a:same", "b:removed", "c:differs", "d:changed", "f:added"}));
}

TEST_F(DiffTest, NothingButTheIndexesIsNeeded) {
  const auto first = Saved("a", {{"x", "one"}});
  const auto second = Saved("b", {{"x", "two"}});
  ASSERT_TRUE(storage_->Remove(first->ShardPath(0)).ok());
  ASSERT_TRUE(storage_->Remove(second->ShardPath(0)).ok());
  EXPECT_EQ(Told(*first, *second), std::vector<std::string>{"x:differs"});
}

TEST_F(DiffTest, TwoEmptyBundlesAreTheSame) {
  EXPECT_TRUE(Told(*Saved("a", {}), *Saved("b", {})).empty());
}

}  // namespace
}  // namespace tensorbundle::engine
