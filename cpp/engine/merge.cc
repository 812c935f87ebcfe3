#include "engine/merge.h"

#include <algorithm>
#include <cerrno>
#include <map>
#include <utility>

#include "base/text.h"
#include "engine/bundle.h"
#include "engine/bundle_removal.h"
#include "engine/commit.h"
#include "engine/entry_merge.h"
#include "engine/index_writer.h"
#include "engine/shard_adoption.h"
#include "engine/stages.h"
#include "format/naming.h"

namespace tensorbundle::engine {
namespace {

// Where a bundle is, however its prefix is spelled.
struct BundlePlace {
  io::FileIdentity directory;
  std::string name;
  friend auto operator<=>(const BundlePlace&, const BundlePlace&) = default;
};

Result<BundlePlace> PlaceOf(io::Storage& storage, const std::string& prefix) {
  TB_ASSIGN_OR_RETURN(const auto directory, storage.Identify(io::DirectoryOf(prefix)));
  return BundlePlace{directory, io::BaseNameOf(prefix)};
}

struct Source {
  std::unique_ptr<const Bundle> bundle;
  BundlePlace place;
  UsedShards used;
  std::map<uint32_t, uint32_t> numbers;  // of its data files in the new bundle
};

class MergeOperation {
 public:
  MergeOperation(std::shared_ptr<io::Storage> storage, const std::string& destination,
                 const MergeOptions& options)
      : storage_(std::move(storage)), destination_(destination), options_(options) {}

  Result<MergeReport> Run(std::span<const std::string> prefixes) {
    const Clock::time_point start = Clock::now();
    TB_RETURN_IF_ERROR(OpenSources(prefixes));
    TB_RETURN_IF_ERROR(Survey());
    TB_ASSIGN_OR_RETURN(const uint32_t num_shards, NumberShards());
    TB_ASSIGN_OR_RETURN(publication_, Publication::Begin(*storage_, destination_, num_shards,
                                                         Durability::kFull));
    TB_RETURN_IF_ERROR(Adopt());
    // Only now: a data file that was there while the index stood belongs to it.
    for (const Bundle* bundle : bundles_) TB_RETURN_IF_ERROR(bundle->CheckCurrent());
    TB_RETURN_IF_ERROR(publication_->PublishShards());
    TB_RETURN_IF_ERROR(WriteIndex());
    TB_RETURN_IF_ERROR(publication_->Commit());
    publication_->RemoveReplaced();
    if (options_.delete_sources) RemoveSources();
    report_.seconds = SecondsSince(start);
    return report_;
  }

 private:
  Status OpenSources(std::span<const std::string> prefixes) {
    if (prefixes.empty()) {
      return Status(Code::kInvalidArgument, "there is nothing to merge: no prefixes");
    }
    for (const std::string& prefix : prefixes) {
      auto bundle = Bundle::Open(storage_, prefix, IndexHold::kReopened);
      if (bundle.ok()) {
        TB_RETURN_IF_ERROR(AddSource(std::move(bundle).value()));
      } else if (options_.allow_missing && bundle.status().error_number() == ENOENT) {
        report_.missing.push_back(prefix);
      } else {
        return std::move(bundle).status();
      }
    }
    if (!bundles_.empty()) return Status();
    return Status::System(ENOENT, "merge: none of the checkpoints exists; open",
                          format::IndexPath(prefixes.front()));
  }

  Status AddSource(std::unique_ptr<const Bundle> bundle) {
    if (!bundles_.empty() &&
        bundles_.front()->header().big_endian != bundle->header().big_endian) {
      return Status(Code::kUnsupportedEndianness,
                    "one of " + EscapeForMessage(bundles_.front()->prefix()) + " and " +
                        EscapeForMessage(bundle->prefix()) +
                        " is big-endian, the other is not; one bundle cannot be both")
          .WithPath(format::IndexPath(bundle->prefix()));
    }
    TB_ASSIGN_OR_RETURN(const BundlePlace place, PlaceOf(*storage_, bundle->prefix()));
    const auto [known, is_new] = prefixes_.emplace(place, bundle->prefix());
    if (!is_new) {
      return Status(Code::kInvalidArgument, "the same checkpoint is given twice, as " +
                                                EscapeForMessage(known->second) + " and " +
                                                EscapeForMessage(bundle->prefix()))
          .WithPath(bundle->prefix());
    }
    bundles_.push_back(bundle.get());
    sources_.push_back({std::move(bundle), place, {}, {}});
    return Status();
  }

