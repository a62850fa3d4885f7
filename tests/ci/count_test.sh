#!/usr/bin/env bash
# The verdict of .ci/run rests on count.py: one run of tests in which each kind of thing happens once.
set -euo pipefail
count=$PWD/$1
cd "$TEST_TMPDIR"

expect() { # expect WANTED EVENTS BAZEL-STATUS
  local got
  got=$(python3 "$count" "$2" "$3" 2> names)
  [[ $got == "$1" ]] || {
    echo "for $2 wanted '$1', got '$got'; named as failed:"
    cat names
    exit 1
  }
}

cat > mixed.xml << 'XML'
<testsuites><testsuite name="A">
  <testcase name="Good" classname="A" result="completed"/>
  <testcase name="Other" classname="A" result="completed"/>
  <testcase name="Bad" classname="A" result="completed"><failure message="1 is not 2"/></testcase>
  <testcase name="NoData" classname="A" result="skipped"><skipped message="DISTIL_DATA is not set"/></testcase>
  <testcase name="DISABLED_Off" classname="A" result="suppressed"/>
</testsuite></testsuites>
XML
echo '<testsuites><testsuite name="s"><testcase name="s"/></testsuite></testsuites>' > passed.xml

configured() { echo "{\"id\":{\"targetConfigured\":{\"label\":\"$1\"}},\"configured\":{\"targetKind\":\"$2 rule\"}}"; }
completed() { echo "{\"id\":{\"targetCompleted\":{\"label\":\"$1\"}},\"completed\":{\"success\":$2}}"; }
result() {
  echo "{\"id\":{\"testResult\":{\"label\":\"$1\",\"shard\":1}},\"testResult\":{\"testActionOutput\":" \
    "[{\"name\":\"test.xml\",\"uri\":\"file://$PWD/$2\"}]}}"
}
summary() { echo "{\"id\":{\"testSummary\":{\"label\":\"$1\"}},\"testSummary\":{\"overallStatus\":\"$2\"}}"; }

{
  configured //:mixed cc_test
  completed //:mixed true
  result //:mixed mixed.xml
  summary //:mixed FAILED
} > mixed.events
expect "2 1 2" mixed.events 3
grep -q '//:mixed: A.Bad' names

{
  configured //:plain sh_test
  completed //:plain true
  result //:plain passed.xml
  summary //:plain PASSED
  configured //:library cc_library
  completed //:library true
} > plain.events
expect "1 0 0" plain.events 0

# Killed before it could report: every case that it reported passed, and yet it failed.
{
  configured //:killed cc_test
  completed //:killed true
  result //:killed passed.xml
  summary //:killed TIMEOUT
} > killed.events
expect "1 1 0" killed.events 3

# A test that does not build has neither result nor summary.
{
  configured //:broken cc_test
  echo '{"id":{"targetCompleted":{"label":"//:broken"}},"completed":{}}'
} > broken.events
expect "0 1 0" broken.events 1

: > nothing.events
expect "0 0 0" nothing.events 4 # no target matches
expect "0 1 0" nothing.events 1 # nothing ran because something else is wrong
expect "0 1 0" missing.events 1

echo "all counts are right"
