// Steps that are started and read later, on a backend whose results come when the test says so.
#include <gtest/gtest.h>

#include <cstring>

#include "lib/io/file.h"
#include "losses/common.h"
#include "tests/train/forwarding.h"
#include "tests/train/lab.h"

namespace distil {
namespace {

// Whether results are there when they are asked for, and how often one was waited for that was not.
struct Arrivals {
  bool there = false;
  int waits = 0;
};

class Late : public Readback {
 public:
  Late(Arrivals* arrivals, size_t bytes, size_t slots) : arrivals_(arrivals), slots_(slots) {
    for (auto& s : slots_) s.resize(bytes);
  }
  Status Start(size_t slot, const void* device) override {
    std::memcpy(slots_[slot].data(), device, slots_[slot].size());
    return {};
  }
  Status Poll(size_t, bool wait, bool* there) override {
    *there = wait || arrivals_->there;
    arrivals_->waits += wait && !arrivals_->there;
    return {};
  }
  const void* data(size_t slot) const override { return slots_[slot].data(); }

 private:
  Arrivals* arrivals_;
  std::vector<std::vector<char>> slots_;
};

class LateBackend : public Forwarding {
 public:
  explicit LateBackend(Arrivals* arrivals) : arrivals_(arrivals) {}
  Status MakeReadback(size_t bytes, size_t slots, std::unique_ptr<Readback>* out) override {
    *out = std::make_unique<Late>(arrivals_, bytes, slots);
    return {};
  }

 private:
  Arrivals* arrivals_;
};

struct Training {
  Arrivals arrivals;
  std::shared_ptr<Device> device = std::make_shared<Device>();
  Trainer::Roles roles;
  std::unique_ptr<Trainer> trainer;

