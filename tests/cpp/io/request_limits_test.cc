#include "io/request_limits.h"

#include <gtest/gtest.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <string>

#include "io/temp_directory.h"

namespace tensorbundle::io {
namespace {

// A disk as sysfs shows it: its queue, and a partition, which has none of its own.
class RequestLimitsTest : public ::testing::Test {
 protected:
  void MakeDisk(const std::string& max_segments, const std::string& max_sectors_kb) {
    const std::string queue = directory_.Path("disk/queue");
    std::filesystem::create_directories(queue);
    std::filesystem::create_directories(directory_.Path("disk/part1"));
    std::ofstream(queue + "/max_segments") << max_segments << '\n';
    std::ofstream(queue + "/max_sectors_kb") << max_sectors_kb << '\n';
    std::filesystem::create_directory_symlink("disk", directory_.Path("254:0"));
    std::filesystem::create_directory_symlink("disk/part1", directory_.Path("254:1"));
  }
  bool Cut(unsigned minor) const {
    return SmallPagesCutRequests(::makedev(254, minor), directory_.path());
  }
  // So many pages, in KiB.
  static std::string Pages(long count) {
    return std::to_string(count * ::sysconf(_SC_PAGESIZE) / 1024);
  }

  TempDirectory directory_;
};

TEST_F(RequestLimitsTest, FewSegmentsCutLargeRequests) {
  MakeDisk("254", Pages(1024));
  EXPECT_TRUE(Cut(0));
  EXPECT_TRUE(Cut(1));  // the partition's disk
}

TEST_F(RequestLimitsTest, EnoughSegmentsCutNothing) {
  MakeDisk("128", Pages(128));
  EXPECT_FALSE(Cut(0));
  EXPECT_FALSE(Cut(1));
}

TEST_F(RequestLimitsTest, AnUnknownDeviceCutsNothing) {
  EXPECT_FALSE(Cut(0));
  MakeDisk("many", "large");
  EXPECT_FALSE(Cut(0));
}

}  // namespace
}  // namespace tensorbundle::io
