#include "harness/tensorboard.h"

#include <gtest/gtest.h>

#include "harness/testing.h"

namespace distil::harness {
namespace {

TEST(TensorBoard, Crc32c) {
  EXPECT_EQ(Crc32c("123456789"), 0xE3069283u);            // the check value of the Castagnoli polynomial
  EXPECT_EQ(Crc32c(std::string(32, '\0')), 0x8A9136AAu);  // RFC 3720, B.4
}

TEST(TensorBoard, FramesAndMessages) {
  // Event{wall_time: 1, step: 3, summary{value{tag: "lr", simple_value: 0.5}}}, by hand.
  const std::string event(
      "\x09\0\0\0\0\0\0\xf0\x3f"
      "\x10\x03"
      "\x2a\x0b"
      "\x0a\x09"
      "\x0a\x02lr"
      "\x15\0\0\0\x3f",
      24);
  EXPECT_EQ(ScalarEvent(1, 3, {{"lr", 0.5f}}), event);
  std::string frame = TfRecord(event);
  EXPECT_EQ(frame.size(), 8 + 4 + event.size() + 4);
  EXPECT_EQ(frame.substr(0, 8), std::string("\x18\0\0\0\0\0\0\0", 8));
  EXPECT_EQ(frame.substr(12, event.size()), event);
}

TEST(TensorBoard, TagsAreTheUsualOnes) {
  EpochMetrics m;
  m.epoch = 1, m.lr = 0.1, m.top1 = 50, m.top5 = 80, m.loss = 2;
  m.train = {{"loss", 3}, {"ce", 1}, {"kd", 2}, {"top1", 40}};
  std::vector<std::string> tags;
  for (const auto& [tag, value] : Scalars(m)) tags.push_back(tag);
  EXPECT_EQ(tags, (std::vector<std::string>{"train/loss_ce", "train/loss_kd", "train/loss", "train/top1", "test/top1",
                                            "test/top5", "test/loss", "lr"}));
}

TEST(TensorBoard, AFileGrowsByWholeRecords) {
  TemporaryFolder folder;
  EpochMetrics m;
  m.epoch = 1, m.train = {{"loss", 3}};
  TensorBoardFile file;
  ASSERT_OK(file.Open(folder / "tb", {m}));
  m.epoch = 2;
  ASSERT_OK(file.Add(m));
  std::string content;
  ASSERT_OK(ReadFile(folder / "tb/events.out.tfevents.distil", &content));
  int records = 0;
  for (size_t at = 0; at < content.size(); ++records) {
    ASSERT_LE(at + 12, content.size());
    size_t size = 0;
    for (int i = 7; i >= 0; --i) size = size << 8 | static_cast<unsigned char>(content[at + i]);
    ASSERT_LE(at + 16 + size, content.size());
    at += 16 + size;
  }
  EXPECT_EQ(records, 3);
}

}  // namespace
}  // namespace distil::harness
