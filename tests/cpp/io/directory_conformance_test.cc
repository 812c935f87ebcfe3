// What every Storage promises of names: create, rename, remove, list, directories.

#include <algorithm>
#include <cerrno>

#include "io/storage_fixture.h"

namespace tensorbundle::io {
namespace {

template <typename Kind>
class DirectoryConformanceTest : public StorageFixture<Kind> {
 protected:
  bool Exists(const std::string& path) {
    const auto exists = this->storage().Exists(path);
    EXPECT_OK(exists.status());
    return exists.ok() && *exists;
  }
  bool MakeDirectory(const std::string& path) {
    const auto made = this->storage().MakeDirectory(path);
    EXPECT_OK(made.status());
    return made.ok() && *made;
  }
  std::vector<std::string> Names(const std::string& path) {
    auto names = this->storage().List(path);
    EXPECT_OK(names.status());
    if (!names.ok()) return {};
    std::sort(names->begin(), names->end());
    return *names;
  }
};
TYPED_TEST_SUITE(DirectoryConformanceTest, StorageKinds, StorageKindNames);

using Names = std::vector<std::string>;

TYPED_TEST(DirectoryConformanceTest, CreateRefusesWhatExists) {
  WriteFile(this->storage(), this->Path("a"), "kept");
  ExpectSystemError(this->storage().Create(this->Path("a")).status(), EEXIST, this->Path("a"));
  EXPECT_EQ(ReadFile(this->storage(), this->Path("a")), "kept");
  ExpectSystemError(this->storage().Create(this->root()).status(), EEXIST, this->root());
}

TYPED_TEST(DirectoryConformanceTest, AFileNeedsItsDirectory) {
  ExpectSystemError(this->storage().Create(this->Path("no/a")).status(), ENOENT,
                    this->Path("no/a"));
  WriteFile(this->storage(), this->Path("f"), "");
  ExpectSystemError(this->storage().Create(this->Path("f/a")).status(), ENOTDIR,
                    this->Path("f/a"));
  ExpectSystemError(this->storage().Create("").status(), ENOENT, "");
}

TYPED_TEST(DirectoryConformanceTest, OpeningWhatIsNotAFileSaysWhy) {
  ExpectSystemError(this->storage().OpenForRead(this->Path("no")).status(), ENOENT,
                    this->Path("no"));
  WriteFile(this->storage(), this->Path("f"), "");
  ExpectSystemError(this->storage().OpenForRead(this->Path("f/a")).status(), ENOTDIR,
                    this->Path("f/a"));
  const Status directory = this->storage().OpenForRead(this->root()).status();
  ExpectCode(directory, Code::kNotRegularFile, this->root());
  EXPECT_EQ(directory.message(), "expected a regular file, found a directory");
}

TYPED_TEST(DirectoryConformanceTest, RenameReplacesTheTarget) {
  WriteFile(this->storage(), this->Path("a"), "new");
  WriteFile(this->storage(), this->Path("b"), "old");
  EXPECT_OK(this->storage().Rename(this->Path("a"), this->Path("b")));
  EXPECT_EQ(ReadFile(this->storage(), this->Path("b")), "new");
  EXPECT_EQ(this->Names(this->root()), Names({"b"}));
  EXPECT_OK(this->storage().Rename(this->Path("b"), this->Path("b")));
  EXPECT_EQ(ReadFile(this->storage(), this->Path("b")), "new");
}

TYPED_TEST(DirectoryConformanceTest, RenameMovesBetweenDirectories) {
  EXPECT_TRUE(this->MakeDirectory(this->Path("d")));
  WriteFile(this->storage(), this->Path("a"), "x");
  EXPECT_OK(this->storage().Rename(this->Path("a"), this->Path("d/b")));
  EXPECT_OK(this->storage().Rename(this->Path("d"), this->Path("e")));
  EXPECT_EQ(ReadFile(this->storage(), this->Path("e/b")), "x");
  EXPECT_OK(this->storage().Rename(this->Path("e"), this->Path("e")));
  EXPECT_EQ(this->Names(this->root()), Names({"e"}));
}

TYPED_TEST(DirectoryConformanceTest, RenameRefusesWhatCannotBe) {
  Storage& storage = this->storage();
  WriteFile(storage, this->Path("f"), "x");
  EXPECT_TRUE(this->MakeDirectory(this->Path("d")));
  EXPECT_TRUE(this->MakeDirectory(this->Path("full")));
  WriteFile(storage, this->Path("full/f"), "y");
  const auto rename = [&](const std::string& from, const std::string& to) {
    return storage.Rename(this->Path(from), this->Path(to));
  };
  ExpectSystemError(rename("no", "x"), ENOENT, this->Path("no"));
  ExpectSystemError(rename("f", "no/x"), ENOENT, this->Path("f"));
  ExpectSystemError(rename("f", "d"), EISDIR, this->Path("f"));
  ExpectSystemError(rename("d", "f"), ENOTDIR, this->Path("d"));
  ExpectSystemError(rename("d", "full"), ENOTEMPTY, this->Path("d"));
  ExpectSystemError(rename("d", "d/inner"), EINVAL, this->Path("d"));
  EXPECT_EQ(this->Names(this->root()), Names({"d", "f", "full"}));
  EXPECT_NE(rename("f", "no/x").message().find(this->Path("no/x")), std::string::npos);
}

TYPED_TEST(DirectoryConformanceTest, RemoveTakesFilesOnly) {
  WriteFile(this->storage(), this->Path("a"), "x");
  EXPECT_OK(this->storage().Remove(this->Path("a")));
  EXPECT_FALSE(this->Exists(this->Path("a")));
  ExpectSystemError(this->storage().Remove(this->Path("a")), ENOENT, this->Path("a"));
  ExpectSystemError(this->storage().Remove(this->root()), EISDIR, this->root());
}

TYPED_TEST(DirectoryConformanceTest, ALinkIsTheSameFileUnderASecondName) {
  Storage& storage = this->storage();
  WriteFile(storage, this->Path("a"), "kept");
  EXPECT_TRUE(this->MakeDirectory(this->Path("d")));
  EXPECT_OK(storage.Link(this->Path("a"), this->Path("d/b")));
  EXPECT_EQ(*storage.Identify(this->Path("a")), *storage.Identify(this->Path("d/b")));
  EXPECT_OK(storage.Remove(this->Path("a")));
  EXPECT_EQ(ReadFile(storage, this->Path("d/b")), "kept");
  WriteFile(storage, this->Path("a"), "another");
  EXPECT_EQ(ReadFile(storage, this->Path("d/b")), "kept");
}

TYPED_TEST(DirectoryConformanceTest, LinkRefusesWhatCannotBe) {
  Storage& storage = this->storage();
  WriteFile(storage, this->Path("f"), "x");
  WriteFile(storage, this->Path("taken"), "y");
  EXPECT_TRUE(this->MakeDirectory(this->Path("d")));
  const auto link = [&](const std::string& from, const std::string& to) {
    return storage.Link(this->Path(from), this->Path(to));
  };
  ExpectSystemError(link("no", "x"), ENOENT, this->Path("no"));
  ExpectSystemError(link("f", "no/x"), ENOENT, this->Path("f"));
  ExpectSystemError(link("f", "taken"), EEXIST, this->Path("f"));
  ExpectSystemError(link("f", "f"), EEXIST, this->Path("f"));
  ExpectSystemError(link("d", "x"), EPERM, this->Path("d"));
  EXPECT_EQ(ReadFile(storage, this->Path("taken")), "y");
  EXPECT_EQ(this->Names(this->root()), Names({"d", "f", "taken"}));
  EXPECT_NE(link("f", "no/x").message().find(this->Path("no/x")), std::string::npos);
}

TYPED_TEST(DirectoryConformanceTest, DirectoriesAreToldApartToo) {
  EXPECT_TRUE(this->MakeDirectory(this->Path("d")));
  EXPECT_TRUE(this->MakeDirectory(this->Path("e")));
  EXPECT_EQ(*this->storage().Identify(this->Path("d")),
            *this->storage().Identify(this->Path("./e/../d/")));
  EXPECT_FALSE(*this->storage().Identify(this->Path("d")) ==
               *this->storage().Identify(this->Path("e")));
}

TYPED_TEST(DirectoryConformanceTest, SyncFileTakesFilesOnly) {
  WriteFile(this->storage(), this->Path("f"), "x");
  EXPECT_OK(this->storage().SyncFile(this->Path("f")));
  ExpectSystemError(this->storage().SyncFile(this->Path("no")), ENOENT, this->Path("no"));
  ExpectCode(this->storage().SyncFile(this->root()), Code::kNotRegularFile, this->root());
}

TYPED_TEST(DirectoryConformanceTest, ExistsIsTrueOfFilesAndDirectories) {
  WriteFile(this->storage(), this->Path("a"), "");
  EXPECT_TRUE(this->Exists(this->Path("a")));
  EXPECT_TRUE(this->Exists(this->root()));
  EXPECT_TRUE(this->Exists("/"));
  EXPECT_TRUE(this->Exists("."));
  EXPECT_FALSE(this->Exists(this->Path("b")));
  EXPECT_FALSE(this->Exists(this->Path("a/b")));
  EXPECT_FALSE(this->Exists(this->Path("no/b")));
  EXPECT_FALSE(this->Exists(""));
}

TYPED_TEST(DirectoryConformanceTest, PathsAreReadAsTheKernelReadsThem) {
  EXPECT_TRUE(this->MakeDirectory(this->Path("d")));
  WriteFile(this->storage(), this->Path("d//f"), "x");
  EXPECT_EQ(ReadFile(this->storage(), this->Path("./d/../d/./f")), "x");
  EXPECT_FALSE(this->Exists(this->Path("no/../d/f")));
  EXPECT_TRUE(this->Exists("/.." + this->Path("d/f")));
  EXPECT_EQ(this->Names(this->Path("d/")), Names({"f"}));
}

TYPED_TEST(DirectoryConformanceTest, ListGivesEveryNameOnce) {
  EXPECT_EQ(this->Names(this->root()), Names());
  WriteFile(this->storage(), this->Path("b"), "");
  WriteFile(this->storage(), this->Path(".hidden"), "");
  EXPECT_TRUE(this->MakeDirectory(this->Path("a")));
  WriteFile(this->storage(), this->Path("a/inner"), "");
  EXPECT_EQ(this->Names(this->root()), Names({".hidden", "a", "b"}));
}

TYPED_TEST(DirectoryConformanceTest, ListRefusesWhatIsNotADirectory) {
  ExpectSystemError(this->storage().List(this->Path("no")).status(), ENOENT, this->Path("no"));
  WriteFile(this->storage(), this->Path("f"), "");
  ExpectSystemError(this->storage().List(this->Path("f")).status(), ENOTDIR, this->Path("f"));
}

TYPED_TEST(DirectoryConformanceTest, MakeDirectorySaysWhetherItDid) {
  EXPECT_TRUE(this->MakeDirectory(this->Path("d")));
  EXPECT_FALSE(this->MakeDirectory(this->Path("d")));
  EXPECT_FALSE(this->MakeDirectory("/"));
  WriteFile(this->storage(), this->Path("d/f"), "");
  ExpectSystemError(this->storage().MakeDirectory(this->Path("d/f")).status(), ENOTDIR,
                    this->Path("d/f"));
  ExpectSystemError(this->storage().MakeDirectory(this->Path("x/y")).status(), ENOENT,
                    this->Path("x/y"));
}

TYPED_TEST(DirectoryConformanceTest, RemoveDirectoryTakesEmptyOnesOnly) {
  EXPECT_TRUE(this->MakeDirectory(this->Path("d")));
  WriteFile(this->storage(), this->Path("d/f"), "");
  ExpectSystemError(this->storage().RemoveDirectory(this->Path("d")), ENOTEMPTY,
                    this->Path("d"));
  ExpectSystemError(this->storage().RemoveDirectory(this->Path("d/f")), ENOTDIR,
                    this->Path("d/f"));
  EXPECT_OK(this->storage().Remove(this->Path("d/f")));
  EXPECT_OK(this->storage().RemoveDirectory(this->Path("d")));
  ExpectSystemError(this->storage().RemoveDirectory(this->Path("d")), ENOENT, this->Path("d"));
  ExpectSystemError(this->storage().RemoveDirectory("/"), EBUSY, "/");
}

TYPED_TEST(DirectoryConformanceTest, SyncDirectoryTakesDirectoriesOnly) {
  EXPECT_OK(this->storage().SyncDirectory(this->root()));
  ExpectSystemError(this->storage().SyncDirectory(this->Path("no")), ENOENT, this->Path("no"));
  WriteFile(this->storage(), this->Path("f"), "");
  ExpectSystemError(this->storage().SyncDirectory(this->Path("f")), ENOTDIR, this->Path("f"));
}

}  // namespace
}  // namespace tensorbundle::io
