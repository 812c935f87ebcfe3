#include "io/transfer.h"

#include <gtest/gtest.h>
#include <sys/mman.h>

#include <functional>
#include <string>
#include <utility>
#include <vector>

#include "base/bytes.h"

namespace tensorbundle::io {
namespace {

// A system call that gives the answers it is told to, negative for -errno, and
// writes down the (offset, size) it was asked for.
class Script {
 public:
  explicit Script(std::vector<ssize_t> answers) : answers_(std::move(answers)) {}

  ssize_t operator()(Bytes part, uint64_t offset) {
    asked.emplace_back(offset, part.size());
    const ssize_t answer = answers_.at(asked.size() - 1);
    if (answer >= 0) return answer;
    errno = static_cast<int>(-answer);
    return -1;
  }

  std::vector<std::pair<uint64_t, uint64_t>> asked;

 private:
  const std::vector<ssize_t> answers_;
};

using Asked = std::vector<std::pair<uint64_t, uint64_t>>;

Transferred Transfer(Script& script, uint64_t offset, size_t size) {
  const std::string text(size, 'x');
  return TransferAll(AsBytes(text), offset, {size, 1}, std::ref(script));
}

TEST(TransferTest, OneCallThatMovesAllIsEnough) {
  Script script({10});
  const Transferred done = Transfer(script, 7, 10);
  EXPECT_EQ(done.size, 10u);
  EXPECT_EQ(done.error_number, 0);
  EXPECT_EQ(script.asked, Asked({{7, 10}}));
}

TEST(TransferTest, NothingToMoveNeedsNoCall) {
  Script script({});
  EXPECT_EQ(Transfer(script, 7, 0).size, 0u);
  EXPECT_TRUE(script.asked.empty());
}

TEST(TransferTest, AShortCountGoesOnWhereItStopped) {
  Script script({3, 1, 6});
  const Transferred done = Transfer(script, 100, 10);
  EXPECT_EQ(done.size, 10u);
  EXPECT_EQ(done.error_number, 0);
  EXPECT_EQ(script.asked, Asked({{100, 10}, {103, 7}, {104, 6}}));
}

TEST(TransferTest, AnInterruptedCallIsRepeated) {
  Script script({-EINTR, -EINTR, 4, -EINTR, 6});
  const Transferred done = Transfer(script, 0, 10);
  EXPECT_EQ(done.size, 10u);
  EXPECT_EQ(done.error_number, 0);
  EXPECT_EQ(script.asked, Asked({{0, 10}, {0, 10}, {0, 10}, {4, 6}, {4, 6}}));
}

TEST(TransferTest, AnErrorEndsTheLoopAndSaysHowFarItCame) {
  for (const int error_number : {EIO, ENOSPC, EAGAIN}) {
    Script script({4, -error_number});
    const Transferred done = Transfer(script, 0, 10);
    EXPECT_EQ(done.size, 4u);
    EXPECT_EQ(done.error_number, error_number);
    EXPECT_EQ(script.asked.size(), 2u);
  }
}

TEST(TransferTest, ACallThatMovesNothingEndsTheLoopWithoutAnError) {
  Script script({4, 0});
  const Transferred done = Transfer(script, 0, 10);
  EXPECT_EQ(done.size, 4u);
  EXPECT_EQ(done.error_number, 0);
  EXPECT_EQ(script.asked.size(), 2u);
}

TEST(TransferTest, ThePartsAreTheRestOfTheBuffer) {
  std::string text(6, '?');
  char next = 'a';
  const auto one_byte = [&](MutableBytes part, uint64_t) -> ssize_t {
    part[0] = static_cast<std::byte>(next++);
    return 1;
  };
  EXPECT_EQ(TransferAll(std::as_writable_bytes(std::span(text)), 0, {6, 1}, one_byte).size,
            6u);
  EXPECT_EQ(text, "abcdef");
}

// A transfer of 4096 bytes in granules of 512.
Transferred TransferGranules(Script& script, uint64_t needed) {
  const std::string text(4096, 'x');
  return TransferAll(AsBytes(text), 8192, {needed, 512}, std::ref(script));
}

TEST(TransferTest, AGranuleThatWasMovedInPartIsMovedAgain) {
  Script script({1500, 512, 2560});
  const Transferred done = TransferGranules(script, 4096);
  EXPECT_EQ(done.size, 4096u);
  EXPECT_EQ(script.asked, Asked({{8192, 4096}, {9216, 3072}, {9728, 2560}}));
}

TEST(TransferTest, TheEndOfTheFileInsideAGranuleIsReached) {
  Script script({4000});
  const Transferred done = TransferGranules(script, 4000);
  EXPECT_EQ(done.size, 4000u);
  EXPECT_EQ(done.error_number, 0);
}

TEST(TransferTest, PartOfAGranuleBeforeTheEndStopsTheTransferThere) {
  Script script({1500, 476});
  const Transferred done = TransferGranules(script, 4096);
  EXPECT_EQ(done.size, 1500u);  // 1024 and 476
  EXPECT_EQ(done.error_number, 0);
  EXPECT_EQ(script.asked.size(), 2u);
}

TEST(TransferTest, NothingNeededNeedsNoCall) {
  Script script({});
  EXPECT_EQ(TransferGranules(script, 0).size, 0u);
}

TEST(TransferTest, NoCallIsAskedForMoreThanAGibibyte) {
  // Addresses only: nothing touches them.
  constexpr size_t kSize = (size_t{5} << 30) / 2;
  void* address =
      ::mmap(nullptr, kSize, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  ASSERT_NE(address, MAP_FAILED);
  constexpr ssize_t kGibibyte = ssize_t{1} << 30;
  Script script({kGibibyte, kGibibyte, kGibibyte / 2});
  const Bytes bytes(static_cast<const std::byte*>(address), kSize);
  EXPECT_EQ(TransferAll(bytes, 5, {kSize, 1}, std::ref(script)).size, kSize);
  EXPECT_EQ(
      script.asked,
      Asked({{5, kGibibyte}, {5 + kGibibyte, kGibibyte}, {5 + 2 * kGibibyte, kGibibyte / 2}}));
  ::munmap(address, kSize);
}

}  // namespace
}  // namespace tensorbundle::io
