// main() of a fuzz test. Under --config=fuzz libFuzzer has the main function and this file tells it where to
// write; otherwise the files of the corpus are replayed, each whole and cut short at some places.

#include <algorithm>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <string>
#include <vector>

namespace fs = std::filesystem;

#ifdef DISTIL_FUZZING

// libFuzzer writes new inputs to its first folder and failing ones to the artifact prefix: neither may be the
// source tree, which is where the corpus comes from.
extern "C" __attribute__((visibility("default"))) int LLVMFuzzerInitialize(int* argc, char*** argv) {
  static std::vector<std::string> words(*argv, *argv + *argc);
  static std::vector<char*> pointers;
  if (const char* tmp = std::getenv("TEST_TMPDIR")) {
    std::string found = std::string(tmp) + "/found";
    fs::create_directories(found);
    words.insert(words.begin() + 1, found);
  }
  if (const char* outputs = std::getenv("TEST_UNDECLARED_OUTPUTS_DIR")) {
    words.push_back(std::string("-artifact_prefix=") + outputs + "/");
  }
  for (std::string& w : words) pointers.push_back(w.data());
  *argc = static_cast<int>(pointers.size());
  pointers.push_back(nullptr);
  *argv = pointers.data();
  return 0;
}

#else

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size);

namespace {

// An exact-size heap copy, so that the address sanitizer sees a read past the end.
void Feed(const std::vector<uint8_t>& bytes, size_t size) {
  std::vector<uint8_t> copy(bytes.begin(), bytes.begin() + static_cast<std::ptrdiff_t>(size));
  copy.shrink_to_fit();
  LLVMFuzzerTestOneInput(copy.data(), copy.size());
}

void Replay(const fs::path& file) {
  std::ifstream in(file, std::ios::binary);
  std::vector<uint8_t> bytes{std::istreambuf_iterator<char>(in), std::istreambuf_iterator<char>()};
  std::printf("%s (%zu bytes)\n", file.c_str(), bytes.size());
  std::fflush(stdout);  // the last line printed names the input of a crash
  Feed(bytes, bytes.size());
  const size_t cuts = std::min<size_t>(bytes.size(), 16);
  for (size_t i = 0; i < cuts; ++i) Feed(bytes, bytes.size() * i / cuts);
}

}  // namespace

int main(int argc, char** argv) {
  std::vector<fs::path> files;
  for (int i = 1; i < argc; ++i) {
    if (fs::is_directory(argv[i])) {
      for (const auto& entry : fs::recursive_directory_iterator(argv[i])) {
        if (entry.is_regular_file()) files.push_back(entry.path());
      }
    } else if (fs::is_regular_file(argv[i])) {
      files.push_back(argv[i]);
    } else {
      std::fprintf(stderr, "no such file or folder: %s\n", argv[i]);
      return 1;
    }
  }
  std::sort(files.begin(), files.end());
  Feed({}, 0);
  for (const fs::path& file : files) Replay(file);
  std::printf("%zu inputs replayed\n", files.size());
  return 0;
}

#endif
