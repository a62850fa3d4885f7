// The search for the fastest algorithm: its file, and that a run which searched can be resumed and repeated bit for bit.
#include "lib/backend/onednn/search.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <sstream>

#include "tests/onednn/step_lab.h"

namespace distil::onednn {
namespace {

namespace fs = std::filesystem;

class SearchTest : public testing::Test {
 protected:
  void SetUp() override {
    if (!library_.wide()) GTEST_SKIP() << "one algorithm only, without AVX-512";
    folder_ = fs::path(testing::TempDir()) / testing::UnitTest::GetInstance()->current_test_info()->name();
    fs::remove_all(folder_);
    setenv("DISTIL_CACHE", folder_.c_str(), 1);
  }
  void TearDown() override { unsetenv("DISTIL_CACHE"); }

  std::string File() const {
    std::ifstream in(folder_ / "convolutions.txt");
    std::stringstream text;
    text << in.rdbuf();
    return text.str();
  }
  // Every choice in the file becomes this one.
  void Rewrite(const std::string& algorithm) const {
    std::istringstream in(File());
    std::ofstream out(folder_ / "convolutions.txt");
    for (std::string line; std::getline(in, line);) {
      const size_t second = line.find('\t', line.find('\t') + 1) + 1, third = line.find('\t', second);
      out << line.substr(0, second) << algorithm << line.substr(third) << "\n";
    }
  }

