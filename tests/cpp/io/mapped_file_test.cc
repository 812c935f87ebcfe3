#include "io/mapped_file.h"

#include <gtest/gtest.h>
#include <sys/stat.h>

#include <cerrno>
#include <cstring>
#include <fstream>
#include <thread>
#include <vector>

#include "io/posix_storage.h"
#include "io/storage_fixture.h"
#include "io/temp_directory.h"

namespace tensorbundle::io {
namespace {

using MappedFilePtr = std::shared_ptr<const MappedFile>;

class MappedFileTest : public ::testing::Test {
 protected:
  MappedFilePtr Map(const std::string& text, MapAccess access = MapAccess::kReadOnly) {
    WriteFile(*storage_, path_, text);
    auto file = MappedFile::Open(path_, access);
    EXPECT_OK(file.status());
    return file.ok() ? *file : nullptr;
  }

  TempDirectory directory_;
  const std::unique_ptr<Storage> storage_ = MakePosixStorage();
  const std::string path_ = directory_.Path("mapped");
};

std::string Text(const MappedFile& file, uint64_t offset, uint64_t size) {
  const auto bytes = file.View(offset, size);
  EXPECT_OK(bytes.status());
  return bytes.ok() ? std::string(AsText(*bytes)) : "";
}

TEST_F(MappedFileTest, ViewGivesTheBytesOfTheFile) {
  const MappedFilePtr file = Map("0123456789");
  EXPECT_EQ(file->path(), path_);
  EXPECT_EQ(file->size(), 10u);
  EXPECT_EQ(Text(*file, 0, 10), "0123456789");
  EXPECT_EQ(Text(*file, 3, 2), "34");
  EXPECT_EQ(Text(*file, 10, 0), "");
}

TEST_F(MappedFileTest, ViewRefusesWhatIsNotInside) {
  const MappedFilePtr file = Map("0123456789");
  const std::vector<std::pair<uint64_t, uint64_t>> ranges = {
      {0, 11},         {10, 1},         {11, 0},         {5, 6},
      {1, UINT64_MAX}, {UINT64_MAX, 1}, {UINT64_MAX, 0}, {UINT64_MAX - 4, 8}};
  for (const auto& [offset, size] : ranges) {
    const Status status = file->View(offset, size).status();
    ExpectCode(status, Code::kOutOfBounds, path_);
    EXPECT_EQ(status.offset(), offset);
  }
  EXPECT_EQ(file->View(8, 5).status().message(),
            "expected 5 bytes, found 2 before the end of the file");
}

TEST_F(MappedFileTest, AnEmptyFileIsAnEmptyRegion) {
  const MappedFilePtr file = Map("");
  EXPECT_EQ(file->size(), 0u);
  EXPECT_EQ(Text(*file, 0, 0), "");
  ExpectCode(file->View(0, 1).status(), Code::kOutOfBounds, path_);
}

TEST_F(MappedFileTest, WhatIsNotARegularFileIsRefusedWithoutBlocking) {
  ASSERT_EQ(::mkfifo(path_.c_str(), 0600), 0);
  ExpectCode(MappedFile::Open(path_).status(), Code::kNotRegularFile, path_);
  ExpectCode(MappedFile::Open(directory_.path()).status(), Code::kNotRegularFile,
             directory_.path());
  ExpectCode(MappedFile::Open("/dev/zero").status(), Code::kNotRegularFile, "/dev/zero");
  ExpectSystemError(MappedFile::Open(directory_.Path("no")).status(), ENOENT,
                    directory_.Path("no"));
}

TEST_F(MappedFileTest, TheBytesOutliveTheNameOfTheFile) {
  const MappedFilePtr file = Map("old");
  ASSERT_OK(storage_->Remove(path_));
  WriteFile(*storage_, path_, "new");
  EXPECT_EQ(Text(*file, 0, 3), "old");
}

TEST_F(MappedFileTest, APrivateMapTakesWritesAndTheFileDoesNot) {
  const MappedFilePtr file = Map("0123", MapAccess::kPrivate);
  const auto bytes = file->View(0, 4);
  ASSERT_OK(bytes.status());
  // The way of the bindings: they hand the region out as writable.
  std::memcpy(const_cast<std::byte*>(bytes->data()), "ab", 2);
  EXPECT_EQ(Text(*file, 0, 4), "ab23");
  EXPECT_EQ(ReadFile(*storage_, path_), "0123");
}

TEST_F(MappedFileTest, TheRegionIsUnmappedWithItsLastOwner) {
  const auto is_mapped = [this] {
    std::ifstream maps("/proc/self/maps");
    for (std::string line; std::getline(maps, line);) {
      if (line.find(path_) != std::string::npos) return true;
    }
    return false;
  };
  MappedFilePtr first = Map("0123");
  MappedFilePtr second = first;
  first.reset();
  EXPECT_TRUE(is_mapped());
  second.reset();
  EXPECT_FALSE(is_mapped());
}

TEST_F(MappedFileTest, NoDescriptorStaysOpen) {
  const auto count_open = [this] {
    const auto names = storage_->List("/proc/self/fd");
    return names.ok() ? names->size() : 0;
  };
  const size_t before = count_open();
  const MappedFilePtr file = Map("0123");
  EXPECT_EQ(count_open(), before);
}

TEST_F(MappedFileTest, EightThreadsReadOneMap) {
  const std::string text(100000, 'm');
  const MappedFilePtr file = Map(text);
  std::vector<std::thread> threads;
  for (int i = 0; i < 8; ++i) {
    threads.emplace_back([&] { EXPECT_TRUE(Text(*file, 0, text.size()) == text); });
  }
  for (std::thread& thread : threads) thread.join();
}

}  // namespace
}  // namespace tensorbundle::io
