#include "base/status.h"

#include <gtest/gtest.h>

#include <cerrno>
#include <set>
#include <string>

#include "base/result.h"

namespace tensorbundle {
namespace {

TEST(StatusTest, ADefaultStatusIsOk) {
  const Status status;
  EXPECT_TRUE(status.ok());
  EXPECT_EQ(status.code(), Code::kOk);
  EXPECT_EQ(status.message(), "");
  EXPECT_EQ(status.ToString(), "ok");
}

TEST(StatusTest, AFailureCarriesItsPlace) {
  const Status status = Status(Code::kBadBlock, "short")
                            .WithPath("a.index")
                            .WithKey("w\n")
                            .WithShard(3)
                            .WithOffset(17);
  EXPECT_EQ(status.code(), Code::kBadBlock);
  EXPECT_EQ(status.path(), "a.index");
  EXPECT_EQ(status.key(), "w\n");
  EXPECT_EQ(status.shard(), 3);
  EXPECT_EQ(status.offset(), 17u);
  EXPECT_EQ(status.ToString(), "a.index: tensor \"w\\x0a\": short, shard 3, offset 17");
}

TEST(StatusTest, TheInnermostPlaceIsKept) {
  Status status = Status(Code::kBadBlock, "short").WithPath("inner").WithOffset(1);
  status = std::move(status).WithPath("outer").WithOffset(2);
  EXPECT_EQ(status.path(), "inner");
  EXPECT_EQ(status.offset(), 1u);
}

TEST(StatusTest, OkHasNoPlace) {
  const Status status = Status().WithPath("a").WithKey("b").WithShard(1).WithOffset(2);
  EXPECT_TRUE(status.ok());
}

TEST(StatusTest, ASystemFailureKeepsErrnoOperationAndPath) {
  const Status status = Status::System(ENOSPC, "pwrite", "/d/x");
  EXPECT_EQ(status.code(), Code::kSystem);
  EXPECT_EQ(status.error_number(), ENOSPC);
  EXPECT_EQ(status.message(), "pwrite: No space left on device");
  EXPECT_EQ(status.path(), "/d/x");
}

TEST(StatusTest, ACopyIsIndependent) {
  const Status original(Code::kBadMagic, "m");
  Status copy = original;
  copy = std::move(copy).WithPath("p");
  EXPECT_EQ(original.path(), "");
  EXPECT_EQ(copy.path(), "p");
}

TEST(StatusTest, EveryCodeHasANameOfItsOwnAndOneGroup) {
  std::set<std::string_view> names;
  for (int i = 0; i <= static_cast<int>(Code::kUnsupportedBackend); ++i) {
    const auto code = static_cast<Code>(i);
    EXPECT_NE(CodeName(code), "Unknown");
    EXPECT_TRUE(names.insert(CodeName(code)).second) << CodeName(code);
    EXPECT_FALSE(IsCorruption(code) && IsUnsupported(code));
  }
  EXPECT_TRUE(IsCorruption(Code::kTruncatedIndex));
  EXPECT_TRUE(IsCorruption(Code::kLimitExceeded));
  EXPECT_FALSE(IsCorruption(Code::kSystem));
  EXPECT_FALSE(IsCorruption(Code::kCancelled));
  EXPECT_TRUE(IsUnsupported(Code::kUnsupportedVersion));
  EXPECT_TRUE(IsUnsupported(Code::kUnsupportedBackend));
}

Result<int> Half(int n) {
  if (n % 2 != 0) return Status(Code::kInvalidArgument, "odd");
  return n / 2;
}

Result<int> Quarter(int n) {
  TB_ASSIGN_OR_RETURN(const int half, Half(n));
  TB_ASSIGN_OR_RETURN(const int quarter, Half(half));
  return quarter;
}

TEST(ResultTest, AValueOrItsStatusComesThrough) {
  ASSERT_TRUE(Quarter(8).ok());
  EXPECT_EQ(*Quarter(8), 2);
  EXPECT_EQ(Quarter(6).status().message(), "odd");
  EXPECT_TRUE(Quarter(8).status().ok());
}

}  // namespace
}  // namespace tensorbundle
