#include "harness/environment.h"

#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <fstream>

#include "harness/files.h"
#include "harness/text.h"

extern char** environ;

namespace distil::harness {
namespace {

std::vector<std::string>& Command() {
  static auto* command = new std::vector<std::string>;
  return *command;
}

volatile sig_atomic_t interrupted = 0;

void OnSignal(int signal) {
  interrupted = signal;
  struct sigaction fallback = {};
  fallback.sa_handler = SIG_DFL;  // a second one ends the process
  sigaction(signal, &fallback, nullptr);
}

// Standard output of git, trimmed; false when it cannot be run or fails.
bool Git(const std::string& folder, std::vector<std::string> arguments, std::string* out) {
  arguments.insert(arguments.begin(), {"git", "-C", folder});
  std::vector<char*> argv;
  for (std::string& a : arguments) argv.push_back(a.data());
  argv.push_back(nullptr);
  int ends[2];
  if (pipe2(ends, O_CLOEXEC) != 0) return false;
  posix_spawn_file_actions_t actions;
  posix_spawn_file_actions_init(&actions);
  posix_spawn_file_actions_adddup2(&actions, ends[1], 1);
  posix_spawn_file_actions_addopen(&actions, 2, "/dev/null", O_WRONLY, 0);
  pid_t child = 0;
  int error = posix_spawnp(&child, "git", &actions, nullptr, argv.data(), environ);
  posix_spawn_file_actions_destroy(&actions);
  close(ends[1]);
  std::string text;
  char buffer[4096];
  ssize_t n;
  while (error == 0 && (n = read(ends[0], buffer, sizeof buffer)) > 0) text.append(buffer, n);
  close(ends[0]);
  int status = 0;
  if (error != 0 || waitpid(child, &status, 0) != child || !WIFEXITED(status) || WEXITSTATUS(status) != 0) return false;
  *out = Trim(text);
  return true;
}

std::string Quoted(const std::string& word) {
  if (!word.empty() && word.find_first_not_of("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"
                                              "-_./=:+,@%") == std::string::npos)
    return word;
  std::string out = "'";
  for (char c : word) out += c == '\'' ? std::string("'\\''") : std::string(1, c);
  return out + "'";
}

}  // namespace

void EnterUsersFolder() {
  const char* folder = getenv("BUILD_WORKING_DIRECTORY");
  if (folder && chdir(folder) != 0) return;  // then paths are from here, as in any other program
}

std::string SourceRevision() {
  if (const char* given = getenv("DISTIL_REVISION"); given && *given) return given;
  const char* workspace = getenv("BUILD_WORKSPACE_DIRECTORY");
  std::string folder = workspace ? workspace : ".", commit, changes;
  if (!workspace && (!Git(".", {"rev-parse", "--show-toplevel"}, &folder) ||
                     !FileExists(JoinPath(folder, "include/distil/distil.h"))))
    return "unknown";
  if (!Git(folder, {"rev-parse", "HEAD"}, &commit) || commit.empty()) return "unknown";
  bool dirty = Git(folder, {"status", "--porcelain", "--untracked-files=no"}, &changes) && !changes.empty();
  return commit + (dirty ? "-dirty" : "");
}

void ResetResidentPeak() { std::ofstream("/proc/self/clear_refs") << "5"; }

int64_t ResidentPeak() {
  std::ifstream file("/proc/self/status");
  std::string line;
  while (std::getline(file, line))
    if (line.starts_with("VmHWM:")) return strtoll(line.c_str() + 6, nullptr, 10) * 1024;
  rusage usage = {};
  getrusage(RUSAGE_SELF, &usage);
  return static_cast<int64_t>(usage.ru_maxrss) * 1024;
}

void RememberCommand(int argc, char** argv) {
  Command().assign(argv, argv + argc);
  if (Command().empty()) return;
  if (getenv("BUILD_WORKSPACE_DIRECTORY")) {
    Command()[0] = "--";
    Command().insert(Command().begin(), {"./bazelw", "run", "//harness"});
  }
}

std::string CommandAgain(const std::string& extra) {
  std::string text;
  bool there = false;
  for (const std::string& word : Command()) {
    text += (text.empty() ? "" : " ") + Quoted(word);
    there = there || word == extra;
  }
  return extra.empty() || there ? text : text + " " + extra;
}

void CatchInterrupts() {
  struct sigaction action = {};
  action.sa_handler = OnSignal;
  sigaction(SIGINT, &action, nullptr);
  sigaction(SIGTERM, &action, nullptr);
  signal(SIGPIPE, SIG_IGN);  // a closed terminal or pipe is a failed write, not the end of a training run
}

bool Interrupted() { return interrupted != 0; }
int InterruptExitCode() { return interrupted == SIGTERM ? 143 : 130; }

}  // namespace distil::harness
