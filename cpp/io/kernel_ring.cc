#include "io/kernel_ring.h"

#include <cerrno>
#include <utility>

#ifdef TENSORBUNDLE_HAVE_URING

#include <liburing.h>

#ifdef __SANITIZE_THREAD__
#include <sanitizer/tsan_interface.h>
#endif

// Headers older than the kernel: linux/io_uring.h.
#ifndef IORING_SETUP_R_DISABLED
#define IORING_SETUP_R_DISABLED (1U << 6)  // Linux 5.10
#endif
#ifndef IORING_SETUP_SINGLE_ISSUER
#define IORING_SETUP_SINGLE_ISSUER (1U << 12)  // Linux 6.0
#endif
#ifndef IORING_SETUP_DEFER_TASKRUN
#define IORING_SETUP_DEFER_TASKRUN (1U << 13)  // Linux 6.1
#endif

namespace tensorbundle::io {
namespace {

// Completions are handled when we wait, not by interrupting the checksum.  Disabled at
// first: the single issuer is the thread that enables the ring, not the one that made it.
constexpr unsigned kFastFlags =
    IORING_SETUP_R_DISABLED | IORING_SETUP_SINGLE_ISSUER | IORING_SETUP_DEFER_TASKRUN;

// liburing unmaps by system calls that the thread sanitizer does not see: to it, a ring at
// the address of a destroyed one is memory that two threads share.  In its builds, each
// ring is made after those that are gone; elsewhere these do nothing.
void TellSanitizerRingIsMade() {
#ifdef __SANITIZE_THREAD__
  __tsan_acquire(reinterpret_cast<void*>(&TellSanitizerRingIsMade));
#endif
}
void TellSanitizerRingGoes() {
#ifdef __SANITIZE_THREAD__
  __tsan_release(reinterpret_cast<void*>(&TellSanitizerRingIsMade));
#endif
}

// The kernel may lack memory for a request (EAGAIN) and have it a moment later.
constexpr int kMaxAttempts = 1000;

class KernelRing final : public Ring {
 public:
  // Takes over a ring that was set up.
  KernelRing(const io_uring& ring, bool disabled) : ring_(ring), disabled_(disabled) {}
  KernelRing(const KernelRing&) = delete;
  KernelRing& operator=(const KernelRing&) = delete;
  ~KernelRing() override {
    TellSanitizerRingGoes();
    io_uring_queue_exit(&ring_);
  }

  Status Submit(const RingRequest& request) override;
  Result<RingCompletion> Wait() override;

  // Whether the kernel knows the operations: the plain ones are younger than io_uring.
  bool ReadsAndWrites();

 private:
  io_uring ring_;
  bool disabled_;
};

Status RingError(int answer, std::string_view operation) {
  return Status::System(-answer, operation, "");
}

Status KernelRing::Submit(const RingRequest& request) {
  if (std::exchange(disabled_, false)) {
    const int enabled = io_uring_enable_rings(&ring_);
    if (enabled < 0) return RingError(enabled, "io_uring_register");
  }
  io_uring_sqe* entry = io_uring_get_sqe(&ring_);
  if (entry == nullptr) return Status::System(EBUSY, "io_uring_get_sqe", "");
  const auto size = static_cast<unsigned>(request.memory.size());
  if (request.is_write) {
    io_uring_prep_write(entry, request.fd, request.memory.data(), size, request.offset);
  } else {
    io_uring_prep_read(entry, request.fd, request.memory.data(), size, request.offset);
  }
  entry->user_data = request.tag;
  int answer = -EAGAIN;
  for (int attempt = 0; attempt < kMaxAttempts && answer != 1; ++attempt) {
    answer = io_uring_submit(&ring_);
    if (answer < 0 && answer != -EINTR && answer != -EAGAIN && answer != -EBUSY) break;
  }
  return answer == 1 ? Status() : RingError(answer < 0 ? answer : -EAGAIN, "io_uring_enter");
}

Result<RingCompletion> KernelRing::Wait() {
  io_uring_cqe* entry = nullptr;
  int answer = io_uring_wait_cqe(&ring_, &entry);
  while (answer == -EINTR) answer = io_uring_wait_cqe(&ring_, &entry);
  if (answer < 0) return RingError(answer, "io_uring_enter");
  const RingCompletion completion = {entry->user_data, entry->res};
  io_uring_cqe_seen(&ring_, entry);
  return completion;
}

bool KernelRing::ReadsAndWrites() {
  io_uring_probe* probe = io_uring_get_probe_ring(&ring_);
  if (probe == nullptr) return false;
  const bool known = io_uring_opcode_supported(probe, IORING_OP_READ) != 0 &&
                     io_uring_opcode_supported(probe, IORING_OP_WRITE) != 0;
  io_uring_free_probe(probe);
  return known;
}

// Answers as io_uring_queue_init_params(3).
int SetUp(uint32_t depth, unsigned flags, io_uring& ring) {
  io_uring_params params = {};
  params.flags = flags;
  ring = {};
  return io_uring_queue_init_params(depth, &ring, &params);
}

}  // namespace

Result<std::unique_ptr<Ring>> MakeKernelRing(uint32_t depth) {
  io_uring ring;
  int answer = SetUp(depth, kFastFlags, ring);
  const bool disabled = answer == 0;
  if (answer == -EINVAL) answer = SetUp(depth, 0, ring);  // Linux before 6.1
  if (answer < 0) return RingError(answer, "io_uring_setup");
  TellSanitizerRingIsMade();
  auto made = std::make_unique<KernelRing>(ring, disabled);
  if (!made->ReadsAndWrites()) return RingError(-ENOSYS, "io_uring read and write");
  return std::unique_ptr<Ring>(std::move(made));
}

}  // namespace tensorbundle::io

#else  // without liburing

namespace tensorbundle::io {

Result<std::unique_ptr<Ring>> MakeKernelRing(uint32_t /*depth*/) {
  return Status::System(ENOSYS, "io_uring is not built in", "");
}

}  // namespace tensorbundle::io

#endif
