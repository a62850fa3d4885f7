// Figure 2 of the DSKD paper from records: how the weights that each auxiliary classifier gets (eq. 7 and 8) are
// distributed over the training samples, epoch by epoch. Runs keep what it needs when dskd's option `histogram` is set,
// as in the recipe dskd/figure2. Histograms that other methods may log are drawn in the same way under their own names.
#pragma once

#include <string>
#include <vector>

#include "harness/record.h"

namespace distil::harness {

// One panel for each histogram that all runs of a cell have, their samples taken together; "" where there is none.
// `name` says which cell it is.
std::string WeightsSvg(const std::string& name, const std::vector<const RunRecord*>& runs);

}  // namespace distil::harness
