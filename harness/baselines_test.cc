#include "harness/baselines.h"

#include <gtest/gtest.h>

#include <map>

namespace distil::harness {
namespace {

const char kHeader[] =
    "paper,table,dataset,teacher,student,method,metric,mean,std,selection,seeds,tolerance,target,note\n";

std::string Mistake(const std::string& rows) {
  std::vector<Baseline> all;
  return ParseBaselines(kHeader + rows, "b.csv", &all).message();
}

TEST(Baselines, ReadsQuotedNotes) {
  std::vector<Baseline> all;
  ASSERT_TRUE(ParseBaselines(std::string(kHeader) +
                                 "dskd,1,cifar100,t,s,\"a, b\",top1_pct,75.1,0.2,best,3,0.5,value,\"say \"\"x\"\"\"\n",
                             "b.csv", &all)
                  .ok());
  ASSERT_EQ(all.size(), 1u);
  EXPECT_EQ(all[0].method, "a, b");
  EXPECT_EQ(all[0].note, "say \"x\"");
  EXPECT_EQ(all[0].selection, Selection::kBest);
  EXPECT_EQ(*all[0].std, 0.2);
}

TEST(Baselines, RefusesWhatIsWrong) {
  EXPECT_NE(Mistake("a,b\n").find("b.csv:2: 2 fields"), std::string::npos);
  EXPECT_EQ(Mistake("p,1,d,t,s,m,top1_pct,x,,last,3,0.5,value,\n"), "b.csv:2: field 'mean' is 'x', not a number");
  EXPECT_NE(Mistake("p,1,d,t,s,m,top1_pct,175,,last,3,0.5,value,\n").find("percent"), std::string::npos);
  EXPECT_NE(Mistake("p,1,d,t,s,m,top1_pct,75,,final,3,0.5,value,\n").find("'selection' is 'final'"), std::string::npos);
  EXPECT_NE(Mistake("p,1,d,t,s,m,top1_pct,75,,last,0,0.5,value,\n").find("'seeds'"), std::string::npos);
  EXPECT_NE(Mistake("p,1,d,t,s,m,top1_pct,75,,last,3,0,value,\n").find("'tolerance' is 0"), std::string::npos);
  EXPECT_NE(Mistake("p,1,d,t,s,,top1_pct,75,,last,3,0.5,value,\n").find("'method' is empty"), std::string::npos);
  EXPECT_NE(Mistake("p,1,\"d\n").find("not closed"), std::string::npos);
  std::vector<Baseline> all;
  EXPECT_NE(ParseBaselines("mean\n", "b.csv", &all).message().find("b.csv:1: the header must be"), std::string::npos);
}

TEST(Baselines, BuiltInOnesAreWhole) {
  std::vector<Baseline> all;
  Status status = BuiltInBaselines(&all);
  ASSERT_TRUE(status.ok()) << status.message();
  std::map<std::string, int> papers;
  for (const Baseline& b : all) ++papers[b.paper];
  EXPECT_EQ(papers["dskd"], 78);
  EXPECT_EQ(papers["ffsd"], 139);
  EXPECT_EQ(papers["aid"], 136);
  EXPECT_EQ(papers["makd"], 48);
  EXPECT_EQ(papers["mkd"], 7);
  const Baseline* kd = FindBaseline(all, "dskd", "1", "cifar100", "wrn_40_2", "wrn_16_2", "KD");
  ASSERT_TRUE(kd);
  EXPECT_EQ(kd->mean, 75.37);
  EXPECT_EQ(kd->tolerance, 0.5);
  const Baseline* teacher = FindBaseline(all, "dskd", "1", "cifar100", "vgg13", "", "Teacher");
  ASSERT_TRUE(teacher);
  EXPECT_EQ(teacher->mean, 74.64);
  EXPECT_EQ(teacher->seeds, 1);
  // AID table 4 prints accuracies above the state of the art: their order is a target, their values are not.
  EXPECT_EQ(FindBaseline(all, "aid", "4", "cifar100", "", "", "AID @ C2")->target, Target::kOrdering);
}

}  // namespace
}  // namespace distil::harness
