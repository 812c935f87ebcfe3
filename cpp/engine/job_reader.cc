#include "engine/job_reader.h"

#include <algorithm>
#include <utility>

#include "base/alignment.h"

namespace tensorbundle::engine {

Status JobReader::Read(const ReadJob& job, const io::ReadableFile& file,
                       std::vector<PartChecksum>& parts) {
  if (job.ranges.size() > 1) return Gather(job, file, parts);
  PartChecksum part{job.ranges.front(), job.end - job.begin, {}};
  const ReadRequest& request = requests_[part.tensor];
  small_pages_ = request.fresh && resources_.pages->prefers_small_pages();
  if (small_pages_) {
    PageSupply::UseSmallPages(
        request.out.subspan(job.begin - request.entry.offset, job.end - job.begin));
  }
  TB_RETURN_IF_ERROR(file.granule().offset > 1 ? ReadDirect(job, file, part)
                                               : ReadBuffered(job, file, part));
  parts.push_back(part);
  return Status();
}

Status JobReader::ReadBuffered(const ReadJob& job, const io::ReadableFile& file,
                               PartChecksum& part) {
  const ReadRequest& request = requests_[part.tensor];
  uint64_t block_size = resources_.block_size;
  if (request.out.empty()) block_size = std::min<uint64_t>(block_size, kScratchSize);
  for (uint64_t at = job.begin; at < job.end;) {
    TB_RETURN_IF_ERROR(context_.CheckStopped());
    const auto size = static_cast<size_t>(std::min(job.end - at, block_size));
    const MutableBytes block = request.out.empty()
                                   ? resources_.scratch.first(size)
                                   : request.out.subspan(at - request.entry.offset, size);
    SupplyPages(request, block);
    {
      const StageTimer timer(resources_.seconds->submit);
      TB_RETURN_IF_ERROR(file.ReadAt(at, block));
    }
    if (verify_) AddChecksum(block, part);
    SpreadBlock(request, at - request.entry.offset, block);
    context_.AddDone(size);
    at += size;
  }
  return Status();
}

Status JobReader::ReadDirect(const ReadJob& job, const io::ReadableFile& file,
                             PartChecksum& part) {
  const io::Granule granule = file.granule();
  const ReadRequest& request = requests_[part.tensor];
  const uint64_t first = AlignUp(job.begin, granule.offset);
  // A device is slow with small pages: copying from scratch memory is faster, where the
  // memory is fresh and in the processor's cache from being cleared.
  const bool in_place =
      !request.out.empty() && !small_pages_ && first < AlignDown(job.end, granule.offset) &&
      IsAligned(request.out.data() + (first - request.entry.offset), granule.memory);
  if (in_place) return Pipeline(BlocksInPlace(job, granule), SIZE_MAX, file, part);
  return Pipeline(BlocksThroughScratch(job, granule), kScratchSlots, file, part);
}

// The granule at `offset`, of which the job wants a part, through scratch memory.
JobReader::Block JobReader::EdgeBlock(const ReadJob& job, io::Granule granule, uint64_t offset,
                                      size_t slot) const {
  const ReadRequest& request = requests_[job.ranges.front()];
  Block block;
  block.offset = offset;
  block.memory = resources_.scratch.subspan(slot * kScratchSlotSize, granule.offset);
  block.begin = std::max(job.begin, offset) - offset;
  block.end = std::min(job.end - offset, granule.offset);
  block.copy_to = request.out.subspan(offset + block.begin - request.entry.offset,
                                      block.end - block.begin);
  return block;
}

std::vector<JobReader::Block> JobReader::BlocksInPlace(const ReadJob& job,
                                                       io::Granule granule) const {
  const ReadRequest& request = requests_[job.ranges.front()];
  const uint64_t first = AlignUp(job.begin, granule.offset);
  const uint64_t last = AlignDown(job.end, granule.offset);
  std::vector<Block> blocks;
  if (job.begin < first) {
    blocks.push_back(EdgeBlock(job, granule, first - granule.offset, 0));
  }
  for (uint64_t at = first; at < last;) {
    const uint64_t size = std::min(last - at, resources_.block_size);
    blocks.push_back({at, request.out.subspan(at - request.entry.offset, size), 0, size, {}});
    at += size;
  }
  if (last < job.end) blocks.push_back(EdgeBlock(job, granule, last, 1));
  return blocks;
}

std::vector<JobReader::Block> JobReader::BlocksThroughScratch(const ReadJob& job,
                                                              io::Granule granule) const {
  const ReadRequest& request = requests_[job.ranges.front()];
  std::vector<Block> blocks;
  for (uint64_t at = AlignDown(job.begin, granule.offset); at < job.end;) {
    const uint64_t size =
        std::min<uint64_t>(AlignUp(job.end - at, granule.offset), kScratchSlotSize);
    const size_t slot = blocks.size() % kScratchSlots;
    Block block;
    block.offset = at;
    block.memory = resources_.scratch.subspan(slot * kScratchSlotSize, size);
    block.begin = std::max(job.begin, at) - at;
    block.end = std::min(job.end - at, size);
    if (!request.out.empty()) {
      block.copy_to = request.out.subspan(at + block.begin - request.entry.offset,
                                          block.end - block.begin);
    }
    blocks.push_back(block);
    at += size;
  }
  return blocks;
}

// Keeps up to `in_flight` blocks under way and consumes them in their order.
Status JobReader::Pipeline(const std::vector<Block>& blocks, size_t in_flight,
                           const io::ReadableFile& file, PartChecksum& part) {
  std::vector<io::TransferQueue::Ticket> tickets;
  Status status;
  for (size_t done = 0; status.ok() && done < blocks.size(); ++done) {
    status = context_.CheckStopped();
    while (status.ok() && tickets.size() < blocks.size() &&
           tickets.size() - done < in_flight) {
      const Block& next = blocks[tickets.size()];
      if (next.copy_to.empty()) SupplyPages(requests_[part.tensor], next.memory);
      auto ticket = resources_.queue->SubmitRead(file, next.offset, next.memory);
      if (ticket.ok()) {
        tickets.push_back(*ticket);
      } else {
        status = std::move(ticket).status();
      }
    }
    if (status.ok()) status = resources_.queue->Wait(tickets[done]);
    if (status.ok()) Consume(blocks[done], part);
  }
  // In any case: the memory in flight is about to be given back.
  Status rest = resources_.queue->WaitAll();
  return status.ok() ? std::move(rest) : std::move(status);
}

void JobReader::Consume(const Block& block, PartChecksum& part) const {
  const Bytes wanted = block.memory.subspan(block.begin, block.end - block.begin);
  const ReadRequest& request = requests_[part.tensor];
  if (block.copy_to.empty()) {
    if (verify_) AddChecksum(wanted, part);
    SpreadBlock(request, block.offset + block.begin - request.entry.offset, wanted);
  } else {
    SupplyPages(request, block.copy_to);
    AddCopy(wanted, block.copy_to, part);
  }
  context_.AddDone(wanted.size());
}

void JobReader::AddChecksum(Bytes bytes, PartChecksum& part) const {
  const StageTimer timer(resources_.seconds->checksum);
  part.crc = checksum::Extend(part.crc, bytes);
}

void JobReader::AddCopy(Bytes from, MutableBytes to, PartChecksum& part) const {
  const StageTimer timer(resources_.seconds->copy);
  if (verify_) {
    part.crc = checksum::ExtendCopy(part.crc, to, from);
  } else {
    std::copy(from.begin(), from.end(), to.begin());
  }
}

// `bytes` are the tensor's from `offset` on.
void JobReader::SpreadBlock(const ReadRequest& request, uint64_t offset, Bytes bytes) const {
  if (request.spread == nullptr) return;
  const StageTimer timer(resources_.seconds->copy);
  request.spread->copy.Place(offset, bytes, request.spread->target);
}

// `memory` is a part of the request's destination that is filled next.
void JobReader::SupplyPages(const ReadRequest& request, MutableBytes memory) const {
  if (request.fresh) resources_.pages->Supply(memory, *resources_.seconds);
}

Status JobReader::Gather(const ReadJob& job, const io::ReadableFile& file,
                         std::vector<PartChecksum>& parts) {
  const uint64_t granule = file.granule().offset;
  const uint64_t begin = AlignDown(job.begin, granule);
  const MutableBytes read = resources_.scratch.first(AlignUp(job.end, granule) - begin);
  {
    const StageTimer timer(granule > 1 ? resources_.seconds->wait
                                       : resources_.seconds->submit);
    TB_RETURN_IF_ERROR(file.ReadAt(begin, read));
  }
  const StageTimer timer(resources_.seconds->copy);
  for (const uint32_t i : job.ranges) {
    const ReadRequest& request = requests_[i];
    const Bytes stored = read.subspan(request.entry.offset - begin, request.entry.size);
    PartChecksum part{i, request.entry.size, {}};
    if (request.out.empty()) {
      part.crc = checksum::Compute(stored);
      if (request.spread != nullptr) {
        request.spread->copy.Place(0, stored, request.spread->target);
      }
    } else if (verify_) {
      part.crc = checksum::ExtendCopy({}, request.out, stored);
    } else {
      std::copy(stored.begin(), stored.end(), request.out.begin());
    }
    parts.push_back(part);
    context_.AddDone(part.size);
  }
  return Status();
}

}  // namespace tensorbundle::engine
