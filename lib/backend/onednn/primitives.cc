#include "lib/backend/onednn/primitives.h"

#include <dnnl_debug.h>

#include <cstring>
#include <dnnl.hpp>
#include <stdexcept>
#include <string_view>
#include <vector>

namespace distil::onednn {
namespace {

using dnnl::memory;
using tag = memory::format_tag;
using type = memory::data_type;

memory::dims Dims(const Shape& s) { return {s.dims().begin(), s.dims().end()}; }

// Weights of grouped convolutions have an axis for the group.
memory::dims WeightDims(const Shape& w, int64_t groups) {
  if (groups == 1) return Dims(w);
  return {groups, w[0] / groups, w[1], w[2], w[3]};
}

memory::desc ImageDesc(const Shape& s, Layout layout, bool bf16) {
  const tag t = layout == Layout::kBlocked16 ? tag::nChw16c : layout == Layout::kNhwc ? tag::nhwc : tag::nchw;
  return {Dims(s), bf16 ? type::bf16 : type::f32, t};
}

memory::desc PlainWeight(const Shape& w, int64_t groups) {
  return {WeightDims(w, groups), type::f32, groups == 1 ? tag::oihw : tag::goihw};
}

const memory::desc& DescOf(const OpaqueLayout& o) { return *static_cast<const memory::desc*>(o.descriptor.get()); }

// A primitive with its operands; their addresses are set when they change, which is at the first run.
class PrimitiveKernel : public Kernel {
 public:
  PrimitiveKernel(const dnnl::engine& engine, dnnl::primitive primitive, const memory::desc& scratchpad)
      : engine_(engine), stream_(engine), primitive_(std::move(primitive)), scratch_bytes_(scratchpad.get_size()) {
    if (scratch_bytes_) Add(DNNL_ARG_SCRATCHPAD, kScratch, scratchpad);
  }

  // operand: the number of an input, or ~ that of an output.
  void Add(int key, int operand, const memory::desc& desc) {
    slots_.push_back({operand, memory(desc, engine_, nullptr), nullptr});
    args_.push_back({key, slots_.back().mem.get()});
  }
  // The output starts as a copy of an input: a residual that the primitive adds onto.
  void AddResidual(int input, size_t bytes) { residual_ = input, residual_bytes_ = bytes; }

  size_t workspace() const override { return scratch_bytes_; }
  int PreferAlias(int) const override { return residual_; }

  void Run(const KernelArgs& args) override {
    if (residual_ >= 0 && args.in[residual_] != args.out[0])
      std::memcpy(args.out[0], args.in[residual_], residual_bytes_);
    for (Slot& s : slots_) {
      void* p = s.operand == kScratch ? args.workspace
                : s.operand >= 0      ? const_cast<void*>(args.in[s.operand])
                                      : args.out[~s.operand];
      if (p == s.address) continue;
      s.mem.set_data_handle(p);
      s.address = p;
    }
    // The C interface: the C++ one builds a list of arguments anew each time.
    dnnl_status_t status =
        dnnl_primitive_execute(primitive_.get(), stream_.get(), static_cast<int>(args_.size()), args_.data());
    if (status == dnnl_success) status = dnnl_stream_wait(stream_.get());
    if (status != dnnl_success) throw std::runtime_error(std::string("oneDNN says: ") + dnnl_status2str(status));
  }

  static constexpr int kScratch = 1 << 20;

 private:
  struct Slot {
    int operand;
    memory mem;
    void* address;
  };

