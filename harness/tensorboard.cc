#include "harness/tensorboard.h"

#include <array>
#include <bit>
#include <chrono>

namespace distil::harness {
namespace {

void Fixed32(uint32_t value, std::string* out) {
  for (int i = 0; i < 4; ++i) *out += static_cast<char>(value >> (8 * i));
}

void Fixed64(uint64_t value, std::string* out) {
  for (int i = 0; i < 8; ++i) *out += static_cast<char>(value >> (8 * i));
}

void Varint(uint64_t value, std::string* out) {
  for (; value >= 0x80; value >>= 7) *out += static_cast<char>(value | 0x80);
  *out += static_cast<char>(value);
}

// Protocol buffer fields: key = number * 8 + wire type (0 varint, 1 fixed64, 2 length-delimited, 5 fixed32).
void DoubleField(int number, double value, std::string* out) {
  Varint(number * 8 + 1, out);
  Fixed64(std::bit_cast<uint64_t>(value), out);
}
void IntField(int number, int64_t value, std::string* out) {
  Varint(number * 8, out);
  Varint(static_cast<uint64_t>(value), out);
}
void FloatField(int number, float value, std::string* out) {
  Varint(number * 8 + 5, out);
  Fixed32(std::bit_cast<uint32_t>(value), out);
}
void BytesField(int number, std::string_view value, std::string* out) {
  Varint(number * 8 + 2, out);
  Varint(value.size(), out);
  out->append(value);
}

double Now() { return std::chrono::duration<double>(std::chrono::system_clock::now().time_since_epoch()).count(); }

}  // namespace

uint32_t Crc32c(std::string_view bytes) {
  static const std::array<uint32_t, 256> kTable = [] {
    std::array<uint32_t, 256> table{};
    for (uint32_t i = 0; i < 256; ++i) {
      uint32_t crc = i;
      for (int k = 0; k < 8; ++k) crc = crc >> 1 ^ (crc & 1 ? 0x82F63B78u : 0);
      table[i] = crc;
    }
    return table;
  }();
  uint32_t crc = ~0u;
  for (char c : bytes) crc = kTable[(crc ^ static_cast<unsigned char>(c)) & 255] ^ crc >> 8;
  return ~crc;
}

uint32_t MaskedCrc32c(std::string_view bytes) {
  uint32_t crc = Crc32c(bytes);
  return (crc >> 15 | crc << 17) + 0xa282ead8u;
}

std::string TfRecord(std::string_view event) {
  std::string length, out;
  Fixed64(event.size(), &length);
  out = length;
  Fixed32(MaskedCrc32c(length), &out);
  out.append(event);
  Fixed32(MaskedCrc32c(event), &out);
  return out;
}

std::string VersionEvent(double wall_time) {
  std::string event;
  DoubleField(1, wall_time, &event);       // Event.wall_time
  BytesField(3, "brain.Event:2", &event);  // Event.file_version
  return event;
}

std::string ScalarEvent(double wall_time, int64_t step, const std::vector<std::pair<std::string, float>>& scalars) {
  std::string summary;
  for (const auto& [tag, value] : scalars) {
    std::string entry;
    BytesField(1, tag, &entry);      // Summary.Value.tag
    FloatField(2, value, &entry);    // Summary.Value.simple_value
    BytesField(1, entry, &summary);  // Summary.value
  }
  std::string event;
  DoubleField(1, wall_time, &event);
  IntField(2, step, &event);       // Event.step
  BytesField(5, summary, &event);  // Event.summary
  return event;
}

std::vector<std::pair<std::string, float>> Scalars(const EpochMetrics& m) {
  std::vector<std::pair<std::string, float>> scalars;
  auto add = [&](const std::string& tag, double value) { scalars.emplace_back(tag, static_cast<float>(value)); };
  for (const auto& [name, value] : m.train)
    add(name == "loss" || name == "top1" ? "train/" + name : "train/loss_" + name, value);
  add("test/top1", m.top1);
  add("test/top5", m.top5);
  add("test/loss", m.loss);
  add("lr", m.lr);
  return scalars;
}

Status TensorBoardFile::Open(const std::string& folder, const std::vector<EpochMetrics>& epochs) {
  DISTIL_RETURN_IF_ERROR(MakeFolders(folder));
  std::string content = TfRecord(VersionEvent(Now()));
  for (const EpochMetrics& m : epochs) content += TfRecord(ScalarEvent(Now(), m.epoch, Scalars(m)));
  return file_.Open(JoinPath(folder, "events.out.tfevents.distil"), content);
}

Status TensorBoardFile::Add(const EpochMetrics& m) {
  return file_.Append(TfRecord(ScalarEvent(Now(), m.epoch, Scalars(m))));
}

}  // namespace distil::harness
