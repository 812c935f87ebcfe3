#include "io/storage.h"

#include <gtest/gtest.h>

#include <cerrno>

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

TEST(StorageTest, JoinPathPutsOneSlashBetween) {
  EXPECT_EQ(JoinPath("a", "b"), "a/b");
  EXPECT_EQ(JoinPath(".", "b"), "./b");
  EXPECT_EQ(JoinPath("/", "b"), "/b");
}

TEST(StorageTest, APathThatEndsInASlashIsADirectoryWithoutAName) {
  EXPECT_EQ(DirectoryOf("a/b/"), "a/b");
  EXPECT_EQ(BaseNameOf("a/b/"), "");
}

TEST(StorageTest, OnlyAFileThatCannotHaveASecondNameIsALinkRefusal) {
  for (const int error : {EXDEV, EMLINK, EPERM, EOPNOTSUPP, ENOSYS}) {
    EXPECT_TRUE(IsLinkRefusal(Status::System(error, "link", "a"))) << error;
  }
  for (const int error : {EIO, ENOENT, ENOSPC, EACCES, EEXIST, EROFS}) {
    EXPECT_FALSE(IsLinkRefusal(Status::System(error, "link", "a"))) << error;
  }
  EXPECT_FALSE(IsLinkRefusal(Status()));
  EXPECT_FALSE(IsLinkRefusal(Status(Code::kLocked, "")));
}

}  // namespace
}  // namespace tensorbundle::io
