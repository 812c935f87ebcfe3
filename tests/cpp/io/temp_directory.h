// A fresh directory on disk that goes, with all that is in it, when its owner goes.

#pragma once

#include <stdlib.h>

#include <filesystem>
#include <string>

namespace tensorbundle::io {

class TempDirectory {
 public:
  TempDirectory() {
    const auto base = std::filesystem::temp_directory_path() / "tensorbundle_io_XXXXXX";
    std::string name = base.string();
    if (::mkdtemp(name.data()) != nullptr) path_ = name;
  }
  TempDirectory(const TempDirectory&) = delete;
  TempDirectory& operator=(const TempDirectory&) = delete;
  ~TempDirectory() {
    std::error_code ignored;
    if (!path_.empty()) std::filesystem::remove_all(path_, ignored);
  }

  const std::string& path() const { return path_; }
  std::string Path(const std::string& name) const { return path_ + "/" + name; }

 private:
  std::string path_;  // empty where it could not be made
};

}  // namespace tensorbundle::io
