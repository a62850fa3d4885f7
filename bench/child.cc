#include "bench/child.h"

#include <sys/wait.h>
#include <unistd.h>

namespace distil::bench {
namespace {

// Runs a program and gives what it printed, "" when it failed.
std::string Capture(const std::vector<std::string>& command) {
  int ends[2];
  if (pipe(ends) != 0) return "";
  const pid_t pid = fork();
  if (pid == 0) {
    dup2(ends[1], STDOUT_FILENO);
    close(ends[0]);
    close(ends[1]);
    std::vector<char*> argv;
    for (const std::string& word : command) argv.push_back(const_cast<char*>(word.c_str()));
    argv.push_back(nullptr);
    execv(argv[0], argv.data());
    _exit(127);
  }
  close(ends[1]);
  std::string text;
  char buffer[4096];
  for (ssize_t n; pid > 0 && (n = read(ends[0], buffer, sizeof(buffer))) > 0;)
    text.append(buffer, static_cast<size_t>(n));
  close(ends[0]);
  int status = 0;
  if (pid < 0 || waitpid(pid, &status, 0) != pid || !WIFEXITED(status) || WEXITSTATUS(status) != 0) return "";
  return text;
}

}  // namespace

nlohmann::json Measure(const std::vector<std::string>& command) {
  std::string text = Capture(command);
  while (!text.empty() && text.back() == '\n') text.pop_back();
  const size_t line = text.rfind('\n');
  nlohmann::json result =
      nlohmann::json::parse(line == std::string::npos ? text : text.substr(line + 1), nullptr, false);
  if (result.is_object()) return result;
  return {{"error", "no result from " + command[0] + (command.size() > 1 ? " " + command[1] : "")}};
}

}  // namespace distil::bench
