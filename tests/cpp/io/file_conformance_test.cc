// What every Storage promises of the files it hands out.

#include <array>
#include <cerrno>
#include <string>
#include <thread>
#include <vector>

#include "io/storage_fixture.h"

namespace tensorbundle::io {
namespace {

template <typename Kind>
class FileConformanceTest : public StorageFixture<Kind> {
 protected:
  std::unique_ptr<WritableFile> Create(const std::string& path) {
    auto file = this->storage().Create(path);
    EXPECT_OK(file.status());
    return file.ok() ? std::move(*file) : nullptr;
  }
  std::unique_ptr<ReadableFile> Open(const std::string& path) {
    auto file = this->storage().OpenForRead(path);
    EXPECT_OK(file.status());
    return file.ok() ? std::move(*file) : nullptr;
  }
};
TYPED_TEST_SUITE(FileConformanceTest, StorageKinds, StorageKindNames);

Status ReadSome(const ReadableFile& file, uint64_t offset, size_t size) {
  std::vector<std::byte> out(size);
  return file.ReadAt(offset, out);
}

TYPED_TEST(FileConformanceTest, WhatIsWrittenIsReadBack) {
  const std::string path = this->Path("a");
  auto file = this->Create(path);
  EXPECT_EQ(file->path(), path);
  EXPECT_OK(file->WriteAt(0, AsBytes("checkpoint")));
  EXPECT_OK(file->Sync());
  EXPECT_OK(file->Close());
  const auto reader = this->Open(path);
  EXPECT_EQ(reader->path(), path);
  EXPECT_EQ(reader->size(), 10u);
  EXPECT_EQ(Read(*reader, 0, 10), "checkpoint");
  EXPECT_EQ(Read(*reader, 5, 5), "point");
  EXPECT_EQ(Read(*reader, 10, 0), "");
}

TYPED_TEST(FileConformanceTest, AFileIsToldFromOneThatReplacedIt) {
  ASSERT_OK(this->Create(this->Path("a"))->WriteAt(0, AsBytes("old")));
  const auto map = this->storage().Map(this->Path("a"), MapAccess::kReadOnly);
  ASSERT_OK(map.status());
  EXPECT_EQ(*this->storage().Identify(this->Path("a")), (*map)->identity());
  for (int i = 0; i < 3; ++i) {  // an identity is not used again while it is mapped
    ASSERT_OK(this->Create(this->Path("b"))->WriteAt(0, AsBytes("new")));
    ASSERT_OK(this->storage().Rename(this->Path("b"), this->Path("a")));
    EXPECT_FALSE(*this->storage().Identify(this->Path("a")) == (*map)->identity());
  }
  ASSERT_OK(this->storage().Remove(this->Path("a")));
  EXPECT_EQ(this->storage().Identify(this->Path("a")).status().error_number(), ENOENT);
}

TYPED_TEST(FileConformanceTest, WritesMayComeInAnyOrderAndReplaceEachOther) {
  auto file = this->Create(this->Path("a"));
  EXPECT_OK(file->WriteAt(6, AsBytes("world")));
  EXPECT_OK(file->WriteAt(0, AsBytes("HELLO ")));
  EXPECT_OK(file->WriteAt(0, AsBytes("hello")));
  EXPECT_OK(file->Close());
  EXPECT_EQ(ReadFile(this->storage(), this->Path("a")), "hello world");
}

TYPED_TEST(FileConformanceTest, AnEmptyFileIsAFile) {
  EXPECT_OK(this->Create(this->Path("a"))->Close());
  const auto reader = this->Open(this->Path("a"));
  EXPECT_EQ(reader->size(), 0u);
  ExpectCode(ReadSome(*reader, 0, 1), Code::kOutOfBounds, this->Path("a"));
}

TYPED_TEST(FileConformanceTest, WritingNoBytesDoesNotLengthenTheFile) {
  auto file = this->Create(this->Path("a"));
  EXPECT_OK(file->WriteAt(100, Bytes()));
  EXPECT_OK(file->Close());
  EXPECT_EQ(this->Open(this->Path("a"))->size(), 0u);
}

TYPED_TEST(FileConformanceTest, AFileDestroyedUnclosedIsThere) {
  EXPECT_OK(this->Create(this->Path("a"))->WriteAt(0, AsBytes("x")));
  EXPECT_EQ(ReadFile(this->storage(), this->Path("a")), "x");
}

TYPED_TEST(FileConformanceTest, AReadPastTheEndSaysWhatWasWantedAndWhatIsThere) {
  const std::string path = this->Path("a");
  WriteFile(this->storage(), path, "0123456789");
  const auto reader = this->Open(path);
  const Status status = ReadSome(*reader, 8, 5);
  ExpectCode(status, Code::kOutOfBounds, path);
  EXPECT_EQ(status.offset(), 8u);
  EXPECT_EQ(status.message(), "expected 5 bytes, found 2 before the end of the file");
}

TYPED_TEST(FileConformanceTest, ReadsFromHostileOffsetsAreOutOfBounds) {
  WriteFile(this->storage(), this->Path("a"), "0123456789");
  const auto reader = this->Open(this->Path("a"));
  for (const uint64_t offset : {uint64_t{11}, uint64_t{1} << 62, uint64_t{INT64_MAX} - 1,
                                uint64_t{INT64_MAX}, uint64_t{1} << 63, UINT64_MAX}) {
    for (const size_t size : {size_t{0}, size_t{1}, size_t{8}}) {
      const Status status = ReadSome(*reader, offset, size);
      ExpectCode(status, Code::kOutOfBounds, this->Path("a"));
      EXPECT_EQ(status.offset(), offset);
    }
  }
}

TYPED_TEST(FileConformanceTest, WritesThatNoFileCanHoldAreRefused) {
  auto file = this->Create(this->Path("a"));
  for (const uint64_t offset : {uint64_t{INT64_MAX}, uint64_t{1} << 63, UINT64_MAX}) {
    ExpectSystemError(file->WriteAt(offset, AsBytes("ab")), EFBIG, this->Path("a"));
  }
  ExpectSystemError(file->Truncate(uint64_t{1} << 63), EFBIG, this->Path("a"));
  ExpectSystemError(file->Allocate(uint64_t{1} << 63), EFBIG, this->Path("a"));
  EXPECT_OK(file->Close());
}

TYPED_TEST(FileConformanceTest, WhatIsNeverWrittenReadsAsZeros) {
  auto file = this->Create(this->Path("a"));
  EXPECT_OK(file->WriteAt((uint64_t{3} << 20) - 1, AsBytes("xy")));
  EXPECT_OK(file->Close());
  const auto reader = this->Open(this->Path("a"));
  EXPECT_EQ(reader->size(), (uint64_t{3} << 20) + 1);
  EXPECT_EQ(Read(*reader, 0, 5), std::string(5, '\0'));
  EXPECT_EQ(Read(*reader, (uint64_t{3} << 20) - 3, 4), std::string("\0\0xy", 4));
}

TYPED_TEST(FileConformanceTest, OffsetsBeyondFourGibibytesAreKept) {
  constexpr uint64_t kFar = (uint64_t{5} << 30) + 12345;
  auto file = this->Create(this->Path("a"));
  EXPECT_OK(file->WriteAt(12345, AsBytes("near")));
  EXPECT_OK(file->WriteAt(kFar, AsBytes("far")));
  EXPECT_OK(file->Close());
  const auto reader = this->Open(this->Path("a"));
  EXPECT_EQ(reader->size(), kFar + 3);
  EXPECT_EQ(Read(*reader, 12345, 4), "near");
  EXPECT_EQ(Read(*reader, kFar, 3), "far");
  EXPECT_EQ(Read(*reader, kFar - 2, 2), std::string(2, '\0'));
}

TYPED_TEST(FileConformanceTest, TruncateSetsTheSizeBothWays) {
  auto file = this->Create(this->Path("a"));
  EXPECT_OK(file->WriteAt(0, AsBytes("0123456789")));
  EXPECT_OK(file->Truncate(4));
  EXPECT_EQ(ReadFile(this->storage(), this->Path("a")), "0123");
  EXPECT_OK(file->Truncate(6));
  EXPECT_EQ(ReadFile(this->storage(), this->Path("a")), std::string("0123\0\0", 6));
  EXPECT_OK(file->Truncate(0));
  EXPECT_OK(file->Close());
  EXPECT_EQ(ReadFile(this->storage(), this->Path("a")), "");
}

TYPED_TEST(FileConformanceTest, BytesCutOffDoNotComeBack) {
  constexpr uint64_t kSize = uint64_t{3} << 20;
  auto file = this->Create(this->Path("a"));
  EXPECT_OK(file->WriteAt(0, AsBytes(std::string(kSize, 'x'))));
  EXPECT_OK(file->Truncate(uint64_t{1} << 20));
  EXPECT_OK(file->Truncate(kSize));
  EXPECT_OK(file->Close());
  const std::string expected =
      std::string(kSize / 3, 'x') + std::string(kSize - kSize / 3, '\0');
  EXPECT_TRUE(ReadFile(this->storage(), this->Path("a")) == expected);
}

TYPED_TEST(FileConformanceTest, AllocateThenTruncateGivesTheExactSizeAndZeros) {
  auto file = this->Create(this->Path("a"));
  EXPECT_OK(file->Allocate(0));
  EXPECT_OK(file->Allocate(100000));
  EXPECT_OK(file->WriteAt(0, AsBytes("ab")));
  EXPECT_OK(file->Truncate(4));
  EXPECT_OK(file->Sync());
  EXPECT_OK(file->Close());
  EXPECT_EQ(ReadFile(this->storage(), this->Path("a")), std::string("ab\0\0", 4));
}

TYPED_TEST(FileConformanceTest, AllocateNeverShortensTheFile) {
  auto file = this->Create(this->Path("a"));
  EXPECT_OK(file->WriteAt(0, AsBytes("0123456789")));
  EXPECT_OK(file->Allocate(2));
  EXPECT_OK(file->Close());
  EXPECT_EQ(ReadFile(this->storage(), this->Path("a")), "0123456789");
}

TYPED_TEST(FileConformanceTest, AClosedFileTakesNothingMore) {
  auto file = this->Create(this->Path("a"));
  EXPECT_OK(file->Close());
  ExpectSystemError(file->WriteAt(0, AsBytes("x")), EBADF, this->Path("a"));
  ExpectSystemError(file->Truncate(1), EBADF, this->Path("a"));
  ExpectSystemError(file->Allocate(1), EBADF, this->Path("a"));
  ExpectSystemError(file->Sync(), EBADF, this->Path("a"));
}

TYPED_TEST(FileConformanceTest, EightThreadsWriteRangesThatDoNotOverlap) {
  constexpr size_t kThreads = 8;
  constexpr size_t kPieces = 40;
  constexpr size_t kPiece = 100003;  // bytes: neither pages nor chunks are met
  auto file = this->Create(this->Path("a"));
  std::vector<std::thread> threads;
  for (size_t thread = 0; thread < kThreads; ++thread) {
    threads.emplace_back([&file, thread] {
      for (size_t piece = thread; piece < kPieces; piece += kThreads) {
        const std::string text(kPiece, static_cast<char>('A' + piece));
        EXPECT_OK(file->WriteAt(piece * kPiece, AsBytes(text)));
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_OK(file->Close());
  const std::string found = ReadFile(this->storage(), this->Path("a"));
  ASSERT_EQ(found.size(), kPieces * kPiece);
  for (size_t piece = 0; piece < kPieces; ++piece) {
    const std::string expected(kPiece, static_cast<char>('A' + piece));
    EXPECT_TRUE(found.compare(piece * kPiece, kPiece, expected) == 0) << "piece " << piece;
  }
}

TYPED_TEST(FileConformanceTest, EightThreadsReadOneFile) {
  const std::string text(300000, 'r');
  WriteFile(this->storage(), this->Path("a"), text);
  const auto reader = this->Open(this->Path("a"));
  std::array<std::thread, 8> threads;
  for (std::thread& thread : threads) {
    thread = std::thread([&] { EXPECT_TRUE(Read(*reader, 0, text.size()) == text); });
  }
  for (std::thread& thread : threads) thread.join();
}

TYPED_TEST(FileConformanceTest, AMapIsTheWholeFile) {
  WriteFile(this->storage(), this->Path("a"), "0123456789");
  WriteFile(this->storage(), this->Path("empty"), "");
  const auto mapped = this->storage().Map(this->Path("a"), MapAccess::kReadOnly);
  ASSERT_OK(mapped.status());
  EXPECT_EQ((*mapped)->path(), this->Path("a"));
  const auto bytes = (*mapped)->View(0, (*mapped)->size());
  ASSERT_OK(bytes.status());
  EXPECT_EQ(AsText(*bytes), "0123456789");
  const Status outside = (*mapped)->View(8, 5).status();
  ExpectCode(outside, Code::kOutOfBounds, this->Path("a"));
  EXPECT_EQ(outside.offset(), 8u);
  const auto empty = this->storage().Map(this->Path("empty"), MapAccess::kPrivate);
  ASSERT_OK(empty.status());
  EXPECT_EQ((*empty)->size(), 0u);
}

TYPED_TEST(FileConformanceTest, APrivateMapIsItsOwnersAlone) {
  WriteFile(this->storage(), this->Path("a"), "0123");
  const auto mapped = this->storage().Map(this->Path("a"), MapAccess::kPrivate);
  ASSERT_OK(mapped.status());
  const auto bytes = (*mapped)->View(0, 4);
  ASSERT_OK(bytes.status());
  *const_cast<std::byte*>(bytes->data()) = std::byte{'x'};  // as the bindings let users do
  EXPECT_EQ(AsText(*bytes), "x123");
  EXPECT_EQ(ReadFile(this->storage(), this->Path("a")), "0123");
}

TYPED_TEST(FileConformanceTest, AMapKeepsItsBytesWhenTheNameGoes) {
  WriteFile(this->storage(), this->Path("a"), "old");
  const auto mapped = this->storage().Map(this->Path("a"), MapAccess::kReadOnly);
  ASSERT_OK(mapped.status());
  ASSERT_OK(this->storage().Remove(this->Path("a")));
  WriteFile(this->storage(), this->Path("a"), "new");
  const auto bytes = (*mapped)->View(0, 3);
  ASSERT_OK(bytes.status());
  EXPECT_EQ(AsText(*bytes), "old");
}

TYPED_TEST(FileConformanceTest, WhatIsNotAFileIsNotMapped) {
  const auto map = [this](const std::string& path) {
    return this->storage().Map(path, MapAccess::kReadOnly).status();
  };
  ExpectSystemError(map(this->Path("no")), ENOENT, this->Path("no"));
  ExpectCode(map(this->root()), Code::kNotRegularFile, this->root());
}

TYPED_TEST(FileConformanceTest, AnOpenFileKeepsItsBytesWhenItsNameGoes) {
  WriteFile(this->storage(), this->Path("a"), "old");
  const auto removed = this->Open(this->Path("a"));
  ASSERT_OK(this->storage().Remove(this->Path("a")));
  WriteFile(this->storage(), this->Path("a"), "newer");
  EXPECT_EQ(Read(*removed, 0, removed->size()), "old");
  const auto replaced = this->Open(this->Path("a"));
  WriteFile(this->storage(), this->Path("b"), "newest");
  ASSERT_OK(this->storage().Rename(this->Path("b"), this->Path("a")));
  EXPECT_EQ(Read(*replaced, 0, replaced->size()), "newer");
  EXPECT_EQ(ReadFile(this->storage(), this->Path("a")), "newest");
}

TYPED_TEST(FileConformanceTest, AFileUnderConstructionMayBeRenamed) {
  auto file = this->Create(this->Path("tmp"));
  EXPECT_OK(file->WriteAt(0, AsBytes("ab")));
  EXPECT_OK(this->storage().Rename(this->Path("tmp"), this->Path("final")));
  EXPECT_OK(file->WriteAt(2, AsBytes("cd")));
  EXPECT_OK(file->Close());
  EXPECT_EQ(ReadFile(this->storage(), this->Path("final")), "abcd");
}

}  // namespace
}  // namespace tensorbundle::io
