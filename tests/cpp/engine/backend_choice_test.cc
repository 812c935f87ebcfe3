#include "engine/backend_choice.h"

#include <gtest/gtest.h>

#include <cerrno>

#include "io/scarcity.h"
#include "io/temp_directory.h"

namespace tensorbundle::engine {
namespace {

using io::Backend;

constexpr uint64_t kLarge = kSmallSave;

io::PathTraits OnADisk() {
  io::PathTraits traits;
  traits.file_system = "ext4";
  traits.direct = true;
  traits.granule = {512, 4096};
  return traits;
}

TEST(BackendChoiceTest, AutoTakesTheFastestThatWorks) {
  const BackendChoice choice = ChooseAutomatically(OnADisk(), {true, ""}, kLarge);
  EXPECT_EQ(choice.backend, Backend::kUring);
  EXPECT_EQ(choice.memory_granule, 4096u);
  EXPECT_EQ(choice.reason, "");
}

TEST(BackendChoiceTest, WithoutARingAutoIsDirectAndSaysWhatTheKernelSaid) {
  // What a kernel before 5.12 answers where too little memory may be locked, a sandbox, and
  // a build without it.
  for (const char* said : {"io_uring_setup: Cannot allocate memory",
                           "io_uring_setup: Operation not permitted", "not built in"}) {
    const BackendChoice choice = ChooseAutomatically(OnADisk(), {false, said}, kLarge);
    EXPECT_EQ(choice.backend, Backend::kDirect);
    EXPECT_EQ(choice.reason, said);
  }
}

TEST(BackendChoiceTest, WithoutDirectIoAutoIsBufferedAndSaysWhy) {
  io::PathTraits traits;
  traits.direct_reason = "nfs is not a local device";
  const BackendChoice choice = ChooseAutomatically(traits, {true, ""}, kLarge);
  EXPECT_EQ(choice.backend, Backend::kBuffered);
  EXPECT_EQ(choice.memory_granule, 1u);
  EXPECT_EQ(choice.reason, traits.direct_reason);
}

TEST(BackendChoiceTest, ASmallSaveIsBuffered) {
  const BackendChoice choice = ChooseAutomatically(OnADisk(), {true, ""}, kLarge - 1);
  EXPECT_EQ(choice.backend, Backend::kBuffered);
  EXPECT_NE(choice.reason, "");
}

TEST(BackendChoiceTest, WhatCannotWorkIsRefusedButNeverForAuto) {
  const io::TempDirectory directory;
  for (const char* type : {"tmpfs", "ramfs"}) {
    const std::string failed = io::WithDisk({type, ""}, directory.path(), [&] {
      const std::string prefix = directory.Path("x");
      for (const Backend backend : {Backend::kDirect, Backend::kUring}) {
        const Status status = ChooseBackend(backend, prefix, kLarge).status();
        EXPECT_EQ(status.code(), Code::kUnsupportedBackend);
        EXPECT_EQ(status.path(), directory.path());
        EXPECT_NE(status.message().find(type), std::string::npos) << status.message();
        EXPECT_NE(status.message().find("\"buffered\""), std::string::npos);
      }
      for (const auto requested :
           {std::optional<Backend>(), std::optional(Backend::kBuffered)}) {
        const auto choice = ChooseBackend(requested, prefix, kLarge);
        ASSERT_TRUE(choice.ok());
        EXPECT_EQ(choice->backend, Backend::kBuffered);
        EXPECT_EQ(choice->reason.empty(), requested.has_value());
      }
    });
    if (!failed.empty()) GTEST_SKIP() << failed;
  }
}

TEST(BackendChoiceTest, ADirectoryThatIsMissingIsLeftToTheSaveToTell) {
  const io::TempDirectory directory;
  const std::string prefix = directory.Path("one/two/x");
  const auto automatic = ChooseBackend(std::nullopt, prefix, kLarge);
  ASSERT_TRUE(automatic.ok());
  EXPECT_EQ(automatic->backend, Backend::kBuffered);
  EXPECT_EQ(ChooseBackend(Backend::kDirect, prefix, kLarge).status().error_number(), ENOENT);
}

}  // namespace
}  // namespace tensorbundle::engine
