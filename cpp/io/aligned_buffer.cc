#include "io/aligned_buffer.h"

#include <sys/mman.h>
#include <unistd.h>

#include <cerrno>
#include <utility>

#include "base/alignment.h"
#include "base/arithmetic.h"

namespace tensorbundle::io {
namespace {

// One page of the second level on x86-64, and on arm64 with 4 KiB pages.
constexpr uint64_t kHugePageSize = uint64_t{2} << 20;

uint64_t PageSize() { return static_cast<uint64_t>(::sysconf(_SC_PAGESIZE)); }

Result<MutableBytes> Map(uint64_t size) {
  void* address =
      ::mmap(nullptr, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (address == MAP_FAILED) return Status::System(errno, "mmap", "");
  return MutableBytes(static_cast<std::byte*>(address), size);
}

void Unmap(MutableBytes region) {
  if (!region.empty()) ::munmap(region.data(), region.size());
}

// Maps a huge page more than is wanted and gives back what is before the first huge
// page and after the last byte.
Result<MutableBytes> MapOnHugePages(uint64_t size) {
  const auto rounded = CheckedAlignUp(size, PageSize());
  const auto reserved = rounded ? CheckedAdd(*rounded, kHugePageSize) : std::nullopt;
  if (!reserved) return Status::System(ENOMEM, "mmap", "");
  TB_ASSIGN_OR_RETURN(const MutableBytes region, Map(*reserved));
  const uint64_t past = reinterpret_cast<uintptr_t>(region.data()) % kHugePageSize;
  const uint64_t head = past == 0 ? 0 : kHugePageSize - past;
  Unmap(region.first(head));
  Unmap(region.subspan(head + *rounded));
  const MutableBytes kept = region.subspan(head, *rounded);
  // Advice: a kernel without huge pages refuses it, and the buffer is as good.
  ::madvise(kept.data(), kept.size(), MADV_HUGEPAGE);
  return kept;
}

// Advises on the pages that have any of `memory`.
void AdvisePages(MutableBytes memory, int advice) {
  const uint64_t page = PageSize();
  const uint64_t before = reinterpret_cast<uintptr_t>(memory.data()) % page;
  ::madvise(memory.data() - before, AlignUp(memory.size() + before, page), advice);
}

}  // namespace

Result<AlignedBuffer> AlignedBuffer::Allocate(uint64_t size) {
  if (size == 0) return AlignedBuffer(nullptr, 0);
  TB_ASSIGN_OR_RETURN(const MutableBytes region,
                      size < kHugePageSize ? Map(size) : MapOnHugePages(size));
  return AlignedBuffer(region.data(), size);
}

AlignedBuffer::AlignedBuffer(AlignedBuffer&& other) noexcept
    : data_(std::exchange(other.data_, nullptr)), size_(std::exchange(other.size_, 0)) {}

AlignedBuffer& AlignedBuffer::operator=(AlignedBuffer&& other) noexcept {
  AlignedBuffer taken(std::move(other));
  std::swap(data_, taken.data_);
  std::swap(size_, taken.size_);
  return *this;
}

AlignedBuffer::~AlignedBuffer() {
  // munmap(2) takes whole pages, so it takes all that was kept for size_ bytes.
  Unmap(bytes());
}

void Populate(MutableBytes memory) {
#ifdef MADV_POPULATE_WRITE  // Linux 5.14
  if (memory.empty()) return;
  // The pages at both ends are mapped too, and keep what they hold.
  AdvisePages(memory, MADV_POPULATE_WRITE);
#endif
}

void AdviseSmallPages(MutableBytes memory) {
  const uint64_t page = PageSize();
  const uint64_t head = AlignUp(reinterpret_cast<uintptr_t>(memory.data()), page) -
                        reinterpret_cast<uintptr_t>(memory.data());
  if (memory.size() < head + page) return;
  ::madvise(memory.data() + head, AlignDown(memory.size() - head, page), MADV_NOHUGEPAGE);
}

void AdviseHugePages(MutableBytes memory) {
  // The pages at both ends too: most often they are those of a region of its own, which
  // would be cut in three.
  if (memory.size() >= kHugePageSize) AdvisePages(memory, MADV_HUGEPAGE);
}

}  // namespace tensorbundle::io
