"""Counts test cases of one `bazel test`: count.py EVENTS EXIT_STATUS prints "PASSED FAILED SKIPPED".

EVENTS is what --build_event_json_file wrote. A GoogleTest binary counts with each of its cases, any other test as one,
and so does a target that did not build. What failed is named on stderr.
"""

import json
import sys
import urllib.parse
import xml.etree.ElementTree

NO_TESTS = 4  # Bazel's exit status when no target matches


def count_cases(path):
    """(passed, failed names, skipped) of one test.xml."""
    passed, failed, skipped = 0, [], 0
    for case in xml.etree.ElementTree.parse(path).iter("testcase"):
        if case.find("failure") is not None or case.find("error") is not None:
            failed.append("%s.%s" % (case.get("classname", ""), case.get("name", "")))
        elif case.get("result") in ("skipped", "suppressed") or case.find("skipped") is not None:
            skipped += 1
        else:
            passed += 1
    return passed, failed, skipped


def main():
    reports, summaries, tests, broken = {}, {}, set(), set()
    try:
        with open(sys.argv[1], encoding="utf-8") as events:
            for line in events:
                event = json.loads(line)
                (kind, ident), = event["id"].items()
                label = ident.get("label") if isinstance(ident, dict) else None
                if kind == "targetConfigured" and "test" in event.get("configured", {}).get("targetKind", ""):
                    tests.add(label)
                elif kind == "targetCompleted" and not event.get("completed", {}).get("success"):
                    broken.add(label)
                elif kind == "testResult":
                    for output in event.get("testResult", {}).get("testActionOutput", []):
                        if output["name"] == "test.xml":  # a later attempt replaces an earlier one
                            path = urllib.parse.unquote(urllib.parse.urlparse(output["uri"]).path)
                            reports[label, ident.get("shard", 1)] = path
                elif kind == "testSummary":
                    summaries[label] = event["testSummary"]["overallStatus"]
    except (OSError, ValueError) as problem:
        print("count.py: %s" % problem, file=sys.stderr)

    passed, failed, skipped = 0, [], 0
    for label, status in sorted(summaries.items()):
        target_failed = []
        for (owner, _), path in sorted(reports.items()):
            if owner == label:
                p, f, s = count_cases(path)
                passed, skipped = passed + p, skipped + s
                target_failed += ["%s: %s" % (label, name) for name in f]
        if status not in ("PASSED", "FLAKY") and not target_failed:
            target_failed = ["%s: %s" % (label, status)]
        failed += target_failed
    failed += ["%s: does not build" % label for label in sorted(tests & broken - set(summaries))]
    if int(sys.argv[2]) not in (0, NO_TESTS) and not failed:
        failed.append("bazel test ended with status %s" % sys.argv[2])
    for name in failed:
        print("FAILED: " + name, file=sys.stderr)
    print(passed, len(failed), skipped)


if __name__ == "__main__":
    main()
