// What only a disk can show: special files, links, modes, descriptors.

#include "io/posix_storage.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

#include "io/storage_fixture.h"
#include "io/temp_directory.h"
#include "io/unique_fd.h"

namespace tensorbundle::io {
namespace {

class PosixStorageTest : public ::testing::Test {
 protected:
  Status OpenStatus(const std::string& path) { return storage_->OpenForRead(path).status(); }
  std::string Path(const std::string& name) const { return directory_.Path(name); }

  TempDirectory directory_;
  const std::unique_ptr<Storage> storage_ = MakePosixStorage();
};

void ExpectNotRegular(const Status& status, const std::string& path,
                      const std::string& found) {
  ExpectCode(status, Code::kNotRegularFile, path);
  EXPECT_EQ(status.message(), "expected a regular file, found " + found);
}

TEST_F(PosixStorageTest, AFifoInPlaceOfAFileIsRefusedWithoutBlocking) {
  ASSERT_EQ(::mkfifo(Path("fifo").c_str(), 0600), 0);
  ExpectNotRegular(OpenStatus(Path("fifo")), Path("fifo"), "a FIFO");
}

TEST_F(PosixStorageTest, DevicesAreRefused) {
  ExpectNotRegular(OpenStatus("/dev/zero"), "/dev/zero", "a character device");
  ExpectNotRegular(OpenStatus("/dev/null"), "/dev/null", "a character device");
}

TEST_F(PosixStorageTest, ASocketIsRefused) {
  const UniqueFd socket(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
  sockaddr_un address = {};
  address.sun_family = AF_UNIX;
  const std::string path = Path("socket");
  ASSERT_LT(path.size(), sizeof(address.sun_path));
  std::memcpy(address.sun_path, path.c_str(), path.size() + 1);
  ASSERT_EQ(::bind(socket.get(), reinterpret_cast<sockaddr*>(&address), sizeof(address)), 0);
  ExpectNotRegular(OpenStatus(path), path, "a socket or device");
}

TEST_F(PosixStorageTest, ALinkLoopIsAnError) {
  ASSERT_EQ(::symlink(Path("b").c_str(), Path("a").c_str()), 0);
  ASSERT_EQ(::symlink(Path("a").c_str(), Path("b").c_str()), 0);
  ExpectSystemError(OpenStatus(Path("a")), ELOOP, Path("a"));
}

TEST_F(PosixStorageTest, ALinkToAFileIsReadAndALinkToADeviceIsRefused) {
  WriteFile(*storage_, Path("f"), "x");
  ASSERT_EQ(::symlink(Path("f").c_str(), Path("file").c_str()), 0);
  ASSERT_EQ(::symlink("/dev/zero", Path("zero").c_str()), 0);
  EXPECT_EQ(ReadFile(*storage_, Path("file")), "x");
  ExpectNotRegular(OpenStatus(Path("zero")), Path("zero"), "a character device");
}

TEST_F(PosixStorageTest, CreateDoesNotFollowALink) {
  ASSERT_EQ(::symlink(Path("target").c_str(), Path("link").c_str()), 0);
  ExpectSystemError(storage_->Create(Path("link")).status(), EEXIST, Path("link"));
  EXPECT_NE(::access(Path("target").c_str(), F_OK), 0);
}

TEST_F(PosixStorageTest, ALinkToNowhereExists) {
  ASSERT_EQ(::symlink("nowhere", Path("link").c_str()), 0);
  const auto exists = storage_->Exists(Path("link"));
  ASSERT_OK(exists.status());
  EXPECT_TRUE(*exists);
  EXPECT_FALSE(storage_->MakeDirectory(Path("link")).ok());
}

TEST_F(PosixStorageTest, ALinkToADirectoryIsADirectory) {
  ASSERT_EQ(::symlink(directory_.path().c_str(), Path("link").c_str()), 0);
  const auto made = storage_->MakeDirectory(Path("link"));
  ASSERT_OK(made.status());
  EXPECT_FALSE(*made);
  EXPECT_OK(storage_->SyncDirectory(Path("link")));
}

TEST_F(PosixStorageTest, NewFilesAreOpenToWhomTheUmaskAllows) {
  const mode_t old = ::umask(027);
  WriteFile(*storage_, Path("f"), "x");
  EXPECT_OK(storage_->MakeDirectory(Path("d")).status());
  ::umask(old);
  struct stat file = {};
  struct stat directory = {};
  ASSERT_EQ(::stat(Path("f").c_str(), &file), 0);
  ASSERT_EQ(::stat(Path("d").c_str(), &directory), 0);
  EXPECT_EQ(file.st_mode & 0777u, 0640u);
  EXPECT_EQ(directory.st_mode & 0777u, 0750u);
}

TEST_F(PosixStorageTest, AFileThatMayNotBeReadIsAnError) {
  WriteFile(*storage_, Path("f"), "x");
  ASSERT_EQ(::chmod(Path("f").c_str(), 0), 0);
  ASSERT_EQ(::chmod(directory_.path().c_str(), 0755), 0);
  // Root may read everything: be nobody for a moment.
  const uid_t user = ::geteuid();
  if (user == 0 && ::seteuid(65534) != 0) GTEST_SKIP() << "root cannot become nobody";
  const Status status = OpenStatus(Path("f"));
  ASSERT_EQ(::seteuid(user), 0);
  ExpectSystemError(status, EACCES, Path("f"));
}

TEST_F(PosixStorageTest, NoDescriptorIsInheritedByAnotherProgram) {
  const auto count = [](int lowest) {
    int without = 0;
    for (int fd = lowest; fd < lowest + 64; ++fd) {
      const int flags = ::fcntl(fd, F_GETFD);
      if (flags != -1 && (flags & FD_CLOEXEC) == 0) ++without;
    }
    return without;
  };
  const int before = count(3);
  const auto writer = storage_->Create(Path("f"));
  const auto reader = storage_->OpenForRead(Path("f"));
  const auto lock = storage_->TryLock(Path("l"));
  ASSERT_OK(writer.status());
  ASSERT_OK(reader.status());
  ASSERT_OK(lock.status());
  EXPECT_EQ(count(3), before);
}

TEST_F(PosixStorageTest, NoCallLeavesADescriptorOpen) {
  const auto count = [this] { return storage_->List("/proc/self/fd")->size(); };
  const size_t before = count();
  WriteFile(*storage_, Path("f"), "x");
  EXPECT_EQ(ReadFile(*storage_, Path("f")), "x");
  EXPECT_OK(storage_->Create(Path("unclosed")).status());
  EXPECT_OK(storage_->SyncDirectory(directory_.path()));
  EXPECT_OK(storage_->TryLock(Path("l")).status());
  EXPECT_FALSE(storage_->OpenForRead(directory_.path()).ok());
  EXPECT_FALSE(storage_->TryLock(directory_.path()).ok());
  EXPECT_EQ(count(), before);
}

TEST_F(PosixStorageTest, AFileThatShrankSinceItWasOpenedIsTold) {
  WriteFile(*storage_, Path("f"), "0123456789");
  const auto reader = storage_->OpenForRead(Path("f"));
  ASSERT_OK(reader.status());
  ASSERT_EQ(::truncate(Path("f").c_str(), 4), 0);
  std::string text(10, '?');
  const Status status = (*reader)->ReadAt(0, std::as_writable_bytes(std::span(text)));
  ExpectCode(status, Code::kConcurrentModification, Path("f"));
  EXPECT_EQ(status.message(),
            "expected 10 bytes, found 4 before the end of the file, which had 10 bytes when "
            "it was opened");
}

}  // namespace
}  // namespace tensorbundle::io
