// What a failed or disturbed system call leaves is in tests/python/reliability.

#include "io/small_file.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/file.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <set>
#include <thread>

#include "io/posix_lock.h"
#include "io/scarcity.h"
#include "io/storage_fixture.h"
#include "io/temp_directory.h"
#include "io/unique_fd.h"

namespace tensorbundle::io {
namespace {

class SmallFileTest : public ::testing::Test {
 protected:
  Status Replace(const std::string& content, bool durable = true) {
    const auto hidden = [this] {
      return directory_.Path(".f.tmp." + std::to_string(made_++));
    };
    return ReplaceFile(path_, hidden, AsBytes(content), durable);
  }

  std::string Content() const {
    std::ifstream file(path_, std::ios::binary);
    return {std::istreambuf_iterator<char>(file), {}};
  }

  std::set<std::string> Names() const {
    std::set<std::string> names;
    for (const auto& entry : std::filesystem::directory_iterator(directory_.path())) {
      names.insert(entry.path().filename());
    }
    return names;
  }

  TempDirectory directory_;
  const std::string path_ = directory_.Path("f");
  int made_ = 0;
};

TEST_F(SmallFileTest, ContentIsReplacedAndNothingElseIsLeft) {
  const std::string large(3 << 20, 'x');
  for (const std::string& content : {std::string("first"), std::string(), large}) {
    for (const bool durable : {true, false}) {
      ASSERT_OK(Replace(content, durable));
      EXPECT_EQ(Content(), content);
      EXPECT_EQ(Names(), std::set<std::string>{"f"});
    }
  }
}

TEST_F(SmallFileTest, WhereItCannotBeRenamedNothingIsLeft) {
  std::filesystem::create_directory(path_);
  ExpectSystemError(Replace("new"), EISDIR, directory_.Path(".f.tmp.0"));
  EXPECT_EQ(Names(), std::set<std::string>{"f"});
}

TEST_F(SmallFileTest, WhereItCannotBeWrittenTheOldContentStays) {
  ASSERT_OK(Replace("old"));
  const FileSizeLimit limit(5);
  ExpectSystemError(Replace("longer"), EFBIG, directory_.Path(".f.tmp.1"));
  EXPECT_EQ(Content(), "old");
  EXPECT_EQ(Names(), std::set<std::string>{"f"});
}

TEST_F(SmallFileTest, WhatSomebodyIsWritingIsNotRemoved) {
  const UniqueFd writing(::open(path_.c_str(), O_CREAT | O_RDWR | O_CLOEXEC, 0666));
  ASSERT_OK(TryLockOpenFile(writing.get(), path_).status());
  EXPECT_OK(RemoveUnfinished(path_));
  EXPECT_EQ(Names(), std::set<std::string>{"f"});
  ASSERT_EQ(::flock(writing.get(), LOCK_UN), 0);
  EXPECT_OK(RemoveUnfinished(path_));
  EXPECT_EQ(Names(), std::set<std::string>{});
  EXPECT_OK(RemoveUnfinished(path_)) << "it is gone";
}

TEST_F(SmallFileTest, ASymbolicLinkIsNotOurs) {
  ASSERT_OK(Replace("content"));
  std::filesystem::create_symlink(path_, directory_.Path("link"));
  EXPECT_OK(RemoveUnfinished(directory_.Path("link")));
  EXPECT_EQ(Names(), (std::set<std::string>{"f", "link"}));
}

TEST_F(SmallFileTest, WhoeverSweepsMeanwhileTakesNothing) {
  std::atomic<bool> done = false;
  std::thread sweeper([&] {
    while (!done) {
      for (const std::string& name : Names()) {
        if (name == "f") continue;
        EXPECT_OK(RemoveUnfinished(directory_.Path(name)));
      }
    }
  });
  for (int i = 0; i < 500; ++i) {
    EXPECT_OK(Replace(std::to_string(i), /*durable=*/false));
    EXPECT_EQ(Content(), std::to_string(i));
  }
  done = true;
  sweeper.join();
  EXPECT_EQ(Names(), std::set<std::string>{"f"});
}

}  // namespace
}  // namespace tensorbundle::io
