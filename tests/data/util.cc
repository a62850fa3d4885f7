#include "tests/data/util.h"

#include <archive.h>
#include <archive_entry.h>
#include <dirent.h>
#include <png.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iterator>
// jpeglib.h needs size_t and FILE first.
#include <jpeglib.h>

#include "lib/base/random.h"

namespace distil::data {

void ExpectError(const Status& status, Code code, const std::vector<std::string>& parts) {
  EXPECT_FALSE(status.ok());
  EXPECT_EQ(static_cast<int>(status.code()), static_cast<int>(code)) << status.message();
  for (const auto& part : parts) {
    EXPECT_NE(status.message().find(part), std::string::npos) << "no '" << part << "' in: " << status.message();
  }
  EXPECT_EQ(status.message().find('\n'), std::string::npos) << status.message();
}

TempFolder::TempFolder() {
  const char* base = std::getenv("TEST_TMPDIR");
  std::string name = std::string(base ? base : "/tmp") + "/data_XXXXXX";
  EXPECT_NE(mkdtemp(name.data()), nullptr);
  path_ = name;
}

TempFolder::~TempFolder() {
  std::error_code ignored;
  std::filesystem::remove_all(path_, ignored);
}

std::vector<std::string> TempFolder::Names() const {
  std::vector<std::string> names;
  for (const auto& entry : std::filesystem::directory_iterator(path_)) names.push_back(entry.path().filename());
  return names;
}

void WriteBytes(const std::string& path, const Bytes& bytes) {
  std::filesystem::create_directories(std::filesystem::path(path).parent_path());
  std::ofstream out(path, std::ios::binary);
  out.write(reinterpret_cast<const char*>(bytes.data()), static_cast<std::streamsize>(bytes.size()));
  ASSERT_TRUE(out.good()) << path;
}

Bytes ReadBytes(const std::string& path) {
  std::ifstream in(path, std::ios::binary);
  return Bytes(std::istreambuf_iterator<char>(in), {});
}

namespace {

void AddEntry(struct archive* a, const std::string& name, const Bytes& bytes) {
  struct archive_entry* entry = archive_entry_new();
  archive_entry_set_pathname(entry, name.c_str());
  archive_entry_set_size(entry, static_cast<la_int64_t>(bytes.size()));
  archive_entry_set_filetype(entry, AE_IFREG);
  archive_entry_set_perm(entry, 0644);
  archive_write_header(a, entry);
  archive_write_data(a, bytes.data(), bytes.size());
  archive_entry_free(entry);
}

}  // namespace

Bytes Gzip(const Bytes& bytes) {
  struct archive* a = archive_write_new();
  archive_write_add_filter_gzip(a);
  archive_write_set_format_raw(a);
  Bytes out(bytes.size() * 2 + (1 << 16));
  size_t used = 0;
  archive_write_set_bytes_in_last_block(a, 1);
  archive_write_open_memory(a, out.data(), out.size(), &used);
  AddEntry(a, "data", bytes);
  archive_write_close(a);
  archive_write_free(a);
  out.resize(used);
  return out;
}

void WriteTarGz(const std::string& path, const std::vector<std::pair<std::string, Bytes>>& files) {
  struct archive* a = archive_write_new();
  archive_write_add_filter_gzip(a);
  archive_write_set_format_pax_restricted(a);
  ASSERT_EQ(archive_write_open_filename(a, path.c_str()), ARCHIVE_OK);
  for (const auto& [name, bytes] : files) AddEntry(a, name, bytes);
  archive_write_close(a);
  archive_write_free(a);
}

Dataset Toy(int64_t train, int64_t test, int64_t val, int classes) {
  Dataset d;
  d.height = 5, d.width = 4, d.channels = 3;
  d.num_classes = classes;
  for (int c = 0; c < classes; ++c) d.class_names.push_back("class " + std::to_string(c));
  d.source = "toy";
  const int64_t sizes[3] = {train, val, test};
  for (SplitKind kind : kAllSplits) {
    const auto s = static_cast<uint32_t>(kind);
    for (uint32_t i = 0; i < sizes[s]; ++i) {
      d.splits[s].labels.push_back(
          static_cast<int32_t>(ToRange(RandomWords(7, Purpose::kTest, s, i, 0)[0], static_cast<uint32_t>(classes))));
      for (uint32_t p = 0; p < d.sample_bytes(); ++p) {
        d.splits[s].images.push_back(static_cast<uint8_t>(RandomWords(7, Purpose::kTest, s, i, 1 + p)[0]));
      }
    }
  }
  Finish(&d);
  return d;
}

Image Gradient(int height, int width, int channels) {
  Image image{height, width, channels, {}};
  for (int y = 0; y < height; ++y) {
    for (int x = 0; x < width; ++x) {
      for (int c = 0; c < channels; ++c) {
        image.pixels.push_back(static_cast<uint8_t>(40 + 150 * x / width * (c == 0) + 150 * y / height * (c != 0)));
      }
    }
  }
  return image;
}

namespace {

Bytes Compress(const Image& image, J_COLOR_SPACE space, bool adobe) {
  jpeg_compress_struct info;
  jpeg_error_mgr errors;
  info.err = jpeg_std_error(&errors);
  jpeg_create_compress(&info);
  unsigned char* buffer = nullptr;
  unsigned long size = 0;
  jpeg_mem_dest(&info, &buffer, &size);
  info.image_width = static_cast<JDIMENSION>(image.width);
  info.image_height = static_cast<JDIMENSION>(image.height);
  info.input_components = image.channels;
  info.in_color_space = space;
  jpeg_set_defaults(&info);
  jpeg_set_quality(&info, 95, TRUE);
  if (space == JCS_CMYK) info.write_Adobe_marker = adobe ? TRUE : FALSE;
  info.comp_info[0].h_samp_factor = info.comp_info[0].v_samp_factor = 1;
  jpeg_start_compress(&info, TRUE);
  while (info.next_scanline < info.image_height) {
    auto* row = const_cast<uint8_t*>(image.pixels.data()) +
                static_cast<size_t>(info.next_scanline) * image.width * image.channels;
    jpeg_write_scanlines(&info, &row, 1);
  }
  jpeg_finish_compress(&info);
  Bytes bytes(buffer, buffer + size);
  jpeg_destroy_compress(&info);
  std::free(buffer);
  return bytes;
}

}  // namespace

Bytes EncodeJpeg(const Image& image) { return Compress(image, image.channels == 1 ? JCS_GRAYSCALE : JCS_RGB, false); }

Bytes EncodeCmykJpeg(int height, int width, const uint8_t* cmyk, bool adobe) {
  Image image{height, width, 4, {}};
  for (int i = 0; i < height * width; ++i) image.pixels.insert(image.pixels.end(), cmyk, cmyk + 4);
  return Compress(image, JCS_CMYK, adobe);
}

Bytes EncodePng(const Image& image) {
  png_image png{};
  png.version = PNG_IMAGE_VERSION;
  png.width = static_cast<png_uint_32>(image.width);
  png.height = static_cast<png_uint_32>(image.height);
  png.format = image.channels == 1   ? PNG_FORMAT_GRAY
               : image.channels == 2 ? PNG_FORMAT_GA
               : image.channels == 3 ? PNG_FORMAT_RGB
                                     : PNG_FORMAT_RGBA;
  Bytes bytes(1 << 22);
  png_alloc_size_t size = bytes.size();
  EXPECT_TRUE(png_image_write_to_memory(&png, bytes.data(), &size, 0, image.pixels.data(), 0, nullptr));
  bytes.resize(size);
  return bytes;
}

AsNobody::AsNobody() {
  if (getuid() != 0) return;
  EXPECT_EQ(seteuid(65534), 0);
}

AsNobody::~AsNobody() {
  if (getuid() != 0) return;
  EXPECT_EQ(seteuid(0), 0);
}

}  // namespace distil::data
