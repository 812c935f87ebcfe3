// A small index, damaged in every place: whatever is not found must be harmless.

#include <gtest/gtest.h>

#include "format/entry.h"
#include "format/table_file.h"

namespace tensorbundle::format {
namespace {

KeysAndValues SmallBundle() {
  Entry entry;
  entry.shape = {2, 2};
  entry.size = 16;
  entry.crc32c = checksum::MaskedCrc32c(0x12345678);
  std::string value;
  AppendEntry(entry, value);
  return {{"", EncodeHeader(Header{})}, {"layer/bias", value}, {"layer/kernel", value}};
}

// Reads everything there is to read, values and all.
Status ReadBundle(std::string_view file, KeysAndValues* entries) {
  TB_RETURN_IF_ERROR(ReadAll(file, entries));
  for (const auto& [key, value] : *entries) {
    if (key.empty()) {
      TB_RETURN_IF_ERROR(DecodeHeader(AsBytes(value)).status());
    } else {
      TB_RETURN_IF_ERROR(DecodeEntry(AsBytes(value)).status());
    }
  }
  return Status();
}

// Either a named fault, or the very same entries.
void ExpectFoundOrHarmless(std::string_view file, std::string_view what, size_t where) {
  KeysAndValues entries;
  const Status status = ReadBundle(file, &entries);
  if (status.ok()) {
    EXPECT_EQ(entries, SmallBundle()) << what << " " << where;
  } else {
    EXPECT_TRUE(IsCorruption(status.code()) || IsUnsupported(status.code()))
        << status.ToString();
    EXPECT_FALSE(status.message().empty());
  }
}

TEST(TableDamage, EveryFlippedByteIsFoundOrHarmless) {
  const std::string sound = BuildTable(SmallBundle());
  for (size_t i = 0; i < sound.size(); ++i) {
    for (int bits = 1; bits < 256; ++bits) {
      std::string file = sound;
      file[i] = static_cast<char>(file[i] ^ bits);
      ExpectFoundOrHarmless(file, "byte", i);
    }
  }
}

TEST(TableDamage, EveryFlippedBitOfADataBlockIsFound) {
  const std::string sound = BuildTable(SmallBundle());
  const size_t block_end = sound.find(std::string("\0\0\0\0\1\0\0\0\0\xc0", 10));
  for (size_t bit = 0; bit < block_end * 8; ++bit) {
    std::string file = sound;
    file[bit / 8] = static_cast<char>(file[bit / 8] ^ 1 << bit % 8);
    EXPECT_EQ(CodeOfTable(file), Code::kBadBlockChecksum) << bit;
  }
}

TEST(TableDamage, EveryTruncationIsFound) {
  const std::string sound = BuildTable(SmallBundle());
  for (size_t size = 0; size < sound.size(); ++size) {
    EXPECT_NE(CodeOfTable(std::string_view(sound).substr(0, size)), Code::kOk) << size;
    EXPECT_NE(CodeOfTable(std::string_view(sound).substr(sound.size() - size)), Code::kOk)
        << size;
  }
}

// The same behind the checksums: blocks that are damaged and then sealed.
TEST(TableDamage, EveryFlippedByteOfASealedBlockIsReadWithoutHarm) {
  BlockBuilder builder(2);
  for (const auto& [key, value] : SmallBundle()) builder.Add(key, value);
  const std::string sound(builder.Finish());
  for (size_t i = 0; i < sound.size(); ++i) {
    for (int bits = 1; bits < 256; ++bits) {
      std::string block = sound;
      block[i] = static_cast<char>(block[i] ^ bits);
      TableFile as_data;
      as_data.AddDataBlock(block, "~");
      KeysAndValues entries;
      static_cast<void>(ReadBundle(as_data.Finish(), &entries));
      const std::string file = TableFile().FinishWithIndex(block);
      EXPECT_FALSE(TableReader::Open(AsBytes(file)).ok());
    }
  }
}

TEST(TableDamage, EveryFlippedByteOfAValueIsReadWithoutHarm) {
  Entry sliced;
  sliced.shape = {4, 6};
  sliced.slices = {{{0, 2}, {}}, {{2, 2}, {0, 6}}};
  std::string sliced_value;
  AppendEntry(sliced, sliced_value);
  for (const std::string& sound :
       {SmallBundle()[0].second, SmallBundle()[1].second, sliced_value}) {
    for (size_t i = 0; i < sound.size(); ++i) {
      for (int bits = 1; bits < 256; ++bits) {
        std::string value = sound;
        value[i] = static_cast<char>(value[i] ^ bits);
        static_cast<void>(DecodeHeader(AsBytes(value)).ok());
        static_cast<void>(DecodeEntry(AsBytes(value)).ok());
      }
    }
  }
}

}  // namespace
}  // namespace tensorbundle::format
