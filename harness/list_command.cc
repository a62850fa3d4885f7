// list: methods, models, recipes, devices.
#include <cstdio>

#include "harness/cli.h"
#include "harness/text.h"

namespace distil::harness {
namespace {

void Print(const Json& line) { std::printf("%s\n", Canonical(line).c_str()); }

Json OptionsJson(const std::vector<OptionInfo>& options) {
  Json list = Json::array();
  for (const OptionInfo& o : options) list.push_back({{"name", o.name}, {"default", o.fallback}, {"help", o.help}});
  return list;
}

void PrintOptions(const std::vector<OptionInfo>& options) {
  for (const OptionInfo& o : options)
    std::printf("    %-22s %-12s %s\n", o.name.c_str(), o.fallback.c_str(), o.help.c_str());
}

int ListMethods(bool json) {
  for (const MethodInfo& m : Methods()) {
    if (json) {
      Print({{"name", m.name},
             {"title", m.title},
             {"source", m.source},
             {"teacher", m.needs_teacher},
             {"options", OptionsJson(m.options)}});
      continue;
    }
    std::printf("%-10s %s. %s%s\n", m.name.c_str(), m.title.c_str(), m.source.c_str(),
                m.needs_teacher ? "" : " (no teacher)");
    PrintOptions(m.options);
  }
  if (!json) {
    std::printf("\nMethods can be summed: kd+at, with options kd.T and at.weight. Every trainer has:\n");
    PrintOptions(CommonOptions());
  }
  return kExitOk;
}

int ListModels(bool json) {
  std::unique_ptr<Device> device;
  Status status = Device::Open("reference", 1, &device);
  if (!status.ok()) return Fail(status);
  for (const ModelInfo& m : Models()) {
    ImageShape shape;
    shape.channels = m.channels, shape.height = m.height, shape.width = m.width;
    std::unique_ptr<Network> network;
    if (status = Network::Create(*device, m.name, shape, 1, &network); !status.ok()) return Fail(status);
    if (json)
      Print({{"name", m.name},
             {"family", m.family},
             {"source", m.source},
             {"parameters", network->parameters()},
             {"macs", network->macs()},
             {"input", {m.channels, m.height, m.width}}});
    else
      std::printf("%-18s %12s parameters  %14s MACs  %lldx%lldx%lld  %s\n", m.name.c_str(),
                  Grouped(network->parameters()).c_str(), Grouped(network->macs()).c_str(),
                  static_cast<long long>(m.channels), static_cast<long long>(m.height), static_cast<long long>(m.width),
                  m.source.c_str());
  }
  if (!json) std::printf("Counts are for 100 classes.\n");
  return kExitOk;
}

int ListRecipes(bool json) {
  for (const std::string& name : RecipeNames()) {
    Recipe r;
    Status status = LoadRecipe(name, {}, &r);
    if (!status.ok()) return Fail(status);
    std::vector<std::string> methods;
    for (const auto& m : r.methods) methods.push_back(m.name);
    if (json)
      Print({{"name", name},
             {"title", r.title},
             {"dataset", r.dataset},
             {"paper", r.paper},
             {"table", r.table},
             {"pairs", r.pairs.size()},
             {"methods", methods},
             {"seeds", r.seeds},
             {"epochs", r.train["epochs"]}});
    else
      std::printf("%-18s %s\n%18s   %s; %zu pairs, methods %s, %lld seeds, %s epochs\n", name.c_str(), r.title.c_str(),
                  "", r.dataset.c_str(), r.pairs.size(), Join(methods, " ").c_str(), static_cast<long long>(r.seeds),
                  r.train["epochs"].dump().c_str());
  }
  return kExitOk;
}

int ListDevices(bool json) {
  for (const std::string& name : DeviceNames()) {
    std::unique_ptr<Device> device;
    Status status = Device::Open(name, 0, &device);
    std::string description = status.ok() ? device->description() : "not usable: " + status.message();
    if (json)
      Print({{"name", name}, {"description", description}, {"usable", status.ok()}});
    else
      std::printf("%-14s %s\n", name.c_str(), description.c_str());
  }
  return kExitOk;
}

}  // namespace

Command AddList(CLI::App* app) {
  CLI::App* list = app->add_subcommand("list", "Name what there is: methods, models, recipes, devices");
  list->require_subcommand(1);
  auto common = std::make_shared<Common>();
  for (auto [name, help] : {std::pair("methods", "Distillation methods and their options"),
                            std::pair("models", "Networks, with parameters and operations"),
                            std::pair("recipes", "Recipes that 'harness reproduce' knows"),
                            std::pair("devices", "Devices, and which of them work here")}) {
    CLI::App* what = list->add_subcommand(name, help);
    what->add_flag("--json", common->json, "As JSON, one object a line");
    Examples(what, {{help, std::string("list ") + name}});
  }
  Examples(list, {{"methods with their options, defaults and sources", "list methods"},
                  {"for programs", "list models --json"}});
  return {list, [list, common] {
            std::string what = list->get_subcommands().front()->get_name();
            if (what == "methods") return ListMethods(common->json);
            if (what == "models") return ListModels(common->json);
            return what == "recipes" ? ListRecipes(common->json) : ListDevices(common->json);
          }};
}

}  // namespace distil::harness
