// What every Storage promises of the queues it makes, with the files meant for them.

#include <array>
#include <cerrno>
#include <cstring>
#include <string>
#include <thread>
#include <vector>

#include "base/alignment.h"
#include "io/aligned_buffer.h"
#include "io/ring_queue.h"
#include "io/storage_fixture.h"
#include "io/transfer_queue.h"

namespace tensorbundle::io {
namespace {

// A multiple of every granule there is, and of a page.
constexpr uint64_t kUnit = 4096;

constexpr uint64_t kBlockSize = QueueOptions().block_size;

// Bytes that depend on where they stand, so that a block in the wrong place is seen.
void Fill(MutableBytes bytes, uint64_t offset) {
  for (uint64_t at = 0; at + 8 <= bytes.size(); at += 8) {
    const uint64_t word = (offset + at) * 0x9E3779B97F4A7C15u;
    std::memcpy(bytes.subspan(at).data(), &word, 8);
  }
}

bool IsFilled(Bytes bytes, uint64_t offset) {
  for (uint64_t at = 0; at + 8 <= bytes.size(); at += 8) {
    const uint64_t word = (offset + at) * 0x9E3779B97F4A7C15u;
    if (std::memcmp(bytes.subspan(at).data(), &word, 8) != 0) return false;
  }
  return true;
}

AlignedBuffer Memory(uint64_t size) {
  auto memory = AlignedBuffer::Allocate(size);
  EXPECT_OK(memory.status());
  return std::move(*memory);
}

template <typename Kind>
class QueueConformanceTest : public StorageFixture<Kind> {
 protected:
  std::unique_ptr<WritableFile> Create(const std::string& name) {
    auto file = this->storage().CreateDirect(this->Path(name));
    EXPECT_OK(file.status());
    return std::move(*file);
  }
  std::unique_ptr<ReadableFile> Open(const std::string& name) {
    auto file = this->storage().OpenDirect(this->Path(name));
    EXPECT_OK(file.status());
    return std::move(*file);
  }
  // A file of `size` bytes, filled.
  void Prepare(const std::string& name, uint64_t size) {
    const AlignedBuffer memory = Memory(AlignUp(size, kUnit));
    Fill(memory.bytes(), 0);
    const auto file = this->storage().Create(this->Path(name));
    ASSERT_OK(file.status());
    ASSERT_OK((*file)->WriteAt(0, memory.bytes().first(size)));
    ASSERT_OK((*file)->Close());
  }
};
TYPED_TEST_SUITE(QueueConformanceTest, StorageKinds, StorageKindNames);

TYPED_TEST(QueueConformanceTest, TicketsAscendByOne) {
  const auto file = this->Create("a");
  const AlignedBuffer memory = Memory(kUnit);
  const auto queue = this->storage().MakeQueue({});
  for (uint64_t expected = 1; expected <= 100; ++expected) {
    const auto ticket = queue->SubmitWrite(*file, expected * kUnit, memory.bytes());
    ASSERT_OK(ticket.status());
    EXPECT_EQ(*ticket, expected);
    ASSERT_OK(expected % 7 == 0 ? queue->Wait(expected - 3) : Status());
  }
  EXPECT_OK(queue->WaitAll());
}

// Sizes around the block at which a transfer is cut.
TYPED_TEST(QueueConformanceTest, TransfersOfEverySizeArriveWhole) {
  const std::array<uint64_t, 6> sizes = {kUnit,
                                         kBlockSize - kUnit,
                                         kBlockSize,
                                         kBlockSize + kUnit,
                                         2 * kBlockSize + kUnit,
                                         2 * kBlockSize};
  uint64_t total = 0;
  for (const uint64_t size : sizes) total += size;
  const AlignedBuffer memory = Memory(total);
  Fill(memory.bytes(), 0);
  const auto file = this->Create("a");
  ASSERT_OK(file->Allocate(total));
  {
    const auto queue = this->storage().MakeQueue({});
    uint64_t offset = 0;
    for (const uint64_t size : sizes) {
      ASSERT_OK(
          queue->SubmitWrite(*file, offset, memory.bytes().subspan(offset, size)).status());
      offset += size;
    }
    ASSERT_OK(queue->WaitAll());
  }
  ASSERT_OK(file->Truncate(total));
  ASSERT_OK(file->Sync());
  ASSERT_OK(file->Close());
  const auto reader = this->Open("a");
  const AlignedBuffer found = Memory(total);
  const auto queue = this->storage().MakeQueue({});
  ASSERT_OK(queue->SubmitRead(*reader, 0, found.bytes()).status());
  ASSERT_OK(queue->Wait(1));
  EXPECT_TRUE(IsFilled(found.bytes(), 0));
}

TYPED_TEST(QueueConformanceTest, WhatWasWaitedForIsThereThoughOthersAreInFlight) {
  constexpr uint64_t kBlocks = 64;
  this->Prepare("a", kBlocks * kUnit);
  const auto file = this->Open("a");
  const AlignedBuffer found = Memory(kBlocks * kUnit);
  const auto queue = this->storage().MakeQueue({});
  for (uint64_t block = 0; block < kBlocks; ++block) {
    const uint64_t at = block * kUnit;
    ASSERT_OK(queue->SubmitRead(*file, at, found.bytes().subspan(at, kUnit)).status());
  }
  for (uint64_t block = kBlocks; block-- > 0;) {  // in no natural order
    ASSERT_OK(queue->Wait(block + 1));
    EXPECT_TRUE(IsFilled(found.bytes().subspan(block * kUnit, kUnit), block * kUnit)) << block;
  }
}

TYPED_TEST(QueueConformanceTest, TheLastGranuleMayBeReadWhole) {
  for (const uint64_t size : {uint64_t{8}, uint64_t{520}, 3 * kUnit - 8, 3 * kUnit}) {
    const std::string name = std::to_string(size);
    this->Prepare(name, size);
    const auto file = this->Open(name);
    EXPECT_EQ(file->size(), size);
    const AlignedBuffer found = Memory(4 * kUnit);
    const uint64_t whole = AlignUp(size, file->granule().offset);
    const auto queue = this->storage().MakeQueue({});
    ASSERT_OK(queue->SubmitRead(*file, 0, found.bytes().first(whole)).status());
    ASSERT_OK(queue->WaitAll());
    EXPECT_TRUE(IsFilled(found.bytes().first(size), 0));
    EXPECT_OK(file->ReadAt(0, found.bytes().first(whole)));
    EXPECT_TRUE(IsFilled(found.bytes().first(size), 0));
  }
}

TYPED_TEST(QueueConformanceTest, ReadingBeyondTheLastGranuleIsOutOfBounds) {
  this->Prepare("a", kUnit + 8);
  const auto file = this->Open("a");
  const uint64_t granule = std::max<uint64_t>(file->granule().offset, 8);
  const AlignedBuffer found = Memory(4 * kUnit);
  const auto read = [&](uint64_t offset, uint64_t size) {
    const auto queue = this->storage().MakeQueue({});
    const Status submitted =
        queue->SubmitRead(*file, offset, found.bytes().first(size)).status();
    const Status waited = queue->WaitAll();
    EXPECT_TRUE(submitted.ok() || submitted.code() == waited.code());
    return waited;
  };
  EXPECT_OK(read(kUnit, granule));
  const uint64_t end = kUnit + AlignUp(8, granule);
  ExpectCode(read(0, end + granule), Code::kOutOfBounds, this->Path("a"));
  ExpectCode(read(end, granule), Code::kOutOfBounds, this->Path("a"));
  ExpectCode(read(uint64_t{1} << 63, granule), Code::kOutOfBounds, this->Path("a"));
  ExpectCode(file->ReadAt(end, found.bytes().first(granule)), Code::kOutOfBounds,
             this->Path("a"));
}

TYPED_TEST(QueueConformanceTest, TheFirstFailureIsForGood) {
  this->Prepare("a", kUnit);
  const auto file = this->Open("a");
  const AlignedBuffer memory = Memory(2 * kUnit);
  const auto queue = this->storage().MakeQueue({});
  const auto good = queue->SubmitRead(*file, 0, memory.bytes().first(kUnit));
  ASSERT_OK(good.status());
  ASSERT_OK(queue->Wait(*good));
  const auto failed = queue->SubmitRead(*file, kUnit, memory.bytes().first(kUnit));
  EXPECT_FALSE(failed.ok() && queue->Wait(*failed).ok());
  for (int repeat = 0; repeat < 2; ++repeat) {
    ExpectCode(queue->SubmitRead(*file, 0, memory.bytes().first(kUnit)).status(),
               Code::kOutOfBounds, this->Path("a"));
    ExpectCode(queue->Wait(*good), Code::kOutOfBounds, this->Path("a"));
    ExpectCode(queue->WaitAll(), Code::kOutOfBounds, this->Path("a"));
  }
  EXPECT_OK(file->ReadAt(0, memory.bytes().first(kUnit)));  // the file is as good as ever
}

TYPED_TEST(QueueConformanceTest, AClosedFileTakesNothing) {
  const auto file = this->Create("a");
  ASSERT_OK(file->Close());
  const AlignedBuffer memory = Memory(kUnit);
  const auto queue = this->storage().MakeQueue({});
  ExpectSystemError(queue->SubmitWrite(*file, 0, memory.bytes()).status(), EBADF,
                    this->Path("a"));
}

TYPED_TEST(QueueConformanceTest, WritesThatNoFileCanHoldAreRefused) {
  const auto file = this->Create("a");
  const AlignedBuffer memory = Memory(kUnit);
  const auto queue = this->storage().MakeQueue({});
  ExpectSystemError(
      queue->SubmitWrite(*file, (uint64_t{1} << 63) - kUnit, memory.bytes()).status(), EFBIG,
      this->Path("a"));
}

TYPED_TEST(QueueConformanceTest, NoBytesAreDoneAtOnce) {
  const auto file = this->Create("a");
  const auto queue = this->storage().MakeQueue({});
  const auto ticket = queue->SubmitWrite(*file, 0, Bytes());
  ASSERT_OK(ticket.status());
  EXPECT_OK(queue->Wait(*ticket));
  EXPECT_OK(file->Close());
  EXPECT_EQ(this->Open("a")->size(), 0u);
}

TYPED_TEST(QueueConformanceTest, TheDestructorWaitsForWhatIsInFlight) {
  constexpr uint64_t kSize = uint64_t{24} << 20;
  const AlignedBuffer memory = Memory(kSize);
  Fill(memory.bytes(), 0);
  const auto file = this->Create("a");
  {
    const auto queue = this->storage().MakeQueue({});
    ASSERT_OK(queue->SubmitWrite(*file, 0, memory.bytes()).status());
  }
  // The memory is ours again: what is done to it now must not reach the file.
  std::memset(memory.bytes().data(), 0, kSize);
  ASSERT_OK(file->Close());
  const auto reader = this->Open("a");
  ASSERT_EQ(reader->size(), kSize);
  ASSERT_OK(reader->ReadAt(0, memory.bytes()));
  EXPECT_TRUE(IsFilled(memory.bytes(), 0));
}

TYPED_TEST(QueueConformanceTest, EightQueuesWriteOneFileAndEightReadIt) {
  constexpr uint64_t kThreads = 8;
  constexpr uint64_t kBlock = 3 * kUnit;
  constexpr uint64_t kBlocks = 512;
  const AlignedBuffer memory = Memory(kBlocks * kBlock);
  Fill(memory.bytes(), 0);
  const auto in_parallel = [&](auto transfer) {
    std::vector<std::thread> threads;
    for (uint64_t thread = 0; thread < kThreads; ++thread) {
      threads.emplace_back([&, thread] {
        const auto queue = this->storage().MakeQueue({});
        for (uint64_t block = thread; block < kBlocks; block += kThreads) {
          EXPECT_OK(transfer(*queue, block * kBlock).status());
        }
        EXPECT_OK(queue->WaitAll());
      });
    }
    for (std::thread& thread : threads) thread.join();
  };
  const auto file = this->Create("a");
  in_parallel([&](TransferQueue& queue, uint64_t at) {
    return queue.SubmitWrite(*file, at, memory.bytes().subspan(at, kBlock));
  });
  ASSERT_OK(file->Close());
  std::memset(memory.bytes().data(), 0, memory.size());
  const auto reader = this->Open("a");
  in_parallel([&](TransferQueue& queue, uint64_t at) {
    return queue.SubmitRead(*reader, at, memory.bytes().subspan(at, kBlock));
  });
  EXPECT_TRUE(IsFilled(memory.bytes(), 0));
}

TYPED_TEST(QueueConformanceTest, AQueueServesTheFilesOfAnotherStorage) {
  const auto other = MakeMemoryStorage();
  const AlignedBuffer memory = Memory(2 * kUnit);
  Fill(memory.bytes(), 0);
  const auto theirs = other->Create("/a");
  ASSERT_OK(theirs.status());
  const auto ours = this->Create("a");
  const auto queue = this->storage().MakeQueue({});
  ASSERT_OK(queue->SubmitWrite(**theirs, 3, memory.bytes().subspan(0, 1001)).status());
  ASSERT_OK(queue->SubmitWrite(*ours, 0, memory.bytes()).status());
  ASSERT_OK(queue->WaitAll());
  EXPECT_TRUE(ReadFile(*other, "/a") ==
              std::string(3, '\0') + std::string(AsText(memory.bytes().first(1001))));
  EXPECT_TRUE(ReadFile(this->storage(), this->Path("a")) == AsText(memory.bytes()));
}

}  // namespace
}  // namespace tensorbundle::io
