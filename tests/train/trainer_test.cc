// The trainer: what a step promises whatever the method is. Methods of the test's own are recipes of a few lines.
#include "lib/train/trainer.h"

#include <cmath>

#include "losses/common.h"
#include "tests/train/lab.h"

namespace distil {
namespace {

using Step = std::function<void(StepBuilder&)>;

Expr Ce(StepBuilder& b, Expr logits) { return CrossEntropy(logits, b.labels()); }

Phase MakePhase(std::vector<Step> steps, double epochs = 0) {
  Phase p;
  p.name = "test";
  p.epochs = epochs;
  p.steps = std::move(steps);
  return p;
}

Recipe MakeTestRecipe(std::vector<Phase> phases, std::vector<std::string> roles = {"student"}) {
  Recipe r;
  r.expression = "test";
  r.roles = std::move(roles);
  r.phases = std::move(phases);
  return r;
}

// Networks in roles, made afresh from fixed seeds, and a trainer over them.
struct Training {
  std::shared_ptr<Device> device;
  Trainer::Roles roles;
  std::unique_ptr<Trainer> trainer;

  Training(const std::string& device_name, const std::vector<std::string>& names, double dropout = 0)
      : device(MakeDevice(device_name)) {
    uint64_t seed = 10;
    for (const std::string& n : names) roles.emplace_back(n, TinyNetwork(device, seed++, 4, dropout));
  }
  Status Make(const std::string& method, const std::string& options) {
    return Trainer::Create(device, method, Text(options), roles, &trainer);
  }
  Status Make(Recipe recipe, const std::string& options) {
    return Trainer::Create(device, std::move(recipe), Text(options), roles, &trainer);
  }
  const Network& network(size_t i = 0) const { return *roles[i].second; }
  std::string digest(size_t i = 0) const { return DigestOf(network(i)); }
  std::vector<double> value(const std::string& name, size_t i = 0) const {
    return Numbers(network(i), roles[i].second->variables()->Find(name));
  }
  double term(const std::string& name) const {
    for (const auto& [n, v] : TermsOf(*trainer))
      if (n == name) return v;
    ADD_FAILURE() << "no term " << name;
    return NAN;
  }
};

constexpr char kConstant[] = "schedule=constant lr=0.1";

// ---- Reproducibility -------------------------------------------------------------------------------------------------

// Everything at once: augmentation, dropout, a regressor, momentum, a falling rate, a batch of another size.
constexpr char kMethod[] = "kd+fitnet+at";
constexpr char kOptions[] =
    "epochs=4 steps_per_epoch=2 schedule=cosine lr=0.05 fitnet.stage=1 fitnet.weight=1 at.weight=10 crop_pad=1 "
    "flip=0.5 "
    "cutout=3 brightness=0.2 hue=0.1 mean=0.4 std=0.2 clip_norm=5";
constexpr int64_t kSteps = 6;

Status TrainUpTo(Training* run, int64_t end) {
  while (run->trainer->step() < end) {
    const int64_t k = run->trainer->step();
    DISTIL_RETURN_IF_ERROR(run->trainer->Step(Samples(static_cast<uint32_t>(k), k % 3 == 2 ? 4 : 6).Bytes(), nullptr));
  }
  return {};
}

std::unique_ptr<Training> Fresh(const std::string& device) {
  auto run = std::make_unique<Training>(device, std::vector<std::string>{"student", "teacher"}, 0.3);
  EXPECT_OK(run->Make(kMethod, kOptions));
  return run;
}

INSTANTIATE_TEST_SUITE_P(Devices, OnDevice, kDevices, DeviceName);

TEST_P(OnDevice, TwoRunsGiveTheSameBits) {
  auto a = Fresh(GetParam()), b = Fresh(GetParam());
  const std::string teacher = a->digest(1), start = a->digest();
  ASSERT_OK(TrainUpTo(a.get(), kSteps));
  ASSERT_OK(TrainUpTo(b.get(), kSteps));
  EXPECT_EQ(a->digest(), b->digest());
  EXPECT_NE(a->digest(), start);
  EXPECT_EQ(a->digest(1), teacher);
  EXPECT_EQ(TermsOf(*a->trainer), TermsOf(*b->trainer));
}

TEST_P(OnDevice, ResumeAtAnyStepGivesTheSameBits) {
  auto whole = Fresh(GetParam());
  for (int64_t k = 0; k <= kSteps; ++k) {
    ASSERT_OK(TrainUpTo(whole.get(), k));
    ASSERT_OK(whole->trainer->Save(TempPath("step" + std::to_string(k))));
  }
  for (int64_t k = 0; k <= kSteps; ++k) {
    auto resumed = Fresh(GetParam());
    // Whatever it did before is forgotten.
    if (k % 2) ASSERT_OK(TrainUpTo(resumed.get(), 2));
    ASSERT_OK(resumed->trainer->Load(TempPath("step" + std::to_string(k))));
    EXPECT_EQ(resumed->trainer->step(), k);
    ASSERT_OK(TrainUpTo(resumed.get(), kSteps));
    EXPECT_EQ(resumed->digest(), whole->digest()) << "resumed at " << k;
    if (k < kSteps) {
      EXPECT_EQ(TermsOf(*resumed->trainer), TermsOf(*whole->trainer)) << "resumed at " << k;
    }
  }
}

TEST(Trainer, ReferenceRefusesBf16) {
  Training run("reference", {"student"});
  ASSERT_OK(run.Make("ce", "schedule=constant bf16=1"));
  MemoryInfo memory;
  ExpectError(run.trainer->Memory(4, &memory), Code::kUnsupported, "computes in f32");
}

// bf16 rounds, but the same way every time, and close to f32.
TEST(Trainer, Bf16) {
  if (MakeDevice("cpu")->backend->name() == "reference") GTEST_SKIP() << "the small build has no bfloat16";
  auto losses = [](const std::string& bf16) {
    Training run("cpu", {"student", "teacher"});
    EXPECT_OK(run.Make("kd", "schedule=constant lr=0.05 bf16=" + bf16));
    std::vector<double> all;
    for (uint32_t k = 0; k < 4; ++k) {
      StepResult r;
      EXPECT_OK(run.trainer->Step(Samples(k).Floats(), &r));
      all.push_back(r.loss);
    }
    return all;
  };
  const auto a = losses("1"), b = losses("1"), f32 = losses("0");
  EXPECT_EQ(a, b);
  EXPECT_NE(a, f32);
  for (size_t k = 0; k < a.size(); ++k) EXPECT_NEAR(a[k], f32[k], 0.03 * f32[k]);
}

TEST(Trainer, SeedChangesAugmentationAndDropout) {
  auto loss = [](const std::string& options, double dropout) {
    Training run("reference", {"student"}, dropout);
    EXPECT_OK(run.Make("ce", options + std::string(" ") + kConstant));
    StepResult r;
    EXPECT_OK(run.trainer->Step(Samples(0).Bytes(), &r));
    return r.loss;
  };
  EXPECT_EQ(loss("seed=1", 0), loss("seed=2", 0));
  EXPECT_NE(loss("seed=1", 0.5), loss("seed=2", 0.5));
  EXPECT_NE(loss("seed=1 crop_pad=2", 0), loss("seed=2 crop_pad=2", 0));
}

// Two networks of one step, and two programs of one step, have masks of their own.
TEST(Trainer, DropoutMasksOfAStepDiffer) {
  const Step two_views = [](StepBuilder& b) {
    Expr first = b.Forward("student", StepBuilder::kTrain, b.images()).logits;
    Expr second = b.Forward("student", StepBuilder::kBatch, b.images()).logits;
    b.Term("difference", MeanSquare(first, second));
    b.Minimize(Ce(b, first), b.Parameters("student"));
  };
  const Step look = [](StepBuilder& b) {
    b.Term("first", SumAll(b.Forward("student", StepBuilder::kBatch, b.images()).logits));
  };
  const Step look_again = [](StepBuilder& b) {
    b.Term("second", SumAll(b.Forward("student", StepBuilder::kBatch, b.images()).logits));
  };
  for (const double dropout : {0.0, 0.5}) {
    Training views("reference", {"student"}, dropout), programs("reference", {"student"}, dropout);
    ASSERT_OK(views.Make(MakeTestRecipe({MakePhase({two_views})}), kConstant));
    ASSERT_OK(views.trainer->Step(Samples(0).Bytes(), nullptr));
    EXPECT_EQ(views.term("difference") == 0, dropout == 0);
    ASSERT_OK(programs.Make(MakeTestRecipe({MakePhase({look, look_again})}), kConstant));
    ASSERT_OK(programs.trainer->Step(Samples(0).Bytes(), nullptr));
    EXPECT_EQ(programs.term("first") == programs.term("second"), dropout == 0);
  }
}

// ---- A step that must not be taken -----------------------------------------------------------------------------------

TEST_P(OnDevice, NonFiniteImageChangesNothing) {
  Training run(GetParam(), {"student"}), other(GetParam(), {"student"});
  ASSERT_OK(run.Make("ce", kConstant));
  ASSERT_OK(other.Make("ce", kConstant));
  ASSERT_OK(run.trainer->Step(Samples(0).Floats(), nullptr));
  ASSERT_OK(other.trainer->Step(Samples(0).Floats(), nullptr));
  const std::string before = run.digest();
  Samples bad(1);
  bad.real[4 * 3 * 8 * 8 + 17] = NAN;
  const Status s = run.trainer->Step(bad.Floats(), nullptr);
  ExpectError(s, Code::kNonFinite, "'ce' is NaN in step 1");
  ExpectError(s, Code::kNonFinite, "pixels of sample 104");
  EXPECT_EQ(run.digest(), before);
  EXPECT_EQ(run.trainer->step(), 1);
  // As if it had never been tried: momentum and statistics too.
  ASSERT_OK(run.trainer->Step(Samples(1).Floats(), nullptr));
  ASSERT_OK(other.trainer->Step(Samples(1).Floats(), nullptr));
  EXPECT_EQ(run.digest(), other.digest());
}

TEST_P(OnDevice, NonFiniteGradientOfAFiniteLoss) {
  Training run(GetParam(), {"student"});
  ASSERT_OK(run.Make(MakeTestRecipe({MakePhase({[](StepBuilder& b) {
                       Features f = b.Forward("student", StepBuilder::kTrain, b.images());
                       b.Minimize(SumAll(Sqrt(f.logits * 0.0)), b.Parameters("student"));  // 0, with gradient 0 / 0
                     }})}),
                     kConstant));
  const std::string before = run.digest();
  const Status s = run.trainer->Step(Samples(0).Floats(), nullptr);
  ExpectError(s, Code::kNonFinite, "the gradient of student/");
  ExpectError(s, Code::kNonFinite, "samples 0, 1, 2, 3, 4, 5);");
  EXPECT_EQ(run.digest(), before);
}

TEST_P(OnDevice, NonFiniteInALaterProgramUndoesTheEarlierOnes) {
  Training run(GetParam(), {"student"});
  const Step good = [](StepBuilder& b) {
    Features f = b.Forward("student", StepBuilder::kTrain, b.images());
    b.Minimize(Ce(b, f.logits), b.Parameters("student"));
  };
  const Step bad = [](StepBuilder& b) {
    Features f = b.Forward("student", StepBuilder::kEval, b.images());
    Expr loss = Ce(b, f.logits);
    b.Term("log", Log(0.5 - b.step()));  // NaN from the second step on
    b.Minimize(loss, b.Parameters("student"));
  };
  ASSERT_OK(run.Make(MakeTestRecipe({MakePhase({good, bad})}), kConstant));
  const std::string start = run.digest();
  ASSERT_OK(run.trainer->Step(Samples(0).Floats(), nullptr));
  const std::string after = run.digest();
  EXPECT_NE(start, after);
  ExpectError(run.trainer->Step(Samples(1).Floats(), nullptr), Code::kNonFinite, "the term 'log' is NaN in step 1");
  EXPECT_EQ(run.digest(), after);
  EXPECT_EQ(run.trainer->step(), 1);
}

TEST(Trainer, DivergenceStops) {
  Training run("cpu", {"student"});
  ASSERT_OK(run.Make("ce", "schedule=constant lr=1e6"));
  Status s;
  int k = 0;
  for (std::string before = run.digest(); s.ok() && k < 20; ++k) {
    before = run.digest();
    s = run.trainer->Step(Samples(0).Floats(), nullptr);
    if (!s.ok()) {
      EXPECT_EQ(run.digest(), before);
    }
  }
  EXPECT_EQ(s.code(), Code::kNonFinite);
  EXPECT_NE(s.message().find("the step was not applied"), std::string::npos) << s.message();
}

// ---- Frozen networks -------------------------------------------------------------------------------------------------

TEST(Trainer, FrozenNetworksCannotBeTrained) {
  const std::pair<const char*, Step> cases[] = {
      {"the network in the role 'teacher' is frozen: it cannot run in a training mode",
       [](StepBuilder& b) { b.Forward("teacher", StepBuilder::kTrain, b.images()); }},
      {"'teacher' is frozen, and the step changes its conv1.weight",
       [](StepBuilder& b) {
         Expr t = Read(b.graph(), b.Parameters("teacher")[0]);
         b.Minimize(SumAll(Square(t)), b.Parameters("teacher"));
       }},
      {"'student' is frozen, and the step changes its",
       [](StepBuilder& b) {
         b.Forward("student", StepBuilder::kFrozen, b.images());
         Features f = b.Forward("student", StepBuilder::kEval, b.images());
         b.Minimize(Ce(b, f.logits), b.Parameters("student"));
       }},
      {"its loss reaches none of its parameters",
       [](StepBuilder& b) {
         Features f = b.Forward("student", StepBuilder::kFrozen, b.images());
         b.Minimize(Ce(b, f.logits), b.Parameters("student"));
       }},
      {"no network has the role 'assistant'",
       [](StepBuilder& b) { b.Forward("assistant", StepBuilder::kTrain, b.images()); }},
      {"term 'wide' must be one number",
       [](StepBuilder& b) { b.Term("wide", b.Forward("student", StepBuilder::kEval, b.images()).logits); }},
  };
  for (const auto& [message, step] : cases) {
    Training run("reference", {"student", "teacher"});
    ExpectError(run.Make(MakeTestRecipe({MakePhase({step})}, {"student", "teacher"}), kConstant),
                Code::kInvalidArgument, message);
  }
}

// ---- Methods with several networks, updates and phases ---------------------------------------------------------------

const Step kMutual = [](StepBuilder& b) {
  Features f[2];
  const std::string peers[2] = {"peer1", "peer2"};
  for (int i = 0; i < 2; ++i) f[i] = b.Forward(peers[i], StepBuilder::kTrain, b.images());
  for (int i = 0; i < 2; ++i) {
    Expr loss = Ce(b, f[i].logits);
    b.Term("ce" + std::to_string(i + 1), loss);
    b.Minimize(loss + Kl(StopGradient(f[1 - i].logits), f[i].logits, 1.0) * b.epoch(), b.Parameters(peers[i]));
  }
};

// In epoch 0 the peers do not see each other yet: each must be what it becomes alone. Later they do.
TEST_P(OnDevice, PeersWithUpdatesOfTheirOwn) {
  const std::string options = "schedule=constant lr=0.1 steps_per_epoch=3";
  Training both(GetParam(), {"peer1", "peer2"}), alone(GetParam(), {"other", "student"});
  alone.roles.erase(alone.roles.begin());  // the second network: made from the same seed as peer2
  ASSERT_OK(both.Make(MakeTestRecipe({MakePhase({kMutual})}, {"peer1", "peer2"}), options));
  ASSERT_OK(alone.Make("ce", options));
  for (uint32_t k = 0; k < 4; ++k) {
    ASSERT_OK(both.trainer->Step(Samples(k).Floats(), nullptr));
    ASSERT_OK(alone.trainer->Step(Samples(k).Floats(), nullptr));
    const auto a = both.value("conv1.weight", 1), b = alone.value("conv1.weight");
    double difference = 0;
    for (size_t i = 0; i < a.size(); ++i) difference = std::max(difference, std::abs(a[i] - b[i]));
    if (k < 3) {
      EXPECT_LT(difference, 1e-5) << k;
    }
    if (k == 3) {
      EXPECT_GT(difference, 1e-5);
    }
    EXPECT_NEAR(both.term("ce2"), alone.term("ce"), 1e-4);
  }
}

// Two updates of one step with optimisers of their own; the second only touches what it names.
TEST(Trainer, UpdatesCanHaveTheirOwnOptimizer) {
  Training run("reference:f64", {"student"});
  ASSERT_OK(run.Make(MakeTestRecipe({MakePhase({[](StepBuilder& b) {
                       const auto p = b.Parameters("student");  // conv1.weight, bn1.weight, ...
                       Expr w = Read(b.graph(), p[0]), v = Read(b.graph(), p[1]);
                       b.Minimize(SumAll(w), {p[0]});
                       b.Minimize(SumAll(v), {p[1]}, {"slow", {{"optimizer", "adam"}, {"lr", "0.5"}}});
                     }})}),
                     "schedule=constant lr=0.1 weight_decay=0 momentum=0"));
  const auto w = run.value("conv1.weight"), v = run.value("bn1.weight"), other = run.value("conv2.weight");
  StepResult r;
  ASSERT_OK(run.trainer->Step(Samples(0).Floats(), &r));
  EXPECT_EQ(r.lr, 0.1);
  for (size_t i = 0; i < w.size(); ++i) EXPECT_NEAR(run.value("conv1.weight")[i], w[i] - 0.1, 1e-12);
  for (size_t i = 0; i < v.size(); ++i) EXPECT_NEAR(run.value("bn1.weight")[i], v[i] - 0.5, 1e-7);  // Adam's first step
  EXPECT_EQ(run.value("conv2.weight"), other);
}

// As in PyTorch, where a parameter without gradient is skipped: not even weight decay.
TEST(Trainer, ParametersThatTheLossDoesNotReachAreLeftAlone) {
  Training run("reference", {"student"});
  ASSERT_OK(run.Make(MakeTestRecipe({MakePhase({[](StepBuilder& b) {
                       Features f = b.Forward("student", StepBuilder::kTrain, b.images());
                       b.Minimize(MeanAll(Square(f.taps[0].post)), b.Parameters("student"));
                     }})}),
                     "schedule=constant lr=0.1 weight_decay=0.1"));
  const auto fc = run.value("fc.weight"), conv = run.value("conv1.weight");
  ASSERT_OK(run.trainer->Step(Samples(0).Floats(), nullptr));
  EXPECT_EQ(run.value("fc.weight"), fc);
  EXPECT_NE(run.value("conv1.weight"), conv);
}

TEST(Trainer, ALaterProgramSeesTheEarlierOnesUpdate) {
  Training run("reference:f64", {"student"});
  const Step train = [](StepBuilder& b) {
    Expr w = Read(b.graph(), b.Parameters("student")[0]);
    b.Minimize(SumAll(Square(w)), {b.Parameters("student")[0]});
  };
  const Step look = [](StepBuilder& b) { b.Term("norm", SumAll(Square(Read(b.graph(), b.Parameters("student")[0])))); };
  ASSERT_OK(run.Make(MakeTestRecipe({MakePhase({train, look})}), "schedule=constant lr=0.1 weight_decay=0"));
  double norm = 0;
  for (double v : run.value("conv1.weight")) norm += v * v;
  ASSERT_OK(run.trainer->Step(Samples(0).Floats(), nullptr));
  EXPECT_NEAR(run.term("norm"), norm * 0.8 * 0.8, 1e-9);
}

// A look-ahead: the loss after an update that is not taken equals the loss that the next step begins with.
TEST(Trainer, LookAheadIsTheUpdateThatMinimizeTakes) {
  for (const char* optimizer : {"optimizer=sgd", "optimizer=adam"}) {
    Training run("reference:f64", {"student"});
    ASSERT_OK(run.Make(MakeTestRecipe({MakePhase({[](StepBuilder& b) {
                         const auto p = b.Parameters("student");
                         Expr loss = Ce(b, b.Forward("student", StepBuilder::kBatch, b.images()).logits);
                         Values next = b.Updated(loss, p);
                         Expr ahead = Ce(b, b.Forward("student", StepBuilder::kBatch, b.images(), next).logits);
                         Values after = b.Updated(ahead, p, next);
                         b.Term("ahead", ahead);
                         b.Term("two", Ce(b, b.Forward("student", StepBuilder::kBatch, b.images(), after).logits));
                         b.Minimize(loss, p);
                       }})}),
                       std::string("schedule=constant lr=0.05 ") + optimizer));
    const Samples data(0);
    double ahead = 0, two = 0;
    for (int k = 0; k < 3; ++k) {
      StepResult r;
      ASSERT_OK(run.trainer->Step(data.Floats(), &r));
      if (k >= 1) {
        EXPECT_NEAR(r.loss, ahead, 1e-9) << optimizer;
      }
      if (k >= 2) {
        EXPECT_NEAR(r.loss, two, 1e-9) << optimizer;
      }
      two = k == 0 ? run.term("two") : two;
      ahead = run.term("ahead");
    }
  }
}

// Phase one trains a module that only exists in training, phase two uses it frozen.
std::vector<Phase> TwoPhases() {
  const Step one = [](StepBuilder& b) {
    Features f = b.Forward("student", StepBuilder::kFrozen, b.images());
    Expr y = b.Aux("probe").Linear("fc", f.pooled, 5);
    b.Minimize(Ce(b, y), b.AuxParameters("probe"));
  };
  const Step two = [](StepBuilder& b) {
    Features f = b.Forward("student", StepBuilder::kTrain, b.images());
    Expr y = b.Aux("probe", StepBuilder::kFrozen).Linear("fc", f.pooled, 5);
    VariableRef mean = b.State("mean", {1, 5}, Init::Constant(0));
    Expr updated = Read(b.graph(), mean) * 0.5 + Mean(StopGradient(f.logits), {0}) * 0.5;
    b.graph()->Assign(mean, updated.id());
    b.Term("mean", MeanAll(updated));
    b.Minimize(Ce(b, f.logits) + Kl(StopGradient(y), f.logits, 2.0), b.Parameters("student"));
  };
  Phase first = MakePhase({one}, 1.5);
  first.training = {{"schedule", "constant"}, {"lr", "0.5"}};
  return {first, MakePhase({two})};
}
constexpr char kTwoPhases[] = "epochs=2 steps_per_epoch=2 schedule=multistep milestones=1 lr=0.1";

TEST(Trainer, PhasesFollowEachOther) {
  Training run("cpu", {"student"});
  ASSERT_OK(run.Make(MakeTestRecipe(TwoPhases()), kTwoPhases));
  EXPECT_EQ(run.trainer->total_steps(), 3 + 4);
  const std::string start = run.digest();
  const double rates[] = {0.5, 0.5, 0.5, 0.1, 0.1, 0.01, 0.01};
  for (uint32_t k = 0; k < 7; ++k) {
    StepResult r;
    ASSERT_OK(run.trainer->Step(Samples(k).Floats(), &r));
    EXPECT_DOUBLE_EQ(r.lr, rates[k]) << k;
    EXPECT_EQ(r.step, k);
    EXPECT_EQ(run.digest() == start, k < 3) << k;
  }
  ExpectError(run.trainer->Step(Samples(7).Floats(), nullptr), Code::kFailedPrecondition,
              "the run of 7 steps is complete");
  ExpectError(Training("cpu", {"student"}).Make(MakeTestRecipe(TwoPhases()), kConstant), Code::kInvalidArgument,
              "the option steps_per_epoch is needed");
}

TEST(Trainer, APhaseCanBeSkipped) {
  Training run("cpu", {"student"});
  ASSERT_OK(run.Make(MakeTestRecipe(TwoPhases()), kTwoPhases));
  ASSERT_OK(run.trainer->Step(Samples(0).Floats(), nullptr));
  const std::string start = run.digest();
  MemoryInfo first, second;
  ASSERT_OK(run.trainer->Memory(4, &first));
  ASSERT_OK(run.trainer->SkipPhase());
  ASSERT_OK(run.trainer->Memory(4, &second));
  EXPECT_GT(second.arena, first.arena);  // a gradient of the whole network
  EXPECT_EQ(run.trainer->step(), 3);
  EXPECT_EQ(run.trainer->total_steps(), 3 + 4);
  StepResult r;
  ASSERT_OK(run.trainer->Step(Samples(3).Floats(), &r));
  EXPECT_DOUBLE_EQ(r.lr, 0.1);
  EXPECT_NE(run.digest(), start);
  ExpectError(run.trainer->SkipPhase(), Code::kFailedPrecondition, "the last phase");
}

TEST(Trainer, ResumeAcrossPhases) {
  const std::string path = TempPath("phases");
  Training whole("cpu", {"student"});
  ASSERT_OK(whole.Make(MakeTestRecipe(TwoPhases()), kTwoPhases));
  for (uint32_t k = 0; k < 7; ++k) {
    ASSERT_OK(whole.trainer->Save(path + std::to_string(k)));
    ASSERT_OK(whole.trainer->Step(Samples(k).Floats(), nullptr));
  }
  for (uint32_t from = 0; from < 7; ++from) {
    Training run("cpu", {"student"});
    ASSERT_OK(run.Make(MakeTestRecipe(TwoPhases()), kTwoPhases));
    ASSERT_OK(run.trainer->Load(path + std::to_string(from)));
    for (uint32_t k = from; k < 7; ++k) ASSERT_OK(run.trainer->Step(Samples(k).Floats(), nullptr));
    EXPECT_EQ(run.digest(), whole.digest()) << from;
    EXPECT_EQ(TermsOf(*run.trainer), TermsOf(*whole.trainer)) << from;
  }
}

TEST(Trainer, ExtraInputsComeFromTheCaller) {
  Training run("reference", {"student"});
  ASSERT_OK(run.Make(MakeTestRecipe({MakePhase({[](StepBuilder& b) {
                       Features f = b.Forward("student", StepBuilder::kTrain, b.images());
                       Expr weight = b.Input("weight", {b.batch(), 1}, false);
                       Expr choice = b.Input("choice", {b.batch()}, true);
                       b.Term("sum", SumAll(weight));
                       b.Minimize(Mean(PickLabel(f.logits, choice) * weight, {0, 1}), b.Parameters("student"));
                     }})}),
                     kConstant));
  const Samples data(0, 2);
  Batch batch = data.Floats();
  batch.labels = nullptr;  // this method needs none
  ExpectError(run.trainer->Step(batch, nullptr), Code::kInvalidArgument, "needs the input 'weight' [2,1]");
  const float weight[] = {2, 3, 4};
  const int32_t choice[] = {0, 4};
  ASSERT_OK(run.trainer->SetExtra("weight", std::span(weight, 3)));
  ASSERT_OK(run.trainer->SetExtra("choice", std::span(choice)));
  ExpectError(run.trainer->Step(batch, nullptr), Code::kInvalidArgument, "has 2 numbers, got 3");
  ASSERT_OK(run.trainer->SetExtra("weight", std::span(weight, 2)));
  ASSERT_OK(run.trainer->Step(batch, nullptr));
  EXPECT_EQ(run.term("sum"), 5);
}

// ---- Results and arguments -------------------------------------------------------------------------------------------

TEST_P(OnDevice, CountsRightImages) {
  Training run(GetParam(), {"student"});
  ASSERT_OK(run.Make("ce", "schedule=constant lr=0"));
  const Samples data(3, 8);
  StepResult r;
  ASSERT_OK(run.trainer->Step(data.Floats(), &r));
  // The same network's logits in training mode, by hand: read them from a program of their own.
  Graph g;
  Layers layers(&g, run.roles[0].second->variables(), {.train = true, .update_statistics = false});
  Features f = run.network().Build(layers, Input(&g, "images", {8, 3, 8, 8}));
  g.Output("logits", f.logits.id());
  std::unique_ptr<Program> program;
  ASSERT_OK(Program::Compile(run.device->backend.get(), g, {}, &program));
  ASSERT_OK(program->SetInput("images", std::span<const float>(data.real)));
  ASSERT_OK(program->Run());
  std::vector<double> z(40);
  ASSERT_OK(program->Fetch("logits", std::span<double>(z)));
  int64_t right = 0;
  for (size_t i = 0; i < 8; ++i) {
    const auto row = z.begin() + static_cast<ptrdiff_t>(5 * i);
    right += std::max_element(row, row + 5) - row == data.labels[i];
  }
  EXPECT_EQ(r.correct, right);
}

TEST(Trainer, StudentWithEqualLogitsIsNeverRight) {
  Training run("reference", {"student"});
  for (const char* name : {"fc.weight", "fc.bias"}) {
    VariableRef v = run.roles[0].second->variables()->Find(name);
    const std::vector<double> zeros(static_cast<size_t>(v->shape.elements()));
    ASSERT_OK(WriteVariable(run.device->backend.get(), std::span<const double>(zeros), v.get()));
  }
  ASSERT_OK(run.Make("ce", kConstant));
  StepResult r;
  ASSERT_OK(run.trainer->Step(Samples(0).Floats(), &r));
  EXPECT_EQ(r.correct, 0);
  EXPECT_NEAR(r.loss, std::log(5.0), 1e-6);
}

TEST(Trainer, BatchesAreChecked) {
  Training run("reference", {"student"});
  ASSERT_OK(run.Make("ce", kConstant));
  Samples data(0);
  Batch b = data.Floats();
  b.count = 0;
  ExpectError(run.trainer->Step(b, nullptr), Code::kInvalidArgument, "at least one image");
  b = data.Floats();
  b.images = nullptr;
  ExpectError(run.trainer->Step(b, nullptr), Code::kInvalidArgument, "no images");
  b = data.Floats();
  b.labels = nullptr;
  ExpectError(run.trainer->Step(b, nullptr), Code::kInvalidArgument, "no labels");
  data.labels[2] = 5;
  ExpectError(run.trainer->Step(data.Floats(), nullptr), Code::kInvalidArgument,
              "label 5 of image 2 in the batch is outside");
  data.labels[2] = -1;
  ExpectError(run.trainer->Step(data.Floats(), nullptr), Code::kInvalidArgument, "label -1");
}

TEST(Trainer, CreationIsChecked) {
  Training run("reference", {"student", "teacher"});
  auto fails = [&](const std::string& method, const std::string& options, const std::string& message) {
    ExpectError(run.Make(method, options), Code::kInvalidArgument, message);
  };
  fails("kd", "", "steps_per_epoch is needed for schedule=multistep");
  fails("kd", "steps_per_epoch=1 lrr=1", "no option 'lrr'; the nearest is 'lr'");
  fails("kd", "steps_per_epoch=1 temp=1", "no option 'temp'");
  fails("kdd", kConstant, "no method 'kdd'; the nearest is 'kd'");
  fails("ce", kConstant, "has no role 'teacher'");
  run.roles.pop_back();
  fails("kd", kConstant, "needs a network in the role 'teacher'");
  run.roles.push_back({"teacher", run.roles[0].second});
  fails("kd", kConstant, "has another role already");
  run.roles[1] = {"student", TinyNetwork(run.device, 3)};
  fails("kd", kConstant, "the role 'student' is given twice");
  run.roles[1] = {"teacher", TinyNetwork(MakeDevice("reference"), 3)};
  fails("kd", kConstant, "was made on another device");
  std::shared_ptr<Network> big;
  ASSERT_OK(Network::CreateFromZoo(run.device, "resnet8", 5, nullptr, 1, &big));
  run.roles[1] = {"teacher", big};
  fails("kd", kConstant, "the network in the role 'teacher' reads images [2,3,32,32], it is given [2,3,8,8]");
}

TEST(Trainer, GradientsWhenAskedFor) {
  Training run("reference", {"student"}), without("reference", {"student"});
  ASSERT_OK(without.Make("ce", kConstant));
  ASSERT_OK(run.Make("ce", std::string(kConstant) + " gradients=1 weight_decay=0 momentum=0"));
  std::vector<float> g(4 * 3 * 3 * 3);
  ExpectError(without.trainer->Gradient("student", "conv1.weight", g), Code::kFailedPrecondition, "gradients=1");
  ExpectError(run.trainer->Gradient("student", "conv1.weight", g), Code::kFailedPrecondition, "before a step");
  const auto before = run.value("conv1.weight");
  ASSERT_OK(run.trainer->Step(Samples(0).Floats(), nullptr));
  ASSERT_OK(run.trainer->Gradient("student", "conv1.weight", g));
  const auto after = run.value("conv1.weight");
  for (size_t i = 0; i < g.size(); ++i) EXPECT_NEAR(after[i], before[i] - 0.1 * g[i], 1e-6);
  ExpectError(run.trainer->Gradient("student", "conv9.weight", g), Code::kNotFound, "conv9.weight");
  ExpectError(run.trainer->Gradient("student", "conv1.weight", std::span(g).first(3)), Code::kInvalidArgument,
              "numbers");
}

}  // namespace
}  // namespace distil
