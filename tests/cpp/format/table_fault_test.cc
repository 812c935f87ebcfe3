// Index files that must be refused: reliability.md, 2.3 A.

#include <gtest/gtest.h>

#include <string>
#include <utility>

#include "format/table_file.h"

namespace tensorbundle::format {
namespace {

// One sound block with the keys "" and "k".
std::string SoundBlock() { return PlainBlock({{"", "h"}, {"k", "v"}}); }

TableFile SoundTable() {
  TableFile table;
  table.AddDataBlock(SoundBlock(), "l");
  return table;
}

// A file whose only data block is `block`.
std::string WithBlock(std::string_view block, std::string separator = "~") {
  TableFile table;
  table.AddDataBlock(block, std::move(separator));
  return table.Finish();
}

// A file whose only index entry is `value`, after one sound block at offset 0.
std::string WithHandle(const std::string& value) {
  TableFile table;
  table.Append(SoundBlock());
  table.AddIndexEntry("l", value);
  return table.Finish();
}

// A file whose footer has this handle for its index block.
std::string WithIndexHandle(const BlockHandle& index) {
  TableFile table;
  const BlockHandle metaindex = table.Append(RawBlock("", {0}, 1));
  table.Append(RawBlock("", {0}, 1));
  return table.FinishWithFooter(HandleBytes(metaindex) + HandleBytes(index));
}

Code OpenCode(std::string_view file) {
  return TableReader::Open(AsBytes(file)).status().code();
}

TEST(TableFault, TheUndamagedFileIsSound) {
  EXPECT_EQ(CodeOfTable(SoundTable().Finish()), Code::kOk);
  EXPECT_EQ(CodeOfTable(WithHandle(HandleBytes({0, SoundBlock().size()}))), Code::kOk);
  EXPECT_EQ(CodeOfTable(WithIndexHandle({13, 8})), Code::kOk);
}

TEST(TableFault, AFileShorterThanItsFooterIsTruncated) {
  EXPECT_EQ(OpenCode(""), Code::kTruncatedIndex);
  EXPECT_EQ(OpenCode("x"), Code::kTruncatedIndex);
  EXPECT_EQ(OpenCode(std::string(47, '\0')), Code::kTruncatedIndex);
  EXPECT_EQ(OpenCode(std::string(48, '\0')), Code::kBadMagic);
}

TEST(TableFault, WithoutItsMagicAFileIsNoIndex) {
  const std::string file = SoundTable().Finish();
  EXPECT_EQ(OpenCode(file.substr(0, file.size() - 1)), Code::kBadMagic);
  EXPECT_EQ(OpenCode(file + "x"), Code::kBadMagic);
  EXPECT_EQ(OpenCode(file.substr(0, file.size() - 8) + std::string(8, '\0')), Code::kBadMagic);
}

TEST(TableFault, AFooterAloneHasBadHandles) {
  const std::string file = SoundTable().Finish();
  EXPECT_EQ(OpenCode(file.substr(file.size() - kFooterSize)), Code::kBadHandle);
}

TEST(TableFault, ZeroedFooterHandlesAreFound) {
  TableFile table = SoundTable();
  EXPECT_EQ(OpenCode(table.FinishWithFooter("")), Code::kBadBlockChecksum);
}

TEST(TableFault, FooterHandlesThatAreNoVarintsAreRefused) {
  EXPECT_EQ(OpenCode(SoundTable().FinishWithFooter(std::string(40, '\xff'))),
            Code::kBadHandle);
}

TEST(TableFault, AnIndexBlockOutsideTheFileIsRefused) {
  EXPECT_EQ(OpenCode(WithIndexHandle({1ull << 40, 8})), Code::kBadHandle);
  EXPECT_EQ(OpenCode(WithIndexHandle({13, 1ull << 40})), Code::kBadHandle);
  EXPECT_EQ(OpenCode(WithIndexHandle({13, UINT64_MAX - 4})), Code::kBadHandle);
  EXPECT_EQ(OpenCode(WithIndexHandle({UINT64_MAX, 8})), Code::kBadHandle);
  EXPECT_EQ(OpenCode(WithIndexHandle({13, 9})),
            Code::kBadHandle);  // its trailer in the footer
  EXPECT_EQ(OpenCode(WithIndexHandle({26, 0})), Code::kBadHandle);
}

TEST(TableFault, ADataBlockOutsideTheFileIsRefused) {
  for (const BlockHandle& handle : {BlockHandle{1000, 10},
                                    {0, 8ull << 30},
                                    {UINT64_MAX, 1},
                                    {5, UINT64_MAX - 4},
                                    {UINT64_MAX, UINT64_MAX}}) {
    const Status status = TableReader::Open(AsBytes(WithHandle(HandleBytes(handle)))).status();
    EXPECT_EQ(status.code(), Code::kBadHandle) << handle.offset;
    EXPECT_NE(status.message().find("data block 0"), std::string::npos);
    EXPECT_TRUE(status.offset().has_value());
  }
}

TEST(TableFault, ADataBlockOfNoBytesIsRefused) {
  EXPECT_EQ(OpenCode(WithHandle(HandleBytes({0, 0}))), Code::kBadBlock);
}

TEST(TableFault, AHandleThatIsCutIsRefused) {
  EXPECT_EQ(OpenCode(WithHandle("\x80")), Code::kBadHandle);
  EXPECT_EQ(OpenCode(WithHandle("")), Code::kBadHandle);
  EXPECT_EQ(OpenCode(WithHandle(std::string(1, '\0'))), Code::kBadHandle);
}

TEST(TableFault, ADataBlockThatOverlapsTheIndexIsRefused) {
  const std::string sound = WithHandle(HandleBytes({0, SoundBlock().size()}));
  const uint64_t to_index_end = sound.size() - kFooterSize - kBlockTrailerSize;
  EXPECT_EQ(OpenCode(WithHandle(HandleBytes({0, to_index_end}))), Code::kBadBlock);
}

TEST(TableFault, DataBlocksMustBeDisjointAndInOrder) {
  TableFile same;
  const BlockHandle handle = same.Append(SoundBlock());
  for (int i = 0; i < 1000; ++i)
    same.AddIndexEntry("l" + std::to_string(i), HandleBytes(handle));
  EXPECT_EQ(OpenCode(same.Finish()), Code::kBadHandle);

  TableFile swapped;
  const BlockHandle first = swapped.Append(PlainBlock({{"b", ""}}));
  const BlockHandle second = swapped.Append(PlainBlock({{"a", ""}}));
  swapped.AddIndexEntry("a", HandleBytes(second));
  swapped.AddIndexEntry("b", HandleBytes(first));
  EXPECT_EQ(OpenCode(swapped.Finish()), Code::kBadHandle);
}

TEST(TableFault, AWrongChecksumIsFound) {
  TableFile table = SoundTable();
  std::string file = table.Finish();
  file[SoundBlock().size() + 2] ^= 1;  // the data block's
  const Status status = ReadAll(file);
  EXPECT_EQ(status.code(), Code::kBadBlockChecksum);
  EXPECT_EQ(status.offset(), 0u);
  std::string index = SoundTable().Finish();
  index[index.size() - kFooterSize - 1] ^= 1;
  EXPECT_EQ(OpenCode(index), Code::kBadBlockChecksum);
}

TEST(TableFault, AnUnknownCompressionIsNamedByItsNumber) {
  TableFile data;
  data.AddDataBlock(SoundBlock(), "l", 2);
  const Status status = ReadAll(data.Finish());
  EXPECT_EQ(status.code(), Code::kBadCompression);
  EXPECT_NE(status.message().find("2"), std::string::npos);
  EXPECT_EQ(OpenCode(SoundTable().Finish(99)), Code::kBadCompression);
}

TEST(TableFault, ADamagedBlockIsNotAnEmptyOne) {
  const std::string entry = RawEntry(0, 1, 1, "kv");
  for (const std::string& block :
       {RawBlock(entry, {0}, UINT32_MAX), RawBlock(entry, {0}, 0),
        RawBlock(entry, {0x7fffffff}, 1), RawBlock(entry + entry, {0, 3}, 2),
        std::string("ab"), RawBlock("", {}, 7), RawBlock(RawEntry(1, 1, 1, "kv"), {0}, 1),
        RawBlock(RawEntry(0, 9, 1, "kv"), {0}, 1), RawBlock(RawEntry(0, 1, 9, "kv"), {0}, 1),
        RawBlock(RawEntry(0, 1u << 31, (1u << 31) + 1, "kv"), {0}, 1)}) {
    EXPECT_EQ(CodeOfTable(WithBlock(block)), Code::kBadBlock);
    TableFile as_index;
    EXPECT_EQ(OpenCode(as_index.FinishWithIndex(block)) == Code::kOk, false);
  }
}

TEST(TableFault, KeysMustAscend) {
  EXPECT_EQ(CodeOfTable(WithBlock(PlainBlock({{"", ""}, {"z", ""}, {"a", ""}}))),
            Code::kBadKeyOrder);
  EXPECT_EQ(CodeOfTable(WithBlock(PlainBlock({{"", ""}, {"a", "1"}, {"a", "2"}}))),
            Code::kDuplicateKey);
  EXPECT_EQ(CodeOfTable(WithBlock(PlainBlock({{"", "1"}, {"", "2"}}))), Code::kDuplicateKey);
}

TEST(TableFault, KeysMustNotPassTheirSeparator) {
  EXPECT_EQ(CodeOfTable(WithBlock(PlainBlock({{"", ""}, {"k", ""}}), "k")), Code::kOk);
  EXPECT_EQ(CodeOfTable(WithBlock(PlainBlock({{"", ""}, {"k", ""}}), "j")),
            Code::kBadKeyOrder);
}

TEST(TableFault, KeysMustAscendFromBlockToBlock) {
  const auto second_block = [](std::string key) {
    TableFile table;
    table.AddDataBlock(PlainBlock({{"", ""}, {"k", ""}}), "l");
    table.AddDataBlock(PlainBlock({{std::move(key), ""}}), "z");
    return CodeOfTable(table.Finish());
  };
  EXPECT_EQ(second_block("m"), Code::kOk);
  EXPECT_EQ(second_block("l"), Code::kDuplicateKey);  // the separator is a key at most once
  EXPECT_EQ(second_block("b"), Code::kBadKeyOrder);
}

TEST(TableFault, SeparatorsMustAscend) {
  const auto separators = [](std::string first, std::string second) {
    TableFile table;
    table.AddDataBlock(PlainBlock({{"a", ""}}), std::move(first));
    table.AddDataBlock(PlainBlock({{"c", ""}}), std::move(second));
    return OpenCode(table.Finish());
  };
  EXPECT_EQ(separators("b", "c"), Code::kOk);
  EXPECT_EQ(separators("b", "b"), Code::kDuplicateKey);
  EXPECT_EQ(separators("c", "b"), Code::kBadKeyOrder);
}

TEST(TableFault, AnOverlongBlockIsRefusedOnlyWhenItIsNeeded) {
  TableFile table;
  table.AddDataBlock(PlainBlock({{"a", "1"}}), "a");
  table.AddDataBlock(std::string(kMaxBlockSize + 1, '\0'), "b");
  const std::string file = table.Finish();
  auto reader = TableReader::Open(AsBytes(file));
  ASSERT_TRUE(reader.ok());
  EXPECT_TRUE((*reader)->Find("a").ok());
  EXPECT_EQ((*reader)->Find("b").status().code(), Code::kLimitExceeded);
}

// A few bytes of prefix compression each would become a megabyte of key.
TEST(TableFault, KeysThatGrowOutOfAllProportionAreRefused) {
  const std::string key(kMaxKeySize - 1, 'k');
  std::string entries = RawEntry(0, static_cast<uint32_t>(key.size()), 0, key);
  for (int i = 1; i < 256; ++i) {
    entries += RawEntry(static_cast<uint32_t>(key.size()), 1, 0,
                        std::string(1, static_cast<char>(i)));
  }
  EXPECT_EQ(CodeOfTable(WithBlock(RawBlock(entries, {0}, 1))), Code::kLimitExceeded);
}

TEST(TableFault, SeparatorsThatGrowOutOfAllProportionAreRefused) {
  TableFile table;
  const std::string key(kMaxKeySize - 1, 'k');
  std::string index;
  for (int i = 0; i < 256; ++i) {
    const std::string handle = HandleBytes(table.Append(PlainBlock({})));
    const std::string suffix(1, static_cast<char>(i));
    index += i == 0 ? RawEntry(0, static_cast<uint32_t>(kMaxKeySize),
                               static_cast<uint32_t>(handle.size()), key + suffix + handle)
                    : RawEntry(static_cast<uint32_t>(key.size()), 1,
                               static_cast<uint32_t>(handle.size()), suffix + handle);
  }
  EXPECT_EQ(OpenCode(table.FinishWithIndex(RawBlock(index, {0}, 1))), Code::kLimitExceeded);
}

}  // namespace
}  // namespace tensorbundle::format
