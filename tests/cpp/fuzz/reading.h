// Reads tensors as the bindings do: locate, check, take memory, read, decode.

#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "engine/assembly.h"
#include "engine/bundle.h"
#include "engine/reader.h"

namespace tensorbundle::fuzz {

// More than a sound reader takes for any input of a kilobyte.
constexpr uint64_t kMostBytes = 1u << 20;

// Of strings and variants the elements; of numbers one string of their bytes.
using Values = std::vector<std::string>;

// On this thread alone.
engine::ReadOptions ReadingOptions();

// What stands in `stored`: parts, one behind the other, that cover `wanted`.
Result<Values> ValuesOf(const engine::Bundle& bundle, format::DType dtype,
                        std::span<const engine::StoredPart> parts, const engine::Box& wanted,
                        Bytes stored);

// Verifies all of them and reads those that are sound: what is verified is readable, and what
// is not is refused by a reader that verifies.  By name: nothing where a tensor is not sound.
std::vector<std::optional<Values>> VerifyAndRead(const engine::Bundle& bundle,
                                                 std::span<const std::string> names);

}  // namespace tensorbundle::fuzz
