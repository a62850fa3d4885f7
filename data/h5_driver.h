// An HDF5 file driver for writing that never tells HDF5 that a write failed.
//
// libhdf5 does not survive a full disk: what it still has in its caches it writes again while closing and at
// exit, and ends in a crash or an endless loop. So this driver keeps the first error for the caller, who
// stops and throws the file away, and keeps later writes in memory (a few caches' worth), so that HDF5 can
// close in peace.
#pragma once

#include <hdf5.h>

#include <cstdint>
#include <map>
#include <string>
#include <vector>

namespace distil::data {

// What the driver reports. Outlives the HDF5 file.
struct WriteLog {
  int error = 0;                                  // errno of the first write that failed
  std::map<uint64_t, std::vector<uint8_t>> kept;  // later writes, by address
};

// Registers the driver and sets it on a file access property list for one H5Fcreate with H5F_ACC_EXCL.
// Returns the driver's identifier, which is to be unregistered (H5FDunregister) after the file is closed, or
// a negative number.
hid_t UseSafeDriver(hid_t access, WriteLog* log);

}  // namespace distil::data
