// Tables with compressed blocks; compression_test.cc has the decoder itself.

#include <gtest/gtest.h>

#include "format/compression.h"
#include "format/snappy_encoder.h"
#include "format/table_file.h"

namespace tensorbundle::format {
namespace {

constexpr uint8_t kSnappyType = 1;

std::string Compress(std::string_view text) { return EncodeSnappy(text); }

std::string WithSnappyBlock(std::string_view compressed) {
  TableFile table;
  table.AddDataBlock(compressed, "~", kSnappyType);
  return table.Finish();
}

std::string Preamble(uint64_t size) {
  std::string out;
  PutVarint64(out, size);
  return out;
}

TEST(TableCompression, CompressedBlocksAreRead) {
  KeysAndValues entries;
  for (int i = 0; i < 500; ++i)
    entries.emplace_back("key" + std::to_string(1000 + i), "value");
  TableFile table;
  table.AddDataBlock(Compress(PlainBlock({{"", "header"}})), "a", kSnappyType);
  table.AddDataBlock(Compress(PlainBlock(entries)), "l", kSnappyType);
  table.AddDataBlock(PlainBlock({{"m", "plain"}}), "n");
  const std::string file = table.Finish();
  KeysAndValues read;
  ASSERT_TRUE(ReadAll(file, &read).ok());
  EXPECT_EQ(read.size(), 502u);
  auto reader = TableReader::Open(AsBytes(file));
  ASSERT_TRUE(reader.ok());
  EXPECT_EQ(AsText(**(*reader)->Find("key1250")), "value");
  EXPECT_EQ(AsText(**(*reader)->Find("m")), "plain");
}

TEST(TableCompression, ACompressedIndexBlockIsRead) {
  TableFile table;
  const BlockHandle handle = table.Append(PlainBlock({{"a", "1"}}));
  const std::string index = Compress(PlainBlock({{"b", HandleBytes(handle)}}));
  EXPECT_EQ(CodeOfTable(table.FinishWithIndex(index, kSnappyType)), Code::kOk);
}

TEST(TableCompression, GarbageIsRefused) {
  EXPECT_EQ(CodeOfTable(WithSnappyBlock("\xff\xff\xff\xff\xff\xff")), Code::kBadCompression);
  EXPECT_EQ(CodeOfTable(WithSnappyBlock(Preamble(100) + "not snappy")), Code::kBadCompression);
  EXPECT_EQ(CodeOfTable(WithSnappyBlock(Preamble(kMaxBlockSize) + "x")),
            Code::kBadCompression);
  const std::string sound = Compress(PlainBlock({{"a", "1"}}));
  EXPECT_EQ(CodeOfTable(WithSnappyBlock(sound)), Code::kOk);
  EXPECT_EQ(CodeOfTable(WithSnappyBlock(sound.substr(0, sound.size() - 1))),
            Code::kBadCompression);
}

TEST(TableCompression, ADamagedCompressedBlockIsReadWithoutHarm) {
  const std::string sound = Compress(PlainBlock({{"a", std::string(100, 'v')}, {"b", "2"}}));
  for (size_t i = 0; i < sound.size(); ++i) {
    for (int bits = 1; bits < 256; ++bits) {
      std::string block = sound;
      block[i] = static_cast<char>(block[i] ^ bits);
      static_cast<void>(CodeOfTable(WithSnappyBlock(block)));
    }
  }
}

TEST(TableCompression, AClaimAboveTheLimitIsRefusedUnread) {
  EXPECT_EQ(CodeOfTable(WithSnappyBlock(Preamble(1u << 30) + "x")), Code::kLimitExceeded);
  EXPECT_EQ(CodeOfTable(WithSnappyBlock(Preamble(kMaxBlockSize + 1))), Code::kLimitExceeded);
}

TEST(TableCompression, TheDecodedBlocksTogetherHaveALimit) {
  // Eight blocks of 12 MiB each in 5 MB of file; the allowance ends before the last.
  TableFile table;
  for (int i = 0; i < 8; ++i) {
    const std::string key(1, static_cast<char>('a' + i));
    table.AddDataBlock(Compress(PlainBlock({{key, std::string(12 << 20, 'v')}})), key,
                       kSnappyType);
  }
  const std::string file = table.Finish();
  ASSERT_LT(file.size(), 6u << 20);
  auto reader = TableReader::Open(AsBytes(file));
  ASSERT_TRUE(reader.ok());
  EXPECT_TRUE((*reader)->Find("a").ok());
  const Status status = (*reader)->ForEach([](std::string_view, Bytes) { return Status(); });
  EXPECT_EQ(status.code(), Code::kLimitExceeded);
  EXPECT_TRUE(status.offset().has_value());
  EXPECT_TRUE((*reader)->Find("a").ok());  // what was decoded stays
}

}  // namespace
}  // namespace tensorbundle::format
