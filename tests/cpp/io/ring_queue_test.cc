// The logic of the queue, on a ring whose every answer a test decides.

#include "io/ring_queue.h"

#include <gtest/gtest.h>

#include <cerrno>
#include <deque>
#include <string>
#include <vector>

#include "io/aligned_buffer.h"
#include "io/scripted_ring.h"
#include "io/storage_fixture.h"

namespace tensorbundle::io {
namespace {

constexpr uint32_t kDepth = 3;
constexpr uint64_t kBlockSize = 4u << 20;  // bytes

class RingQueueTest : public ::testing::Test {
 protected:
  // The (offset, size) of every request so far.
  std::vector<std::pair<uint64_t, uint64_t>> Started() const {
    std::vector<std::pair<uint64_t, uint64_t>> started;
    for (const RingRequest& request : log_.started) {
      started.emplace_back(request.offset, request.memory.size());
    }
    return started;
  }
  TransferQueue::Ticket Write(uint64_t offset, uint64_t size) {
    const auto ticket = queue_->SubmitWrite(file_, offset, memory_.bytes().first(size));
    EXPECT_OK(ticket.status());
    return ticket.ok() ? *ticket : 0;
  }

  RingLog log_;
  const AlignedBuffer memory_ = std::move(*AlignedBuffer::Allocate(5 * kBlockSize));
  FakeWritable file_;
  std::unique_ptr<TransferQueue> queue_ =
      MakeRingQueue(std::make_unique<ScriptedRing>(log_), {kDepth, kBlockSize});
};

using Requests = std::vector<std::pair<uint64_t, uint64_t>>;

TEST_F(RingQueueTest, ARequestSaysWhatTheCallerSaid) {
  const auto ticket = queue_->SubmitWrite(file_, 100, memory_.bytes().subspan(5, 50));
  ASSERT_OK(ticket.status());
  ASSERT_EQ(log_.started.size(), 1u);
  EXPECT_TRUE(log_.started[0].is_write);
  EXPECT_EQ(log_.started[0].fd, 8);
  EXPECT_EQ(log_.started[0].offset, 100u);
  EXPECT_EQ(log_.started[0].memory.data(), memory_.bytes().subspan(5).data());
  EXPECT_EQ(log_.started[0].memory.size(), 50u);
  const FakeReadable reader(1000, {});
  ASSERT_OK(queue_->SubmitRead(reader, 10, memory_.bytes().first(20)).status());
  EXPECT_FALSE(log_.started[1].is_write);
  EXPECT_EQ(log_.started[1].fd, 7);
  EXPECT_OK(queue_->WaitAll());
}

TEST_F(RingQueueTest, ATransferIsCutIntoBlocksAndNoMoreAreInFlightThanTheRingHolds) {
  const auto ticket = Write(64, 4 * kBlockSize + 9);
  EXPECT_EQ(Started(), Requests({{64, kBlockSize},
                                 {64 + kBlockSize, kBlockSize},
                                 {64 + 2 * kBlockSize, kBlockSize},
                                 {64 + 3 * kBlockSize, kBlockSize},
                                 {64 + 4 * kBlockSize, 9}}));
  EXPECT_EQ(log_.in_flight, kDepth);
  EXPECT_OK(queue_->Wait(ticket));
  EXPECT_EQ(log_.in_flight, 0u);
}

TEST_F(RingQueueTest, WaitLeavesWhatCameLaterInFlight) {
  const auto first = Write(0, 10);
  const auto second = Write(10, 10);
  Write(20, 10);
  EXPECT_OK(queue_->Wait(second));
  EXPECT_EQ(log_.in_flight, 1u);
  EXPECT_OK(queue_->Wait(first));
  EXPECT_EQ(log_.in_flight, 1u);
}

TEST_F(RingQueueTest, WaitIsForThatTransferThoughLaterOnesEndFirst) {
  log_.newest_first = true;
  const auto first = Write(0, 10);
  const auto second = Write(10, 10);
  EXPECT_OK(queue_->Wait(second));
  EXPECT_EQ(log_.in_flight, 1u);
  EXPECT_OK(queue_->Wait(first));
  EXPECT_EQ(log_.in_flight, 0u);
  EXPECT_EQ(Write(20, 10), 3u);
}

TEST_F(RingQueueTest, AShortAnswerIsStartedAgainForTheRest) {
  log_.answers = {40, 50, 10};
  EXPECT_OK(queue_->Wait(Write(1000, 100)));
  EXPECT_EQ(Started(), Requests({{1000, 100}, {1040, 60}, {1090, 10}}));
  EXPECT_EQ(log_.started[2].memory.data(), memory_.bytes().subspan(90).data());
}

TEST_F(RingQueueTest, AnAnswerInsideAGranuleIsStartedAgainFromItsBegin) {
  log_.answers = {1500, 3072};
  const FakeReadable reader(4096, {512, 512});
  ASSERT_OK(queue_->SubmitRead(reader, 0, memory_.bytes().first(4096)).status());
  EXPECT_OK(queue_->WaitAll());
  EXPECT_EQ(Started(), Requests({{0, 4096}, {1024, 3072}}));
}

TEST_F(RingQueueTest, InterruptedRequestsAreStartedAgain) {
  log_.answers = {-EINTR, -EAGAIN, 30, -EAGAIN, 70};
  EXPECT_OK(queue_->Wait(Write(0, 100)));
  EXPECT_EQ(Started(), Requests({{0, 100}, {0, 100}, {0, 100}, {30, 70}, {30, 70}}));
}

TEST_F(RingQueueTest, ARequestThatNeverGetsAnywhereIsAnError) {
  log_.answers = std::deque<int64_t>(100000, -EAGAIN);
  const Status status = queue_->Wait(Write(0, 100));
  ExpectSystemError(status, EAGAIN, "/fake");
  EXPECT_LT(log_.started.size(), 100000u);
}

TEST_F(RingQueueTest, AFailureSaysOperationPathAndPlace) {
  log_.answers = {40, -EIO};
  const Status status = queue_->Wait(Write(1000, 100));
  ExpectSystemError(status, EIO, "/fake");
  EXPECT_EQ(status.offset(), 1040u);
  EXPECT_NE(status.message().find("io_uring write"), std::string::npos);
}

TEST_F(RingQueueTest, AWriteThatTakesNothingIsAnError) {
  log_.answers = {0};
  ExpectSystemError(queue_->Wait(Write(0, 100)), EIO, "/fake");
}

TEST_F(RingQueueTest, AReadThatEndsEarlyIsTold) {
  log_.answers = {512, 100, 0};
  const FakeReadable reader(4000, {512, 512});
  ASSERT_OK(queue_->SubmitRead(reader, 0, memory_.bytes().first(4096)).status());
  const Status status = queue_->WaitAll();
  ExpectCode(status, Code::kConcurrentModification, "/fake");
  EXPECT_EQ(status.message(),
            "expected 4000 bytes, found 612 before the end of the file, which had 4000 bytes "
            "when it was opened");
}

TEST_F(RingQueueTest, AReadToTheEndNeedsOnlyWhatTheFileHas) {
  log_.answers = {4000};
  const FakeReadable reader(4000, {512, 512});
  ASSERT_OK(queue_->SubmitRead(reader, 0, memory_.bytes().first(4096)).status());
  EXPECT_OK(queue_->WaitAll());
  EXPECT_EQ(log_.started.size(), 1u);
}

TEST_F(RingQueueTest, AfterAFailureNothingIsStartedButAllIsWaitedFor) {
  log_.answers = {-ENOSPC, 5, 10};
  const auto first = Write(0, 10);
  const auto second = Write(10, 10);
  Write(20, 10);
  ExpectSystemError(queue_->Wait(first), ENOSPC, "/fake");
  EXPECT_EQ(queue_->SubmitWrite(file_, 30, memory_.bytes().first(10)).status().error_number(),
            ENOSPC);
  EXPECT_EQ(log_.in_flight, 2u);
  ExpectSystemError(queue_->Wait(second), ENOSPC, "/fake");  // short, and not started again
  EXPECT_EQ(log_.in_flight, 1u);
  ExpectSystemError(queue_->WaitAll(), ENOSPC, "/fake");
  EXPECT_EQ(log_.in_flight, 0u);
  EXPECT_EQ(log_.started.size(), 3u);
}

TEST_F(RingQueueTest, OfSeveralFailuresTheFirstIsTold) {
  log_.answers = {-ENOSPC, -EIO};
  Write(0, 10);
  Write(10, 10);
  ExpectSystemError(queue_->WaitAll(), ENOSPC, "/fake");
  EXPECT_EQ(queue_->WaitAll().offset(), 0u);
}

TEST_F(RingQueueTest, ATransferThatCannotBeStartedWholeLeavesNothingInFlight) {
  log_.answers = {-EIO};
  const Status status =
      queue_->SubmitWrite(file_, 0, memory_.bytes().first(5 * kBlockSize)).status();
  ExpectSystemError(status, EIO, "/fake");
  EXPECT_EQ(log_.in_flight, 0u);
  EXPECT_EQ(log_.started.size(), kDepth);
}

TEST_F(RingQueueTest, ARingThatRefusesARequestIsAFailureOfTheTransfer) {
  Write(0, 10);
  log_.submit_error = ENOMEM;
  const Status status = queue_->SubmitWrite(file_, 10, memory_.bytes().first(10)).status();
  ExpectSystemError(status, ENOMEM, "/fake");
  EXPECT_EQ(status.offset(), 10u);
  EXPECT_EQ(log_.in_flight, 0u);
}

TEST_F(RingQueueTest, ABrokenRingIsReportedAndNotWaitedForAgain) {
  const auto ticket = Write(0, 10);
  log_.wait_error = EBADF;
  EXPECT_EQ(queue_->Wait(ticket).error_number(), EBADF);
  EXPECT_EQ(queue_->WaitAll().error_number(), EBADF);
  EXPECT_EQ(queue_->SubmitWrite(file_, 0, memory_.bytes().first(1)).status().error_number(),
            EBADF);
}

TEST_F(RingQueueTest, TheDestructorDrains) {
  log_.answers = {5, 5, 5, 5};
  Write(0, 10);
  Write(10, 10);
  queue_.reset();
  EXPECT_EQ(log_.in_flight, 0u);
  EXPECT_FALSE(log_.destroyed_in_flight);
  EXPECT_EQ(log_.started.size(), 4u);
}

TEST_F(RingQueueTest, ManyTicketsInRandomOrderAreKeptApart) {
  log_.newest_first = true;
  for (uint64_t round = 0; round < 1000; ++round) {
    const auto ticket = Write(round * 10, 10);
    EXPECT_EQ(ticket, round + 1);
    const Status waited = round % 3 == 0 ? queue_->Wait(ticket - ticket % 2) : Status();
    EXPECT_OK(waited);
  }
  EXPECT_OK(queue_->WaitAll());
  EXPECT_EQ(log_.in_flight, 0u);
}

Result<std::unique_ptr<Ring>> Forbidden(uint32_t /*depth*/) {
  return Status::System(EPERM, "io_uring_setup", "");
}

TEST(RingFactoryTest, WhereNoRingIsGrantedTheQueueIsSynchronous) {
  const auto queue = MakeRingQueue(Forbidden, {});
  ASSERT_NE(queue, nullptr);
  EXPECT_TRUE(queue->is_synchronous());
  EXPECT_EQ(queue->synchronous_reason(), "io_uring_setup: Operation not permitted");
  const auto storage = MakeMemoryStorage();
  const auto file = storage->Create("/a");
  ASSERT_OK(queue->SubmitWrite(**file, 0, AsBytes("abc")).status());
  EXPECT_EQ(ReadFile(*storage, "/a"), "abc");
}

TEST(RingFactoryTest, TheProbeSaysWhyThereIsNoRing) {
  const UringSupport support = ProbeRing(Forbidden);
  EXPECT_FALSE(support.available);
  EXPECT_EQ(support.reason, "io_uring_setup: Operation not permitted");
}

TEST(RingFactoryTest, TheProbeIsForAsManyTransfersAsAQueueUses) {
  RingLog log;
  uint32_t asked = 0;
  const UringSupport support = ProbeRing([&](uint32_t depth) {
    asked = depth;
    return Result<std::unique_ptr<Ring>>(std::make_unique<ScriptedRing>(log));
  });
  EXPECT_TRUE(support.available);
  EXPECT_EQ(support.reason, "");
  EXPECT_EQ(asked, QueueOptions().depth);
}

}  // namespace
}  // namespace tensorbundle::io
