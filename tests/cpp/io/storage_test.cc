#include "io/storage.h"

#include <gtest/gtest.h>

namespace tensorbundle::io {
namespace {

TEST(StorageTest, DirectoryOfIsWhatStandsBeforeTheLastName) {
  EXPECT_EQ(DirectoryOf("a/b/c"), "a/b");
  EXPECT_EQ(DirectoryOf("/a/b"), "/a");
  EXPECT_EQ(DirectoryOf("c"), ".");
  EXPECT_EQ(DirectoryOf(""), ".");
  EXPECT_EQ(DirectoryOf("./c"), ".");
  EXPECT_EQ(DirectoryOf("/c"), "/");
  EXPECT_EQ(DirectoryOf("//c"), "/");
  EXPECT_EQ(DirectoryOf("/"), "/");
  EXPECT_EQ(DirectoryOf("a//b"), "a");
}

TEST(StorageTest, BaseNameOfIsTheLastName) {
  EXPECT_EQ(BaseNameOf("a/b/c"), "c");
  EXPECT_EQ(BaseNameOf("/c"), "c");
  EXPECT_EQ(BaseNameOf("c"), "c");
  EXPECT_EQ(BaseNameOf(""), "");
}

TEST(StorageTest, APathThatEndsInASlashIsADirectoryWithoutAName) {
  EXPECT_EQ(DirectoryOf("a/b/"), "a/b");
  EXPECT_EQ(BaseNameOf("a/b/"), "");
}

}  // namespace
}  // namespace tensorbundle::io
