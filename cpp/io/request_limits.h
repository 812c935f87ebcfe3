// How large a request a block device takes.

#pragma once

#include <cstdint>
#include <string>

namespace tensorbundle::io {

// Whether requests of memory in small pages, scattered as they come, are smaller than the
// device would take: each page is a segment of its own, and a request holds so many
// segments.  False where nothing is known of the device (network, several devices in one).
//
// `device` as stat(2) gives it of a file; `directory` is sysfs's list of block devices.
bool SmallPagesCutRequests(uint64_t device, const std::string& directory = "/sys/dev/block");

}  // namespace tensorbundle::io