  dnnl::engine engine_;
  dnnl::stream stream_;
  dnnl::primitive primitive_;
  std::vector<Slot> slots_;
  std::vector<dnnl_exec_arg_t> args_;
  size_t scratch_bytes_;
  int residual_ = -1;
  size_t residual_bytes_ = 0;
};

// What a convolution needs from oneDNN, whichever interface made it.
struct ConvPrimitive {
  dnnl::primitive primitive;
  memory::desc x, w, y, scratchpad;
  bool slow;  // reference code
};

template <class Desc>
bool IsReference(const Desc& pd) {
  return std::string_view(pd.impl_info_str()).find("ref") == 0;
}

dnnl::primitive_attr Attributes(const ConvSpec& s) {
  dnnl::primitive_attr attr;
  attr.set_scratchpad_mode(dnnl::scratchpad_mode::user);
  dnnl::post_ops post;
  if (s.attrs.residual) post.append_sum(1.0f);
#if DNNL_VERSION_MAJOR >= 3
  if (s.attrs.relu) post.append_eltwise(dnnl::algorithm::eltwise_relu, 0.0f, 0.0f);
#else
  if (s.attrs.relu) post.append_eltwise(1.0f, dnnl::algorithm::eltwise_relu, 0.0f, 0.0f);
#endif
  if (post.len()) attr.set_post_ops(post);
  return attr;
}

ConvPrimitive MakeConv(const dnnl::engine& engine, const ConvSpec& s) {
  const ConvAttrs& a = s.attrs;
  const auto algorithm = dnnl::algorithm::convolution_direct;
  const memory::dims strides{a.stride[0], a.stride[1]}, pad{a.pad[0], a.pad[1]};
  const memory::dims dilates{a.dilation[0] - 1, a.dilation[1] - 1};
  const memory::desc x = ImageDesc(s.x, s.x_layout, s.bf16), y = ImageDesc(s.y, s.y_layout, s.bf16);
  const type wt = s.bf16 ? type::bf16 : type::f32;
  const memory::desc w(WeightDims(s.w, a.groups), wt, tag::any);
  const memory::desc dw(WeightDims(s.w, a.groups), type::f32, tag::any);
  const memory::desc bias = a.bias ? memory::desc({s.w[0]}, type::f32, tag::x) : memory::desc();
  const auto prop =
      s.kind == ConvKind::kForward ? dnnl::prop_kind::forward_inference : dnnl::prop_kind::forward_training;
  const dnnl::primitive_attr attr = Attributes(s);
  // A gradient's primitive needs a forward one as a hint; a weight in any layout serves.
#if DNNL_VERSION_MAJOR >= 3
  using Forward = dnnl::convolution_forward;
  const Forward::primitive_desc forward(engine, prop, algorithm, x, w, bias, y, strides, dilates, pad, pad, attr);
  if (s.kind == ConvKind::kInput) {
    const dnnl::convolution_backward_data::primitive_desc pd(engine, algorithm, x, w, y, strides, dilates, pad, pad,
                                                             forward, attr);
    return {dnnl::convolution_backward_data(pd),
            pd.diff_src_desc(),
            pd.weights_desc(),
            pd.diff_dst_desc(),
            pd.scratchpad_desc(),
            IsReference(pd)};
  }
  if (s.kind == ConvKind::kWeight) {
    const dnnl::convolution_backward_weights::primitive_desc pd(engine, algorithm, x, dw, y, strides, dilates, pad, pad,
                                                                forward, attr);
    return {dnnl::convolution_backward_weights(pd),
            pd.src_desc(),
            pd.diff_weights_desc(),
            pd.diff_dst_desc(),
            pd.scratchpad_desc(),
            IsReference(pd)};
  }
#else
  using Forward = dnnl::convolution_forward;
  const Forward::desc fd = a.bias ? Forward::desc(prop, algorithm, x, w, bias, y, strides, dilates, pad, pad)
                                  : Forward::desc(prop, algorithm, x, w, y, strides, dilates, pad, pad);
  const Forward::primitive_desc forward(fd, attr, engine);
  if (s.kind == ConvKind::kInput) {
    const dnnl::convolution_backward_data::desc d(algorithm, x, w, y, strides, dilates, pad, pad);
    const dnnl::convolution_backward_data::primitive_desc pd(d, attr, engine, forward);
    return {dnnl::convolution_backward_data(pd),
            pd.diff_src_desc(),
            pd.weights_desc(),
            pd.diff_dst_desc(),
            pd.scratchpad_desc(),
            IsReference(pd)};
  }
  if (s.kind == ConvKind::kWeight) {
    const dnnl::convolution_backward_weights::desc d(algorithm, x, dw, y, strides, dilates, pad, pad);
    const dnnl::convolution_backward_weights::primitive_desc pd(d, attr, engine, forward);
    return {dnnl::convolution_backward_weights(pd),
            pd.src_desc(),
            pd.diff_weights_desc(),
            pd.diff_dst_desc(),
            pd.scratchpad_desc(),
            IsReference(pd)};
  }
#endif
  return {dnnl::convolution_forward(forward), forward.src_desc(),  forward.weights_desc(), forward.dst_desc(),
          forward.scratchpad_desc(),          IsReference(forward)};
}

// oneDNN reports by exception; distil by Status.
template <class F>
Status Guard(const char* what, F&& f) {
  try {
    f();
    return {};
  } catch (const dnnl::error& e) {
    const std::string why = std::string(what) + ": oneDNN says: " + e.message;
    if (e.status == dnnl_unimplemented) return Unsupported(why);
    if (e.status == dnnl_out_of_memory) return Status(Code::kOutOfMemory, why);
    return Internal(why);
  } catch (const std::bad_alloc&) {
    return Status(Code::kOutOfMemory, std::string(what) + ": out of memory");
  }
}

// oneDNN 2.6 counts the bytes of a channel's plane in an int, and divides by what that overflows to.
Status CheckPlanes(const ConvSpec& s) {
  for (const Shape& image : {s.x, s.y})
    if (image[2] * image[3] >= (int64_t{1} << 29))
      return Unsupported("convolution of " + image.ToString() + ": oneDNN needs planes of fewer than 2^29 pixels");
  return {};
}

}  // namespace

bool CanTurn(const ConvSpec& s) {
  const ConvAttrs& a = s.attrs;
  for (int i = 0; i < 2; ++i)
    if (a.stride[i] != 1 || a.dilation[i] != 1 || a.pad[i] >= s.w[2 + i]) return false;
  return s.kind == ConvKind::kInput && a.groups == 1;
}

ConvSpec Turned(const ConvSpec& s) {
  ConvSpec t{ConvKind::kForward, s.y, {s.w[1], s.w[0], s.w[2], s.w[3]}, s.x, {}, s.y_layout, s.x_layout, s.bf16};
  for (int i = 0; i < 2; ++i) t.attrs.pad[i] = s.w[2 + i] - 1 - s.attrs.pad[i];
  return t;
}

bool CanMultiply(const ConvSpec& s) {
  const ConvAttrs& a = s.attrs;
  for (int i = 0; i < 2; ++i)
    if (s.w[2 + i] != 1 || a.stride[i] != 1 || a.pad[i] != 0) return false;
  return !s.bf16 && !a.bias && !a.residual && !a.relu && s.x_layout == Layout::kNhwc && s.y_layout == Layout::kNhwc;
}

namespace {

// With n h w rows: Y = X W', dX = dY W, dW = dY' X, of each group's columns.
class Product : public Kernel {
 public:
  explicit Product(const ConvSpec& s)
      : kind_(s.kind),
        groups_(s.attrs.groups),
        rows_(s.x[0] * s.x[2] * s.x[3]),
        x_width_(s.x[1]),
        y_width_(s.y[1]),
        inputs_(s.w[1]),
        outputs_(s.w[0] / s.attrs.groups) {}

