// Winograd's convolutions against their definition in double.
#include "lib/backend/onednn/winograd.h"

#include <gtest/gtest.h>

#include <cmath>
#include <cstring>
#include <random>
#include <string>
#include <vector>

#include "tests/graph/images.h"

namespace distil::onednn {
namespace {

struct Case {
  int64_t n, c, o, h, w;
};
// Whole tiles, images that end within one, smaller than one; channels for products of one and of two vectors; tiles
// for more than one chunk.
const Case kCases[] = {{2, 16, 16, 8, 8},  {3, 32, 32, 7, 10},  {1, 16, 48, 3, 5},  {2, 64, 32, 4, 4},
                       {1, 32, 64, 1, 13}, {5, 16, 32, 16, 16}, {2, 256, 16, 2, 2}, {27, 32, 32, 8, 8}};

// An image batch in blocks of 16 channels in f32 or bf16, or a row-major weight.
struct Tensor {
  Shape shape;
  bool image, bf16;
  std::vector<float> values;  // row-major, as they are stored
  std::vector<float> memory;

  Tensor(const Shape& s, bool image_, bool bf16_, float scale, uint32_t seed)
      : shape(s), image(image_), bf16(bf16_), values(static_cast<size_t>(s.elements())), memory(values.size()) {
    std::mt19937 random(seed);
    for (float& v : values) {
      v = (static_cast<float>(random() >> 8) / 8388608.0f - 1.0f) * scale;
      if (bf16) v = FromBf16(ToBf16(v));
    }
    for (size_t i = 0; i < values.size(); ++i) Put(i, values[i]);
  }
  size_t At(size_t i) const {
    if (!image) return i;
    const int64_t w = shape[3], h = shape[2], c = shape[1], k = static_cast<int64_t>(i);
    return static_cast<size_t>(
        ImageOffset(shape, Layout::kBlocked16, k / (w * h * c), k / (w * h) % c, k / w % h, k % w));
  }
  void Put(size_t i, float v) {
    if (!bf16) {
      memory[At(i)] = v;
      return;
    }
    const uint16_t u = ToBf16(v);
    std::memcpy(reinterpret_cast<char*>(memory.data()) + 2 * At(i), &u, 2);
  }
  float Get(size_t i) const {
    if (!bf16) return memory[At(i)];
    uint16_t u;
    std::memcpy(&u, reinterpret_cast<const char*>(memory.data()) + 2 * At(i), 2);
    return FromBf16(u);
  }
  float at(int64_t a, int64_t b, int64_t c, int64_t d) const {
    if (c < 0 || d < 0 || c >= shape[2] || d >= shape[3]) return 0;
    return values[static_cast<size_t>(((a * shape[1] + b) * shape[2] + c) * shape[3] + d)];
  }
};

ConvSpec Spec(ConvKind kind, const Case& c, bool bf16) {
  ConvSpec s{kind, {c.n, c.c, c.h, c.w}, {c.o, c.c, 3, 3},   {c.n, c.o, c.h, c.w},
             {},   Layout::kBlocked16,   Layout::kBlocked16, bf16};
  s.attrs.pad[0] = s.attrs.pad[1] = 1;
  return s;
}

void Launch(Kernel* k, std::vector<const void*> in, void* out) {
  std::vector<float> workspace(k->workspace() / sizeof(float) + 1, std::nanf(""));
  k->Run({in.data(), &out, workspace.data()});
}

std::vector<float> Transformed(const Tensor& w, ConvKind kind, int threads) {
  std::vector<float> u(WinogradWeightBytes(w.shape) / sizeof(float));
  Launch(MakeWinogradWeight(w.shape, kind, threads).get(), {w.memory.data()}, u.data());
  return u;
}

double MeanSquare(const std::vector<double>& v) {
  double square = 0;
  for (double x : v) square += x * x;
  return std::sqrt(square / static_cast<double>(v.size()));
}

// Differences relative to `size`, the root mean square of the convolution.
void Compare(const Tensor& got, const std::vector<double>& want, double size, double tolerance) {
  double error = 0, worst = 0;
  for (size_t i = 0; i < want.size(); ++i) {
    const double d = std::fabs(static_cast<double>(got.Get(i)) - want[i]);
    error += d * d;
    if (!(d <= worst)) worst = d;
  }
  EXPECT_LE(std::sqrt(error / static_cast<double>(want.size())), tolerance * size);
  EXPECT_LE(worst, 8 * tolerance * size);
}

class WinogradTest : public testing::TestWithParam<std::tuple<Case, bool>> {
 protected:
  void SetUp() override {
    if (!Library().wide()) GTEST_SKIP() << "needs AVX-512";
  }

