// The fastest algorithm of a convolution, by measuring: once on a machine, then from a file.
//
// The file is convolutions.txt in the folder that the environment variable DISTIL_CACHE names; without it in
// $XDG_CACHE_HOME/distil, or else $HOME/.cache/distil. DISTIL_CACHE=off: no file. A line is
//   machine <tab> convolution <tab> algorithm <tab> microseconds of each algorithm measured
// where `machine` is the processor with the library's version and instruction set. It may be edited or removed at any
// time; a line that does not parse is skipped, and a file that cannot be written is done without.
#pragma once

#include <map>
#include <span>
#include <string>

#include "lib/backend/algorithms.h"
#include "lib/backend/onednn/primitives.h"

namespace distil::onednn {

const char* AlgorithmName(int64_t algorithm);  // "direct", "winograd", "turned", "rows"

// "forward,64x32x32x32,32x32x3x3,s1x1,p1x1,f32,bias,relu,2threads": everything that its speed depends on.
std::string DescribeConv(const ConvSpec& s, int threads);

// The kernel of a convolution with its algorithm, and the bytes of its weight as the kernel reads or writes it.
Status MakeConvKernel(const Library& library, const ConvSpec& s, int threads, std::unique_ptr<Kernel>* out,
                      size_t* weight_bytes);

class Search {
 public:
  Search(const Library& library, int threads);

  // The fastest of the algorithms in `ways`, which all can compute `s`.
  int64_t Fastest(const ConvSpec& s, std::span<const int64_t> ways);

 private:
  double Measure(const ConvSpec& s) const;  // seconds; infinity when it cannot run
  void Load();
  void Keep(const std::string& line) const;

  const Library& library_;
  int threads_;
  std::string path_, machine_;
  std::map<std::string, std::string> known_;  // by convolution
};

}  // namespace distil::onednn
