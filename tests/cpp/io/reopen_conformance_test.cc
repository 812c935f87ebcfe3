// What every Storage promises of files that are written anew: nobody sees it.

#include <cerrno>
#include <cstring>
#include <type_traits>

#include "io/aligned_buffer.h"
#include "io/storage_fixture.h"

namespace tensorbundle::io {
namespace {

constexpr uint64_t kSize = 8192;  // bytes: a multiple of any granule

template <typename Kind>
class ReopenConformanceTest : public StorageFixture<Kind> {
 protected:
  void SetUp() override {
    StorageFixture<Kind>::SetUp();
    if (this->IsSkipped()) return;
    const bool is_memory = std::is_base_of_v<MemoryKind, Kind>;
    const std::string why_not = is_memory ? "" : WhyNoReopening(this->Path(""));
    if (!why_not.empty()) GTEST_SKIP() << why_not;
    WriteFile(this->storage(), this->Path("a"), std::string(kSize, 'o'));
    identity_ = *this->storage().Identify(this->Path("a"));
  }

  Result<std::unique_ptr<WritableFile>> Reopen(const std::string& name = "a") {
    return this->storage().ReopenDirect(this->Path(name), identity_);
  }

  FileIdentity identity_;
};
TYPED_TEST_SUITE(ReopenConformanceTest, StorageKinds, StorageKindNames);

TYPED_TEST(ReopenConformanceTest, AFileIsWrittenAnewWhereItIsWritten) {
  const AlignedBuffer memory = std::move(*AlignedBuffer::Allocate(4096));
  std::memset(memory.bytes().data(), 'n', 4096);
  const auto file = this->Reopen();
  ASSERT_OK(file.status());
  EXPECT_TRUE((*file)->is_reused());
  EXPECT_EQ(ReadFile(this->storage(), this->Path("a")), std::string(kSize, 'o'));
  EXPECT_OK((*file)->Allocate(kSize));
  EXPECT_OK((*file)->WriteAt(0, memory.bytes()));
  EXPECT_OK((*file)->Truncate(5000));
  EXPECT_OK((*file)->Sync());
  EXPECT_OK((*file)->Close());
  EXPECT_EQ(ReadFile(this->storage(), this->Path("a")),
            std::string(4096, 'n') + std::string(904, 'o'));
  EXPECT_EQ(*this->storage().Identify(this->Path("a")), this->identity_);
}

TYPED_TEST(ReopenConformanceTest, ItMayGrow) {
  const auto file = this->Reopen();
  ASSERT_OK(file.status());
  EXPECT_OK((*file)->Allocate(2 * kSize));
  EXPECT_OK((*file)->Truncate(2 * kSize));
  EXPECT_OK((*file)->Close());
  EXPECT_EQ(ReadFile(this->storage(), this->Path("a")),
            std::string(kSize, 'o') + std::string(kSize, '\0'));
}

TYPED_TEST(ReopenConformanceTest, NewFilesAreNotReused) {
  const auto file = this->storage().CreateDirect(this->Path("new"));
  ASSERT_OK(file.status());
  EXPECT_FALSE((*file)->is_reused());
}

TYPED_TEST(ReopenConformanceTest, OneThatIsOpenIsRefused) {
  {
    const auto reader = this->storage().OpenForRead(this->Path("a"));
    ASSERT_OK(reader.status());
    ExpectSystemError(this->Reopen().status(), EBUSY, this->Path("a"));
  }
  {
    const auto writer = this->Reopen();
    ASSERT_OK(writer.status());
    ExpectSystemError(this->Reopen().status(), EBUSY, this->Path("a"));
  }
  EXPECT_OK(this->Reopen().status());
}

TYPED_TEST(ReopenConformanceTest, OneThatIsMappedIsRefused) {
  for (const MapAccess access : {MapAccess::kReadOnly, MapAccess::kPrivate}) {
    auto map = this->storage().Map(this->Path("a"), access);
    ASSERT_OK(map.status());
    ExpectSystemError(this->Reopen().status(), EBUSY, this->Path("a"));
  }
  EXPECT_OK(this->Reopen().status());
}

TYPED_TEST(ReopenConformanceTest, OneWithAnotherNameIsRefused) {
  ASSERT_OK(this->storage().Link(this->Path("a"), this->Path("b")));
  ExpectSystemError(this->Reopen().status(), EMLINK, this->Path("a"));
  ASSERT_OK(this->storage().Remove(this->Path("b")));
  EXPECT_OK(this->Reopen().status());
}

TYPED_TEST(ReopenConformanceTest, AnotherFileIsRefused) {
  WriteFile(this->storage(), this->Path("b"), "another");
  ExpectSystemError(this->Reopen("b").status(), ESTALE, this->Path("b"));
  ExpectSystemError(this->Reopen("no").status(), ENOENT, this->Path("no"));
  ASSERT_OK(this->storage().Rename(this->Path("a"), this->Path("c")));
  EXPECT_OK(this->Reopen("c").status());
  EXPECT_FALSE(this->storage().ReopenDirect(this->root(), this->identity_).ok());
}

}  // namespace
}  // namespace tensorbundle::io