  Case c = std::get<0>(GetParam());
  bool bf16 = std::get<1>(GetParam());
  // Of f32 sums in transformed space; a result in bf16 is rounded by up to 2^-9 of itself.
  double tolerance = bf16 ? 3e-3 : 2e-6;
};

TEST_P(WinogradTest, Forward) {
  for (int options : {0, 2, 5, 7}) {
    ConvSpec s = Spec(ConvKind::kForward, c, bf16);
    s.attrs.bias = options & 1, s.attrs.residual = options >> 1 & 1, s.attrs.relu = options >> 2;
    const Tensor x(s.x, true, bf16, 1, 1), w(s.w, false, false, 0.2f, 2), bias({c.o}, false, false, 1, 3),
        residual(s.y, true, bf16, 1, 4);
    Tensor y(s.y, true, bf16, 1, 5);
    std::vector<double> sums, want;
    for (int64_t n = 0; n < c.n; ++n)
      for (int64_t o = 0; o < c.o; ++o)
        for (int64_t i = 0; i < c.h; ++i)
          for (int64_t j = 0; j < c.w; ++j) {
            double sum = 0;
            for (int64_t k = 0; k < c.c * 9; ++k)
              sum += static_cast<double>(w.at(o, k / 9, k / 3 % 3, k % 3)) *
                     static_cast<double>(x.at(n, k / 9, i + k / 3 % 3 - 1, j + k % 3 - 1));
            sums.push_back(sum);
            if (s.attrs.bias) sum += static_cast<double>(bias.values[static_cast<size_t>(o)]);
            if (s.attrs.residual) sum += static_cast<double>(residual.at(n, o, i, j));
            want.push_back(s.attrs.relu ? std::fmax(sum, 0.0) : sum);
          }
    const std::vector<float> u = Transformed(w, ConvKind::kForward, 2);
    std::vector<const void*> in = {x.memory.data(), u.data()};
    if (s.attrs.bias) in.push_back(bias.memory.data());
    if (s.attrs.residual) in.push_back(residual.memory.data());
    Launch(MakeWinograd(s, 2).get(), in, y.memory.data());
    SCOPED_TRACE("options " + std::to_string(options));
    Compare(y, want, MeanSquare(sums), tolerance);
    // A tile is computed alike whoever computes it; and the residual may be where the result goes.
    Tensor again = s.attrs.residual ? residual : y;
    if (s.attrs.residual) in.back() = again.memory.data();
    const auto kernel = MakeWinograd(s, 3);
    Launch(kernel.get(), in, again.memory.data());
    EXPECT_EQ(again.memory, y.memory);
    ConvSpec row_major = s;
    row_major.attrs.algorithm = kWinogradInside;
    again = s.attrs.residual ? residual : y;
    if (s.attrs.residual) in.back() = again.memory.data();
    in[1] = w.memory.data();
    Launch(MakeWinograd(row_major, 2).get(), in, again.memory.data());
    EXPECT_EQ(again.memory, y.memory);
    for (int i = 0; i < static_cast<int>(in.size()); ++i)
      EXPECT_EQ(kernel->MayAlias(i, 0), s.attrs.residual && i == static_cast<int>(in.size()) - 1);
  }
}

TEST_P(WinogradTest, ByInput) {
  const ConvSpec s = Spec(ConvKind::kInput, c, bf16);
  const Tensor dy(s.y, true, bf16, 1, 1), w(s.w, false, false, 0.2f, 2);
  Tensor dx(s.x, true, bf16, 1, 3);
  std::vector<double> want;
  for (int64_t n = 0; n < c.n; ++n)
    for (int64_t k = 0; k < c.c; ++k)
      for (int64_t i = 0; i < c.h; ++i)
        for (int64_t j = 0; j < c.w; ++j) {
          double sum = 0;
          for (int64_t o = 0; o < c.o * 9; ++o)
            sum += static_cast<double>(w.at(o / 9, k, o / 3 % 3, o % 3)) *
                   static_cast<double>(dy.at(n, o / 9, i + 1 - o / 3 % 3, j + 1 - o % 3));
          want.push_back(sum);
        }
  const std::vector<float> u = Transformed(w, ConvKind::kInput, 2);
  Launch(MakeWinograd(s, 2).get(), {dy.memory.data(), u.data()}, dx.memory.data());
  ConvSpec row_major = s;
  row_major.attrs.algorithm = kWinogradInside;
  Tensor again = dx;
  Launch(MakeWinograd(row_major, 2).get(), {dy.memory.data(), w.memory.data()}, again.memory.data());
  EXPECT_EQ(again.memory, dx.memory);
  Compare(dx, want, MeanSquare(want), tolerance);
}

TEST_P(WinogradTest, ByWeight) {
  const ConvSpec s = Spec(ConvKind::kWeight, c, bf16);
  const Tensor x(s.x, true, bf16, 1, 1), dy(s.y, true, bf16, 1, 2);
  Tensor dw(s.w, false, false, 1, 3);
  std::vector<double> want;
  for (int64_t o = 0; o < c.o; ++o)
    for (int64_t k = 0; k < c.c * 9; ++k) {
      double sum = 0;
      for (int64_t n = 0; n < c.n; ++n)
        for (int64_t i = 0; i < c.h; ++i)
          for (int64_t j = 0; j < c.w; ++j)
            sum += static_cast<double>(dy.at(n, o, i, j)) *
                   static_cast<double>(x.at(n, k / 9, i + k / 3 % 3 - 1, j + k % 3 - 1));
      want.push_back(sum);
    }
  const auto kernel = MakeWinograd(s, 2);
  Launch(kernel.get(), {x.memory.data(), dy.memory.data()}, dw.memory.data());
  Compare(dw, want, MeanSquare(want), 2e-6);
  Tensor again = dw;
  Launch(kernel.get(), {x.memory.data(), dy.memory.data()}, again.memory.data());
  EXPECT_EQ(again.memory, dw.memory);
}

INSTANTIATE_TEST_SUITE_P(Cases, WinogradTest, testing::Combine(testing::ValuesIn(kCases), testing::Bool()));

TEST(Winograd, IsForThreeByThreeAtStrideOne) {
  const Case c = {1, 16, 32, 8, 8};
  EXPECT_TRUE(WinogradCan(Spec(ConvKind::kForward, c, false)));
  ConvSpec s = Spec(ConvKind::kForward, c, false);
  s.attrs.stride[1] = 2;
  EXPECT_FALSE(WinogradCan(s));
  s = Spec(ConvKind::kForward, c, false);
  s.attrs.pad[0] = 0;
  EXPECT_FALSE(WinogradCan(s));
  s = Spec(ConvKind::kForward, {1, 20, 32, 8, 8}, false);
  EXPECT_FALSE(WinogradCan(s));
}

}  // namespace
}  // namespace distil::onednn
