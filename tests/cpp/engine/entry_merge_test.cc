#include "engine/entry_merge.h"

#include <gtest/gtest.h>

#include <memory>
#include <string>
#include <vector>

#include "engine/index_writer.h"
#include "engine/tensors.h"
#include "format/naming.h"
#include "format/slices.h"

namespace tensorbundle::engine {
namespace {

using format::Entry;
using format::Slice;

Entry Plain(uint32_t shard, uint64_t size) {
  Entry entry;
  entry.dtype = format::DType::kUint8;
  entry.shape = {size};
  entry.size = size;
  entry.shard_id = shard;
  return entry;
}

// Rows [begin, end) of a matrix of 4 by 2, as a list of one part.
Slice Rows(int64_t begin, int64_t end) {
  return {{begin, end - begin}, {0, format::Extent::kFull}};
}

Entry Partitioned(const std::vector<Slice>& parts) {
  Entry entry;
  entry.dtype = format::DType::kUint8;
  entry.shape = {4, 2};
  entry.slices = parts;
  return entry;
}

class EntryMergeTest : public ::testing::Test {
 protected:
  using Entries = std::vector<std::pair<std::string, Entry>>;

  // An index alone; that is all that the merge of entries looks at.
  void AddBundle(const std::string& prefix, const Entries& entries) {
    auto file = storage_->Create(format::IndexPath(prefix));
    ASSERT_TRUE(file.ok());
    IndexWriter index(**file);
    format::Header header;
    header.num_shards = 9;
    ASSERT_TRUE(index.AddHeader(header).ok());
    for (const auto& [key, entry] : entries) ASSERT_TRUE(index.Add(key, entry).ok());
    ASSERT_TRUE(index.Finish().ok());
    ASSERT_TRUE((*file)->Close().ok());
    auto bundle = Bundle::Open(storage_, prefix);
    ASSERT_TRUE(bundle.ok()) << bundle.status().ToString();
    bundles_.push_back(std::move(bundle).value());
  }

  struct Visited {
    size_t bundle;
    std::string key;
    Entry entry;
    bool operator==(const Visited&) const = default;
  };

  Status Run(std::vector<Visited>* visited = nullptr) {
    std::vector<const Bundle*> bundles;
    for (const auto& bundle : bundles_) bundles.push_back(bundle.get());
    return ForEachEntry(bundles, [&](size_t bundle, std::string_view key, Entry& entry) {
      if (visited != nullptr) visited->push_back({bundle, std::string(key), entry});
      return Status();
    });
  }

