#include "checksum/paths.h"

#include <gtest/gtest.h>
#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <cctype>
#include <cstring>
#include <ostream>
#include <random>
#include <set>
#include <string>

#include "checksum/crc32c.h"
#include "checksum/reference.h"

namespace tensorbundle::checksum {

// How GoogleTest names a path in its messages.
void PrintTo(const CpuPath& path, std::ostream* out) { *out << path.name; }

namespace {

using testing::BitwiseExtend;
using testing::BitwiseStates;
using testing::KnownVectors;
using testing::RandomBytes;

constexpr uint32_t kInitial = 0xffffffffU;  // the register before the first byte

TEST(Paths, BeginWithTheOneThatRunsEverywhere) {
  ASSERT_FALSE(AvailablePaths().empty());
  EXPECT_EQ(AvailablePaths().front().name, "portable");
}

TEST(Paths, HaveNamesOfTheirOwn) {
  std::set<std::string_view> names;
  for (const CpuPath& path : AvailablePaths()) EXPECT_TRUE(names.insert(path.name).second);
}

TEST(Paths, EndWithTheActiveOne) { EXPECT_EQ(AvailablePaths().back().name, ActivePath()); }

class EveryPath : public ::testing::TestWithParam<CpuPath> {
 protected:
  static uint32_t Extend(uint32_t state, Bytes bytes) {
    return GetParam().extend(state, bytes);
  }
};

TEST_P(EveryPath, GivesTheKnownVectors) {
  for (const auto& vector : KnownVectors()) {
    EXPECT_EQ(~Extend(kInitial, vector.bytes), vector.crc) << vector.name;
  }
}

TEST_P(EveryPath, AgreesWithTheBitwiseDefinitionAtEverySizeAndAlignment) {
  constexpr size_t kMaxSize = 4096;
  constexpr size_t kAlignments = 64;
  const std::vector<std::byte> memory = RandomBytes(kMaxSize + 2 * kAlignments, 1);
  const size_t misaligned = reinterpret_cast<uintptr_t>(memory.data()) % kAlignments;
  for (size_t alignment = 0; alignment < kAlignments; ++alignment) {
    const Bytes bytes = Bytes(memory).subspan(kAlignments - misaligned + alignment, kMaxSize);
    ASSERT_EQ(reinterpret_cast<uintptr_t>(bytes.data()) % kAlignments, alignment);
    const std::vector<uint32_t> expected = BitwiseStates(kInitial, bytes);
    for (size_t size = 0; size <= kMaxSize; ++size) {
      ASSERT_EQ(Extend(kInitial, bytes.first(size)), expected[size])
          << size << " bytes at alignment " << alignment;
    }
  }
}

TEST_P(EveryPath, AgreesWithTheBitwiseDefinitionFromEveryRegister) {
  const std::vector<std::byte> bytes = RandomBytes(5000, 2);
  for (int bit = 0; bit < 32; ++bit) {
    const uint32_t state = uint32_t{1} << bit;
    const std::vector<uint32_t> expected = BitwiseStates(state, bytes);
    for (size_t size = 0; size <= bytes.size(); size += 7) {
      ASSERT_EQ(Extend(state, Bytes(bytes).first(size)), expected[size])
          << size << " bytes from register " << state;
    }
  }
}

TEST_P(EveryPath, AgreesWithTheBitwiseDefinitionOverSeveralMebibytes) {
  const std::vector<std::byte> bytes = RandomBytes((size_t{5} << 20) + 13, 3);
  EXPECT_EQ(Extend(kInitial, bytes), BitwiseExtend(kInitial, bytes));
}

// A single bit reaches the register by one way only; random bytes may hide a way that
// is wrong for few of them.
TEST_P(EveryPath, AgreesWithTheBitwiseDefinitionOnEverySingleBit) {
  std::vector<std::byte> bytes(3584);
  for (size_t i = 0; i < bytes.size(); ++i) {
    bytes[i] = std::byte{1} << (i % 8);
    const Bytes last_first = Bytes(bytes).subspan(i);
    ASSERT_EQ(Extend(0, bytes), BitwiseExtend(0, last_first)) << "byte " << i;
    bytes[i] = std::byte{0};
  }
}

TEST_P(EveryPath, GoesOnFromAnySplit) {
  const std::vector<std::byte> memory = RandomBytes(100'000, 4);
  const Bytes bytes(memory);
  const std::vector<uint32_t> expected = BitwiseStates(kInitial, bytes);
  std::mt19937 engine(5);
  for (int round = 0; round < 500; ++round) {
    const size_t end = engine() % (bytes.size() + 1);
    const size_t split = engine() % (end + 1);
    const uint32_t state = Extend(kInitial, bytes.first(split));
    ASSERT_EQ(state, expected[split]);
    ASSERT_EQ(Extend(state, bytes.first(end).subspan(split)), expected[end])
        << "split at " << split << " of " << end;
  }
}

// Memory between two pages that must not be touched.
class Fenced {
 public:
  explicit Fenced(size_t pages) : page_(static_cast<size_t>(sysconf(_SC_PAGESIZE))) {
    size_ = (pages + 2) * page_;
    void* map = mmap(nullptr, size_, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    EXPECT_NE(map, MAP_FAILED);
    all_ = std::span(static_cast<std::byte*>(map), size_);
    EXPECT_EQ(mprotect(open().data(), open().size(), PROT_READ | PROT_WRITE), 0);
  }
  Fenced(const Fenced&) = delete;
  Fenced& operator=(const Fenced&) = delete;
  ~Fenced() { munmap(all_.data(), size_); }

  MutableBytes open() const { return all_.subspan(page_, size_ - 2 * page_); }

 private:
  size_t page_;
  size_t size_ = 0;
  MutableBytes all_;
};

TEST_P(EveryPath, ReadsNothingOutsideItsBytes) {
  const Fenced fenced(2);
  const std::vector<std::byte> random = RandomBytes(fenced.open().size(), 6);
  std::copy(random.begin(), random.end(), fenced.open().begin());
  for (size_t size = 0; size <= random.size(); size += size < 2048 ? 1 : 61) {
    ASSERT_EQ(Extend(kInitial, fenced.open().first(size)),
              Extend(kInitial, Bytes(random).first(size)));
    ASSERT_EQ(Extend(kInitial, fenced.open().last(size)),
              Extend(kInitial, Bytes(random).last(size)));
  }
}

std::string TestName(const ::testing::TestParamInfo<CpuPath>& info) {
  std::string name(info.param.name);
  std::replace_if(
      name.begin(), name.end(), [](unsigned char c) { return std::isalnum(c) == 0; }, '_');
  return name;
}

INSTANTIATE_TEST_SUITE_P(, EveryPath, ::testing::ValuesIn(AvailablePaths()), TestName);

}  // namespace
}  // namespace tensorbundle::checksum
