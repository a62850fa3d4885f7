// CRD: Tian, Krishnan, Isola, "Contrastive Representation Distillation", ICLR 2020, arXiv 1910.10699.
//
//   e = A x / ||A x||, one linear map A (with bias) for each network, both trained      x: pooled vectors, e: [n,width]
//   M_s, M_t: memories [samples,width] of the embeddings that each sample had last
//   u_bk = exp( <M_t[k], e_s,b> / T ) / Z_s,   v_bk = exp( <M_s[k], e_t,b> / T ) / Z_t
//   l(w) = - mean over b of ( log w_b+ / (w_b+ + c)  +  sum over negatives k of log c / (w_bk + c) ),   c = N / samples
//   L_CRD = l(u) + l(v);                               "+" is the sample itself, negatives are samples of other classes
//
// Z_s and Z_t are set by the first batch, to samples times the mean of its scores, and stay. After the scores
// M[i] <- normalised( r M[i] + (1 - r) e_i ); of a sample that is twice in a batch the last one counts. Denominators have
// 1e-7 added.
//
// Negatives. A row of counter-based uniform numbers (step, sample) chooses: every sample of another class is one with
// probability N / (their number), so N is the mean of a draw without replacement, its size varying by sqrt(N) or less.
// Scores are taken against the whole memory, one [n,width] x [width,samples] product for each side, instead of gathering
// n N rows: fewer memory accesses from N = samples / 10 or so on, and no [n,N,width] tensor. The labels of the data set
// are learnt as batches show them ([samples] numbers); until a sample has been seen, it counts as one of another class.
// States of the step: 2 width + 1 numbers a sample and Z; its values: some tensors [n,samples]. `samples` is the
// trainer's option, and ids must lie below it.
//
// Defaults: weight 0.8, N = 16384, T = 0.07, r = 0.5, width 128 (paper, RepDistiller).
// Departures: the random size of the set of negatives, and unseen samples, as above; the positive is always the sample
// itself (the paper's, and RepDistiller's "exact"); last of duplicates instead of any.
#include <cmath>

#include "losses/common.h"
#include "losses/method.h"

namespace distil {
namespace {

constexpr OptionSpec kOptions[] = {
    {"weight", "0.8", "factor of the term (RepDistiller)", "[0,inf)"},
    {"negatives", "16384", "negatives N of a sample, on average (paper)", "whole [1,inf)"},
    {"T", "0.07", "temperature (RepDistiller)", "(0,inf)"},
    {"momentum", "0.5", "share r of the old entry in a memory's new one (paper)", "[0,1)"},
    {"width", "128", "width of the embeddings (paper)", "whole [1,65536]"},
};

constexpr double kEps = 1e-7;
constexpr int kSlot = 255;  // of the step's random numbers; dropout counts its slots from 0

// One side. memory: of the other network; chosen: [n,samples], 1 for negatives; score of the sample itself: own, [n,1].
Expr Contrast(StepBuilder* b, Expr e, Expr memory, Expr chosen, const std::string& z, double T, double c) {
  const auto samples = static_cast<double>(memory.dim(0));
  Expr all = Exp(MatMul(e, memory, false, true) / T);          // [n,samples]
  Expr own = Exp(Sum(e * Gather(memory, b->ids()), {1}) / T);  // [n,1]
  VariableRef Z = b->State(z, {}, Init::Constant(0));
  if (!Z) return {};
  Expr count = SumAll(chosen) + static_cast<double>(e.dim(0));
  Expr first = StopGradient(samples * (SumAll(chosen * all) + SumAll(own)) / count);
  Expr kept = Select(Greater(Read(b->graph(), Z), 0.0), Read(b->graph(), Z), first);
  b->graph()->Assign(Z, kept.id());
  Expr positive = own / kept;
  Expr negative = -Log1p((all / kept + kEps) / c);  // log c / (w + c + eps)
  return -MeanAll(Log(positive / (positive + (c + kEps))) + Sum(chosen * negative, {1}));
}

// M[i] <- row for each i of the batch; `last`: [n,1], 1 for the last one of equal ids.
void Remember(StepBuilder* b, const VariableRef& M, Expr row, Expr last) {
  Expr old = Read(b->graph(), M);
  Expr change = last * (StopGradient(row) - Gather(old, b->ids()));
  b->graph()->Assign(M, (old + ScatterAdd(change, b->ids(), old.dim(0))).id());
}

Expr Loss(Pair& p) {
  StepBuilder* b = p.step;
  Graph* g = p.labels.graph();
  const int64_t samples = b->samples(), n = p.batch, width = static_cast<int64_t>(p["width"]);
  const double N = p["negatives"], T = p["T"], r = p["momentum"];
  if (samples == 0) g->Fail("method crd: its memory has an entry for each sample: the option samples is needed");
  if (samples > 0 && N > static_cast<double>(samples))
    g->Fail("method crd: " + p.text("negatives") + " negatives are more than the " + std::to_string(samples) +
            " samples: set crd.negatives");
  const Init init = Init::Uniform(1 / std::sqrt(static_cast<double>(width) / 3));
  if (!g->ok()) return {};
  VariableRef M_s = b->State("crd.memory_s", {samples, width}, init);
  VariableRef M_t = b->State("crd.memory_t", {samples, width}, init);
  VariableRef labels = b->State("crd.labels", {samples, 1}, Init::Constant(-1));
  if (!M_s || !M_t || !labels) return {};

  Expr e_s = L2Normalize(p.aux.Linear("embed_s", p.s.pooled, width), {1});
  Expr e_t = L2Normalize(p.aux.Linear("embed_t", p.t.pooled, width), {1});

  // Sample i is the last of its kind if no later one has its id.
  Expr id = Reshape(b->ids(), {n, 1}), id_of = Reshape(b->ids(), {1, n});
  Expr row = Iota(g, {1, n});
  Expr last = 1.0 - MaxOf(Equal(id, id_of) * Greater(row, Transpose(row)), {1});  // [n,1]

  Expr y = Reshape(p.labels, {n, 1}) + 0.0;
  Remember(b, labels, y, last);
  Expr known(g, g->Latest(labels));                           // this batch's labels included
  Expr other = 1.0 - Equal(Reshape(known, {1, samples}), y);  // [n,samples]
  Expr probability = N / Max(Sum(other, {1}), 1.0);           // [n,1]
  Expr chosen = other * Less(Random(b->key(), b->ids(), kSlot, {n, samples}), probability);

  const double c = N / static_cast<double>(samples);
  Expr loss =
      Contrast(b, e_s, Read(g, M_t), chosen, "crd.z_s", T, c) + Contrast(b, e_t, Read(g, M_s), chosen, "crd.z_t", T, c);
  for (auto [M, e] : {std::pair(M_s, e_s), std::pair(M_t, e_t)})
    Remember(b, M, L2Normalize(r * Gather(Read(g, M), b->ids()) + (1 - r) * e, {1}), last);
  return loss;
}

}  // namespace

extern const Method kCrd = {
    .name = "crd",
    .title = "Contrastive representation distillation",
    .source = "Tian, Krishnan, Isola, ICLR 2020",
    .teacher = true,
    .options = kOptions,
    .loss = Loss,
};

}  // namespace distil
