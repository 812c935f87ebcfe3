// Every input that a fuzzer found worth keeping, through the same functions, without it.

#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <iterator>
#include <string>
#include <vector>

#include "fuzz/targets.h"

namespace tensorbundle::fuzz {
namespace {

using Target = void (*)(Bytes);

std::vector<std::filesystem::path> FilesOf(const std::string& name) {
  std::vector<std::filesystem::path> files;
  const std::filesystem::path corpus = TENSORBUNDLE_FUZZ_CORPUS;
  for (const auto& entry : std::filesystem::directory_iterator(corpus / name)) {
    files.push_back(entry.path());
  }
  return files;
}

std::string Content(const std::filesystem::path& path) {
  std::ifstream file(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>()};
}

// A broken promise ends the test program, which names the file that was read last.
void RunAll(const std::string& name, Target target) {
  const auto files = FilesOf(name);
  EXPECT_FALSE(files.empty());
  for (const auto& path : files) {
    SCOPED_TRACE(path.string());
    const std::string input = Content(path);
    target(AsBytes(input));
    // Cut and lengthened: neighbours of what is known.
    target(AsBytes(input).first(input.size() / 2));
    target(AsBytes(input + std::string(8, '\xff')));
  }
}

TEST(FuzzCorpus, Index) { RunAll("index", FuzzIndex); }
TEST(FuzzCorpus, Entries) { RunAll("entries", FuzzEntries); }
TEST(FuzzCorpus, Tensors) { RunAll("tensors", FuzzTensors); }
TEST(FuzzCorpus, Slices) { RunAll("slices", FuzzSlices); }
TEST(FuzzCorpus, V1) { RunAll("v1", FuzzV1); }

}  // namespace
}  // namespace tensorbundle::fuzz
