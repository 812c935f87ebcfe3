#include "io/faulty_storage.h"

#include <gtest/gtest.h>

#include <cerrno>

#include "io/aligned_buffer.h"
#include "io/memory_storage.h"
#include "io/storage_fixture.h"
#include "io/transfer_queue.h"

namespace tensorbundle::io {
namespace {

class FaultyStorageTest : public ::testing::Test {
 protected:
  const std::unique_ptr<Storage> base_ = MakeMemoryStorage();
  FaultyStorage storage_{*base_};
};

// Every kind of call once; the first failure, or OK.
Status UseEverything(Storage& storage) {
  TB_ASSIGN_OR_RETURN(const bool made, storage.MakeDirectory("d"));
  EXPECT_TRUE(made);
  TB_ASSIGN_OR_RETURN(const auto lock, storage.TryLock("d/lock"));
  TB_ASSIGN_OR_RETURN(auto file, storage.Create("d/tmp"));
  TB_RETURN_IF_ERROR(file->Allocate(8));
  TB_RETURN_IF_ERROR(file->WriteAt(2, AsBytes("abc")));
  TB_RETURN_IF_ERROR(file->Truncate(5));
  TB_RETURN_IF_ERROR(file->Sync());
  TB_RETURN_IF_ERROR(file->Close());
  TB_RETURN_IF_ERROR(storage.Rename("d/tmp", "d/f"));
  TB_RETURN_IF_ERROR(storage.SyncDirectory("d"));
  TB_ASSIGN_OR_RETURN(const bool exists, storage.Exists("d/f"));
  EXPECT_TRUE(exists);
  TB_ASSIGN_OR_RETURN(const auto reader, storage.OpenForRead("d/f"));
  std::string text(3, '?');
  TB_RETURN_IF_ERROR(reader->ReadAt(2, std::as_writable_bytes(std::span(text))));
  EXPECT_EQ(text, "abc");
  TB_ASSIGN_OR_RETURN(const auto mapped, storage.Map("d/f", MapAccess::kReadOnly));
  EXPECT_EQ(mapped->size(), 5u);
  TB_ASSIGN_OR_RETURN(const auto names, storage.List("d"));
  EXPECT_EQ(names.size(), 2u);
  TB_RETURN_IF_ERROR(storage.Remove("d/f"));
  TB_RETURN_IF_ERROR(storage.MakeDirectory("d/e").status());
  return storage.RemoveDirectory("d/e");
}

constexpr uint64_t kCallsOfUseEverything = 18;

TEST_F(FaultyStorageTest, WithoutAFaultItIsTheStorageItWraps) {
  EXPECT_OK(UseEverything(storage_));
  EXPECT_EQ(storage_.calls(), kCallsOfUseEverything);
  EXPECT_EQ(storage_.calls(Operation::kWrite), 1u);
  EXPECT_EQ(storage_.calls(Operation::kMakeDirectory), 2u);
}

TEST_F(FaultyStorageTest, TheLogSaysWhatWasAskedInOrder) {
  EXPECT_OK(UseEverything(storage_));
  const std::vector<Call> expected = {
      {Operation::kMakeDirectory, "d", 0, 0, ""},
      {Operation::kLock, "d/lock", 0, 0, ""},
      {Operation::kCreate, "d/tmp", 0, 0, ""},
      {Operation::kAllocate, "d/tmp", 0, 8, ""},
      {Operation::kWrite, "d/tmp", 2, 3, ""},
      {Operation::kTruncate, "d/tmp", 0, 5, ""},
      {Operation::kSync, "d/tmp", 0, 0, ""},
      {Operation::kClose, "d/tmp", 0, 0, ""},
      {Operation::kRename, "d/tmp", 0, 0, "d/f"},
      {Operation::kSyncDirectory, "d", 0, 0, ""},
      {Operation::kExists, "d/f", 0, 0, ""},
      {Operation::kOpen, "d/f", 0, 0, ""},
      {Operation::kRead, "d/f", 2, 3, ""},
      {Operation::kMap, "d/f", 0, 0, ""},
      {Operation::kList, "d", 0, 0, ""},
      {Operation::kRemove, "d/f", 0, 0, ""},
      {Operation::kMakeDirectory, "d/e", 0, 0, ""},
      {Operation::kRemoveDirectory, "d/e", 0, 0, ""},
  };
  EXPECT_EQ(storage_.log(), expected);
}

TEST_F(FaultyStorageTest, EachCallInTurnCanFail) {
  for (uint64_t k = 1; k <= kCallsOfUseEverything; ++k) {
    const auto base = MakeMemoryStorage();
    FaultyStorage storage(*base);
    storage.FailCall({.operation = {}, .nth = k, .error_number = ENOSPC});
    const Status status = UseEverything(storage);
    ASSERT_EQ(storage.calls(), k);
    const Call failed = storage.log().back();
    ExpectSystemError(status, ENOSPC, failed.path);
    EXPECT_NE(status.message().find(OperationName(failed.operation)), std::string::npos);
  }
}

TEST_F(FaultyStorageTest, ACallThatFailsHasNoEffect) {
  storage_.FailCall({.operation = Operation::kCreate, .nth = 1, .error_number = EIO});
  ExpectSystemError(storage_.Create("a").status(), EIO, "a");
  const auto exists = base_->Exists("a");
  ASSERT_OK(exists.status());
  EXPECT_FALSE(*exists);
}

TEST_F(FaultyStorageTest, OneFaultIsForOneCallOfItsKind) {
  storage_.FailCall({.operation = Operation::kWrite, .nth = 2, .error_number = EDQUOT});
  auto file = storage_.Create("a");
  ASSERT_OK(file.status());
  EXPECT_OK((*file)->WriteAt(0, AsBytes("x")));
  ExpectSystemError((*file)->WriteAt(1, AsBytes("x")), EDQUOT, "a");
  EXPECT_OK((*file)->WriteAt(1, AsBytes("y")));
}

TEST_F(FaultyStorageTest, AFaultForEverEndsOnlyWhenItIsCleared) {
  storage_.FailCall({.operation = {}, .nth = 2, .error_number = EROFS, .for_ever = true});
  auto file = storage_.Create("a");
  ASSERT_OK(file.status());
  ExpectSystemError((*file)->Sync(), EROFS, "a");
  ExpectSystemError((*file)->Close(), EROFS, "a");
  ExpectSystemError(storage_.Remove("a"), EROFS, "a");
  storage_.ClearFaults();
  EXPECT_OK(storage_.Remove("a"));
}

TEST_F(FaultyStorageTest, AFileMayOutliveTheStorageAndStillFail) {
  auto storage = std::make_unique<FaultyStorage>(*base_);
  storage->FailCall({.operation = Operation::kSync, .nth = 1, .error_number = EIO});
  auto file = storage->Create("a");
  ASSERT_OK(file.status());
  storage.reset();
  ExpectSystemError((*file)->Sync(), EIO, "a");
}

TEST_F(FaultyStorageTest, DirectFilesFailAsTheOthersDo) {
  storage_.FailCall({.operation = Operation::kCreate, .nth = 1, .error_number = ENOSPC});
  ExpectSystemError(storage_.CreateDirect("a").status(), ENOSPC, "a");
  ASSERT_OK(storage_.CreateDirect("a").status());
  storage_.FailCall({.operation = Operation::kOpen, .nth = 1, .error_number = EMFILE});
  ExpectSystemError(storage_.OpenDirect("a").status(), EMFILE, "a");
  EXPECT_OK(storage_.OpenDirect("a").status());
  EXPECT_EQ(storage_.calls(Operation::kCreate), 2u);
  EXPECT_EQ(storage_.calls(Operation::kOpen), 2u);
}

// Faults are met whichever storage is wrapped, even where the queue is a ring.
template <typename Kind>
class FaultyQueueTest : public StorageFixture<Kind> {};
TYPED_TEST_SUITE(FaultyQueueTest, StorageKinds, StorageKindNames);

TYPED_TEST(FaultyQueueTest, QueuedTransfersMeetTheFaults) {
  FaultyStorage storage(this->storage());
  storage.FailCall({.operation = Operation::kWrite, .nth = 2, .error_number = EIO});
  auto file = storage.CreateDirect(this->Path("a"));
  ASSERT_OK(file.status());
  const auto plain = this->storage().CreateDirect(this->Path("b"));
  ASSERT_OK(plain.status());
  EXPECT_EQ((*file)->granule(), (*plain)->granule());
  const auto memory = AlignedBuffer::Allocate(8192);
  ASSERT_OK(memory.status());
  const auto queue = storage.MakeQueue({});
  EXPECT_OK(queue->SubmitWrite(**file, 0, memory->bytes()).status());
  ExpectSystemError(queue->SubmitWrite(**file, 8192, memory->bytes()).status(), EIO,
                    this->Path("a"));
  ExpectSystemError(queue->WaitAll(), EIO, this->Path("a"));
  EXPECT_EQ(storage.calls(Operation::kWrite), 2u);
}

TYPED_TEST(FaultyQueueTest, QueuedReadsAreCounted) {
  WriteFile(this->storage(), this->Path("a"), std::string(8192, 'x'));
  FaultyStorage storage(this->storage());
  storage.FailCall({.operation = Operation::kRead, .nth = 1, .error_number = EIO});
  const auto file = storage.OpenDirect(this->Path("a"));
  ASSERT_OK(file.status());
  const auto memory = AlignedBuffer::Allocate(8192);
  ASSERT_OK(memory.status());
  const auto queue = storage.MakeQueue({});
  ExpectSystemError(queue->SubmitRead(**file, 0, memory->bytes()).status(), EIO,
                    this->Path("a"));
}

}  // namespace
}  // namespace tensorbundle::io
