// Auxiliary classifiers ("heads") of the deeply supervised methods: after each shallow stage l of the student a fresh
// copy of the student's own stages l+1..L with pooling and classifier, so that every head ends in maps, pooled vectors
// and logits of the very shapes that the student's own ending has. Nothing is shared between heads. They are trained
// with the student ("<method>.head<l>.<parameter>") and never exported.
//
// Source: Luo et al., "Deeply-Supervised Knowledge Distillation", arXiv 2202.07846, section 3: "the architecture of each
// auxiliary classifier [is] the one that helps the corresponding shallow layer same as the main branch".
#pragma once

#include <string>
#include <vector>

#include "losses/method.h"

namespace distil {

struct Head {
  int stage;
  Features f;
};

// Which stages get a head, shallowest first. A method that is nothing without heads takes the first of these options.
inline constexpr OptionSpec kHeadsOption = {
    "heads", "all", "stages with an auxiliary classifier: all but the last, or these digits (DSKD: all)",
    "all|1|2|3|12|13|23"};
inline constexpr OptionSpec kHeadsOrNoneOption = {
    "heads", "all",
    "stages with an auxiliary classifier: all but the last, none, or these digits (DSKD: all; its Table 2: none, 1, 2, "
    "12)",
    "all|none|1|2|3|12|13|23"};

// Empty after an error, which the graph then has: a student of the caller's own has no stages to copy.
std::vector<Head> Heads(Pair& p);

// Why `s` has not the stages that the option names, or "".
std::string CannotHead(const Features& s, const MethodOptions& o);

}  // namespace distil
