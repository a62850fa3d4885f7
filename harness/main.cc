// harness: train teachers, distil students, reproduce papers' tables. See 'harness --help'.
#include <cstdio>
#include <exception>

#include "harness/cli.h"
#include "harness/environment.h"
#include "harness/text.h"

namespace distil::harness {
namespace {

// The innermost command that the words chose so far.
CLI::App* Innermost(CLI::App* app) {
  while (!app->get_subcommands().empty()) app = app->get_subcommands().back();
  return app;
}

// CLI11's own sentence, or a better one for words that it did not expect.
std::string ParseMessage(CLI::App* root, const CLI::ParseError& error) {
  CLI::App* app = Innermost(root);
  // A word too many explains more than the required one that is missing because of it.
  std::vector<std::string> rest = root->remaining(true), options, commands;
  if (!rest.empty()) {
    std::string word = rest.front();
    for (const CLI::Option* option : app->get_options())
      for (const std::string& name : option->get_lnames()) options.push_back("--" + name);
    for (const CLI::App* command : app->get_subcommands([](CLI::App*) { return true; }))
      commands.push_back(command->get_name());
    if (word.starts_with("-"))
      return "'" + app->get_name() + "' has no option '" + word + "'" +
             DidYouMean(word.substr(0, word.find('=')), options);
    if (!commands.empty()) return "there is no command '" + word + "'" + DidYouMean(word, commands);
    return "unexpected '" + word + "'";
  }
  return error.what();
}

int Main(int argc, char** argv) {
  EnterUsersFolder();
  RememberCommand(argc, argv);
  CLI::App app("Trains networks by knowledge distillation and compares the results with papers.", "harness");
  app.require_subcommand(1);
  app.set_version_flag("--version", "harness " + LibraryVersion());
  std::vector<Command> commands;
  for (auto add : {AddQuickstart, AddImport, AddSynth, AddInspect, AddTrain, AddDistil, AddEvaluate, AddPredict,
                   AddReproduce, AddReport, AddList})
    commands.push_back(add(&app));
  Examples(&app, {{"no data needed: trains, distils, prints a table, writes a report", "quickstart"},
                  {"CIFAR-100 into an HDF5 file", "import cifar100 --from cifar-100-binary.tar.gz --to cifar100.h5"},
                  {"a table of a paper", "reproduce dskd/table1 --data cifar100.h5"},
                  {"each command has its own help", "distil --help"}});
  try {
    app.parse(argc, argv);
  } catch (const CLI::Success& help) {  // --help, --version
    return app.exit(help);
  } catch (const CLI::ParseError& error) {
    return Fail(InvalidArgument(ParseMessage(&app, error) + " ('" +
                                (Innermost(&app) == &app ? "harness" : "harness " + Innermost(&app)->get_name()) +
                                " --help' says more)"));
  }
  for (const Command& command : commands)
    if (command.app->parsed()) return command.run();
  return kExitBadInput;
}

}  // namespace
}  // namespace distil::harness

int main(int argc, char** argv) {
  try {
    return distil::harness::Main(argc, argv);
  } catch (const std::bad_alloc&) {
    return distil::harness::Fail({distil::Code::kOutOfMemory, "out of memory"});
  } catch (const std::exception& error) {  // of the command line or JSON libraries: a bug here
    return distil::harness::Fail(distil::Internal(std::string("unexpected: ") + error.what()));
  }
}
