// The callbacks of the driver: see h5_driver.h. Apart from errors it is the POSIX driver, pread and pwrite.
#include "data/h5_driver.h"

#if H5_VERSION_GE(1, 13, 0)
#include <H5FDdevelop.h>
#endif
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <new>

namespace distil::data {
namespace {

struct File {
  H5FD_t base;  // first: HDF5 hands back a pointer to it
  int fd;
  haddr_t eoa, eof;  // end of what is allocated, and of what was ever written
  WriteLog* log;
};

struct Settings {
  WriteLog* log;
};

constexpr haddr_t kMostAddress = (haddr_t{1} << 62) - 1;

H5FD_t* Open(const char* name, unsigned flags, hid_t access, haddr_t) {
  const auto* settings = static_cast<const Settings*>(H5Pget_driver_info(access));
  if (!settings || !(flags & H5F_ACC_CREAT)) return nullptr;
  const int fd = open(name, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
  if (fd < 0) {
    settings->log->error = errno;
    return nullptr;
  }
  auto* file = new (std::nothrow) File{};
  if (!file) {
    close(fd);
    return nullptr;
  }
  file->fd = fd;
  file->log = settings->log;
  return &file->base;
}

File* Of(H5FD_t* base) { return reinterpret_cast<File*>(base); }
const File* Of(const H5FD_t* base) { return reinterpret_cast<const File*>(base); }

herr_t Close(H5FD_t* base) {
  File* file = Of(base);
  if (close(file->fd) != 0 && file->log->error == 0) file->log->error = errno;
  delete file;
  return 0;
}

herr_t Query(const H5FD_t*, unsigned long* features) {
  *features = H5FD_FEAT_AGGREGATE_METADATA | H5FD_FEAT_ACCUMULATE_METADATA | H5FD_FEAT_DATA_SIEVE |
              H5FD_FEAT_AGGREGATE_SMALLDATA | H5FD_FEAT_DEFAULT_VFD_COMPATIBLE;
  return 0;
}

haddr_t GetEoa(const H5FD_t* base, H5FD_mem_t) { return Of(base)->eoa; }
haddr_t GetEof(const H5FD_t* base, H5FD_mem_t) { return Of(base)->eof; }

herr_t SetEoa(H5FD_t* base, H5FD_mem_t, haddr_t address) {
  Of(base)->eoa = address;
  return 0;
}

herr_t Read(H5FD_t* base, H5FD_mem_t, hid_t, haddr_t address, size_t size, void* buffer) {
  const File* file = Of(base);
  auto* out = static_cast<uint8_t*>(buffer);
  std::memset(out, 0, size);
  for (size_t done = 0; done < size;) {
    const ssize_t got = pread(file->fd, out + done, size - done, static_cast<off_t>(address + done));
    if (got < 0 && errno == EINTR) continue;
    if (got < 0 && file->log->error == 0) file->log->error = errno;
    if (got <= 0) break;
    done += static_cast<size_t>(got);
  }
  for (const auto& [at, bytes] : file->log->kept) {
    const haddr_t first = std::max<haddr_t>(at, address), last = std::min<haddr_t>(at + bytes.size(), address + size);
    if (first < last) std::memcpy(out + (first - address), bytes.data() + (first - at), last - first);
  }
  return 0;
}

// Later writes win over earlier ones that overlap them: the overlapped part is rewritten in place.
void Keep(WriteLog* log, haddr_t address, const uint8_t* bytes, size_t size) {
  for (auto& [at, old] : log->kept) {
    const haddr_t first = std::max<haddr_t>(at, address), last = std::min<haddr_t>(at + old.size(), address + size);
    if (first < last) std::memcpy(old.data() + (first - at), bytes + (first - address), last - first);
  }
  auto& kept = log->kept[address];
  if (kept.size() < size) kept.assign(bytes, bytes + size);
}

herr_t Write(H5FD_t* base, H5FD_mem_t, hid_t, haddr_t address, size_t size, const void* buffer) {
  File* file = Of(base);
  const auto* bytes = static_cast<const uint8_t*>(buffer);
  file->eof = std::max<haddr_t>(file->eof, address + size);
  for (size_t done = 0; done < size && file->log->error == 0;) {
    const ssize_t put = pwrite(file->fd, bytes + done, size - done, static_cast<off_t>(address + done));
    if (put < 0 && errno == EINTR) continue;
    if (put <= 0) {
      file->log->error = put < 0 ? errno : ENOSPC;
      break;
    }
    done += static_cast<size_t>(put);
  }
  if (file->log->error != 0) Keep(file->log, address, bytes, size);
  return 0;
}

herr_t Truncate(H5FD_t* base, hid_t, hbool_t) {
  File* file = Of(base);
  if (file->log->error == 0 && ftruncate(file->fd, static_cast<off_t>(file->eoa)) != 0) file->log->error = errno;
  file->eof = file->eoa;
  return 0;
}

const H5FD_class_t& Driver() {
  static const H5FD_class_t driver = [] {
    H5FD_class_t c{};
#if H5_VERSION_GE(1, 13, 0)
    c.version = H5FD_CLASS_VERSION;
    c.value = static_cast<H5FD_class_value_t>(512);  // of the range for drivers outside the HDF5 registry
#endif
    c.name = "distil_write";
    c.maxaddr = kMostAddress;
    c.fc_degree = H5F_CLOSE_STRONG;
    c.fapl_size = sizeof(Settings);
    c.open = Open;
    c.close = Close;
    c.query = Query;
    c.get_eoa = GetEoa;
    c.set_eoa = SetEoa;
    c.get_eof = GetEof;
    c.read = Read;
    c.write = Write;
    c.truncate = Truncate;
    const H5FD_mem_t map[H5FD_MEM_NTYPES] = H5FD_FLMAP_DICHOTOMY;
    std::copy(std::begin(map), std::end(map), c.fl_map);
    return c;
  }();
  return driver;
}

}  // namespace

hid_t UseSafeDriver(hid_t access, WriteLog* log) {
  const hid_t driver = H5FDregister(&Driver());
  const Settings settings{log};
  if (driver < 0 || H5Pset_driver(access, driver, &settings) < 0) return -1;
  return driver;
}

}  // namespace distil::data
