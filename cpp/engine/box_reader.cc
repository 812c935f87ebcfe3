#include "engine/box_reader.h"

#include <algorithm>
#include <map>
#include <memory>
#include <utility>

#include "engine/byte_order.h"
#include "engine/read_plan.h"
#include "engine/shared_file.h"
#include "engine/thread_pool.h"
#include "io/aligned_buffer.h"

namespace tensorbundle::engine {
namespace {

size_t NumReadThreads(const ReadOptions& options) {
  return options.num_threads != 0 ? options.num_threads : DefaultNumThreads();
}

}  // namespace

Result<BoxReader> BoxReader::Make(const Bundle& bundle, std::string name, format::Entry entry,
                                  Box wanted) {
  BoxReader reader(bundle, std::move(name), std::move(wanted));
  reader.dtype_ = entry.dtype;
  reader.element_size_ = format::ElementSize(entry.dtype);
  if (entry.slices.empty()) {
    Box whole = WholeBox(entry.shape);
    reader.parts_.push_back({{}, std::move(entry), std::move(whole)});
  } else {
    format::TableLookup lookup = bundle.MakeLookup();
    TB_ASSIGN_OR_RETURN(reader.parts_,
                        FindStoredParts(bundle, reader.name_, entry, reader.wanted_, lookup));
  }
  std::vector<ReadRequest> requests;
  for (const StoredPart& part : reader.parts_) {
    requests.push_back(RequestOf(reader.name_, part));
    // No wrap: CheckRequests() bounds the sum by a few times the files' sizes.
    if (reader.element_size_ == 0) reader.size_ += part.entry.size;
  }
  TB_RETURN_IF_ERROR(CheckRequests(bundle, requests));
  if (reader.element_size_ != 0) {
    reader.size_ = Volume(reader.wanted_) * reader.element_size_;
  }
  return reader;
}

Status BoxReader::Read(MutableBytes out, const ReadOptions& options) const {
  if (out.empty()) return Status();
  std::vector<ReadRequest> whole;
  std::vector<ReadRequest> single_runs;
  std::vector<Window> windows;
  std::vector<ReadRequest> in_windows;  // what they are of
  uint64_t string_offset = 0;
  for (size_t i = 0; i < parts_.size(); ++i) {
    const StoredPart& part = parts_[i];
    ReadRequest request = RequestOf(name_, part);
    if (element_size_ == 0) {
      request.out = out.subspan(string_offset, part.entry.size);
      string_offset += part.entry.size;
      whole.push_back(std::move(request));
      continue;
    }
    const std::optional<Box> common = Intersection(part.place, wanted_);
    if (!common.has_value()) continue;
    BoxCopy copy(part.place, wanted_, element_size_);
    const bool is_whole = *common == part.place;
    if (copy.num_runs() == 1) {
      request.out = out.subspan(copy.TargetOffset(0), copy.run_size());
      request.entry.offset += copy.SourceOffset(0);
      request.entry.size = copy.run_size();
      (is_whole ? whole : single_runs).push_back(std::move(request));
    } else if (is_whole) {
      request.spread = std::make_shared<const Spread>(Spread{std::move(copy), out});
      whole.push_back(std::move(request));
    } else {
      AddWindows(i, copy, windows);
      request.spread = std::make_shared<const Spread>(Spread{std::move(copy), out});
      in_windows.push_back(std::move(request));
    }
  }
  TB_RETURN_IF_ERROR(ReadTensors(*bundle_, whole, options).status());
  ReadOptions unverified = options;
  unverified.verify = false;
  TB_RETURN_IF_ERROR(ReadTensors(*bundle_, single_runs, unverified).status());
  TB_RETURN_IF_ERROR(ReadWindows(windows, out, options));
  if (bundle_->byte_order() == std::endian::little) return Status();
  return ReverseDestinations(in_windows, NumReadThreads(options));
}

// Windows without a run are left out.
void BoxReader::AddWindows(size_t part, const BoxCopy& copy,
                           std::vector<Window>& windows) const {
  uint64_t begin = 0;
  for (uint64_t run = copy.FirstRunAfter(begin); run < copy.num_runs();
       run = copy.FirstRunAfter(begin)) {
    begin = std::max(begin, copy.SourceOffset(run));
    const uint64_t end = std::min(begin + kBoxWindow, copy.source_size());
    windows.push_back({part, begin, end});
    begin = end;
  }
}

Status BoxReader::ReadWindows(const std::vector<Window>& windows, MutableBytes out,
                              const ReadOptions& options) const {
  if (windows.empty()) return Status();
  std::map<uint32_t, SharedFile<io::ReadableFile>> files;
  for (const Window& window : windows) files[parts_[window.part].entry.shard_id].AddJob();
  RunOptions run;
  run.num_threads =
      std::min(NumReadThreads(options), std::min<size_t>(windows.size(), kMaxReadThreads));
  run.observer = options.observer;
  uint64_t largest = 0;  // bytes, as no thread needs more
  for (const Window& window : windows) {
    run.total_bytes += window.end - window.begin;
    largest = std::max(largest, window.end - window.begin);
  }
  TB_ASSIGN_OR_RETURN(const auto scratch,
                      io::AlignedBuffer::Allocate(run.num_threads * largest));
  return RunJobs(
      windows.size(),
      [&](size_t index, JobContext& context) {
        const Window& window = windows[index];
        const format::Entry& entry = parts_[window.part].entry;
        auto& shared = files.find(entry.shard_id)->second;
        TB_ASSIGN_OR_RETURN(const io::ReadableFile* const file,
                            shared.Get([&] { return bundle_->OpenShard(entry.shard_id); }));
        TB_RETURN_IF_ERROR(
            ReadWindow(window, *file,
                       scratch.bytes().subspan(context.worker() * largest, largest), out)
                .WithKey(name_)
                .WithShard(entry.shard_id));
        context.AddDone(window.end - window.begin);
        shared.FinishJob();
        return Status();
      },
      run);
}

// Reads neighbouring runs together and puts them in place.
Status BoxReader::ReadWindow(const Window& window, const io::ReadableFile& file,
                             MutableBytes scratch, MutableBytes out) const {
  const StoredPart& part = parts_[window.part];
  const BoxCopy copy(part.place, wanted_, element_size_);
  uint64_t run = copy.FirstRunAfter(window.begin);
  while (run < copy.num_runs() && copy.SourceOffset(run) < window.end) {
    const uint64_t begin = std::max(copy.SourceOffset(run), window.begin);
    uint64_t end = begin;
    for (; run < copy.num_runs(); ++run) {
      const uint64_t next = copy.SourceOffset(run);
      if (next >= window.end || (next > end && next - end > kGatherGap)) break;
      end = std::min(next + copy.run_size(), window.end);
    }
    const MutableBytes bytes = scratch.first(end - begin);
    TB_RETURN_IF_ERROR(file.ReadAt(part.entry.offset + begin, bytes));
    copy.Place(begin, bytes, out);
  }
  return Status();
}

}  // namespace tensorbundle::engine