  void Run(const KernelArgs& args) override {
    const auto* a = static_cast<const float*>(args.in[0]);
    const auto* b = static_cast<const float*>(args.in[1]);
    auto* out = static_cast<float*>(args.out[0]);
    const int64_t weight = inputs_ * outputs_;
    dnnl_status_t status = dnnl_success;
    for (int64_t g = 0; g < groups_ && status == dnnl_success; ++g) {
      const int64_t x = g * inputs_, y = g * outputs_, w = g * weight;
      switch (kind_) {
        case ConvKind::kForward:
          status =
              dnnl_sgemm('N', 'T', rows_, outputs_, inputs_, 1, a + x, x_width_, b + w, inputs_, 0, out + y, y_width_);
          break;
        case ConvKind::kInput:
          status =
              dnnl_sgemm('N', 'N', rows_, inputs_, outputs_, 1, a + y, y_width_, b + w, inputs_, 0, out + x, x_width_);
          break;
        case ConvKind::kWeight:
          status =
              dnnl_sgemm('T', 'N', outputs_, inputs_, rows_, 1, b + y, y_width_, a + x, x_width_, 0, out + w, inputs_);
          break;
      }
    }
    if (status != dnnl_success) throw std::runtime_error(std::string("oneDNN says: ") + dnnl_status2str(status));
  }

