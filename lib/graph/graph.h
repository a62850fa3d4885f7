// Graph: a static computation as a list of nodes over values, in an order in which it can be executed.
//
// A node has an op (ops.def, pointwise.def), inputs, attributes and outputs. Adding a node infers its shapes, and
// returns the existing node when an equal one is there (common subexpressions). The first mistake sticks: it is kept
// with op, shapes and reason, every later Add returns nothing, and whoever compiles the graph gets the message.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "lib/base/status.h"
#include "lib/graph/shape.h"

namespace distil {

enum class Op : uint8_t {
#define POINTWISE(name, ...) k##name,
#include "lib/graph/pointwise.def"
#undef POINTWISE
#define OP(name, ...) k##name,
#include "lib/graph/ops.def"
#undef OP
};

std::string_view OpName(Op op);
bool IsPointwise(Op op);
int Arity(Op op);        // number of inputs, -1 when it varies
int OutputCount(Op op);  // -1 when it varies

// ---- Attributes: a node keeps them as `ints` and `reals`; these structs give them names. -------------------------

struct ConvAttrs {  // symmetric zero padding; x [n,c,h,w], w [o,c/groups,kh,kw]
  int64_t stride[2] = {1, 1};
  int64_t pad[2] = {0, 0};
  int64_t dilation[2] = {1, 1};
  int64_t groups = 1;
  // Conv2dInput: spatial extents of x. Conv2dWeight: kernel extents. Conv2d: unused.
  int64_t size[2] = {0, 0};
  // Conv2d, after fusion:
  int64_t bias = 0, residual = 0, relu = 0;
  int64_t algorithm = 0;  // chosen by a backend; 0 is its plain one

  std::vector<int64_t> Pack() const;
  static ConvAttrs Unpack(const std::vector<int64_t>& ints);
};

struct PoolAttrs {
  int64_t kernel[2] = {0, 0};
  int64_t stride[2] = {1, 1};
  int64_t pad[2] = {0, 0};
  int64_t ceil_mode = 0;          // PyTorch's rule: a window may start inside the left padding or the input only
  int64_t count_include_pad = 1;  // AvgPool: divide by the kernel's area clipped to the padded input, or to the input
  int64_t adaptive = 0;           // `size` is the output's extents; window i is [floor(i h/o), ceil((i+1) h/o))
  int64_t size[2] = {0, 0};       // adaptive: output extents. AvgPoolGrad: extents of AvgPool's input.
  int64_t out[2] = {0, 0};        // AvgPoolGrad with adaptive

  std::vector<int64_t> Pack() const;
  static PoolAttrs Unpack(const std::vector<int64_t>& ints);
};

struct SliceAttrs {  // Slice: out[i] = in[begin + i*step]. Pad: out[begin + i*step] = in[i], zero elsewhere.
  std::vector<int64_t> begin, extent, step;  // extent: of Slice's output; of Pad's output

