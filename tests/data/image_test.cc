// Decoding and resizing of single images, and what happens with damaged ones.
#include "data/image.h"

#include <png.h>

#include <algorithm>
#include <cmath>

#include "lib/base/random.h"
#include "tests/data/util.h"

namespace distil::data {
namespace {

Status Decode(const Bytes& bytes, int channels, Image* image) {
  return DecodeImage(bytes.data(), bytes.size(), "pic", channels, image);
}

int MaxDifference(const Image& a, const Image& b) {
  EXPECT_EQ(a.pixels.size(), b.pixels.size());
  int worst = 0;
  for (size_t i = 0; i < std::min(a.pixels.size(), b.pixels.size()); ++i) {
    worst = std::max(worst, std::abs(a.pixels[i] - b.pixels[i]));
  }
  return worst;
}

TEST(Jpeg, ColourAndGrey) {
  Image image;
  ASSERT_OK(Decode(EncodeJpeg(Gradient(40, 31, 3)), 3, &image));
  EXPECT_EQ(image.height, 40);
  EXPECT_EQ(image.width, 31);
  EXPECT_LE(MaxDifference(image, Gradient(40, 31, 3)), 8);
  const Image grey = Gradient(40, 31, 1);
  ASSERT_OK(Decode(EncodeJpeg(grey), 1, &image));
  EXPECT_LE(MaxDifference(image, grey), 4);
  ASSERT_OK(Decode(EncodeJpeg(grey), 3, &image));
  EXPECT_EQ(image.channels, 3);
  EXPECT_EQ(image.pixels[0], image.pixels[2]);
}

TEST(Jpeg, Cmyk) {
  const uint8_t ink[4] = {255, 0, 0, 51};  // Adobe's way: 255 is no ink, so cyan-free, much magenta, yellow, black
  Image image;
  ASSERT_OK(Decode(EncodeCmykJpeg(8, 8, ink, true), 3, &image));
  EXPECT_NEAR(image.pixels[0], 51, 3);  // 255 * 51 / 255
  EXPECT_NEAR(image.pixels[1], 0, 3);
  ASSERT_OK(Decode(EncodeCmykJpeg(8, 8, ink, false), 3, &image));
  EXPECT_NEAR(image.pixels[0], 0, 3);  // full cyan
  EXPECT_NEAR(image.pixels[1], 204, 3);
}

TEST(Png, EveryKind) {
  for (int channels : {1, 2, 3, 4}) {
    const Image in = Gradient(17, 9, channels);
    Image out;
    ASSERT_OK(Decode(EncodePng(in), 3, &out));
    ASSERT_EQ(out.pixels.size(), 17u * 9 * 3);
    for (size_t p = 0; p < 17 * 9; ++p) {  // alpha is dropped, grey is repeated
      for (size_t c = 0; c < 3; ++c) {
        const size_t from = channels < 3 ? 0 : c;
        ASSERT_EQ(out.pixels[3 * p + c], in.pixels[p * static_cast<size_t>(channels) + from]) << channels;
      }
    }
  }
}

Bytes EncodePng16AndPalette(bool palette) {
  struct Sink {
    static void Write(png_structp png, png_bytep bytes, size_t n) {
      auto* out = static_cast<Bytes*>(png_get_io_ptr(png));
      out->insert(out->end(), bytes, bytes + n);
    }
  };
  Bytes out;
  png_structp png = png_create_write_struct(PNG_LIBPNG_VER_STRING, nullptr, nullptr, nullptr);
  png_infop info = png_create_info_struct(png);
  png_set_write_fn(png, &out, Sink::Write, nullptr);
  const png_color colors[2] = {{10, 20, 30}, {200, 100, 50}};
  png_set_IHDR(png, info, 4, 2, palette ? 1 : 16, palette ? PNG_COLOR_TYPE_PALETTE : PNG_COLOR_TYPE_GRAY,
               palette ? PNG_INTERLACE_ADAM7 : PNG_INTERLACE_NONE, PNG_COMPRESSION_TYPE_DEFAULT,
               PNG_FILTER_TYPE_DEFAULT);
  if (palette) png_set_PLTE(png, info, colors, 2);
  if (palette) {
    const png_byte alpha[2] = {0, 128};
    png_set_tRNS(png, info, alpha, 2, nullptr);
  }
  png_write_info(png, info);
  const int passes = png_set_interlace_handling(png);
  const Bytes rows = palette ? Bytes{0x50} : Bytes{0xff, 0xff, 0x80, 0x80, 0x00, 0x00, 0x12, 0x34};  // 0101 or 4 values
  for (int pass = 0; pass < passes; ++pass) {
    for (int y = 0; y < 2; ++y) png_write_row(png, rows.data());
  }
  png_write_end(png, nullptr);
  png_destroy_write_struct(&png, &info);
  return out;
}

TEST(Png, SixteenBitsAndPalette) {
  Image image;
  ASSERT_OK(Decode(EncodePng16AndPalette(false), 1, &image));
  EXPECT_EQ(image.pixels, (Bytes{255, 128, 0, 18, 255, 128, 0, 18}));
  ASSERT_OK(Decode(EncodePng16AndPalette(true), 3, &image));
  EXPECT_EQ(image.pixels, (Bytes{10, 20, 30, 200, 100, 50, 10, 20, 30, 200, 100, 50,
                                 10, 20, 30, 200, 100, 50, 10, 20, 30, 200, 100, 50}));
}

TEST(Damage, NotAnImage) {
  Image image;
  for (const Bytes& bytes : {Bytes{}, Bytes{0xff}, Bytes{'G', 'I', 'F', '8', '9', 'a', 0, 0, 0}, Bytes(100, 0)}) {
    ExpectError(Decode(bytes, 3, &image), Code::kCorrupt, {"pic", "neither a JPEG nor a PNG"});
  }
}

TEST(Damage, TruncatedAnywhere) {
  const Bytes jpeg = EncodeJpeg(Gradient(40, 31, 3)), png = EncodePng(Gradient(40, 31, 3));
  Image image;
  for (size_t n = 3; n < jpeg.size() - 2; n += 3) {  // without its last two bytes (end marker) nothing is missing yet
    ExpectError(Decode(Bytes(jpeg.begin(), jpeg.begin() + static_cast<std::ptrdiff_t>(n)), 3, &image), Code::kCorrupt,
                {"pic", "damaged JPEG"});
  }
  for (size_t n = 8; n < png.size(); n += 3) {
    ExpectError(Decode(Bytes(png.begin(), png.begin() + static_cast<std::ptrdiff_t>(n)), 3, &image), Code::kCorrupt,
                {"pic", "damaged PNG"});
  }
}

TEST(Damage, FlippedBytesNeverCrash) {
  const Bytes files[] = {EncodeJpeg(Gradient(40, 31, 3)), EncodePng(Gradient(40, 31, 4))};
  for (const Bytes& file : files) {
    for (uint32_t i = 0; i < 2000; ++i) {
      Bytes damaged = file;
      const auto words = RandomWords(5, Purpose::kTest, 1, 0, i);
      damaged[ToRange(words[0], static_cast<uint32_t>(file.size()))] ^=
          static_cast<uint8_t>(1 + ToRange(words[1], 255));
      Image image;
      const Status status = Decode(damaged, 3, &image);
      EXPECT_TRUE(status.ok() || status.message().starts_with("pic: ")) << status.message();
    }
  }
}

TEST(Damage, HugeHeaderOfASmallFile) {
  Bytes png = EncodePng(Gradient(4, 4, 3));
  png[16] = 0x00, png[17] = 0x0f, png[18] = 0xff, png[19] = 0xff;  // width 1048575, and a wrong checksum
  Image image;
  ExpectError(Decode(png, 3, &image), Code::kCorrupt, {"pic", "damaged PNG"});
  Bytes jpeg = EncodeJpeg(Gradient(8, 8, 3));
  for (size_t i = 0; i + 9 < jpeg.size(); ++i) {
    if (jpeg[i] == 0xff && jpeg[i + 1] == 0xc0) {
      jpeg[i + 5] = jpeg[i + 7] = 0xff;  // 65288 x 65288
      break;
    }
  }
  ExpectError(Decode(jpeg, 3, &image), Code::kCorrupt, {"pic", "too large"});
}

TEST(Damage, Files) {
  TempFolder folder;
  Image image;
  ExpectError(DecodeImageFile(folder / "no.png", 3, &image), Code::kNotFound, {"no.png", "No such file"});
  ExpectError(DecodeImageFile(folder.path(), 3, &image), Code::kInvalidArgument, {folder.path(), "is a folder"});
  WriteBytes(folder / "empty.png", {});
  ExpectError(DecodeImageFile(folder / "empty.png", 3, &image), Code::kCorrupt, {"empty.png", "is empty"});
}

TEST(Resize, HandValues) {
  // 4 -> 2 with the triangle of half-width 2 at 1 and 3: the first output weighs pixels 0..2 by 3, 3, 1 of 7
  // (|j + 1/2 - 1| / 2 = 1/4, 1/4, 3/4).
  const Image in{1, 4, 1, {70, 140, 210, 0}};
  Image out;
  ASSERT_OK(ResizeImage(in, 1, 2, Fit::kStretch, &out));
  EXPECT_EQ(out.pixels[0], (3 * 70 + 3 * 140 + 210 + 3) / 7);
  EXPECT_EQ(out.pixels[1], (140 + 3 * 210 + 3) / 7);
  // 2 -> 4: bilinear between the centres, 3/4 and 1/4.
  ASSERT_OK(ResizeImage(Image{1, 2, 1, {100, 200}}, 1, 4, Fit::kStretch, &out));
  EXPECT_EQ(out.pixels, (Bytes{100, 125, 175, 200}));
}

TEST(Resize, ConstantStaysConstant) {
  const Image in{37, 53, 3, Bytes(37 * 53 * 3, 255)};
  for (auto [h, w] : {std::pair{1, 1}, {32, 32}, {100, 7}, {36, 54}}) {
    for (Fit fit : {Fit::kCrop, Fit::kStretch}) {
      Image out;
      ASSERT_OK(ResizeImage(in, h, w, fit, &out));
      EXPECT_EQ(out.pixels, Bytes(static_cast<size_t>(h * w * 3), 255));
    }
  }
}

TEST(Resize, CropKeepsTheCentre) {
  Image in{10, 30, 1, Bytes(300, 0)};
  for (size_t y = 0; y < 10; ++y) std::fill_n(in.pixels.begin() + static_cast<std::ptrdiff_t>(30 * y + 10), 10, 200);
  Image out;
  ASSERT_OK(ResizeImage(in, 10, 10, Fit::kCrop, &out));
  EXPECT_EQ(out.pixels, Bytes(100, 200));
  ASSERT_OK(ResizeImage(in, 10, 10, Fit::kStretch, &out));
  EXPECT_EQ(out.pixels[0], 0);
}

TEST(Resize, Misuse) {
  Image out;
  ExpectError(ResizeImage(Gradient(4, 4, 3), 0, 4, Fit::kCrop, &out), Code::kInvalidArgument, {"0x4"});
  ExpectError(ConvertChannels(Gradient(4, 4, 3), 2, &out), Code::kInvalidArgument, {"not 2"});
}

TEST(Channels, Luma) {
  Image out;
  ASSERT_OK(ConvertChannels(Image{1, 3, 3, {255, 0, 0, 0, 255, 0, 10, 10, 10}}, 1, &out));
  EXPECT_EQ(out.pixels, (Bytes{76, 150, 10}));  // 0.299 * 255, 0.587 * 255
}

TEST(Load, ForPrediction) {
  TempFolder folder;
  WriteBytes(folder / "a.png", EncodePng(Gradient(40, 60, 3)));
  Image image;
  ASSERT_OK(LoadImage(folder / "a.png", 32, 32, 3, Fit::kCrop, &image));
  EXPECT_EQ(image.pixels.size(), 32u * 32 * 3);
}

}  // namespace
}  // namespace distil::data
