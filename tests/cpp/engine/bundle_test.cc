#include "engine/bundle.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <cstdio>

#include "engine/tensors.h"
#include "format/naming.h"
#include "format/slices.h"
#include "format/table.h"
#include "io/posix_storage.h"
#include "io/temp_directory.h"

namespace tensorbundle::engine {
namespace {

class BundleTest : public ::testing::Test {
 protected:
  BundleTest() : storage_(io::MakeMemoryStorage()) {}

  void WriteFile(const std::string& path, const std::string& content) {
    const auto file = storage_->Create(path);
    ASSERT_TRUE(file.ok());
    ASSERT_TRUE((*file)->WriteAt(0, AsBytes(content)).ok());
    ASSERT_TRUE((*file)->Close().ok());
  }

  // An index of exactly these entries, header not included.
  void WriteIndex(const std::string& prefix,
                  const std::vector<std::pair<std::string, std::string>>& entries) {
    std::string index;
    format::TableBuilder table([&](Bytes bytes) {
      index += AsText(bytes);
      return Status();
    });
    for (const auto& [key, value] : entries) ASSERT_TRUE(table.Add(key, value).ok());
    ASSERT_TRUE(table.Finish().ok());
    WriteFile(format::IndexPath(prefix), index);
  }

  std::string Header() const { return format::EncodeHeader({}); }

  static std::string Encoded(const format::Entry& entry) {
    std::string out;
    format::AppendEntry(entry, out);
    return out;
  }

  static format::Entry Bytes4(uint64_t offset, uint32_t shard = 0) {
    format::Entry entry;
    entry.dtype = format::DType::kUint8;
    entry.shape = {4};
    entry.size = 4;
    entry.offset = offset;
    entry.shard_id = shard;
    return entry;
  }

  std::vector<std::string> Names(const Bundle& bundle) {
    std::vector<std::string> names;
    EXPECT_TRUE(bundle
                    .ForEach([&](std::string_view name, const Result<format::Entry>&) {
                      names.emplace_back(name);
                      return Status();
                    })
                    .ok());
    return names;
  }

  std::vector<std::string> NamesAlone(const Bundle& bundle) {
    std::vector<std::string> names;
    EXPECT_TRUE(bundle
                    .ForEachName([&](std::string_view name) {
                      names.emplace_back(name);
                      return Status();
                    })
                    .ok());
    return names;
  }

  std::shared_ptr<io::Storage> storage_;
};

TEST_F(BundleTest, TensorsAreListedByTheBytesOfTheirNames) {
  TestTensors tensors;
  for (const char* name : {"b", "\xff\xfe", "a/b", "a"}) tensors.Add(name, 3);
  ASSERT_TRUE(Save(*storage_, "x", tensors.views(), {}).ok());
  const auto bundle = Bundle::Open(storage_, "x");
  ASSERT_TRUE(bundle.ok());
  EXPECT_EQ(Names(**bundle), (std::vector<std::string>{"a", "a/b", "b", "\xff\xfe"}));
}

TEST_F(BundleTest, AMissingIndexIsTheSystemsError) {
  const Status status = Bundle::Open(storage_, "x").status();
  EXPECT_EQ(status.error_number(), ENOENT);
  EXPECT_EQ(status.path(), "x.index");
}

TEST_F(BundleTest, AMissingNameIsNotFound) {
  WriteIndex("x", {{"", Header()}, {"a", Encoded(Bytes4(0))}});
  const auto bundle = Bundle::Open(storage_, "x");
  ASSERT_TRUE(bundle.ok());
  EXPECT_TRUE((*bundle)->Find("a").ok());
  EXPECT_EQ((*bundle)->Find("b").status().code(), Code::kNotFound);
  EXPECT_EQ((*bundle)->Find("").status().code(), Code::kNotFound);
  EXPECT_EQ((*bundle)->Find("b").status().key(), "b");
}

TEST_F(BundleTest, AnIndexWithoutHeaderIsRefused) {
  WriteIndex("x", {{"a", Encoded(Bytes4(0))}});
  EXPECT_EQ(Bundle::Open(storage_, "x").status().code(), Code::kMissingHeader);
}

TEST_F(BundleTest, ATruncatedIndexIsRefusedWithItsPath) {
  WriteFile("x.index", "short");
  const Status status = Bundle::Open(storage_, "x").status();
  EXPECT_EQ(status.code(), Code::kTruncatedIndex);
  EXPECT_EQ(status.path(), "x.index");
}

// A file that is read, not mapped, when it is cut short or changed: told, whatever is asked.
class OpenIndexTest : public BundleTest, public ::testing::WithParamInterface<IndexHold> {
 protected:
  OpenIndexTest() : directory_(), posix_(io::MakePosixStorage()) {}

