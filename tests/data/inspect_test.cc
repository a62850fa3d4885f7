// Inspect: what is in a file, as a struct, as text, as JSON.
#include "data/inspect.h"

#include "tests/data/util.h"

namespace distil::data {
namespace {

TEST(Inspect, AllOfIt) {
  TempFolder folder;
  Dataset d = Toy(50, 20, 10);
  d.class_names[1] = "caf\xc3\xa9 \"noir\"";
  d.source = "made\tby hand";
  Finish(&d);
  ASSERT_OK(WriteDataset(d, folder / "toy.h5"));
  Inspection i;
  ASSERT_OK(Inspect(folder / "toy.h5", true, &i));
  EXPECT_EQ(i.splits[0].samples, 50);
  EXPECT_EQ(i.splits[1].samples, 10);
  EXPECT_EQ(i.splits[2].per_class, ClassCounts(d.test().labels, 3));
  EXPECT_EQ(i.digest, d.digest);
  EXPECT_TRUE(i.digest_verified);
  EXPECT_EQ(i.file_bytes, ReadBytes(folder / "toy.h5").size());
  const std::string text = InspectionText(i);
  for (const char* part : {"toy.h5", "5 x 4 x 3", "train    50 samples", "contiguous", "(verified)", "made?by hand"}) {
    EXPECT_NE(text.find(part), std::string::npos) << part << " in\n" << text;
  }
  const std::string json = InspectionJson(i);
  for (const char* part :
       {"\"num_classes\": 3", "\"caf\xc3\xa9 \\\"noir\\\"\"", "\"samples\": 50", "\"sha256_verified\": true"}) {
    EXPECT_NE(json.find(part), std::string::npos) << part << " in\n" << json;
  }
}

TEST(Inspect, WarnsOfEmptyClasses) {
  TempFolder folder;
  Dataset d = Toy(50, 20);
  d.num_classes = 5, d.class_names.clear();
  Finish(&d);
  ASSERT_OK(WriteDataset(d, folder / "toy.h5"));
  Inspection i;
  ASSERT_OK(Inspect(folder / "toy.h5", false, &i));
  EXPECT_FALSE(i.digest_verified);
  EXPECT_NE(InspectionText(i).find("no sample of 2 of the 5 classes"), std::string::npos);
}

TEST(Inspect, Missing) {
  TempFolder folder;
  Inspection i;
  ExpectError(Inspect(folder / "no.h5", true, &i), Code::kNotFound, {"no.h5"});
}

TEST(Inspect, JsonOfBytesThatAreNotUtf8) {
  Inspection i;
  i.class_names = {"\xff\xfe", "a\x80z", "\xe2\x82", "\xf0\x9f\x98\x80"};
  const std::string json = InspectionJson(i);
  EXPECT_NE(json.find("[\"??\", \"a?z\", \"??\", \"\xf0\x9f\x98\x80\"]"), std::string::npos) << json;
}

}  // namespace
}  // namespace distil::data
