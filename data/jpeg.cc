// JPEG through libjpeg-turbo. Its errors, which would end the process, come back by longjmp; its warnings
// count as damage unless they are known to be harmless.
#include <csetjmp>
#include <cstdio>
// jpeglib.h needs size_t and FILE first.
#include <jerror.h>
#include <jpeglib.h>

#include "data/decode.h"
#include "data/files.h"

namespace distil::data {
namespace {

struct ErrorManager {
  jpeg_error_mgr base;  // first: libjpeg hands back a pointer to it
  std::jmp_buf jump;
  char message[JMSG_LENGTH_MAX];
};

[[noreturn]] void OnError(j_common_ptr info) {
  auto* manager = reinterpret_cast<ErrorManager*>(info->err);
  info->err->format_message(info, manager->message);
  std::longjmp(manager->jump, 1);
}

void OnMessage(j_common_ptr info, int level) {
  if (level >= 0) return;  // trace
  switch (info->err->msg_code) {
    case JWRN_EXTRANEOUS_DATA:  // bytes between markers
    case JWRN_ADOBE_XFORM:
    case JWRN_JFIF_MAJOR: return;
    default: OnError(info);
  }
}

// Everything that longjmp passes over is plain data, kept by the caller.
struct Decoder {
  jpeg_decompress_struct info;
  ErrorManager errors;
  std::vector<uint8_t>* rows;
};

bool ReadHeader(Decoder* d, const uint8_t* bytes, size_t size) {
  if (setjmp(d->errors.jump)) return false;
  jpeg_create_decompress(&d->info);
  jpeg_mem_src(&d->info, bytes, size);
  jpeg_read_header(&d->info, TRUE);
  switch (d->info.jpeg_color_space) {
    case JCS_GRAYSCALE: d->info.out_color_space = JCS_GRAYSCALE; break;
    case JCS_CMYK:
    case JCS_YCCK: d->info.out_color_space = JCS_CMYK; break;
    default: d->info.out_color_space = JCS_RGB;
  }
  d->info.dct_method = JDCT_ISLOW;
  return true;
}

bool ReadPixels(Decoder* d) {
  if (setjmp(d->errors.jump)) return false;
  jpeg_start_decompress(&d->info);
  const size_t stride = static_cast<size_t>(d->info.output_width) * d->info.output_components;
  while (d->info.output_scanline < d->info.output_height) {
    JSAMPROW row = d->rows->data() + d->info.output_scanline * stride;
    jpeg_read_scanlines(&d->info, &row, 1);
  }
  jpeg_finish_decompress(&d->info);
  return true;
}

// Adobe writes CMYK inverted (0 is full ink), others do not.
void CmykToRgb(const std::vector<uint8_t>& cmyk, bool inverted, std::vector<uint8_t>* rgb) {
  rgb->resize(cmyk.size() / 4 * 3);
  for (size_t i = 0, o = 0; i + 4 <= cmyk.size(); i += 4) {
    const unsigned k = inverted ? cmyk[i + 3] : 255u - cmyk[i + 3];
    for (size_t c = 0; c < 3; ++c) {
      const unsigned v = inverted ? cmyk[i + c] : 255u - cmyk[i + c];
      (*rgb)[o++] = static_cast<uint8_t>((v * k + 127) / 255);
    }
  }
}

}  // namespace

Status DecodeJpeg(const uint8_t* bytes, size_t size, const std::string& name, Image* image) {
  Decoder d{};
  std::vector<uint8_t> rows;
  d.rows = &rows;
  d.info.err = jpeg_std_error(&d.errors.base);
  d.errors.base.error_exit = OnError;
  d.errors.base.emit_message = OnMessage;
  d.errors.base.output_message = [](j_common_ptr) {};
  Status status;
  bool ok = ReadHeader(&d, bytes, size);
  if (ok) {
    const uint64_t pixels = static_cast<uint64_t>(d.info.image_width) * d.info.image_height;
    const int components = d.info.out_color_space == JCS_GRAYSCALE ? 1 : d.info.out_color_space == JCS_CMYK ? 4 : 3;
    if (pixels > kMaxPixels) {
      status = Corrupt(name + ": a JPEG of " + std::to_string(d.info.image_width) + "x" +
                       std::to_string(d.info.image_height) + " pixels is too large");
    } else {
      status = Resize(&rows, pixels * static_cast<uint64_t>(components), name);
    }
    if (status.ok()) ok = ReadPixels(&d);
    if (status.ok() && ok) {
      image->height = static_cast<int>(d.info.image_height);
      image->width = static_cast<int>(d.info.image_width);
      image->channels = components == 1 ? 1 : 3;
      if (components == 4) {
        CmykToRgb(rows, d.info.saw_Adobe_marker, &image->pixels);
      } else {
        image->pixels = std::move(rows);
      }
    }
  }
  if (!ok) status = Corrupt(name + ": damaged JPEG: " + Printable(d.errors.message));
  jpeg_destroy_decompress(&d.info);
  return status;
}

}  // namespace distil::data
