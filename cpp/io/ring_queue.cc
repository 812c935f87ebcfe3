#include "io/ring_queue.h"

#include <algorithm>
#include <cassert>
#include <cerrno>
#include <deque>
#include <string>
#include <utility>
#include <vector>

#include "io/file_request.h"
#include "io/transfer.h"

namespace tensorbundle::io {
namespace {

// A request may come back undone (EINTR, EAGAIN).  So often in a row means that it
// always will.
constexpr uint32_t kMaxAttempts = 1000;

// A transfer, or a block of one.
struct Piece {
  TransferQueue::Ticket ticket = 0;
  const std::string* path = nullptr;  // the file's, which outlives the transfer
  bool is_write = false;
  uint64_t file_size = 0;  // of a file that is read: bytes, when it was opened
  int fd = -1;
  uint64_t offset = 0;
  MutableBytes memory;
  TransferGoal goal;
  Transferred done;
  uint32_t attempts = 0;  // in a row that moved nothing
};

Status OutcomeOf(const Piece& piece) {
  const auto operation = piece.is_write ? "io_uring write" : "io_uring read";
  const Request request = {operation,           *piece.path, piece.offset,
                           piece.memory.size(), piece.goal,  piece.file_size};
  return piece.is_write ? WriteOutcome(request, piece.done) : ReadOutcome(request, piece.done);
}

// The block at `position` of a transfer.
Piece BlockOf(const Piece& whole, uint64_t position, uint64_t block_size) {
  Piece block = whole;
  const uint64_t size = std::min<uint64_t>(block_size, whole.memory.size() - position);
  block.offset += position;
  block.memory = whole.memory.subspan(position, size);
  block.goal.needed = std::min(whole.goal.needed - position, size);
  return block;
}

class RingQueue final : public TransferQueue {
 public:
  RingQueue(std::unique_ptr<Ring> ring, const QueueOptions& options);
  RingQueue(const RingQueue&) = delete;
  RingQueue& operator=(const RingQueue&) = delete;
  ~RingQueue() override { static_cast<void>(WaitAll()); }

  Result<Ticket> SubmitWrite(WritableFile& file, uint64_t offset, Bytes bytes) override;
  Result<Ticket> SubmitRead(const ReadableFile& file, uint64_t offset,
                            MutableBytes out) override;
  Status Wait(Ticket ticket) override;
  Status WaitAll() override;

 private:
  void Record(Status status);  // keeps the first failure
  Ticket NewTicket();
  Result<Ticket> Finish(Status status);  // of a transfer that was done at once
  Result<Ticket> Start(Piece whole);
  void Launch(size_t slot);   // starts what remains of the piece in `slot`
  void Release(size_t slot);  // the piece there has ended
  void Reap();                // waits for one completion
  void GiveUp();              // the ring is broken

