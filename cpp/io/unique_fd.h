// An open file descriptor that is closed when its owner goes.
//
// UniqueFd is a resource: moved, never copied.  Closing it here drops the error of
// close(2); whoever needs that error takes the descriptor back with release().

#pragma once

#include <unistd.h>

#include <utility>

namespace tensorbundle::io {

class UniqueFd {
 public:
  UniqueFd() = default;
  explicit UniqueFd(int fd) : fd_(fd) {}

  UniqueFd(UniqueFd&& other) noexcept : fd_(other.release()) {}
  UniqueFd& operator=(UniqueFd&& other) noexcept {
    UniqueFd taken(std::move(other));
    std::swap(fd_, taken.fd_);
    return *this;
  }
  ~UniqueFd() {
    if (valid()) ::close(fd_);
  }

  int get() const { return fd_; }
  bool valid() const { return fd_ >= 0; }
  int release() { return std::exchange(fd_, -1); }

 private:
  int fd_ = -1;  // owned; negative where there is none
};

}  // namespace tensorbundle::io
