#!/usr/bin/env bash
# The program on a tiny case: a point for each combination, sane numbers, a well-formed chart, and errors that show.
set -euo pipefail
scaling=$PWD/$1
cd "$TEST_TMPDIR"

"$scaling" --depth 8,14 --batch 2,4 --threads 1 --seconds 0 --output points.json --svg chart.svg
python3 - << 'CHECK'
import json
import xml.etree.ElementTree

with open("points.json", encoding="utf-8") as file:
    points = json.load(file)["points"]
assert [(p["depth"], p["batch"], p["threads"]) for p in points] == [(8, 2, 1), (8, 4, 1), (14, 2, 1), (14, 4, 1)], points
for p in points:
    assert p["image_ms"] > 0 and p["planned_mb"] > 0.5 and p["process_mb"] > 5, p
by_depth = {p["depth"]: p["planned_mb"] for p in points if p["batch"] == 4}
assert by_depth[14] > by_depth[8], by_depth
circles = xml.etree.ElementTree.parse("chart.svg").getroot().iter("{http://www.w3.org/2000/svg}circle")
assert len(list(circles)) == 2 * 4, "a circle for each point in both charts of memory"
CHECK

# What a step takes beyond what its process holds anyway is what was planned.
"$scaling" --depth 20 --batch 64 --threads 1 --seconds 0 --output points.json
python3 - << 'CHECK'
import json

with open("points.json", encoding="utf-8") as file:
    (p,) = json.load(file)["points"]
assert abs(p["measured_mb"] / p["planned_mb"] - 1) < 0.05, p
CHECK

if "$scaling" --depth 9000 --batch 2 --threads 1 2> messages; then exit 1; fi
grep -q 'resnet9000' messages
if "$scaling" --depth 8 --batch 2 --threads 1 --seconds 0 --svg /no/such/folder/chart.svg 2> messages; then exit 1; fi
grep -q 'cannot write' messages