  // An index of two blocks, of which the second is not needed to open it.
  std::unique_ptr<Bundle> OpenTwoBlocks() {
    TestTensors tensors;
    for (int i = 0; i < 60; ++i) {
      tensors.Add(std::string(1, static_cast<char>('A' + i)) + std::string(10'000, 'n'), 1);
    }
    EXPECT_TRUE(Save(*posix_, Prefix(), tensors.views(), {}).ok());
    return std::move(*Bundle::Open(posix_, Prefix(), GetParam()));
  }

  std::string Prefix() const { return directory_.Path("x"); }

  io::TempDirectory directory_;
  const std::shared_ptr<io::Storage> posix_;
};

TEST_P(OpenIndexTest, AnIndexThatIsCutShortIsToldByEveryQuestion) {
  const auto bundle = OpenTwoBlocks();
  ASSERT_EQ(::truncate(format::IndexPath(Prefix()).c_str(), 0), 0);
  const auto all = bundle->ForEach([](auto, const auto&) { return Status(); });
  for (const Status& status : {all, bundle->ForEachName([](auto) { return Status(); }),
                               bundle->Find("z" + std::string(10'000, 'n')).status()}) {
    EXPECT_EQ(status.code(), Code::kConcurrentModification) << status.ToString();
    EXPECT_EQ(status.path(), format::IndexPath(Prefix()));
    EXPECT_TRUE(status.offset().has_value());
  }
  EXPECT_TRUE(bundle->Find("A" + std::string(10'000, 'n')).ok());  // read before
}

TEST_P(OpenIndexTest, WhatWasCheckedIsWhatIsUsed) {
  const auto bundle = OpenTwoBlocks();
  const std::string name = "A" + std::string(10'000, 'n');
  const auto before = bundle->Find(name);
  std::FILE* const file = std::fopen(format::IndexPath(Prefix()).c_str(), "r+b");
  ASSERT_NE(file, nullptr);
  const std::string garbage(200'000, '\xff');
  EXPECT_EQ(std::fwrite(garbage.data(), 1, garbage.size(), file), garbage.size());
  std::fclose(file);
  const auto after = bundle->Find(name);
  ASSERT_TRUE(after.ok()) << after.status().ToString();
  EXPECT_EQ(*after, *before);
}

TEST_P(OpenIndexTest, AnIndexThatIsReplacedIsNeverMixedWithTheNewOne) {
  const auto bundle = OpenTwoBlocks();
  const std::string last = "z" + std::string(10'000, 'n');
  TestTensors others(2);
  for (int i = 0; i < 3; ++i) {  // the file system may give the inode away again
    ASSERT_TRUE(Save(*posix_, Prefix(), others.views(), {}).ok());
    EXPECT_EQ(bundle->CheckCurrent().code(), Code::kCheckpointGone);
  }
  const Status found = bundle->Find(last).status();
  if (GetParam() == IndexHold::kOpen) {
    EXPECT_TRUE(found.ok()) << found.ToString();  // the old index goes on existing
  } else {
    EXPECT_EQ(found.code(), Code::kCheckpointGone) << found.ToString();
    EXPECT_EQ(found.path(), format::IndexPath(Prefix()));
  }
  EXPECT_TRUE(bundle->Find("A" + std::string(10'000, 'n')).ok());  // read before
}

TEST_P(OpenIndexTest, ADescriptorIsTakenOnlyWhereTheIndexIsHeldOpen) {
  const auto first_free = [] {
    const int descriptor = ::dup(0);
    ::close(descriptor);
    return descriptor;
  };
  const int before = first_free();
  const auto bundle = OpenTwoBlocks();
  EXPECT_EQ(first_free() == before, GetParam() == IndexHold::kReopened);
}

INSTANTIATE_TEST_SUITE_P(Hold, OpenIndexTest,
                         ::testing::Values(IndexHold::kOpen, IndexHold::kReopened),
                         [](const auto& info) {
                           return info.param == IndexHold::kOpen ? "Open" : "Reopened";
                         });

TEST_F(BundleTest, OneBadEntryLeavesTheOthersReadable) {
  WriteIndex("x", {{"", Header()},
                   {"a", Encoded(Bytes4(0))},
                   {"b", "\x08\x4d"},  // dtype 77
                   {"c", Encoded(Bytes4(0))}});
  const auto bundle = Bundle::Open(storage_, "x");
  ASSERT_TRUE(bundle.ok());
  EXPECT_EQ(Names(**bundle), (std::vector<std::string>{"a", "b", "c"}));
  EXPECT_EQ((*bundle)->Find("b").status().code(), Code::kBadDType);
  EXPECT_TRUE((*bundle)->Find("c").ok());
}

TEST_F(BundleTest, AShardBeyondTheHeadersCountNamesNoFile) {
  WriteIndex("x", {{"", Header()}, {"a", Encoded(Bytes4(0, 1))}});
  const auto bundle = Bundle::Open(storage_, "x");
  ASSERT_TRUE(bundle.ok());
  EXPECT_EQ((*bundle)->Find("a").status().code(), Code::kBadShardId);
}

TEST_F(BundleTest, AMissingShardIsNamed) {
  WriteIndex("x", {{"", Header()}, {"a", Encoded(Bytes4(0))}});
  const auto bundle = Bundle::Open(storage_, "x");
  ASSERT_TRUE(bundle.ok());
  const Status status =
      (*bundle)->Map(*(*bundle)->Find("a"), io::MapAccess::kReadOnly).status();
  EXPECT_EQ(status.code(), Code::kMissingShard);
  EXPECT_EQ(status.path(), "x.data-00000-of-00001");
  EXPECT_EQ(status.shard(), 0);
}

TEST_F(BundleTest, ARangeOutsideItsShardIsRefused) {
  WriteFile("x.data-00000-of-00001", "0123456");
  WriteIndex("x", {{"", Header()}, {"a", Encoded(Bytes4(3))}, {"b", Encoded(Bytes4(4))}});
  const auto bundle = Bundle::Open(storage_, "x");
  ASSERT_TRUE(bundle.ok());
  const auto view = (*bundle)->Map(*(*bundle)->Find("a"), io::MapAccess::kReadOnly);
  ASSERT_TRUE(view.ok());
  EXPECT_EQ(AsText(view->bytes), "3456");
  const Status status =
      (*bundle)->Map(*(*bundle)->Find("b"), io::MapAccess::kReadOnly).status();
  EXPECT_EQ(status.code(), Code::kOutOfBounds);
  EXPECT_EQ(status.shard(), 0);
}

TEST_F(BundleTest, ABundleNeverOpensTheFilesOfTheOneThatReplacedIt) {
  TestTensors old_tensors(1);
  old_tensors.Add("w", 100);
  TestTensors new_tensors(2);
  new_tensors.Add("w", 100);
  ASSERT_TRUE(Save(*storage_, "x", old_tensors.views(), {}).ok());
  const auto bundle = Bundle::Open(storage_, "x");
  ASSERT_TRUE(bundle.ok());
  const auto entry = (*bundle)->Find("w");
  // The second overwrite gives the first bundle's names to other bytes.
  for (int i = 1; i <= 4; ++i) {
    ASSERT_TRUE(Save(*storage_, "x", new_tensors.views(), {}).ok());
    const Status mapped = (*bundle)->Map(*entry, io::MapAccess::kReadOnly).status();
    EXPECT_EQ(mapped.code(), Code::kCheckpointGone) << "after overwrite " << i;
    EXPECT_EQ((*bundle)->OpenShard(0).status().code(), Code::kCheckpointGone);
  }
}

TEST_F(BundleTest, AMapTakenBeforeAnOverwriteKeepsItsValues) {
  TestTensors old_tensors(1);
  old_tensors.Add("w", 100);
  TestTensors new_tensors(2);
  new_tensors.Add("w", 100);
  ASSERT_TRUE(Save(*storage_, "x", old_tensors.views(), {}).ok());
  const auto bundle = Bundle::Open(storage_, "x");
  const auto before = (*bundle)->Map(*(*bundle)->Find("w"), io::MapAccess::kReadOnly);
  ASSERT_TRUE(Save(*storage_, "x", new_tensors.views(), {}).ok());
  const auto after = (*bundle)->Map(*(*bundle)->Find("w"), io::MapAccess::kReadOnly);
  ASSERT_TRUE(after.ok());  // the shard was mapped already
  EXPECT_EQ(AsText(after->bytes), old_tensors.bytes(0));
}

TEST_F(BundleTest, TensorsMayShareBytesButNotWithoutBound) {
  WriteFile("x.data-00000-of-00001", "0123");
  std::vector<std::pair<std::string, std::string>> entries = {{"", Header()}};
  for (char c = 'a'; c < 'f'; ++c) entries.emplace_back(std::string(1, c), Encoded(Bytes4(0)));
  WriteIndex("x", entries);
  const auto bundle = Bundle::Open(storage_, "x");
  ASSERT_TRUE(bundle.ok());
  std::vector<ReadRequest> requests;
  for (char c = 'a'; c < 'e'; ++c) {
    requests.push_back({std::string(1, c), *(*bundle)->Find(std::string(1, c)), {}});
  }
  EXPECT_TRUE(CheckRequests(**bundle, requests).ok());
  requests.push_back({"e", *(*bundle)->Find("e"), {}});
  const Status status = CheckRequests(**bundle, requests);
  EXPECT_EQ(status.code(), Code::kLimitExceeded);
  EXPECT_EQ(status.key(), "e");
}

TEST_F(BundleTest, AViewOutlivesItsBundle) {
  WriteFile("x.data-00000-of-00001", "0123456");
  WriteIndex("x", {{"", Header()}, {"a", Encoded(Bytes4(1))}});
  auto bundle = Bundle::Open(storage_, "x");
  ASSERT_TRUE(bundle.ok());
  const auto view = (*bundle)->Map(*(*bundle)->Find("a"), io::MapAccess::kReadOnly);
  ASSERT_TRUE(view.ok());
  bundle->reset();
  EXPECT_EQ(AsText(view->bytes), "1234");
}

TEST_F(BundleTest, PartsOfAPartitionedTensorAreNotTensors) {
  format::Entry whole = Bytes4(0);
  whole.size = 0;
  whole.slices = {{{0, 2}}, {{2, 2}}};
  WriteIndex("x", {{"", Header()},
                   {format::EncodeSliceKey("v", {{0, 2}}), Encoded(Bytes4(0))},
                   {"v", Encoded(whole)}});
  const auto bundle = Bundle::Open(storage_, "x");
  ASSERT_TRUE(bundle.ok());
  EXPECT_EQ(Names(**bundle), (std::vector<std::string>{"v"}));
  EXPECT_EQ(NamesAlone(**bundle), Names(**bundle));
  EXPECT_EQ((*bundle)->Map(*(*bundle)->Find("v"), io::MapAccess::kReadOnly).status().code(),
            Code::kUnsupportedLayout);
  EXPECT_EQ((*bundle)->Find(format::EncodeSliceKey("v", {{0, 2}})).status().code(),
            Code::kNotFound);
}

TEST_F(BundleTest, TheNameOfADamagedEntryIsListed) {
  WriteIndex("x", {{"", Header()}, {"a", "not an entry"}, {"b", Encoded(Bytes4(0))}});
  const auto bundle = Bundle::Open(storage_, "x");
  ASSERT_TRUE(bundle.ok());
  EXPECT_EQ(NamesAlone(**bundle), (std::vector<std::string>{"a", "b"}));
  EXPECT_EQ(NamesAlone(**bundle), Names(**bundle));
}

TEST_F(BundleTest, ABigEndianTensorIsNotMappedAsIfItWereLittle) {
  format::Header header;
  header.big_endian = true;
  format::Entry number = Bytes4(0);
  number.dtype = format::DType::kFloat32;
  number.shape = {};
  WriteIndex(
      "x",
      {{"", format::EncodeHeader(header)}, {"a", Encoded(number)}, {"b", Encoded(Bytes4(0))}});
  const auto bundle = Bundle::Open(storage_, "x");
  ASSERT_TRUE(bundle.ok());
  const auto entry = (*bundle)->Find("a");
  EXPECT_EQ((*bundle)->byte_order(), std::endian::big);
  EXPECT_TRUE((*bundle)->IsForeign(*entry));
  EXPECT_FALSE((*bundle)->IsForeign(*(*bundle)->Find("b")));
  EXPECT_EQ((*bundle)->Map(*entry, io::MapAccess::kReadOnly).status().code(),
            Code::kUnsupportedEndianness);
}

}  // namespace
}  // namespace tensorbundle::engine
