// A file that several jobs use, on several threads: opened by the first of them, taken
// back by the last.

#pragma once

#include <atomic>
#include <cstddef>
#include <memory>
#include <mutex>
#include <utility>

#include "base/result.h"

namespace tensorbundle::engine {

// `File` is io::ReadableFile or io::WritableFile.
template <typename File>
class SharedFile {
 public:
  // Before any job runs.
  void AddJob() { ++unfinished_jobs_; }

  // The file, opened by `open` for the first who asks: Result<std::unique_ptr<File>>().
  // Its failure is everybody's.
  template <typename Open>
  Result<File*> Get(Open&& open) {
    std::call_once(opened_, [&] {
      auto file = open();
      if (file.ok()) {
        file_ = std::move(file).value();
      } else {
        status_ = std::move(file).status();
      }
    });
    TB_RETURN_IF_ERROR(Status(status_));
    return file_.get();
  }

  // Each job once, at its end: the file for the last one, null for the others.
  std::unique_ptr<File> FinishJob() {
    return --unfinished_jobs_ == 0 ? std::move(file_) : nullptr;
  }

 private:
  std::once_flag opened_;
  Status status_;  // of opening it
  std::unique_ptr<File> file_;
  std::atomic<size_t> unfinished_jobs_ = 0;
};

}  // namespace tensorbundle::engine