  // What is in the sources, all of it, before anything is touched.
  Status Survey() {
    return ForEachEntry(
        bundles_, [this](size_t index, std::string_view key, const format::Entry& entry) {
          if (Bundle::IsName(key)) ++report_.num_tensors;
          AddUse(entry, sources_[index].used);
          return Status();
        });
  }

  // By source, then as in the source.  A bundle has one data file at least.
  Result<uint32_t> NumberShards() {
    uint64_t next = 0;
    for (Source& source : sources_) {
      for (const auto& [from, size] : source.used) {
        if (next == format::kMaxShards) {
          return Status(Code::kLimitExceeded, "the sources have more than " +
                                                  std::to_string(format::kMaxShards) +
                                                  " data files")
              .WithPath(destination_);
        }
        const auto number = static_cast<uint32_t>(next++);
        source.numbers.emplace(from, number);
        shards_.push_back({source.bundle.get(), from, number, size});
      }
    }
    report_.num_shards = static_cast<uint32_t>(std::max<uint64_t>(next, 1));
    return report_.num_shards;
  }

  Status Adopt() {
    TB_ASSIGN_OR_RETURN(AdoptionReport adopted,
                        AdoptShards(*storage_, shards_, *publication_,
                                    {options_.num_threads, options_.observer}));
    report_.linked_bytes = adopted.linked_bytes;
    report_.copied_bytes = adopted.copied_bytes;
    report_.copy_reason = std::move(adopted.copy_reason);
    return Status();
  }

  Status WriteIndex() {
    TB_ASSIGN_OR_RETURN(
        const uint64_t size,
        publication_->WriteIndex([this](IndexWriter& index) { return FillIndex(index); }));
    report_.file_bytes = report_.linked_bytes + report_.copied_bytes + size;
    return Status();
  }

  Status FillIndex(IndexWriter& index) {
    format::Header header = bundles_.front()->header();
    header.num_shards = publication_->num_shards();
    TB_RETURN_IF_ERROR(index.AddHeader(header));
    return ForEachEntry(bundles_,
                        [&](size_t source, std::string_view key, format::Entry& entry) {
                          if (entry.slices.empty()) {
                            entry.shard_id = sources_[source].numbers.at(entry.shard_id);
                          }
                          return index.Add(key, entry);
                        });
  }

  // The destination's files were the publication's to replace, where it is a source.
  void RemoveSources() {
    BundleRemoval removal(*storage_);
    const auto destination = PlaceOf(*storage_, destination_);
    for (const Source& source : sources_) {
      if (destination.ok() && source.place == *destination) continue;
      const Status status = removal.Remove(*source.bundle);
      if (!status.ok()) report_.remains.push_back(status.ToString());
    }
  }

  const std::shared_ptr<io::Storage> storage_;
  const std::string& destination_;
  const MergeOptions& options_;
  std::vector<Source> sources_;
  std::vector<const Bundle*> bundles_;           // of the sources
  std::map<BundlePlace, std::string> prefixes_;  // of the sources
  std::vector<AdoptedShard> shards_;
  MergeReport report_;
  std::unique_ptr<Publication> publication_;
};

}  // namespace

Result<MergeReport> Merge(const std::shared_ptr<io::Storage>& storage,
                          std::span<const std::string> sources, const std::string& destination,
                          const MergeOptions& options) {
  return MergeOperation(storage, destination, options).Run(sources);
}

}  // namespace tensorbundle::engine
