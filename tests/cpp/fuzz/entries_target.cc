// The first byte of an input says what the rest is:
//
//   0  keys and values of a sound table          (header and entries are fuzzed)
//   1  a data block                              (prefixes, lengths, restart points)
//   2  a data block, compressed                  (Snappy)
//   3  the index block, behind a sound data block
//   4  several data blocks, each with a separator (order across blocks)
//
// Checksums and footer are right in every case.

#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "format/entry.h"
#include "format/table_file.h"
#include "fuzz/byte_storage.h"
#include "fuzz/checks.h"
#include "fuzz/input.h"
#include "fuzz/targets.h"

namespace tensorbundle::fuzz {
namespace {

constexpr size_t kMostEntries = 32;

std::string SoundTable(Input& input) {
  format::KeysAndValues entries;
  // One bit: the header itself is sound, so that there is something behind it.
  if ((input.Byte() & 1) != 0) {
    entries.emplace_back("", format::EncodeHeader({}));
  } else {
    entries.emplace_back("", input.Text());
  }
  TakeEntries(input, kMostEntries, entries);
  return SortedTable(std::move(entries));
}

std::string WithBlock(Input& input, uint8_t type) {
  format::TableFile table;
  table.AddDataBlock(AsText(input.Rest()), "\xff\xff\xff\xff", type);
  return table.Finish();
}

std::string WithIndexBlock(Input& input) {
  format::TableFile table;
  table.Append(format::PlainBlock({{"", format::EncodeHeader({})}, {"k", ""}}));
  return table.FinishWithIndex(AsText(input.Rest()));
}

std::string WithBlocks(Input& input) {
  format::TableFile table;
  table.AddDataBlock(format::PlainBlock({{"", format::EncodeHeader({})}}), input.Text());
  while (!input.empty()) {
    std::string separator = input.Text();
    table.AddDataBlock(AsText(input.Take(input.Short())), std::move(separator),
                       input.Byte() & 1);
  }
  return table.Finish();
}

std::string MakeTable(Input& input) {
  switch (input.Byte() % 5) {
    case 0: return SoundTable(input);
    case 1: return WithBlock(input, 0);
    case 2: return WithBlock(input, 1);
    case 3: return WithIndexBlock(input);
    default: return WithBlocks(input);
  }
}

}  // namespace

void FuzzEntries(Bytes bytes) {
  Input input(bytes);
  const std::string table = MakeTable(input);
  FuzzIndex(AsBytes(table));
}

}  // namespace tensorbundle::fuzz
