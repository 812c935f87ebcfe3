#include "engine/backend_choice.h"

namespace tensorbundle::engine {
namespace {

using io::Backend;

// The directory of `prefix`, or the one it will be created in.
Result<std::string> ExistingDirectory(const std::string& prefix) {
  const std::string directory = io::DirectoryOf(prefix);
  TB_ASSIGN_OR_RETURN(const bool exists,
                      io::MakeStorage(Backend::kBuffered)->Exists(directory));
  return exists ? directory : io::DirectoryOf(directory);
}

}  // namespace

BackendChoice ChooseAutomatically(const io::PathTraits& traits, const io::UringSupport& uring,
                                  uint64_t total_bytes) {
  if (total_bytes < kSmallSave) {
    return {Backend::kBuffered, 1, "smaller than " + std::to_string(kSmallSave) + " bytes"};
  }
  if (!traits.direct) return {Backend::kBuffered, 1, traits.direct_reason};
  if (!uring.available) return {Backend::kDirect, traits.granule.memory, uring.reason};
  return {Backend::kUring, traits.granule.memory, ""};
}

Result<BackendChoice> ChooseBackend(std::optional<Backend> requested,
                                    const std::string& prefix, uint64_t total_bytes) {
  if (requested == Backend::kBuffered) return BackendChoice{Backend::kBuffered, 1, ""};
  const bool is_auto = !requested.has_value();
  if (is_auto && total_bytes < kSmallSave) return ChooseAutomatically({}, {}, total_bytes);

  TB_ASSIGN_OR_RETURN(const std::string directory, ExistingDirectory(prefix));
  const auto traits = io::ProbeDirectory(directory);
  if (!traits.ok()) {
    // A directory that cannot be probed fails the save by itself, with a better message.
    if (is_auto) return BackendChoice{Backend::kBuffered, 1, traits.status().ToString()};
    return traits.status();
  }
  const io::UringSupport uring = io::ProbeUring();
  if (is_auto) return ChooseAutomatically(*traits, uring, total_bytes);
  if (!traits->direct) {
    return Status(Code::kUnsupportedBackend,
                  std::string("backend \"") + std::string(io::BackendName(*requested)) +
                      "\" cannot work here: " + traits->direct_reason +
                      "; \"buffered\" and \"auto\" can")
        .WithPath(directory);
  }
  if (requested == Backend::kUring && !uring.available) {
    return BackendChoice{Backend::kDirect, traits->granule.memory, uring.reason};
  }
  return BackendChoice{*requested, traits->granule.memory, ""};
}

}  // namespace tensorbundle::engine
