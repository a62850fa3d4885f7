// Files inside archives (.tar.gz, .zip, ...) and compressed single files, through libarchive, in memory.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "lib/base/status.h"

namespace distil::data {

using FileMap = std::map<std::string, std::vector<uint8_t>>;  // by last part of the name

// The entries of `path` whose last part of the name is one of `names`; each at most `limit` bytes. Nothing is
// written to disk, so the paths inside an archive cannot do harm.
Status ReadArchive(const std::string& path, const std::vector<std::string>& names, uint64_t limit, FileMap* files);

// The content of a file, after gzip (or another libarchive filter) when it is compressed; at most `limit`
// bytes.
Status ReadMaybeCompressed(const std::string& path, uint64_t limit, std::vector<uint8_t>* bytes);

}  // namespace distil::data
