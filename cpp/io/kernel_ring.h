// A ring of io_uring(7).
//
// A Ring of these owns its descriptor, which is close-on-exec, and its memory; nothing
// is global.  A forked child must not use its copy.
//
// Threads: made by any thread; used and destroyed by the one that first submits, as the
// kernel delivers completions to it alone (IORING_SETUP_SINGLE_ISSUER, DEFER_TASKRUN).

#pragma once

#include <cstdint>
#include <memory>

#include "base/result.h"
#include "io/ring.h"

namespace tensorbundle::io {

// Errors: kSystem  ENOSYS: not built in, or not in this kernel; EPERM: forbidden by
//                  seccomp or kernel.io_uring_disabled; ENOMEM: RLIMIT_MEMLOCK
Result<std::unique_ptr<Ring>> MakeKernelRing(uint32_t depth);

}  // namespace tensorbundle::io