  explicit Training(bool late) {
    device->backend = late ? std::make_unique<LateBackend>(&arrivals) : MakeReferenceBackend({}, DType::kF32);
    for (const char* role : {"student", "teacher"}) roles.emplace_back(role, TinyNetwork(device, roles.size() + 1));
  }
  Status Step(uint32_t k, StepResult* r = nullptr) { return trainer->Step(Samples(k, k % 3 == 2 ? 4 : 6).Bytes(), r); }
  std::string digest() const { return DigestOf(*roles[0].second); }
};

void ExpectEqual(const StepResult& a, const StepResult& b) {
  EXPECT_EQ(a.loss, b.loss);
  EXPECT_EQ(a.lr, b.lr);
  EXPECT_EQ(a.step, b.step);
  EXPECT_EQ(a.epoch, b.epoch);
  EXPECT_EQ(a.correct, b.correct);
  EXPECT_EQ(a.count, b.count);
}

// Through a change of phase, two sizes of batch and a falling rate, with results asked for now and then.
TEST(Lag, ResultsAndBitsAreThoseOfStepsThatAreWaitedFor) {
  const char* method = "ft";
  const TextOptions options =
      Text("epochs=10 steps_per_epoch=3 ft.epochs=2 ft.weight=1 schedule=cosine lr=0.05 flip=0.5");
  Training plain(false), late(true);
  for (Training* t : {&plain, &late}) ASSERT_OK(Trainer::Create(t->device, method, options, t->roles, &t->trainer));
  std::vector<std::pair<StepResult, Terms>> want, got;
  auto read = [&](bool wait) {
    while (true) {
      StepResult r;
      const Terms* terms;
      bool found;
      ASSERT_OK(late.trainer->Result(wait, &r, &found));
      if (!found) return;
      ASSERT_OK(late.trainer->ReadTerms(&terms));
      got.emplace_back(r, *terms);
    }
  };
  for (uint32_t k = 0; k < 36; ++k) {
    StepResult r;
    const Terms* terms;
    ASSERT_OK(plain.Step(k, &r));
    ASSERT_OK(plain.trainer->ReadTerms(&terms));
    want.emplace_back(r, *terms);
    ASSERT_OK(late.Step(k));
    EXPECT_EQ(late.trainer->step(), k + 1);
    late.arrivals.there = k % 8 == 7;
    read(false);
    if (k == 20) {
      ASSERT_OK(plain.trainer->Save(TempPath("plain")));
      ASSERT_OK(late.trainer->Save(TempPath("late")));
    }
  }
  read(true);
  ASSERT_EQ(got.size(), want.size());
  for (size_t k = 0; k < want.size(); ++k) {
    ExpectEqual(got[k].first, want[k].first);
    EXPECT_EQ(got[k].second, want[k].second);
  }
  EXPECT_EQ(late.digest(), plain.digest());
  std::vector<uint8_t> a, b;
  ASSERT_OK(ReadFile(TempPath("plain"), &a));
  ASSERT_OK(ReadFile(TempPath("late"), &b));
  EXPECT_EQ(a, b);
}

TEST(Lag, OneThatIsWaitedForComesAfterAllOthers) {
  Training t(true);
  ASSERT_OK(Trainer::Create(t.device, "ce", Text("schedule=constant lr=0.1"), {t.roles[0]}, &t.trainer));
  for (uint32_t k = 0; k < 3; ++k) ASSERT_OK(t.Step(k));
  StepResult r;
  ASSERT_OK(t.Step(3, &r));
  EXPECT_EQ(r.step, 3);
  const Terms* terms;
  ASSERT_OK(t.trainer->ReadTerms(&terms));
  EXPECT_EQ((*terms)[0].second, r.loss);
  bool found;
  for (int64_t k = 0; k < 3; ++k) {
    ASSERT_OK(t.trainer->Result(false, &r, &found));
    ASSERT_TRUE(found);
    EXPECT_EQ(r.step, k);
  }
  ASSERT_OK(t.trainer->Result(true, &r, &found));
  EXPECT_FALSE(found);
}

TEST(Lag, SixteenAreUnderWayAndTheLast64Kept) {
  Training t(true);
  ASSERT_OK(Trainer::Create(t.device, "ce", Text("schedule=constant lr=0.1"), {t.roles[0]}, &t.trainer));
  for (uint32_t k = 0; k < 90; ++k) {
    ASSERT_OK(t.Step(k));
    EXPECT_EQ(t.arrivals.waits, k < 16 ? 0 : static_cast<int>(k) - 15);
  }
  StepResult r;
  bool found;
  ASSERT_OK(t.trainer->Result(false, &r, &found));
  ASSERT_TRUE(found);
  EXPECT_EQ(r.step, 90 - 16 - 64);
  ASSERT_OK(t.Step(90, &r));
  EXPECT_EQ(r.step, 90);
}

// Step 3 of 8 is not finite: the five behind it are taken back, whoever finds it.
TEST(Lag, ANonFiniteStepStopsThoseBehindIt) {
  const auto build = [](StepBuilder& b) {
    Features f = b.Forward("student", StepBuilder::kTrain, b.images());
    b.Term("log", Log(b.Input("x", {}, false)));
    b.Minimize(CrossEntropy(f.logits, b.labels()), b.Parameters("student"));
  };
  Phase phase;
  phase.name = "train", phase.steps = {build};
  Recipe recipe;
  recipe.expression = "test", recipe.roles = {"student"}, recipe.phases = {phase};
  using Call = std::function<Status(Training*)>;
  const std::pair<const char*, Call> calls[] = {
      {"wait", [](Training* t) { return t->trainer->Wait(); }},
      {"step",
       [](Training* t) {
         StepResult r;
         return t->Step(8, &r);
       }},
      {"started step",
       [](Training* t) {
         Status s;
         for (int k = 0; k < 17 && s.ok(); ++k) s = t->Step(8);
         return s;
       }},
      {"result",
       [](Training* t) {
         StepResult r;
         bool found = true;
         Status s;
         while (s.ok() && found) s = t->trainer->Result(true, &r, &found);
         return s;
       }},
      {"terms",
       [](Training* t) {
         const Terms* terms;
         return t->trainer->ReadTerms(&terms);
       }},
      {"save", [](Training* t) { return t->trainer->Save(TempPath("bad")); }},
      {"load", [](Training* t) { return t->trainer->LoadBytes({}); }},
  };
  for (const auto& [name, call] : calls) {
    SCOPED_TRACE(name);
    Training t(true), good(false);
    for (Training* each : {&t, &good})
      ASSERT_OK(Trainer::Create(each->device, recipe, Text("schedule=constant lr=0.1 momentum=0.9"), {each->roles[0]},
                                &each->trainer));
    const float one[] = {1}, bad[] = {-1};
    ASSERT_OK(good.trainer->SetExtra("x", std::span(one)));
    for (uint32_t k = 0; k < 3; ++k) ASSERT_OK(good.Step(k));
    for (uint32_t k = 0; k < 8; ++k) {
      ASSERT_OK(t.trainer->SetExtra("x", k == 3 ? std::span(bad) : std::span(one)));
      ASSERT_OK(t.Step(k));
    }
    EXPECT_EQ(t.digest(), good.digest());  // before anybody has looked
    const Status s = call(&t);
    ExpectError(s, Code::kNonFinite, "the term 'log' is NaN in step 3 (samples 300, 301, 302");
    EXPECT_EQ(t.trainer->step(), 3);
    EXPECT_EQ(t.digest(), good.digest());
    // And goes on as if it had never been tried.
    for (uint32_t k = 3; k < 6; ++k) {
      ASSERT_OK(good.Step(k));
      ASSERT_OK(t.Step(k));
    }
    ASSERT_OK(t.trainer->Wait());
    EXPECT_EQ(t.digest(), good.digest());
    EXPECT_EQ(t.trainer->step(), 6);
  }
}

}  // namespace
}  // namespace distil
