#include "io/backend.h"

#include "io/kernel_ring.h"
#include "io/posix_storage.h"
#include "io/ring_queue.h"

namespace tensorbundle::io {

std::string_view BackendName(Backend backend) {
  switch (backend) {
    case Backend::kBuffered: return "buffered";
    case Backend::kDirect: return "direct";
    case Backend::kUring: return "uring";
  }
  return "unknown";
}

std::unique_ptr<Storage> MakeStorage(Backend backend) { return MakePosixStorage(backend); }

UringSupport ProbeUring() { return ProbeRing(MakeKernelRing); }

}  // namespace tensorbundle::io
