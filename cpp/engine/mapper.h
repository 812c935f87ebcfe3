// Maps tensors where a map is safe, and has their pages ready where that is wanted.
//
// A mapped page that its file system cannot give is SIGBUS, the end of the process.  On a
// local disk that takes a broken disk; on a network file system, or one that is a program
// (FUSE), a server that is slow to come back or a file that was cut short.  There data
// files are mapped only when asked for in so many words.
//
// Ownership: views share their file's mapping and may outlive the bundle.
//
// Threads: each function is called on one thread; Prefetch() may start its own.

#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "base/result.h"
#include "engine/bundle.h"
#include "engine/observer.h"
#include "engine/reader.h"
#include "io/map_advice.h"
#include "io/mapped_file.h"

namespace tensorbundle::engine {

// kLocal: not on network file systems.
enum class MapPolicy : uint8_t { kNever, kLocal, kAlways };

using Views = std::vector<std::optional<Bundle::View>>;

struct MappedTensors {
  Views views;         // one per request; absent: to be read
  std::string reason;  // why the first that is absent, but not for its parts, is; may be empty
};

// Destinations of the requests are not looked at.  Partitioned tensors are never mapped.
//
// Errors: those of Bundle::Map()
Result<MappedTensors> MapTensors(const Bundle& bundle, std::span<const ReadRequest> requests,
                                 MapPolicy policy, io::MapAccess access);

struct PrefetchOptions {
  io::MapAdvice advice = io::MapAdvice::kNormal;
  size_t num_threads = 0;        // for kPopulate; 0: one per processor
  Observer* observer = nullptr;  // may be null
};

// Advises the kernel about the pages of the views, and no others; kSequential and kRandom
// go to all of the files, whose other pages nobody touches: advice that differs from page
// to page takes the kernel a map for each change, of which it has few.
//
// Returns the number of threads that populated; 1 where nothing was to be.
//
// REQUIRES: views[i] is of requests[i]
//
// Errors: kCancelled, and those of io::AdviseMap()
Result<size_t> Prefetch(std::span<const ReadRequest> requests,
                        std::span<const Views::value_type> views,
                        const PrefetchOptions& options);

}  // namespace tensorbundle::engine
