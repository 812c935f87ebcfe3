#include "format/naming.h"

#include <gtest/gtest.h>

#include <utility>

namespace tensorbundle::format {
namespace {

TEST(Naming, FilesAreNamedAsTensorFlowNamesThem) {
  EXPECT_EQ(IndexPath("run/ckpt-1"), "run/ckpt-1.index");
  EXPECT_EQ(ShardPath("run/ckpt-1", 0, 1), "run/ckpt-1.data-00000-of-00001");
  EXPECT_EQ(ShardPath("m", 99998, 99999), "m.data-99998-of-99999");
  EXPECT_EQ(ShardPath("m", 7, 100000), "m.data-00007-of-100000");
  EXPECT_EQ(LockPath("run/ckpt-1"), "run/.ckpt-1.tensorbundle-lock");
}

TEST(Naming, ATemporaryFileIsHiddenInTheSameDirectory) {
  EXPECT_EQ(TemporaryPath("run/ckpt-1.index", 0x1a2b),
            "run/.ckpt-1.index.tmp.0000000000001a2b");
  EXPECT_EQ(TemporaryPath("m.index", UINT64_MAX), ".m.index.tmp.ffffffffffffffff");
  EXPECT_EQ(TemporaryPath("/m.index", 0), "/.m.index.tmp.0000000000000000");
}

TEST(Naming, EveryShardNameParsesBack) {
  const std::pair<uint32_t, uint32_t> shards[] = {{0, 1}, {1, 2}, {41, 100}, {99998, 99999}};
  for (const auto& [shard, num_shards] : shards) {
    const std::string name = ShardPath("ckpt-1", shard, num_shards);
    EXPECT_EQ(ParseShardName(name, "ckpt-1"), (ShardName{shard, num_shards})) << name;
  }
}

TEST(Naming, WhatIsAlmostAShardNameIsNone) {
  for (const char* name :
       {"ckpt-1.data-00000-of-00000", "ckpt-1.data-00001-of-00001", "ckpt-1.data-0-of-1",
        "ckpt-1.data-000000-of-000001", "ckpt-1.data-00000-of-00001x", "ckpt-1.data-00000-of-",
        "ckpt-1.data-+0000-of-00001", "ckpt-1.data-00000-of-100000", "ckpt-1.data-00000-00001",
        "ckpt-1.data-00000-of-00001.tempstate12", "ckpt-10.data-00000-of-00001",
        "ckpt-.data-00000-of-00001", "xckpt-1.data-00000-of-00001", "ckpt-1.index", ""}) {
    EXPECT_EQ(ParseShardName(name, "ckpt-1"), std::nullopt) << name;
  }
}

TEST(Naming, APrefixIsFoundInTheNameOfItsShard) {
  EXPECT_EQ(PrefixOfShardName("ckpt-1.data-00000-of-00002"), "ckpt-1");
  EXPECT_EQ(PrefixOfShardName("a.data-00000-of-00001.data-00001-of-00002"),
            "a.data-00000-of-00001");
  for (const char* name : {"ckpt-1.index", "ckpt-1.data-0-of-1", "ckpt-1.data-00002-of-00002",
                           "ckpt-1.data-00000-of-00001.bak", ".data", ""}) {
    EXPECT_EQ(PrefixOfShardName(name), std::nullopt) << name;
  }
}

TEST(Naming, APrefixIsFoundInTheNameOfItsFingerprints) {
  EXPECT_EQ(PrefixOfFingerprintsName(FingerprintsPath("ckpt-1")), "ckpt-1");
  EXPECT_EQ(PrefixOfFingerprintsName("ckpt-1.index"), std::nullopt);
}

TEST(Naming, TemporariesOfABundleAreKnown) {
  for (const std::string& path :
       {IndexPath("ckpt-1"), FingerprintsPath("ckpt-1"), ShardPath("ckpt-1", 3, 8)}) {
    EXPECT_TRUE(IsTemporaryName(TemporaryPath(path, 0xdeadbeef), "ckpt-1")) << path;
  }
}

TEST(Naming, TemporariesOfOthersAreNot) {
  const std::string id = ".tmp.0123456789abcdef";
  EXPECT_TRUE(IsTemporaryName(".ckpt-1.index" + id, "ckpt-1"));
  EXPECT_FALSE(IsTemporaryName(".ckpt-10.index" + id, "ckpt-1"));
  EXPECT_FALSE(IsTemporaryName(".ckpt-1.index" + id, "ckpt-10"));
  EXPECT_FALSE(IsTemporaryName("ckpt-1.index" + id, "ckpt-1"));
  EXPECT_FALSE(IsTemporaryName(".ckpt-1" + id, "ckpt-1"));
  EXPECT_FALSE(IsTemporaryName(".ckpt-1.lock" + id, "ckpt-1"));
  EXPECT_FALSE(IsTemporaryName(".ckpt-1.data-00001-of-00001" + id, "ckpt-1"));
  EXPECT_FALSE(IsTemporaryName(".ckpt-1.index.tmp.0123456789ABCDEF", "ckpt-1"));
  EXPECT_FALSE(IsTemporaryName(".ckpt-1.index.tmp.0123456789abcde", "ckpt-1"));
  EXPECT_FALSE(IsTemporaryName(".ckpt-1.index" + id + "0", "ckpt-1"));
  EXPECT_FALSE(IsTemporaryName(".ckpt-1.index.tmpx0123456789abcdef", "ckpt-1"));
  EXPECT_FALSE(IsTemporaryName(".ckpt-1.index", "ckpt-1"));
  EXPECT_FALSE(IsTemporaryName("", "ckpt-1"));
}

}  // namespace
}  // namespace tensorbundle::format
