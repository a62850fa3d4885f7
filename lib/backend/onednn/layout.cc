#include "lib/backend/onednn/layout.h"

#include <algorithm>

#include "lib/backend/layout_pass.h"
#include "lib/backend/onednn/rows.h"
#include "lib/backend/onednn/search.h"
#include "lib/backend/onednn/winograd.h"

namespace distil::onednn {
namespace {

// Transformed weights are four times as large. From here on that is not worth the time to transform them in each step.
constexpr size_t kLargeWeight = 4 << 20;

bool InBlocks(const ConvSpec& s) { return s.x_layout == Layout::kBlocked16 && s.y_layout == Layout::kBlocked16; }

// Where Winograd's algorithm is faster. (Measured with bench/kernels.) It computes in f32 in any case: in bf16 it
// competes with products at twice the rate.
bool WinogradFits(const ConvSpec& s) {
  if (!WinogradCan(s)) return false;
  const int64_t least = std::min(s.x[1], s.y[1]), most = std::max(s.x[1], s.y[1]);
  if (s.kind == ConvKind::kWeight && least * most > 256 * 256) return false;  // its sums must stay in a cache
  return !s.bf16 || (least >= 32 && most <= 256);
}

// By rows is faster than oneDNN 2.6 where a row has pixels enough for a run. (Measured with bench/kernels.)
bool RowsFit(const ConvSpec& s) { return RowsCan(s) && s.y[3] >= 7; }

// oneDNN 2.6 by input does not share its work among threads where the input has 32 channels.
bool TurnedFits(const ConvSpec& s) { return CanTurn(s) && !s.bf16 && s.x[1] == 32; }

// Products are faster than oneDNN 2.6's convolutions channels-last where a group has some width: by weight by half and
// more, and they need no reordered weights.
bool ProductFits(const ConvSpec& s) {
  return CanMultiply(s) && (s.attrs.groups == 1 || std::min(s.w[0] / s.attrs.groups, s.w[1]) >= 16);
}

// What does not mix channels, or is a product, is about as fast channels-last as in blocks.
bool EqualInLayouts(const ConvSpec& s) {
  const ConvAttrs& a = s.attrs;
  return (a.groups == s.x[1] && a.groups == s.y[1]) || (s.w[2] * s.w[3] == 1 && a.stride[0] * a.stride[1] == 1);
}

// What oneDNN 2.6 gets wrong, found by tests/ops on random shapes. Such convolutions compute otherwise.
bool WrongInBf16(const ConvSpec& s) {
  // jit_bf16_1x1, backward by data: odd output channels. Backward by weights: a single column at stride 2.
  if (s.kind == ConvKind::kInput) return s.w[2] * s.w[3] == 1 && s.y[1] % 2;
  return s.kind == ConvKind::kWeight && s.x[3] == 1 && s.attrs.stride[1] > 1;
}
bool Crashes(const ConvSpec& s) {  // brgconv with post-ops: an output row that sees nothing but padding
  const ConvAttrs& a = s.attrs;
  for (int i = 0; i < 2; ++i)
    if (a.pad[i] > a.dilation[i] * (s.w[2 + i] - 1)) return true;
  return false;
}

class Assigner : public LayoutPass {
 public:
  Assigner(const Library& library, const CompileOptions& options, int threads, const Graph& from)
      : LayoutPass(from, options.bf16), library_(library), options_(options), threads_(threads) {}

 private:
  Layout LayoutFor(int64_t channels) const {
    return library_.wide() && channels % 16 == 0 ? Layout::kBlocked16 : Layout::kNhwc;
  }

  // The layouts of a convolution's images, best first: both in blocks, or a first layer's images as they come, or both
  // channels-last, or both row-major. Where blocks are no better, images that lie channels-last stay so.
  std::vector<std::pair<Layout, Layout>> LayoutsFor(const ConvSpec& s, Layout have) const {
    std::vector<std::pair<Layout, Layout>> ways;
    if (have == Layout::kNhwc && EqualInLayouts(s)) ways.emplace_back(Layout::kNhwc, Layout::kNhwc);
    if (LayoutFor(s.y[1]) == Layout::kBlocked16) {
      if (LayoutFor(s.x[1]) == Layout::kBlocked16) ways.emplace_back(Layout::kBlocked16, Layout::kBlocked16);
      if (s.x[1] <= 4) ways.emplace_back(Layout::kPlain, Layout::kBlocked16);
    }
    ways.emplace_back(Layout::kNhwc, Layout::kNhwc);
    ways.emplace_back(Layout::kPlain, Layout::kPlain);
    return ways;
  }

  // The algorithm of a convolution in blocks: as listed, else as measured, else by rule.
  int64_t Algorithm(const ConvSpec& s) {
    const bool winograd = options_.winograd || s.bf16;
    const int64_t rule = winograd && WinogradFits(s) ? kWinograd
                         : RowsFit(s)                ? kByRows
                         : TurnedFits(s)             ? kTurned
                                                     : kDirect;
    if (!options_.algorithms) return rule;
    std::vector<int64_t> ways = {kDirect};
    if (winograd && WinogradCan(s)) ways.push_back(kWinograd);
    if (CanTurn(s)) ways.push_back(kTurned);
    if (RowsCan(s)) ways.push_back(kByRows);
    if (ways.size() == 1) return kDirect;
    auto& chosen = options_.algorithms->chosen;
    const std::string what = DescribeConv(s, threads_);
    if (const auto listed = chosen.find(what); listed != chosen.end())
      for (int64_t way : ways)
        if (listed->second == AlgorithmName(way)) return way;
    if (!options_.algorithms->search) return rule;
    if (!search_) search_ = std::make_unique<Search>(library_, threads_);
    const int64_t fastest = search_->Fastest(s, ways);
    chosen[what] = AlgorithmName(fastest);
    return fastest;
  }

