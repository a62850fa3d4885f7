#include "harness/weights_figure.h"

#include <algorithm>
#include <cmath>
#include <map>
#include <numeric>
#include <tuple>

#include "harness/svg.h"
#include "harness/text.h"

namespace distil::harness {
namespace {

constexpr size_t kRidges = 24;  // more do not get clearer

struct Quantity {
  std::string name;  // of the histogram
  std::string loss;  // "kd", "fea"; or all of the name
  int layer = 0;
};

Quantity Parse(const std::string& name) {
  for (const char* loss : {"kd", "fea"}) {
    const std::string prefix = std::string("dskd.") + loss + "_w";
    if (name.starts_with(prefix) && name.size() == prefix.size() + 1) return {name, loss, name.back() - '0'};
  }
  return {name, name, 0};
}

void Describe(const Quantity& q, RidgeChart::Panel* panel) {
  panel->title = panel->x_label = q.name;
  if (q.layer == 0) return;
  const std::string layer = "layer " + std::to_string(q.layer);
  panel->title = (q.loss == "kd" ? "Class predictions, " : "Feature maps, ") + layer;
  panel->x_label = (q.loss == "kd" ? "weight W_KD of " : "weight W_Fea of ") + layer;
}

// How the samples of an epoch, of all runs, fell into the bins; empty where a run lacks the histogram.
std::vector<double> Shares(const std::string& name, const std::vector<const RunRecord*>& runs, size_t epoch) {
  std::vector<double> shares;
  for (const RunRecord* run : runs) {
    const auto& histograms = run->epochs[epoch].histograms;
    const auto it = histograms.find(name);
    if (it == histograms.end() || (!shares.empty() && shares.size() != it->second.size())) return {};
    shares.resize(it->second.size());
    for (size_t i = 0; i < shares.size(); ++i) shares[i] += static_cast<double>(it->second[i]);
  }
  const double all = std::accumulate(shares.begin(), shares.end(), 0.0);
  for (double& share : shares) share /= std::max(all, 1.0);
  return shares;
}

std::string Subtitle(const std::vector<const RunRecord*>& runs, size_t epochs) {
  const ScheduleRecord& s = runs[0]->schedule;
  std::string text = Grouped(static_cast<uint64_t>(s.train_samples)) + " training samples, " + std::to_string(epochs) +
                     " epochs, " + std::to_string(runs.size()) + (runs.size() == 1 ? " seed" : " seeds");
  if (s.full()) return text;
  return text + " (short: the recipe has " + Grouped(static_cast<uint64_t>(s.full_train_samples)) + " samples, " +
         std::to_string(s.full_epochs) + " epochs)";
}

}  // namespace

std::string WeightsSvg(const std::string& name, const std::vector<const RunRecord*>& runs) {
  if (runs.empty()) return "";
  size_t epochs = runs[0]->epochs.size();
  for (const RunRecord* run : runs) epochs = std::min(epochs, run->epochs.size());
  if (epochs == 0) return "";
  std::vector<Quantity> quantities;
  std::map<std::string, int> layers;  // of each loss
  for (const auto& [histogram, bins] : runs[0]->epochs[0].histograms) quantities.push_back(Parse(histogram));
  for (const Quantity& q : quantities) ++layers[q.loss];
  std::sort(quantities.begin(), quantities.end(), [](const Quantity& a, const Quantity& b) {
    return std::tuple(a.layer, a.loss != "kd", a.name) < std::tuple(b.layer, b.loss != "kd", b.name);
  });

  RidgeChart chart;
  chart.title = "Weights of the training samples, " + name;
  chart.subtitle = Subtitle(runs, epochs);
  chart.y_label = "epoch", chart.ridge_name = "share of the epoch's samples in each bin";
  chart.columns = static_cast<int>(std::max<size_t>(layers.size(), 1));
  const size_t ridges = std::min(epochs, kRidges);
  for (const Quantity& q : quantities) {
    RidgeChart::Panel panel;
    Describe(q, &panel);
    if (q.layer > 0) panel.reference = 1.0 / layers[q.loss], chart.reference_name = "equal weights";
    for (size_t i = 0; i < ridges; ++i) {
      const double at = ridges > 1 ? static_cast<double>(i) / static_cast<double>(ridges - 1) : 1;
      const auto epoch = static_cast<size_t>(std::lround(at * static_cast<double>(epochs - 1)));
      std::vector<double> shares = Shares(q.name, runs, epoch);
      if (shares.empty()) break;
      const auto number = runs[0]->epochs[epoch].epoch;
      panel.rows.push_back({"epoch " + std::to_string(number), static_cast<double>(number), std::move(shares)});
    }
    if (panel.rows.size() == ridges) chart.panels.push_back(std::move(panel));
  }
  return RidgeChartSvg(chart);
}

}  // namespace distil::harness