 private:
  ConvKind kind_;
  int64_t groups_, rows_, x_width_, y_width_;
  int64_t inputs_, outputs_;  // of a group
};

}  // namespace

std::unique_ptr<Kernel> MakeProduct(const ConvSpec& s) { return std::make_unique<Product>(s); }

struct Library::Impl {
  dnnl::engine engine{dnnl::engine::kind::cpu, 0};
};

Library::Library() : impl_(std::make_unique<Impl>()) {}
Library::~Library() = default;

std::string Library::version() const {
  const dnnl::version_t* v = dnnl::version();
  return std::to_string(v->major) + "." + std::to_string(v->minor) + "." + std::to_string(v->patch);
}

std::string Library::isa() const {
  switch (dnnl::get_effective_cpu_isa()) {
    case dnnl::cpu_isa::sse41: return "sse41";
    case dnnl::cpu_isa::avx: return "avx";
    case dnnl::cpu_isa::avx2: return "avx2";
    case dnnl::cpu_isa::avx2_vnni: return "avx2_vnni";
    case dnnl::cpu_isa::avx512_core: return "avx512_core";
    case dnnl::cpu_isa::avx512_core_vnni: return "avx512_core_vnni";
    case dnnl::cpu_isa::avx512_core_bf16: return "avx512_core_bf16";
    case dnnl::cpu_isa::avx512_core_amx: return "avx512_core_amx";
    default: return "isa " + std::to_string(static_cast<int>(dnnl::get_effective_cpu_isa()));
  }
}

bool Library::bf16_fast() const {
  const auto isa = dnnl::get_effective_cpu_isa();
  return isa == dnnl::cpu_isa::avx512_core_bf16 || isa == dnnl::cpu_isa::avx512_core_amx;
}

bool Library::wide() const {
  switch (dnnl::get_effective_cpu_isa()) {
    case dnnl::cpu_isa::sse41:
    case dnnl::cpu_isa::avx:
    case dnnl::cpu_isa::avx2:
    case dnnl::cpu_isa::avx2_vnni: return false;
    default: return true;
  }
}

Status Library::WeightLayout(const ConvSpec& spec, OpaqueLayout* out, bool* slow) const {
  DISTIL_RETURN_IF_ERROR(CheckPlanes(spec));
  return Guard("convolution", [&] {
    const ConvPrimitive c = MakeConv(impl_->engine, spec);
    *out = {c.w.get_size(), std::make_shared<memory::desc>(c.w), kLibraryForm};
    if (slow) *slow = c.slow;
  });
}

OpaqueLayout Library::BlockedWeight(const Shape& w) const {
  auto desc = std::make_shared<memory::desc>(Dims(w), type::f32, tag::OIhw16i16o);
  const size_t bytes = desc->get_size();
  return {bytes, std::move(desc), kLibraryForm};
}

Status Library::Conv(const ConvSpec& s, std::unique_ptr<Kernel>* out) const {
  DISTIL_RETURN_IF_ERROR(CheckPlanes(s));
  return Guard("convolution", [&] {
    const ConvPrimitive c = MakeConv(impl_->engine, s);
    auto k = std::make_unique<PrimitiveKernel>(impl_->engine, c.primitive, c.scratchpad);
    switch (s.kind) {
      case ConvKind::kForward:
        k->Add(DNNL_ARG_SRC, 0, c.x);
        k->Add(DNNL_ARG_WEIGHTS, 1, c.w);
        if (s.attrs.bias) k->Add(DNNL_ARG_BIAS, 2, memory::desc({s.w[0]}, type::f32, tag::x));
        k->Add(DNNL_ARG_DST, ~0, c.y);
        if (s.attrs.residual) k->AddResidual(2 + static_cast<int>(s.attrs.bias), c.y.get_size());
        break;
      case ConvKind::kInput:
        k->Add(DNNL_ARG_DIFF_DST, 0, c.y);
        k->Add(DNNL_ARG_WEIGHTS, 1, c.w);
        k->Add(DNNL_ARG_DIFF_SRC, ~0, c.x);
        break;
      case ConvKind::kWeight:
        k->Add(DNNL_ARG_SRC, 0, c.x);
        k->Add(DNNL_ARG_DIFF_DST, 1, c.y);
        k->Add(DNNL_ARG_DIFF_WEIGHTS, ~0, c.w);
        break;
    }
    *out = std::move(k);
  });
}

Status Library::ReorderWeight(const Shape& w, int64_t groups, const OpaqueLayout* from, const OpaqueLayout* to,
                              std::unique_ptr<Kernel>* out) const {
  return Guard("weight reorder", [&] {
    const memory::desc a = from ? DescOf(*from) : PlainWeight(w, groups), b = to ? DescOf(*to) : PlainWeight(w, groups);
    dnnl::primitive_attr attr;
    attr.set_scratchpad_mode(dnnl::scratchpad_mode::user);
    const dnnl::reorder::primitive_desc pd(impl_->engine, a, impl_->engine, b, attr);
    auto k = std::make_unique<PrimitiveKernel>(impl_->engine, dnnl::reorder(pd), pd.scratchpad_desc());
    k->Add(DNNL_ARG_FROM, 0, a);
    k->Add(DNNL_ARG_TO, ~0, b);
    *out = std::move(k);
  });
}

Status Library::MatMul(const Shape& a, const Shape& b, const Shape& y, bool ta, bool tb,
                       std::unique_ptr<Kernel>* out) const {
  // A transposed operand is the same memory with its last two strides exchanged.
  auto desc = [](const Shape& s, bool transpose) {
    const int r = s.rank();
    memory::dims dims = Dims(s), strides(static_cast<size_t>(r));
    int64_t run = 1;
    for (int i = r - 1; i >= 0; --i) strides[static_cast<size_t>(i)] = run, run *= s[i];
    if (transpose) {
      std::swap(dims[static_cast<size_t>(r) - 1], dims[static_cast<size_t>(r) - 2]);
      std::swap(strides[static_cast<size_t>(r) - 1], strides[static_cast<size_t>(r) - 2]);
    }
    return memory::desc(dims, type::f32, strides);
  };
  return Guard("matmul", [&] {
    dnnl::primitive_attr attr;
    attr.set_scratchpad_mode(dnnl::scratchpad_mode::user);
    const memory::desc da = desc(a, ta), db = desc(b, tb), dy = desc(y, false);
#if DNNL_VERSION_MAJOR >= 3
    const dnnl::matmul::primitive_desc pd(impl_->engine, da, db, dy, attr);
#else
    const dnnl::matmul::primitive_desc pd(dnnl::matmul::desc(da, db, dy), attr, impl_->engine);
#endif
    auto k = std::make_unique<PrimitiveKernel>(impl_->engine, dnnl::matmul(pd), pd.scratchpad_desc());
    k->Add(DNNL_ARG_SRC, 0, da);
    k->Add(DNNL_ARG_WEIGHTS, 1, db);
    k->Add(DNNL_ARG_DST, ~0, dy);
    *out = std::move(k);
  });
}

}  // namespace distil::onednn
