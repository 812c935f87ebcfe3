// What the fuzzers run, one function each: on an input of libFuzzer's (fuzz_main.cc), and on
// the files of the corpus in an ordinary test (corpus_test.cc).
//
// An input may be refused; what is not allowed is a crash, a sanitizer's report, a hang, or a
// broken promise: an iteration that does not ascend, a look-up that disagrees with it, a
// failure without its place.  Those end the process (Require).

#pragma once

#include "base/bytes.h"

namespace tensorbundle::fuzz {

// The bytes of an index: opened, listed, every key looked up.
void FuzzIndex(Bytes input);

// The blocks of an index, or its entries, with right checksums around them.
void FuzzEntries(Bytes input);

// An index of a few entries and a data file: every tensor is checked and read.
void FuzzTensors(Bytes input);

// A tensor in parts: boxes of it, and all of it, are read and compared with what was stored.
void FuzzSlices(Bytes input);

// A V1 checkpoint, of bytes or of tensors and records: every tensor is checked and read.
void FuzzV1(Bytes input);

}  // namespace tensorbundle::fuzz
