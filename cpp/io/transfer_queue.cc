#include "io/transfer_queue.h"

#include <utility>

namespace tensorbundle::io {
namespace {

class SynchronousQueue final : public TransferQueue {
 public:
  explicit SynchronousQueue(std::string reason) : reason_(std::move(reason)) {}

  Result<Ticket> SubmitWrite(WritableFile& file, uint64_t offset, Bytes bytes) override {
    if (status_.ok()) status_ = file.WriteAt(offset, bytes);
    return NextTicket();
  }
  Result<Ticket> SubmitRead(const ReadableFile& file, uint64_t offset,
                            MutableBytes out) override {
    if (status_.ok()) status_ = file.ReadAt(offset, out);
    return NextTicket();
  }
  Status Wait(Ticket /*ticket*/) override { return status_; }
  Status WaitAll() override { return status_; }
  bool is_synchronous() const override { return true; }
  std::string synchronous_reason() const override { return reason_; }

 private:
  Result<Ticket> NextTicket() {
    TB_RETURN_IF_ERROR(status_);
    return ++last_;
  }

  const std::string reason_;
  Status status_;  // the first failure, for good
  Ticket last_ = 0;
};

}  // namespace

std::unique_ptr<TransferQueue> MakeSynchronousQueue(std::string reason) {
  return std::make_unique<SynchronousQueue>(std::move(reason));
}

}  // namespace tensorbundle::io
