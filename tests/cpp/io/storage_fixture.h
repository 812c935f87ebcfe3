// What the conformance suites have in common: every kind of Storage, each with an
// empty directory, and the short ways to say what a test expects.

#pragma once

#include <gtest/gtest.h>

#include <memory>
#include <string>
#include <string_view>

#include "io/backend.h"
#include "io/file_system.h"
#include "io/memory_storage.h"
#include "io/posix_storage.h"
#include "io/storage.h"
#include "io/temp_directory.h"

namespace tensorbundle::io {

// ASSERT_OK(x) and EXPECT_OK(x) for a Status; the failure shows the message.
#define EXPECT_OK(expr) EXPECT_EQ((expr).ToString(), "ok")
#define ASSERT_OK(expr) ASSERT_EQ((expr).ToString(), "ok")

// A failed system call on `path`: the errno, and a place to look at.
inline void ExpectSystemError(const Status& status, int error_number,
                              const std::string& path) {
  EXPECT_EQ(CodeName(status.code()), "System") << status.ToString();
  EXPECT_EQ(status.error_number(), error_number) << status.ToString();
  EXPECT_EQ(status.path(), path);
}

inline void ExpectCode(const Status& status, Code code, const std::string& path) {
  EXPECT_EQ(CodeName(status.code()), CodeName(code)) << status.ToString();
  EXPECT_EQ(status.path(), path);
}

// A whole file from `text`, and back.
inline void WriteFile(Storage& storage, const std::string& path, std::string_view text) {
  auto file = storage.Create(path);
  ASSERT_OK(file.status());
  EXPECT_OK((*file)->WriteAt(0, AsBytes(text)));
  EXPECT_OK((*file)->Close());
}

inline std::string Read(const ReadableFile& file, uint64_t offset, uint64_t size) {
  std::string text(size, '?');
  EXPECT_OK(file.ReadAt(offset, std::as_writable_bytes(std::span(text))));
  return text;
}

inline std::string ReadFile(Storage& storage, const std::string& path) {
  const auto file = storage.OpenForRead(path);
  EXPECT_OK(file.status());
  return file.ok() ? Read(**file, 0, (*file)->size()) : "";
}

// Why files in `directory` cannot be reopened to be written anew; empty where they can.
inline std::string WhyNoReopening(const std::string& directory) {
  const std::string name = FileSystemAt(directory)->name;
  for (const char* const known : {"ext4", "xfs", "btrfs", "f2fs", "tmpfs"}) {
    if (name == known) return "";
  }
  return "temporary files are on " + name + ", whose leases are not trusted";
}

// Why `directory` cannot show what `backend` does; empty where it can.
inline std::string WhyNot(Backend backend, const std::string& directory) {
  if (backend == Backend::kBuffered) return "";
  const auto traits = ProbeDirectory(directory);
  if (!traits.ok()) return traits.status().ToString();
  if (!traits->direct) return traits->direct_reason;
  return backend == Backend::kUring ? ProbeUring().reason : "";
}

struct PosixKind {
  static constexpr char kName[] = "Posix";
  std::string root() const { return directory.path(); }
  std::string why_not() const { return ""; }

  TempDirectory directory;
  std::unique_ptr<Storage> storage = MakePosixStorage();
};

struct DirectKind {
  static constexpr char kName[] = "Direct";
  std::string root() const { return directory.path(); }
  std::string why_not() const { return WhyNot(Backend::kDirect, root()); }

  TempDirectory directory;
  std::unique_ptr<Storage> storage = MakeStorage(Backend::kDirect);
};

struct UringKind {
  static constexpr char kName[] = "Uring";
  std::string root() const { return directory.path(); }
  std::string why_not() const { return WhyNot(Backend::kUring, root()); }

  TempDirectory directory;
  std::unique_ptr<Storage> storage = MakeStorage(Backend::kUring);
};

struct MemoryKind {
  static constexpr char kName[] = "Memory";
  MemoryKind() { EXPECT_OK(storage->MakeDirectory(root()).status()); }
  std::string root() const { return "/root"; }
  std::string why_not() const { return ""; }

  std::unique_ptr<Storage> storage = MakeMemoryStorage();
};

// The same in chunks of two huge pages.
struct LargeMemoryKind : MemoryKind {
  static constexpr char kName[] = "LargeMemory";
  LargeMemoryKind() {
    storage = MakeMemoryStorage(uint64_t{4} << 20);
    EXPECT_OK(storage->MakeDirectory(root()).status());
  }
};

using StorageKinds =
    ::testing::Types<PosixKind, DirectKind, UringKind, MemoryKind, LargeMemoryKind>;

struct StorageKindNames {
  template <typename Kind>
  static std::string GetName(int) {
    return Kind::kName;
  }
};

template <typename Kind>
class StorageFixture : public ::testing::Test {
 protected:
  void SetUp() override {
    const std::string why_not = kind_.why_not();
    if (!why_not.empty()) GTEST_SKIP() << why_not;
  }

  Storage& storage() { return *kind_.storage; }
  std::string root() const { return kind_.root(); }
  std::string Path(const std::string& name) const { return root() + "/" + name; }

 private:
  Kind kind_;
};

}  // namespace tensorbundle::io
