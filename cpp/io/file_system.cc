#include "io/file_system.h"

#include <sys/statfs.h>

#include <cerrno>
#include <string_view>

#include "base/text.h"
#include "io/posix_calls.h"

namespace tensorbundle::io {
namespace {

enum class Home : uint8_t { kDevice, kNetwork, kMemory };

struct KnownKind {
  uint32_t magic;
  std::string_view name;
  Home home = Home::kDevice;
};

// linux/magic.h and statfs(2); where they lack one, the header of the file system itself.
constexpr KnownKind kKnown[] = {
    {0x0000EF53, "ext4"},
    {0x58465342, "xfs"},
    {0x9123683E, "btrfs"},
    {0xF2F52010, "f2fs"},
    {0xCA451A4E, "bcachefs"},  // fs/bcachefs: BCACHEFS_STATFS_MAGIC
    {0x2FC12FC1, "zfs"},       // OpenZFS: ZFS_SUPER_MAGIC
    {0x794C7630, "overlay"},
    {0x0000F15F, "ecryptfs"},
    {0x3153464A, "jfs"},
    {0x52654973, "reiserfs"},
    {0x00003434, "nilfs"},
    {0x7461636F, "ocfs2"},
    {0x01161970, "gfs2"},
    {0x2011BAB0, "exfat"},
    {0x00004D44, "vfat"},
    {0x7366746E, "ntfs3"},  // fs/ntfs3
    {0x5346544E, "ntfs"},
    {0x15013346, "udf"},
    {0x00009660, "iso9660"},
    {0x73717368, "squashfs"},
    {0xE0F5E1E2, "erofs"},
    {0x5A4F4653, "zonefs"},
    {0x01021994, "tmpfs", Home::kMemory},
    {0x858458F6, "ramfs", Home::kMemory},
    {0x958458F6, "hugetlbfs", Home::kMemory},
    {0x00009FA0, "proc", Home::kMemory},
    {0x62656572, "sysfs", Home::kMemory},
    {0x00006969, "nfs", Home::kNetwork},
    {0x0000517B, "smb", Home::kNetwork},
    {0xFF534D42, "cifs", Home::kNetwork},
    {0xFE534D42, "smb2", Home::kNetwork},
    {0x01021997, "9p", Home::kNetwork},
    {0x00C36400, "ceph", Home::kNetwork},
    {0x0BD00BD0, "lustre", Home::kNetwork},  // Lustre: LL_SUPER_MAGIC
    {0x65735546, "fuse", Home::kNetwork},    // virtiofs as well
    {0x47504653, "gpfs", Home::kNetwork},    // "GPFS"
    {0x19830326, "beegfs", Home::kNetwork},  // BeeGFS client: BEEGFS_MAGIC
    {0x20030528, "orangefs", Home::kNetwork},
    {0xAAD7AAEA, "panfs", Home::kNetwork},
    {0x5346414F, "afs", Home::kNetwork},
    {0x6B414653, "afs", Home::kNetwork},
    {0x73757245, "coda", Home::kNetwork},
    {0x0000564C, "ncp", Home::kNetwork},
    {0x786F4256, "vboxsf", Home::kNetwork},
    {0xBACBACBC, "vmhgfs", Home::kNetwork},
    {0x7C7C6673, "prl_fs", Home::kNetwork},
    {0x00C0FFEE, "hostfs", Home::kNetwork},
};

}  // namespace

FileSystemKind FileSystemOf(uint32_t magic) {
  for (const KnownKind& kind : kKnown) {
    if (kind.magic != magic) continue;
    return {std::string(kind.name), kind.home == Home::kNetwork, kind.home == Home::kMemory};
  }
  return {Hex(magic), false, false};
}

Result<FileSystemKind> FileSystemAt(const std::string& path) {
  struct statfs attributes = {};
  if (RetryOnInterrupt([&] { return ::statfs(path.c_str(), &attributes); }) != 0) {
    return Status::System(errno, "statfs", path);
  }
  // The field is wider than the number on some machines, and signed on others.
  return FileSystemOf(static_cast<uint32_t>(attributes.f_type));
}

}  // namespace tensorbundle::io
