#include "harness/digest.h"

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

#include "lib/base/sha256.h"

namespace distil::harness {

std::string Sha256(std::string_view text) {
  ::distil::Sha256 hash;
  hash.Update(text.data(), text.size());
  return hash.Hex();
}

Status Sha256File(const std::string& path, std::string* out) {
  int fd = ::open(path.c_str(), O_RDONLY | O_CLOEXEC);
  if (fd < 0) return IoError("cannot open '" + path + "': " + std::strerror(errno));
  ::distil::Sha256 hash;
  char buffer[1 << 16];
  ssize_t n;
  while ((n = ::read(fd, buffer, sizeof buffer)) != 0) {
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) break;
    hash.Update(buffer, static_cast<size_t>(n));
  }
  int error = errno;
  ::close(fd);
  if (n < 0) return IoError("cannot read '" + path + "': " + std::strerror(error));
  *out = hash.Hex();
  return {};
}

bool IsSha256(std::string_view text) {
  return text.size() == 64 && text.find_first_not_of("0123456789abcdef") == std::string_view::npos;
}

}  // namespace distil::harness