  // Layouts and algorithm of a convolution, and what its weight becomes: the first way for which oneDNN has more than
  // its reference code.
  Status Choose(Layout have, ConvSpec* s, OpaqueLayout* weight) {
    Status status;
    ConvSpec first;
    const auto ways = LayoutsFor(*s, have);
    for (size_t i = 0; i < ways.size(); ++i) {
      s->x_layout = Spatial(s->x) ? ways[i].first : Layout::kPlain;
      s->y_layout = Spatial(s->y) ? ways[i].second : Layout::kPlain;
      if (i == 0) first = *s;
      if (ProductFits(*s)) {
        s->attrs.algorithm = kProduct;
        *weight = {};
        return {};
      }
      s->attrs.algorithm = InBlocks(*s) ? Algorithm(*s) : kDirect;
      if (s->attrs.algorithm == kWinograd && s->kind != ConvKind::kWeight && WinogradWeightBytes(s->w) > kLargeWeight) {
        s->attrs.algorithm = kWinogradInside;
        *weight = {};
        return {};
      }
      if (s->attrs.algorithm == kWinograd) {
        *weight = {WinogradWeightBytes(s->w), nullptr,
                   s->kind == ConvKind::kInput ? kWinogradInputForm : kWinogradForm};
        return {};
      }
      if (s->attrs.algorithm == kByRows) {
        const bool turned = s->kind == ConvKind::kInput;
        *weight = library_.BlockedWeight(turned ? Turned(*s).w : s->w);
        if (turned) weight->form = kTurnedForm;
        return {};
      }
      if (s->attrs.algorithm == kTurned && library_.WeightLayout(Turned(*s), weight).ok()) {
        weight->form = kTurnedForm;
        return {};
      }
      s->attrs.algorithm = kDirect;
      bool slow = false;
      status = library_.WeightLayout(*s, weight, &slow);
      if (status.ok() && !slow) return {};
    }
    *s = first;
    if (s->bf16) {  // of f32 it has more
      s->bf16 = false;
      return Choose(have, s, weight);
    }
    return library_.WeightLayout(*s, weight);
  }

  Layout PoolLayout(int64_t channels) const override { return LayoutFor(channels); }

  Status Conv(const Node& node) override {
    ConvSpec s = SpecOf(from_, node);
    if (Crashes(s)) {  // the reference kernels run it
      Plain(node);
      return {};
    }
    s.bf16 = Low(node.out[0]) && !WrongInBf16(s);
    OpaqueLayout weight;
    DISTIL_RETURN_IF_ERROR(Choose(to_.value(Natural(node.in[0])).layout, &s, &weight));
    const DType t = s.bf16 ? DType::kBF16 : DType::kF32;
    const auto opaque = static_cast<uint32_t>(to_.opaque().size());
    to_.opaque().push_back(weight);
    const int64_t groups = s.attrs.groups;
    const bool winograd = s.attrs.algorithm == kWinograd;
    const bool product = s.attrs.algorithm == kProduct;
    const bool inside = s.attrs.algorithm == kWinogradInside || product;  // reads weights as they are
    const DType weights = winograd || inside ? DType::kF32 : t;
    const Layout packed = inside ? Layout::kPlain : Layout::kOpaque;
    Node n = node;
    n.ints = s.attrs.Pack();
    if (s.kind == ConvKind::kForward) {
      n.in = {Want(node.in[0], s.x_layout, t), Want(node.in[1], packed, weights, opaque, groups)};
      if (s.attrs.bias) n.in.push_back(Want(node.in[2], Layout::kPlain, DType::kF32));
      if (s.attrs.residual) n.in.push_back(Want(node.in.back(), s.y_layout, t));
    } else if (s.kind == ConvKind::kInput) {
      n.in = {Want(node.in[0], s.y_layout, t), Want(node.in[1], packed, weights, opaque, groups)};
    } else {
      n.in = {Want(node.in[0], s.x_layout, t), Want(node.in[1], s.y_layout, t)};
      if (winograd || product) {
        map_[node.out[0]] = Describe(Add(std::move(n)), Layout::kPlain, DType::kF32);
        return {};
      }
      map_[node.out[0]] = Describe(Add(std::move(n)), Layout::kOpaque, DType::kF32, opaque);
      map_[node.out[0]] = Want(node.out[0], Layout::kPlain, DType::kF32, 0, groups);  // the optimiser works row-major
      return {};
    }
    map_[node.out[0]] = Describe(Add(std::move(n)), s.kind == ConvKind::kForward ? s.y_layout : s.x_layout, t);
    return {};
  }

  const Library& library_;
  const CompileOptions& options_;
  int threads_;
  std::unique_ptr<Search> search_;  // made when it is needed
};

}  // namespace

Status AssignLayouts(const Library& library, const CompileOptions& options, int threads, Graph* g) {
  Graph to;
  DISTIL_RETURN_IF_ERROR(Assigner(library, options, threads, *g).Run(&to));
  *g = std::move(to);
  return {};
}

}  // namespace distil::onednn