  std::vector<int64_t> Pack() const;
  static SliceAttrs Unpack(const std::vector<int64_t>& ints);
};

// ---- Variables: tensors that live across steps. The graph only refers to them; lib/runtime owns storage. ----------

class Variable;
using VariableRef = std::shared_ptr<Variable>;

// ---- Values and nodes --------------------------------------------------------------------------------------------

using ValueId = uint32_t;
using NodeId = uint32_t;
inline constexpr ValueId kNoValue = ~0u;

enum class DType : uint8_t { kF32, kBF16, kF64, kI32 };
size_t DTypeSize(DType t);

// How a value lies in memory. Chosen by a backend; kPlain (row-major) everywhere above it.
enum class Layout : uint8_t {
  kPlain,
  kBlocked16,  // [n, c/16, h, w, 16], c a multiple of 16
  kNhwc,
  kOpaque,  // only the backend's primitives can read it; `opaque` names it in Graph::opaque()
};

struct Value {
  Shape shape;
  NodeId node = 0;
  uint32_t output = 0;  // which of the node's outputs
  bool index = false;   // int32 numbers (labels, sample ids); real otherwise
  bool low = false;     // may be kept in bf16 when the program computes in bf16 (network bodies, not losses)
  DType dtype = DType::kF32;
  Layout layout = Layout::kPlain;
  uint32_t opaque = 0;
};

// The body of a Fused node: straight-line code over scalars, run at every point of an iteration space.
struct FusedBody {
  enum Kind : uint8_t { kLoad, kConst, kOp };
  struct Instr {
    Kind kind;
    Op op;           // kOp: a pointwise op
    int32_t arg[3];  // kLoad: arg[0] is the node's input number; kOp: earlier instructions, 0 where unused
    double value;    // kConst
  };
  enum Reduce : uint8_t { kStore, kSum, kMax };
  struct Out {
    int32_t instr;
    Reduce reduce;
    Shape shape;  // the space itself for kStore; extents 1 on reduced axes otherwise
  };
  Shape space;  // inputs broadcast to it
  std::vector<Instr> code;
  std::vector<Out> outs;
};

struct Node {
  Op op;
  std::vector<ValueId> in;
  std::vector<ValueId> out;
  std::vector<int64_t> ints;
  std::vector<double> reals;
  std::string name;  // Input: its name. Data: none.
  VariableRef variable;
  std::shared_ptr<const FusedBody> fused;
};

// Memory of a value whose layout is kOpaque: `descriptor` belongs to the backend.
struct OpaqueLayout {
  size_t bytes;
  std::shared_ptr<void> descriptor;
  int64_t form = 0;  // which of the backend's several, where it has them
};

class Graph {
 public:
  // Adds a node unless an equal one exists, and returns its id, or kNoValue-like ~0u after an error.
  NodeId Add(Node node);
  // As Add, for ops with one output.
  ValueId AddValue(Op op, std::vector<ValueId> in, std::vector<int64_t> ints = {}, std::vector<double> reals = {});

  ValueId Input(const std::string& name, const Shape& shape, bool index = false);
  ValueId Constant(double v, int rank);
  ValueId Data(const Shape& shape, std::vector<double> values);
  ValueId Read(const VariableRef& v);                // the value at the start of the step
  void Assign(const VariableRef& v, ValueId value);  // a later Assign to the same variable replaces this one
  ValueId Latest(const VariableRef& v);              // the assigned value if there is one, else Read
  void Output(const std::string& name, ValueId v);   // values the caller can fetch after a run

  const Node& node(NodeId n) const { return nodes_[n]; }
  const Value& value(ValueId v) const { return values_[v]; }
  Value& mutable_value(ValueId v) { return values_[v]; }
  size_t node_count() const { return nodes_.size(); }
  size_t value_count() const { return values_.size(); }
  const Node& producer(ValueId v) const { return nodes_[values_[v].node]; }
  const std::vector<std::pair<std::string, ValueId>>& outputs() const { return outputs_; }
  const std::vector<std::pair<VariableRef, ValueId>>& assigns() const { return assigns_; }
  std::vector<OpaqueLayout>& opaque() { return opaque_; }
  const std::vector<OpaqueLayout>& opaque() const { return opaque_; }

  // While set, real values of new nodes are marked `low` (see Value). Layers sets it around network bodies.
  bool low_scope = false;

  bool ok() const { return error_.empty(); }
  const std::string& error() const { return error_; }
  void Fail(std::string message) {
    if (error_.empty()) error_ = std::move(message);
  }

 private:
  size_t Hash(const Node& n) const;
  bool Same(const Node& a, const Node& b) const;

  std::vector<Node> nodes_;
  std::vector<Value> values_;
  std::unordered_multimap<size_t, NodeId> by_hash_;
  std::vector<std::pair<std::string, ValueId>> outputs_;
  std::vector<std::pair<VariableRef, ValueId>> assigns_;
  std::vector<OpaqueLayout> opaque_;
  std::string error_;
};

// Shapes of a node's outputs, or a reason why there are none. Used by Graph::Add.
struct Inferred {
  std::vector<Shape> shapes;
  std::string error;
};
Inferred InferShapes(const Graph& g, const Node& n, const Shape& variable_shape);

// "conv2d(x [8,3,32,32], w [16,4,3,3])": how messages name a node.
std::string Describe(const Graph& g, const Node& n);

// Walks the nodes that outputs and assigned variables need, in execution order.
std::vector<NodeId> LiveNodes(const Graph& g);

// By value: whether it is the same in every step, since it depends on no input and on no variable that the graph
// assigns. False for values that are not live.
std::vector<bool> FixedValues(const Graph& g);

}  // namespace distil
