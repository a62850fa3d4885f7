// Where a run happens: the source it was built from, the process's memory, the command that would repeat it.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace distil::harness {

// Under `bazel run` a program starts in its runfiles; paths are meant from where the user stands. Called first.
void EnterUsersFolder();

// The git commit of the source tree that `bazel run` was called in (or that the user stands in), "-dirty" when files
// differ from it; $DISTIL_REVISION when set; "unknown" outside of git.
std::string SourceRevision();

// The largest resident set of this process since the last reset, in bytes.
void ResetResidentPeak();
int64_t ResidentPeak();

// How the user would type this command again, with `extra` at its end.
void RememberCommand(int argc, char** argv);
std::string CommandAgain(const std::string& extra);

// The first SIGINT or SIGTERM asks for an orderly stop; a second one ends the process at once.
void CatchInterrupts();
bool Interrupted();
// The signal's conventional exit code: 130 for SIGINT, 143 for SIGTERM.
int InterruptExitCode();

}  // namespace distil::harness