  const std::shared_ptr<io::Storage> storage_ = io::MakeMemoryStorage();
  std::vector<std::unique_ptr<Bundle>> bundles_;
};

TEST_F(EntryMergeTest, EntriesComeInTheOrderOfTheirKeysWithTheirBundle) {
  AddBundle("x", {{"b", Plain(1, 10)}, {"e", Plain(0, 20)}});
  AddBundle("y", {});
  AddBundle("z", {{"a", Plain(3, 30)}, {"bb", Plain(2, 40)}, {"f", Plain(0, 0)}});
  std::vector<Visited> visited;
  ASSERT_TRUE(Run(&visited).ok());
  const std::vector<Visited> expected = {{2, "a", Plain(3, 30)},
                                         {0, "b", Plain(1, 10)},
                                         {2, "bb", Plain(2, 40)},
                                         {0, "e", Plain(0, 20)},
                                         {2, "f", Plain(0, 0)}};
  EXPECT_EQ(visited, expected);
}

TEST_F(EntryMergeTest, ATensorInTwoBundlesIsRefusedWithBothPrefixes) {
  AddBundle("run-x", {{"a", Plain(0, 1)}, {"same", Plain(0, 1)}});
  AddBundle("run-y", {{"same", Plain(0, 1)}});
  const Status status = Run();
  EXPECT_EQ(status.code(), Code::kAlreadyExists);
  EXPECT_EQ(status.key(), "same");
  EXPECT_EQ(status.message(), "the tensor is in both run-x and run-y");
}

TEST_F(EntryMergeTest, PartsOfOneTensorAreUnitedInTheOrderOfTheBundles) {
  const std::string upper = format::EncodeSliceKey("m", Rows(0, 1));
  const std::string middle = format::EncodeSliceKey("m", Rows(1, 2));
  const std::string lower = format::EncodeSliceKey("m", Rows(2, 4));
  AddBundle("x", {{lower, Plain(1, 4)}, {"m", Partitioned({Rows(2, 4)})}});
  AddBundle("y", {{upper, Plain(0, 2)},
                  {middle, Plain(0, 2)},
                  {"m", Partitioned({Rows(1, 2), Rows(0, 1)})}});
  std::vector<Visited> visited;
  ASSERT_TRUE(Run(&visited).ok());
  ASSERT_EQ(visited.size(), 4u);
  EXPECT_EQ(visited[0].key, upper);
  EXPECT_EQ(visited[2].key, lower);
  EXPECT_EQ(visited[2].bundle, 0u);
  EXPECT_EQ(visited[3].key, "m");
  EXPECT_EQ(visited[3].entry.slices, (std::vector<Slice>{Rows(2, 4), Rows(1, 2), Rows(0, 1)}));
}

TEST_F(EntryMergeTest, TheSamePartInTwoBundlesIsRefusedByTheTensorsName) {
  const std::string upper = format::EncodeSliceKey("m", Rows(0, 2));
  AddBundle("x", {{upper, Plain(0, 4)}, {"m", Partitioned({Rows(0, 2)})}});
  AddBundle("y", {{upper, Plain(0, 4)}, {"m", Partitioned({Rows(0, 2)})}});
  const Status status = Run();
  EXPECT_EQ(status.code(), Code::kAlreadyExists);
  EXPECT_EQ(status.key(), "m");
  EXPECT_EQ(status.message(), "the same part of this tensor is in both x and y");
}

TEST_F(EntryMergeTest, AWholeTensorAndPartsOfItAreRefused) {
  AddBundle("x", {{"m", Plain(0, 8)}});
  AddBundle("y", {{"m", Partitioned({Rows(0, 2)})}});
  EXPECT_EQ(Run().code(), Code::kAlreadyExists);
}

TEST_F(EntryMergeTest, PartsThatOverlapAreRefused) {
  AddBundle("x", {{"m", Partitioned({Rows(0, 2)})}});
  AddBundle("y", {{"m", Partitioned({Rows(1, 4)})}});
  const Status status = Run();
  EXPECT_EQ(status.code(), Code::kBadSlice);
  EXPECT_EQ(status.key(), "m");
}

TEST_F(EntryMergeTest, PartsThatDisagreeAreRefused) {
  Entry other_shape = Partitioned({Rows(2, 4)});
  other_shape.shape = {4, 3};
  Entry other_dtype = Partitioned({Rows(2, 4)});
  other_dtype.dtype = format::DType::kInt8;
  AddBundle("x", {{"m", Partitioned({Rows(0, 2)})}});
  AddBundle("y", {{"m", other_shape}});
  EXPECT_EQ(Run().code(), Code::kAlreadyExists);
  EXPECT_EQ(Run().message(), "the parts of this tensor have another shape in y than in x");
  bundles_.pop_back();
  AddBundle("z", {{"m", other_dtype}});
  EXPECT_EQ(Run().message(), "the parts of this tensor have another dtype in z than in x");
}

TEST_F(EntryMergeTest, ABadEntryIsToldWithItsNameAndIndex) {
  Entry outside = Plain(0, 1);
  outside.shard_id = 9;
  AddBundle("x", {{"a", Plain(0, 1)}});
  AddBundle("y", {{"b", outside}});
  const Status status = Run();
  EXPECT_EQ(status.code(), Code::kBadShardId);
  EXPECT_EQ(status.key(), "b");
  EXPECT_EQ(status.path(), "y.index");
}

}  // namespace
}  // namespace tensorbundle::engine
