// What CRC-32C is by definition, with no speed, and bytes to try it on.

#pragma once

#include <cstddef>
#include <cstdint>
#include <random>
#include <span>
#include <string_view>
#include <vector>

#include "base/bytes.h"

namespace tensorbundle::checksum::testing {

// RFC 3720, 12.1: the polynomial 0x11edc6f41 without its x^32, the lowest bit first.
inline uint32_t BitwiseStep(uint32_t state, std::byte byte) {
  state ^= static_cast<uint32_t>(byte);
  for (int bit = 0; bit < 8; ++bit)
    state = (state & 1) ? (state >> 1) ^ 0x82f63b78U : state >> 1;
  return state;
}

inline uint32_t BitwiseExtend(uint32_t state, Bytes bytes) {
  for (const std::byte byte : bytes) state = BitwiseStep(state, byte);
  return state;
}

// The register after each number of bytes: one more than there are bytes.
inline std::vector<uint32_t> BitwiseStates(uint32_t state, Bytes bytes) {
  std::vector<uint32_t> states = {state};
  for (const std::byte byte : bytes) states.push_back(BitwiseStep(states.back(), byte));
  return states;
}

// The same bytes for the same arguments.
inline std::vector<std::byte> RandomBytes(size_t size, uint32_t seed) {
  std::mt19937 engine(seed);
  std::vector<std::byte> bytes(size);
  for (std::byte& byte : bytes) byte = static_cast<std::byte>(engine() & 0xff);
  return bytes;
}

struct KnownVector {
  std::string_view name;
  std::vector<std::byte> bytes;
  uint32_t crc;
};

// RFC 3720, B.4, and the check value that catalogues of CRCs give.
inline std::vector<KnownVector> KnownVectors() {
  std::vector<std::byte> ascending;
  std::vector<std::byte> descending;
  for (uint8_t i = 0; i < 32; ++i) {
    ascending.push_back(std::byte{i});
    descending.push_back(std::byte(31 - i));
  }
  std::vector<std::byte> read_command(48);
  read_command[0] = std::byte{0x01};
  read_command[1] = std::byte{0xc0};
  read_command[16] = std::byte{0x14};
  read_command[22] = std::byte{0x04};
  read_command[27] = std::byte{0x14};
  read_command[31] = std::byte{0x18};
  read_command[32] = std::byte{0x28};
  read_command[40] = std::byte{0x02};
  const Bytes digits = AsBytes("123456789");
  return {{"no bytes", {}, 0},
          {"32 bytes of zeros", std::vector<std::byte>(32), 0x8a9136aaU},
          {"32 bytes of ones", std::vector<std::byte>(32, std::byte{0xff}), 0x62a8ab43U},
          {"32 bytes, ascending", ascending, 0x46dd794eU},
          {"32 bytes, descending", descending, 0x113fdb5cU},
          {"an iSCSI SCSI Read (10) command", read_command, 0xd9963a56U},
          {"123456789", {digits.begin(), digits.end()}, 0xe3069283U}};
}

}  // namespace tensorbundle::checksum::testing
