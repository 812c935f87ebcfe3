// Files that TensorFlow 2.21 wrote, byte for byte.
//
// Recipe (CPU, Linux x86-64), each tensor in this order with tf.raw_ops.SaveV2:
//
//   small   shape_and_slices "": "b/strings" = [b"hello", b"", b"x" * 300], "a" = 1.5,
//           "empty" = zeros([0, 4], int32), "layer/bias" = int64 [1, 2, 3],
//           "layer/kernel" = float64 [[1, 2], [3, 4]], "half" = bfloat16 [1, -2]
//   sliced  "v" = reshape(range(12.), [2, 6]) as "4 6 0,2:-", "v" = the same + 100 as
//           "4 6 2,2:0,6", "w" = int32 [7, 8] as "5 1,2"
//   many    "layer_%05d/kernel" % i = int8 0, for i in range(20000)

#include <gtest/gtest.h>

#include <string>
#include <utility>
#include <vector>

#include "format/entry.h"
#include "format/hex.h"
#include "format/slices.h"
#include "format/string_tensor.h"
#include "format/table_file.h"

namespace tensorbundle::format {
namespace {

constexpr std::string_view kSmallIndex =
    "00000608011a02080100010e610801120020b9022804355e2fe1a7000910622f737472696e6773080712"
    "041202080328b902355b8648b0000512656d7074790803120612001202080420bd0235d8ea82a2000412"
    "68616c66080e12041202080220f502280435f2f29e92000a126c617965722f6269617308091204120208"
    "0320bd02281835e1f28a2a0606166b65726e656c08021208120208021202080220d502282035bad72cc7"
    "000000000100000000b83ea465000000000100000000c0f2a1b00001036d00b001000000000100000000"
    "6a8eb97fb50108c2010f0000000000000000000000000000000000000000000000000000000000000000"
    "000057fb808b247547db";

constexpr std::string_view kSlicedIndex =
    "00000608011a020801000a130076000101028082807f080112081202080212020806283035d7a655dc06"
    "041582828086080112081202080212020806203028303544ae6e85010711770001010181820803120412"
    "020802206028083543eb534b000120760801120812020804120208063a060a0210020a003a0a0a040802"
    "10020a0210060001107708031204120208053a060a0408011002000000000100000000f2f31bd9000000"
    "000100000000c0f2a1b00001037800a00100000000010000000080e404d1a50108b2010f000000000000"
    "0000000000000000000000000000000000000000000000000000000057fb808b247547db";

constexpr size_t kManySize = 523358;          // of many.index
constexpr uint32_t kManyCrc32c = 0x7b287d0f;  // of all its bytes, by a CRC of its own

std::string Encoded(const Entry& entry) {
  std::string out;
  AppendEntry(entry, out);
  return out;
}

Entry MakeEntry(DType dtype, Shape shape, uint64_t offset, uint64_t size, uint32_t crc) {
  Entry entry;
  entry.dtype = dtype;
  entry.shape = std::move(shape);
  entry.offset = offset;
  entry.size = size;
  entry.crc32c = checksum::MaskedCrc32c(crc);
  return entry;
}

// The tensors of "small", in the order of their keys.
std::vector<std::pair<std::string, Entry>> SmallEntries() {
  return {
      {"a", MakeEntry(DType::kFloat32, {}, 313, 4, 0xa7e12f5e)},
      {"b/strings", MakeEntry(DType::kString, {3}, 0, 313, 0xb048865b)},
      {"empty", MakeEntry(DType::kInt32, {0, 4}, 317, 0, 0xa282ead8)},
      {"half", MakeEntry(DType::kBfloat16, {2}, 373, 4, 0x929ef2f2)},
      {"layer/bias", MakeEntry(DType::kInt64, {3}, 317, 24, 0x2a8af2e1)},
      {"layer/kernel", MakeEntry(DType::kFloat64, {2, 2}, 341, 32, 0xc72cd7ba)},
  };
}

TEST(TensorFlow, TheSmallIndexIsWhatWeWrite) {
  KeysAndValues entries = {{"", EncodeHeader(Header{})}};
  for (const auto& [key, entry] : SmallEntries()) entries.emplace_back(key, Encoded(entry));
  EXPECT_EQ(ToHex(BuildTable(entries)), kSmallIndex);
}

TEST(TensorFlow, TheSmallIndexIsRead) {
  const std::string file = FromHex(kSmallIndex);
  auto reader = TableReader::Open(AsBytes(file));
  ASSERT_TRUE(reader.ok()) << reader.status().ToString();
  const auto header = (*reader)->Find("");
  ASSERT_TRUE(header.ok() && header->has_value());
  EXPECT_EQ(*DecodeHeader(**header), Header{});
  for (const auto& [key, expected] : SmallEntries()) {
    const auto value = (*reader)->Find(key);
    ASSERT_TRUE(value.ok() && value->has_value()) << key;
    const auto entry = DecodeEntry(**value);
    ASSERT_TRUE(entry.ok()) << entry.status().ToString();
    EXPECT_EQ(*entry, expected) << key;
  }
}

TEST(TensorFlow, TheStringsOfTheSmallFileAreRead) {
  const std::string stored = FromHex("0500ac02812c1d6d") + "hello" + std::string(300, 'x');
  const auto strings =
      DecodeStrings(AsBytes(stored), 3, SmallEntries()[1].second.crc32c, /*verify=*/true);
  ASSERT_TRUE(strings.ok()) << strings.status().ToString();
  EXPECT_EQ(AsText((*strings)[0]), "hello");
  EXPECT_EQ((*strings)[1].size(), 0u);
  EXPECT_EQ(AsText((*strings)[2]), std::string(300, 'x'));
}

TEST(TensorFlow, TheSlicedIndexIsWhatWeWrite) {
  const Slice first = {{0, 2}, {}};
  const Slice second = {{2, 2}, {0, 6}};
  const Slice of_w = {{1, 2}};
  Entry v = MakeEntry(DType::kFloat32, {4, 6}, 0, 0, 0);
  v.slices = {first, second};
  Entry w = MakeEntry(DType::kInt32, {5}, 0, 0, 0);
  w.slices = {of_w};
  const KeysAndValues entries = {
      {"", EncodeHeader(Header{})},
      {EncodeSliceKey("v", first),
       Encoded(MakeEntry(DType::kFloat32, {2, 6}, 0, 48, 0xdc55a6d7))},
      {EncodeSliceKey("v", second),
       Encoded(MakeEntry(DType::kFloat32, {2, 6}, 48, 48, 0x856eae44))},
      {EncodeSliceKey("w", of_w), Encoded(MakeEntry(DType::kInt32, {2}, 96, 8, 0x4b53eb43))},
      {"v", Encoded(v)},
      {"w", Encoded(w)},
  };
  EXPECT_EQ(ToHex(BuildTable(entries)), kSlicedIndex);
}

TEST(TensorFlow, TheSlicedIndexIsRead) {
  const std::string file = FromHex(kSlicedIndex);
  auto reader = TableReader::Open(AsBytes(file));
  ASSERT_TRUE(reader.ok());
  const auto value = (*reader)->Find("v");
  ASSERT_TRUE(value.ok() && value->has_value());
  const auto entry = DecodeEntry(**value);
  ASSERT_TRUE(entry.ok()) << entry.status().ToString();
  ASSERT_EQ(entry->slices.size(), 2u);
  for (const Slice& slice : entry->slices) {
    const std::string key = EncodeSliceKey("v", slice);
    const auto part = (*reader)->Find(key);
    EXPECT_TRUE(part.ok() && part->has_value());
    EXPECT_EQ(DecodeSliceKey(key)->slice, slice);
  }
}

TEST(TensorFlow, TwentyThousandKeysInSeveralBlocksAreWhatWeWrite) {
  const checksum::MaskedCrc32c crc =
      checksum::Mask(checksum::Compute(AsBytes(std::string_view("\0", 1))));
  KeysAndValues entries = {{"", EncodeHeader(Header{})}};
  for (uint32_t i = 0; i < 20000; ++i) {
    const std::string number = std::to_string(100000 + i).substr(1);
    entries.emplace_back("layer_" + number + "/kernel",
                         Encoded(MakeEntry(DType::kInt8, {}, i, 1, crc.value())));
  }
  const std::string file = BuildTable(entries);
  EXPECT_EQ(file.size(), kManySize);
  EXPECT_EQ(checksum::Compute(AsBytes(file)).value(), kManyCrc32c);
}

}  // namespace
}  // namespace tensorbundle::format
