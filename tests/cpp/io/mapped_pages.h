// What the kernel says of a file's maps: proc(5), smaps.

#pragma once

#include <cstdint>
#include <fstream>
#include <string>
#include <vector>

namespace tensorbundle::io {

// The line that begins with `field` of each map of the file.
inline std::vector<std::string> MapLines(const std::string& path, const std::string& field) {
  std::ifstream maps("/proc/self/smaps");
  bool is_ours = false;
  std::vector<std::string> lines;
  for (std::string line; std::getline(maps, line);) {
    // Only a map's first line has a "-" before any space: between its addresses.
    if (line.find('-') < line.find(' ')) is_ours = line.find(path) != std::string::npos;
    if (is_ours && line.starts_with(field)) lines.push_back(line);
  }
  return lines;
}

// How much of a file's maps has pages in memory, ready to be touched: KiB.
inline uint64_t MappedKibibytes(const std::string& path) {
  uint64_t total = 0;
  for (const std::string& line : MapLines(path, "Rss:")) total += std::stoull(line.substr(4));
  return total;
}

// How much of the map that holds `address` lies in huge pages: KiB.
inline uint64_t HugePageKibibytes(const void* address) {
  const auto wanted = reinterpret_cast<uintptr_t>(address);
  std::ifstream maps("/proc/self/smaps");
  bool is_ours = false;
  for (std::string line; std::getline(maps, line);) {
    if (line.find('-') < line.find(' ')) {
      const uint64_t begin = std::stoull(line, nullptr, 16);
      const uint64_t end = std::stoull(line.substr(line.find('-') + 1), nullptr, 16);
      is_ours = begin <= wanted && wanted < end;
    }
    const std::string field = "AnonHugePages:";
    if (is_ours && line.starts_with(field)) return std::stoull(line.substr(field.size()));
  }
  return 0;
}

}  // namespace tensorbundle::io
