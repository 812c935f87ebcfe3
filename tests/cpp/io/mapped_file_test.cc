#include "io/mapped_file.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <fstream>
#include <thread>
#include <vector>

#include "io/map_advice.h"
#include "io/mapped_pages.h"
#include "io/page_cache.h"
#include "io/posix_calls.h"
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

constexpr size_t kPage = 4096;  // what these tests think in; a multiple of any smaller page

TEST_F(MappedFileTest, ACopyIsTheFileInMemoryThatNothingCanTakeAway) {
  const MappedFilePtr file = Map("0123456789", MapAccess::kCopy);
  EXPECT_EQ(Text(*file, 3, 2), "34");
  EXPECT_EQ(file->size(), 10u);
  EXPECT_EQ(MappedKibibytes(path_), 0u) << "mapped after all";
  ASSERT_EQ(::truncate(path_.c_str(), 0), 0);
  EXPECT_EQ(Text(*file, 0, 10), "0123456789");
  ExpectCode(file->View(8, 3).status(), Code::kOutOfBounds, path_);
}

TEST_F(MappedFileTest, ACopyKeepsItsIdentityFromBeingGivenToAnotherFile) {
  const MappedFilePtr file = Map("0123", MapAccess::kCopy);
  EXPECT_EQ(file->identity(), *storage_->Identify(path_));
  for (int i = 0; i < 100; ++i) {  // ext4 gives the number of a file that is gone at once
    ASSERT_OK(storage_->Remove(path_));
    WriteFile(*storage_, path_, "4567");
    EXPECT_FALSE(file->identity() == *storage_->Identify(path_));
  }
}

TEST_F(MappedFileTest, ACopyRefusesWhatAMapRefuses) {
  const MappedFilePtr empty = Map("", MapAccess::kCopy);
  EXPECT_EQ(Text(*empty, 0, 0), "");
  EXPECT_OK(empty->Advise(0, 0, MapAdvice::kPopulate));
  ExpectCode(MappedFile::Open(directory_.path(), MapAccess::kCopy).status(),
             Code::kNotRegularFile, directory_.path());
  ExpectSystemError(MappedFile::Open(directory_.Path("no"), MapAccess::kCopy).status(), ENOENT,
                    directory_.Path("no"));
}

class MapAdviceTest : public MappedFileTest {
 protected:
  // Several of the largest pages, and more than one call of PopulateByReading() takes.
  static constexpr size_t kSize = 4096 * kPage + 5;
};

TEST_F(MapAdviceTest, PopulateMapsTheWantedPagesBeforeAnyIsTouched) {
  const MappedFilePtr file = Map(std::string(kSize, 'x'));
  EXPECT_EQ(MappedKibibytes(path_), 0u);
  ASSERT_OK(file->Advise(100 * kPage + 17, 20 * kPage, MapAdvice::kPopulate));
  EXPECT_GE(MappedKibibytes(path_), 21 * kPage / 1024) << "the pages at both ends count";
  EXPECT_LT(MappedKibibytes(path_), kSize / 1024);
  ASSERT_OK(file->Advise(0, kSize, MapAdvice::kPopulate));
  EXPECT_GE(MappedKibibytes(path_), kSize / 1024);
}

TEST_F(MapAdviceTest, PopulateByReadingMapsEveryPageToo) {
  const MappedFilePtr file = Map(std::string(kSize, 'x'));
  const auto bytes = file->View(0, file->size());
  ASSERT_OK(bytes.status());
  ASSERT_OK(PopulateByReading(*bytes, path_));
  EXPECT_GE(MappedKibibytes(path_), kSize / 1024);
}

TEST_F(MapAdviceTest, AFileThatShrankIsAnErrorAndNotASignal) {
  const MappedFilePtr file = Map(std::string(kSize, 'x'));
  const auto bytes = file->View(0, file->size());
  ASSERT_OK(bytes.status());
  ASSERT_EQ(::truncate(path_.c_str(), 3 * kPage), 0);
  ExpectSystemError(file->Advise(0, kSize, MapAdvice::kPopulate), EIO, path_);
  ExpectSystemError(PopulateByReading(*bytes, path_), EIO, path_);
  EXPECT_OK(file->Advise(0, kSize, MapAdvice::kWillNeed)) << "a hint cannot fail";
}

TEST_F(MapAdviceTest, AdviceOutsideTheFileIsRefused) {
  const MappedFilePtr file = Map(std::string(kSize, 'x'));
  for (const auto advice : {MapAdvice::kNormal, MapAdvice::kSequential, MapAdvice::kRandom,
                            MapAdvice::kWillNeed, MapAdvice::kPopulate}) {
    ExpectCode(file->Advise(1, kSize, advice), Code::kOutOfBounds, path_);
    ExpectCode(file->Advise(UINT64_MAX, 1, advice), Code::kOutOfBounds, path_);
    EXPECT_OK(file->Advise(1, kSize - 1, advice));
    EXPECT_OK(file->Advise(kSize, 0, advice));
  }
}

TEST_F(MapAdviceTest, WillNeedBringsTheFileIntoThePageCache) {
  const MappedFilePtr file = Map(std::string(kSize, 'x'));
  const auto opened = OpenRegularFile(path_);
  ASSERT_OK(opened.status());
  ASSERT_EQ(::fsync(opened->fd.get()), 0);
  ASSERT_EQ(::posix_fadvise(opened->fd.get(), 0, 0, POSIX_FADV_DONTNEED), 0);
  const auto before = CachedShareByCachestat(*opened, path_);
  if (!before.ok()) GTEST_SKIP() << before.status().ToString();
  if (*before > 0.01) GTEST_SKIP() << "pages stay in the cache here";
  ASSERT_OK(file->Advise(0, kSize / 2, MapAdvice::kWillNeed));
  // Unlike mincore(2) this counts a page that is still being read.
  EXPECT_GE(*CachedShareByCachestat(*opened, path_), 0.4);
  EXPECT_LE(*CachedShareByCachestat(*opened, path_), 0.7) << "more than was asked for";
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