  Library library_;
  fs::path folder_;
  ConvSpec spec_ = {ConvKind::kForward, {2, 32, 8, 8},      {32, 32, 3, 3}, {2, 32, 8, 8}, {},
                    Layout::kBlocked16, Layout::kBlocked16, false};
  const int64_t ways_[2] = {kDirect, kWinograd};
};

TEST_F(SearchTest, MeasuresOnceAndKeepsIt) {
  for (int i = 0; i < 2; ++i) spec_.attrs.pad[i] = 1;
  const int64_t first = Search(library_, 1).Fastest(spec_, ways_);
  const std::string file = File();
  EXPECT_NE(file.find("\tforward,2x32x8x8,32x32x3x3,s1x1,p1x1,f32,1thread\t"), std::string::npos) << file;
  EXPECT_NE(file.find("direct="), std::string::npos) << file;
  EXPECT_NE(file.find(" winograd="), std::string::npos) << file;
  EXPECT_EQ(Search(library_, 1).Fastest(spec_, ways_), first);
  EXPECT_EQ(File(), file);
  // The file rules; what is no line of it is passed over; another machine's lines are.
  const int64_t other = first == kDirect ? kWinograd : kDirect;
  Rewrite(AlgorithmName(other));
  std::ofstream(folder_ / "convolutions.txt", std::ios::app) << "nonsense\n\t\t\n";
  EXPECT_EQ(Search(library_, 1).Fastest(spec_, ways_), other);
  std::ofstream(folder_ / "convolutions.txt")
      << "another machine\tforward,2x32x8x8,32x32x3x3,s1x1,p1x1,f32,1thread\tdirect\t\n";
  Search(library_, 1).Fastest(spec_, ways_);
  const std::string both = File();
  EXPECT_EQ(std::count(both.begin(), both.end(), '\n'), 2) << both;
}

TEST_F(SearchTest, DoesWithoutAFile) {
  for (int i = 0; i < 2; ++i) spec_.attrs.pad[i] = 1;
  setenv("DISTIL_CACHE", "off", 1);
  Search(library_, 1).Fastest(spec_, ways_);
  EXPECT_FALSE(fs::exists("off"));
  setenv("DISTIL_CACHE", "/proc/no/such/folder", 1);
  Search(library_, 1).Fastest(spec_, ways_);
  EXPECT_FALSE(fs::exists(folder_));
}

TEST_F(SearchTest, ConvolutionsThatDifferHaveDifferentNames) {
  ConvSpec s = spec_;
  std::vector<std::string> names = {DescribeConv(s, 1), DescribeConv(s, 2)};
  s.kind = ConvKind::kInput, names.push_back(DescribeConv(s, 1));
  s.kind = ConvKind::kWeight, names.push_back(DescribeConv(s, 1));
  s = spec_, s.bf16 = true, names.push_back(DescribeConv(s, 1));
  s = spec_, s.x = {2, 32, 8, 9}, names.push_back(DescribeConv(s, 1));
  for (int64_t ConvAttrs::*member : {&ConvAttrs::bias, &ConvAttrs::residual, &ConvAttrs::relu, &ConvAttrs::groups}) {
    s = spec_, s.attrs.*member = 2;
    names.push_back(DescribeConv(s, 1));
  }
  for (int64_t(ConvAttrs::*member)[2] : {&ConvAttrs::stride, &ConvAttrs::pad, &ConvAttrs::dilation}) {
    s = spec_, (s.attrs.*member)[1] = 5;
    names.push_back(DescribeConv(s, 1));
  }
  for (size_t i = 0; i < names.size(); ++i) {
    EXPECT_EQ(names[i].find_first_of(" \t;="), std::string::npos) << names[i];
    for (size_t j = 0; j < i; ++j) EXPECT_NE(names[i], names[j]);
  }
}

std::vector<std::vector<double>> Weights(Lab* lab) {
  std::vector<std::vector<double>> all;
  for (const VariableRef& v : lab->student().all()) all.push_back(lab->Values(v));
  return all;
}

TEST_F(SearchTest, ARunIsResumedAndRepeatedBitForBit) {
  const Setting searching{"ce", "", "resnet8x4", 4, 16, "winograd=1 algorithms=search"};
  const std::string path = (fs::path(testing::TempDir()) / "searched.checkpoint").string();
  Lab a(Cpu(), searching);
  a.Step();
  ASSERT_OK(a.trainer->Save(path));
  const std::string list = a.trainer->algorithms().Text();
  EXPECT_NE(list.find("forward,4x64x16x16,64x64x3x3,s1x1,p1x1,f32,2threads="), std::string::npos) << list;
  for (int i = 0; i < 2; ++i) a.Step();

  // Resumed where a search would choose otherwise now.
  for (const char* now : {"direct", "winograd"}) {
    Rewrite(now);
    Lab b(Cpu(), searching);
    ASSERT_OK(b.trainer->Load(path));
    for (int i = 0; i < 2; ++i) b.Step();
    EXPECT_EQ(b.trainer->algorithms().Text(), list);
    EXPECT_EQ(Weights(&b), Weights(&a));
  }
  // Repeated from the list.
  Lab c(Cpu(), {"ce", "", "resnet8x4", 4, 16, "winograd=1 algorithms=" + list});
  for (int i = 0; i < 3; ++i) c.Step();
  EXPECT_EQ(Weights(&c), Weights(&a));
  // And a list is followed: the last bits are others.
  std::string direct = list;
  for (size_t at; (at = direct.find("=winograd")) != direct.npos;) direct.replace(at, 9, "=direct");
  std::string winograd = list;
  for (size_t at; (at = winograd.find("=direct")) != winograd.npos;) winograd.replace(at, 7, "=winograd");
  Lab d(Cpu(), {"ce", "", "resnet8x4", 4, 16, "winograd=1 algorithms=" + direct});
  Lab e(Cpu(), {"ce", "", "resnet8x4", 4, 16, "winograd=1 algorithms=" + winograd});
  d.Step(), e.Step();
  EXPECT_NE(Weights(&d), Weights(&e));
}

TEST_F(SearchTest, AListThatIsNoneIsRefused) {
  for (const char* bad : {"algorithms=fast", "algorithms=a=b;", "algorithms=a=b;a=c", "algorithms==b"}) {
    TextOptions options;
    ASSERT_OK(SplitOptions(std::string("schedule=constant ") + bad, &options));
    const auto device = Cpu();
    std::unique_ptr<Trainer> trainer;
    const Status s =
        Trainer::Create(device, "ce", options, {{"student", MakeNetwork(device, "resnet8", 16)}}, &trainer);
    EXPECT_EQ(s.code(), Code::kInvalidArgument) << bad;
    EXPECT_NE(s.message().find("option algorithms"), std::string::npos) << s.message();
  }
}

}  // namespace
}  // namespace distil::onednn
