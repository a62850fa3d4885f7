// PNG through libpng. Its errors come back by longjmp.
#include <png.h>

#include <algorithm>
#include <csetjmp>
#include <cstring>

#include "data/decode.h"
#include "data/files.h"

namespace distil::data {
namespace {

// Everything that longjmp passes over is plain data, kept by the caller.
struct Decoder {
  png_structp png = nullptr;
  png_infop info = nullptr;
  const uint8_t* bytes = nullptr;
  size_t left = 0;
  std::jmp_buf jump;
  char message[128] = "";
  png_uint_32 width = 0, height = 0;
  int channels = 0;
  uint8_t* pixels = nullptr;
  int passes = 1;
};

[[noreturn]] void OnError(png_structp png, png_const_charp message) {
  auto* d = static_cast<Decoder*>(png_get_error_ptr(png));
  std::strncpy(d->message, message, sizeof(d->message) - 1);
  std::longjmp(d->jump, 1);
}

void OnRead(png_structp png, png_bytep out, size_t size) {
  auto* d = static_cast<Decoder*>(png_get_io_ptr(png));
  if (size > d->left) png_error(png, "the file ends too early");
  std::memcpy(out, d->bytes, size);
  d->bytes += size;
  d->left -= size;
}

bool ReadHeader(Decoder* d) {
  if (setjmp(d->jump)) return false;
  png_set_read_fn(d->png, d, OnRead);
  png_set_user_limits(d->png, 1u << 20, 1u << 20);
  png_set_chunk_malloc_max(d->png, 8u << 20);
  png_set_chunk_cache_max(d->png, 256);
  png_read_info(d->png, d->info);
  const int color = png_get_color_type(d->png, d->info), depth = png_get_bit_depth(d->png, d->info);
  if (depth == 16) png_set_scale_16(d->png);
  if (color == PNG_COLOR_TYPE_PALETTE) png_set_palette_to_rgb(d->png);
  if (color == PNG_COLOR_TYPE_GRAY && depth < 8) png_set_expand_gray_1_2_4_to_8(d->png);
  png_set_strip_alpha(d->png);  // a tRNS chunk is not expanded, so there is none other than a real channel
  d->passes = png_set_interlace_handling(d->png);
  png_read_update_info(d->png, d->info);
  d->width = png_get_image_width(d->png, d->info);
  d->height = png_get_image_height(d->png, d->info);
  d->channels = png_get_channels(d->png, d->info);
  return true;
}

bool ReadPixels(Decoder* d) {
  if (setjmp(d->jump)) return false;
  const size_t stride = png_get_rowbytes(d->png, d->info);
  for (int pass = 0; pass < d->passes; ++pass) {
    for (png_uint_32 y = 0; y < d->height; ++y) png_read_row(d->png, d->pixels + y * stride, nullptr);
  }
  png_read_end(d->png, nullptr);
  return true;
}

}  // namespace

Status DecodePng(const uint8_t* bytes, size_t size, const std::string& name, Image* image) {
  Decoder d;
  d.bytes = bytes;
  d.left = size;
  d.png = png_create_read_struct(PNG_LIBPNG_VER_STRING, &d, OnError, [](png_structp, png_const_charp) {});
  if (d.png) d.info = png_create_info_struct(d.png);
  if (!d.info) {
    png_destroy_read_struct(&d.png, nullptr, nullptr);
    return {Code::kOutOfMemory, name + ": not enough memory to decode it"};
  }
  Status status;
  bool ok = ReadHeader(&d);
  if (ok) {
    if (static_cast<uint64_t>(d.width) * d.height > kMaxPixels) {
      status = Corrupt(name + ": a PNG of " + std::to_string(d.width) + "x" + std::to_string(d.height) +
                       " pixels is too large");
    } else if (d.channels != 1 && d.channels != 3) {
      status = Unsupported(name + ": a PNG with " + std::to_string(d.channels) + " channels is not read");
    } else {
      image->height = static_cast<int>(d.height);
      image->width = static_cast<int>(d.width);
      image->channels = d.channels;
      status =
          Resize(&image->pixels, static_cast<uint64_t>(d.width) * d.height * static_cast<uint64_t>(d.channels), name);
      d.pixels = image->pixels.data();
    }
    if (status.ok()) ok = ReadPixels(&d);
  }
  if (!ok) status = Corrupt(name + ": damaged PNG: " + Printable(d.message));
  png_destroy_read_struct(&d.png, &d.info, nullptr);
  return status;
}

}  // namespace distil::data