  const uint64_t block_size_;       // bytes
  std::unique_ptr<Ring> ring_;      // null once it is broken
  std::vector<Piece> slots_;        // by tag
  std::vector<size_t> free_;        // numbers of unused slots
  std::deque<uint64_t> in_flight_;  // pieces of each ticket from `oldest_` on
  Ticket oldest_ = 1;               // all before it are done
  Status status_;                   // the first failure, for good
};

RingQueue::RingQueue(std::unique_ptr<Ring> ring, const QueueOptions& options)
    : block_size_(options.block_size), ring_(std::move(ring)), slots_(options.depth) {
  for (size_t slot = 0; slot < slots_.size(); ++slot) free_.push_back(slot);
}

void RingQueue::Record(Status status) {
  if (status_.ok()) status_ = std::move(status);
}

TransferQueue::Ticket RingQueue::NewTicket() {
  in_flight_.push_back(0);
  return oldest_ + in_flight_.size() - 1;
}

Result<TransferQueue::Ticket> RingQueue::Finish(Status status) {
  Record(std::move(status));
  TB_RETURN_IF_ERROR(status_);
  return NewTicket();
}

Result<TransferQueue::Ticket> RingQueue::SubmitWrite(WritableFile& file, uint64_t offset,
                                                     Bytes bytes) {
  TB_RETURN_IF_ERROR(status_);
  if (file.descriptor() < 0) return Finish(file.WriteAt(offset, bytes));
  const Result<TransferGoal> goal = CheckWrite(file, offset, bytes);
  if (!goal.ok()) return Finish(goal.status());
  Piece whole;
  whole.path = &file.path();
  whole.is_write = true;
  whole.fd = file.descriptor();
  whole.offset = offset;
  // One type for both directions; a write only reads it.
  whole.memory = MutableBytes(const_cast<std::byte*>(bytes.data()), bytes.size());
  whole.goal = *goal;
  return Start(whole);
}

Result<TransferQueue::Ticket> RingQueue::SubmitRead(const ReadableFile& file, uint64_t offset,
                                                    MutableBytes out) {
  TB_RETURN_IF_ERROR(status_);
  if (file.descriptor() < 0) return Finish(file.ReadAt(offset, out));
  const Result<TransferGoal> goal = CheckRead(file, offset, out);
  if (!goal.ok()) return Finish(goal.status());
  Piece whole;
  whole.path = &file.path();
  whole.file_size = file.size();
  whole.fd = file.descriptor();
  whole.offset = offset;
  whole.memory = out;
  whole.goal = *goal;
  return Start(whole);
}

Result<TransferQueue::Ticket> RingQueue::Start(Piece whole) {
  whole.ticket = NewTicket();
  const uint64_t block_size = std::max(block_size_, whole.goal.granule);
  for (uint64_t at = 0; at < whole.goal.needed && status_.ok(); at += block_size) {
    while (free_.empty()) Reap();
    if (!status_.ok()) break;
    const size_t slot = free_.back();
    free_.pop_back();
    slots_[slot] = BlockOf(whole, at, block_size);
    ++in_flight_[whole.ticket - oldest_];
    Launch(slot);
  }
  // Without a ticket nobody could wait for the blocks that were started.
  if (!status_.ok()) return WaitAll();
  return whole.ticket;
}

void RingQueue::Launch(size_t slot) {
  const Piece& piece = slots_[slot];
  Status started = ring_->Submit({piece.is_write, piece.fd, piece.offset + piece.done.size,
                                  piece.memory.subspan(piece.done.size), slot});
  if (started.ok()) return;
  Record(std::move(started).WithPath(*piece.path).WithOffset(piece.offset + piece.done.size));
  Release(slot);
}

void RingQueue::Release(size_t slot) {
  free_.push_back(slot);
  --in_flight_[slots_[slot].ticket - oldest_];
}

void RingQueue::Reap() {
  const Result<RingCompletion> completion = ring_->Wait();
  if (!completion.ok()) {
    Record(completion.status());
    return GiveUp();
  }
  const auto slot = static_cast<size_t>(completion->tag);
  Piece& piece = slots_[slot];
  const int64_t answer = completion->answer;
  const bool undone = answer == -EINTR || answer == -EAGAIN;
  piece.attempts = undone ? piece.attempts + 1 : 0;
  if (!undone || piece.attempts >= kMaxAttempts) Advance(piece.done, answer, piece.goal);
  // After a failure nothing is started any more, not even the rest of a piece.
  if (!piece.done.ended && status_.ok()) return Launch(slot);
  if (piece.done.ended) Record(OutcomeOf(piece));
  Release(slot);
}

void RingQueue::GiveUp() {
  ring_.reset();
  std::fill(in_flight_.begin(), in_flight_.end(), 0);
  free_.clear();
  for (size_t slot = 0; slot < slots_.size(); ++slot) free_.push_back(slot);
}

Status RingQueue::Wait(Ticket ticket) {
  assert(ticket < oldest_ + in_flight_.size());
  while (ticket >= oldest_ && ticket - oldest_ < in_flight_.size() &&
         in_flight_[ticket - oldest_] > 0) {
    Reap();
  }
  for (; !in_flight_.empty() && in_flight_.front() == 0; ++oldest_) in_flight_.pop_front();
  return status_;
}

Status RingQueue::WaitAll() {
  while (free_.size() < slots_.size()) Reap();
  oldest_ += in_flight_.size();
  in_flight_.clear();
  return status_;
}

}  // namespace

std::unique_ptr<TransferQueue> MakeRingQueue(std::unique_ptr<Ring> ring,
                                             const QueueOptions& options) {
  return std::make_unique<RingQueue>(std::move(ring), options);
}

std::unique_ptr<TransferQueue> MakeRingQueue(const RingFactory& make_ring,
                                             const QueueOptions& options) {
  Result<std::unique_ptr<Ring>> ring = make_ring(options.depth);
  if (!ring.ok()) return MakeSynchronousQueue(ring.status().message());
  return MakeRingQueue(std::move(*ring), options);
}

UringSupport ProbeRing(const RingFactory& make_ring) {
  const Status status = make_ring(QueueOptions().depth).status();
  return {status.ok(), status.message()};
}

}  // namespace tensorbundle::io
