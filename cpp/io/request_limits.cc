#include "io/request_limits.h"

#include <sys/sysmacros.h>
#include <unistd.h>

#include <fstream>
#include <optional>

namespace tensorbundle::io {
namespace {

std::optional<uint64_t> ReadNumber(const std::string& path) {
  std::ifstream file(path);
  uint64_t number = 0;
  if (file >> number) return number;
  return std::nullopt;
}

}  // namespace

// Documentation/ABI/stable/sysfs-block: max_segments, max_sectors_kb.
bool SmallPagesCutRequests(uint64_t device, const std::string& directory) {
  const std::string block_device = directory + '/' + std::to_string(::major(device)) + ':' +
                                   std::to_string(::minor(device));
  // A partition's queue is that of its disk.
  for (const char* const queue : {"/queue/", "/../queue/"}) {
    const auto max_segments = ReadNumber(block_device + queue + "max_segments");
    const auto max_kib = ReadNumber(block_device + queue + "max_sectors_kb");
    if (!max_segments.has_value() || !max_kib.has_value()) continue;
    const auto page_size = static_cast<uint64_t>(::sysconf(_SC_PAGESIZE));
    return *max_segments * page_size < *max_kib * 1024;
  }
  return false;
}

}  // namespace tensorbundle::io
