// The promises that hold for every bundle, whatever is in it.

#pragma once

#include <cstdio>
#include <cstdlib>
#include <string>

#include "engine/bundle.h"

namespace tensorbundle::fuzz {

// Ends the process.
[[noreturn]] inline void Break(const char* promise, const std::string& what) {
  std::fprintf(stderr, "broken promise: %s: %s\n", promise, what.c_str());
  std::abort();
}

// Breaks off where a promise is broken, in every build.
inline void Require(bool kept, const char* promise) {
  if (!kept) Break(promise, "");
}

// A text is made of the status only where it is shown: it costs more than a small input.
inline void Require(bool kept, const char* promise, const Status& status) {
  if (!kept) Break(promise, status.ToString());
}

// A failure that a user can make something of.
inline void RequirePlaced(const Status& status) {
  if (status.ok()) return;
  Require(status.code() != Code::kInvalidArgument, "no fault of the caller's", status);
  Require(!status.path().empty(), "a failure has a path", status);
  Require(!status.message().empty(), "a failure has a message");
}

// Lists all tensors and looks each up, in order and not.
void CheckBundle(const engine::Bundle& bundle);

}  // namespace tensorbundle::fuzz
