#include "fuzz/checks.h"

#include <utility>
#include <vector>

namespace tensorbundle::fuzz {
namespace {

// As many as are looked up from either end; of large indexes the rest is only listed.
constexpr size_t kMostFinds = 4;

using Listed = std::vector<std::pair<std::string, Result<format::Entry>>>;

void RequireSame(const Result<format::Entry>& found, const Result<format::Entry>& listed) {
  Require(found.ok() == listed.ok(), "a look-up says what the list says");
  if (!found.ok()) {
    Require(found.status().code() == listed.status().code(), "for the same reason");
    RequirePlaced(found.status());
    Require(!found.status().key().empty(), "a bad entry has a name");
  } else {
    Require(*found == *listed, "a look-up finds what is listed");
  }
}

}  // namespace

void CheckBundle(const engine::Bundle& bundle) {
  Listed listed;
  const Status all = bundle.ForEach([&](std::string_view name, Result<format::Entry> entry) {
    Require(listed.empty() || listed.back().first < name, "names ascend");
    listed.emplace_back(name, std::move(entry));
    return Status();
  });
  RequirePlaced(all);
  format::TableLookup lookup = bundle.MakeLookup();
  for (size_t i = 0; i < std::min(listed.size(), kMostFinds); ++i) {
    const auto& [name, entry] = listed[i];
    RequireSame(bundle.Find(name, lookup), entry);
    const auto& [other, its_entry] = listed[listed.size() - 1 - i];
    RequireSame(bundle.Find(other), its_entry);
  }
  const Status missing = bundle.Find("no such name, it is too long").status();
  Require(!missing.ok(), "what is not there is not found");
  RequirePlaced(missing);
}

}  // namespace tensorbundle::fuzz
