#!/usr/bin/env bash
# Checks and times distil on this machine's GPU, without Bazel and without a compiler. One line for each check:
# "ok NAME", "FAILED NAME" or "skipped NAME", with the seconds it took; what it printed is in RESULTS/NAME.log.
#
#   run.sh [--results DIR] [--device cuda:0] [--python PYTHON] [--timeout SECONDS] [--data DATA] [CHECK...]
#
# Checks, all but the last by default and in this order:
#   tests     every op, network, method and trajectory against the reference in f64 and against PyTorch's numbers
#   agree     fifty steps on the GPU beside fifty on the CPU
#   repeat    the same training twice: the same bits
#   resume    killed at random moments and continued: the same bits
#   bench     steps in f32, tf32 and bf16: images per second, kernels, bytes moved (RESULTS/step.json)
#   torch     the same steps by PyTorch beside ours (RESULTS/torch.json); skipped where PYTHON has no torch with CUDA
#   quick     the harness's quickstart on the GPU, with its records and report
#   sanitize  compute-sanitizer (memcheck, initcheck, racecheck, synccheck) over the tests of every op; skipped without it
#   full      WRN-40-2, WRN-16-2 and KD of one by the other in the DSKD paper's setting, 240 epochs and three seeds, on
#             DATA: CIFAR-100's binary files (folder or archive) or cifar100.h5. Records: RESULTS/runs. Hours: it takes
#             as long as --timeout lets it, and the same command goes on from there
#
# Exit: 0 all is well, 1 something failed, 2 wrong arguments, 77 this machine has no device that can be used.
set -uo pipefail

here=$(cd "$(dirname "$(realpath "$0")")" && pwd)
results=$PWD/gpu-results device=cuda:0 python=$(command -v python3 || true) limit=600 data=
standard=(tests agree repeat resume bench torch quick sanitize)
checks=()

usage() {
  echo "run.sh: $*" >&2
  sed -n '2,/^set /s/^# \{0,1\}//p' "$0" | sed '$d' >&2
  exit 2
}
while (($#)); do
  case $1 in
    --results | --device | --python | --timeout | --data)
      (($# > 1)) || usage "$1 needs a value"
      case $1 in
        --results) results=$(realpath -m "$2") ;;
        --device) device=$2 ;;
        --python) python=$2 ;;
        --timeout) limit=$2 ;;
        --data) data=$(realpath -m "$2") ;;
      esac
      shift 2
      ;;
    --help | -h) usage "what it does:" ;;
    *)
      [[ " ${standard[*]} full " == *" $1 "* ]] || usage "there is no check '$1'"
      checks+=("$1")
      shift
      ;;
  esac
done
((${#checks[@]})) || checks=("${standard[@]}")
[[ " ${checks[*]} " != *" full "* || -e $data ]] || usage "full needs --data"
[[ $device =~ ^cuda:[0-9]+$ ]] || usage "--device is '$device', not a GPU: cuda:0, cuda:1, ..."
[[ $limit =~ ^[0-9]+$ ]] || usage "--timeout is '$limit', not seconds"

mkdir -p "$results" || exit 1
cd "$here" || exit 1
failures=0

# The libraries that came along serve our programs only, never PyTorch.
own() { LD_LIBRARY_PATH=$here/lib${LD_LIBRARY_PATH:+:$LD_LIBRARY_PATH} "$@"; }
export DISTIL_PYTHON=$python

check() { # check NAME COMMAND...: a command that returns 77 is skipped
  local name=$1 begin=$SECONDS code=0
  shift
  "$@" > "$results/$name.log" 2>&1 || code=$?
  case $code in
    0) echo "ok $name ($((SECONDS - begin)) s)" ;;
    77) echo "skipped $name: $(tail -n 1 "$results/$name.log")" ;;
    124 | 137) echo "FAILED $name: stopped after $((SECONDS - begin)) s, see $results/$name.log" ;;
    *) echo "FAILED $name ($((SECONDS - begin)) s), see $results/$name.log" ;;
  esac
  [[ $code == 0 || $code == 77 ]] || failures=$((failures + 1))
}

# A test program, those of its tests that the filter names: at least one ran, and none was skipped.
gtest() { # gtest PROGRAM FILTER
  local out code=0
  out=$(mktemp)
  TEST_TMPDIR=$(mktemp -d) own timeout "$limit" "bin/$1" --gtest_filter="$2" --gtest_color=no | tee "$out" || code=$?
  if [[ $code == 0 ]]; then
    grep -q '^\[  PASSED  \] [1-9]' "$out" || { echo "no test ran"; code=1; }
    ! grep -q '^\[  SKIPPED \]' "$out" || { echo "tests were skipped"; code=1; }
  fi
  rm -f "$out"
  return "$code"
}

train() { # train FOLDER: a short training; prints digests of what it gave
  own timeout "$limit" bin/harness train --network resnet8 --data "$results/tiny.h5" --epochs 2 --set batch=32 \
    --seed 3 --threads 1 --device "$device" --quiet --restart --to "$1" > /dev/null &&
    (cd "$1" && sha256sum student.safetensors metrics.jsonl)
}

repeat() {
  local first second
  own bin/harness synth --to "$results/tiny.h5" --train 320 --test 80 --classes 4 || return
  first=$(train "$results/repeat1") || return
  second=$(train "$results/repeat2") || return
  printf 'first:\n%s\nsecond:\n%s\n' "$first" "$second"
  [[ $first == "$second" ]]
}

step() { # step OUTPUT OPTION...
  own timeout "$limit" bin/step --device "$device" --pair wrn_40_2:wrn_16_2,resnet32x4:resnet8x4 --batch 64,256 --steps 60 \
    --warmup 10 --rounds 3 --output "$results/$1" "${@:2}"
}

side_by_side() {
  "$python" -c 'import torch, sys; sys.exit(not torch.cuda.is_available())' 2> /dev/null || {
    echo "$python has no torch with CUDA"
    return 77
  }
  step torch.json --compare-torch --no-floor --python "$here/python.sh"
}

quick() { own timeout "$limit" bin/harness quickstart --device "$device" --to "$results/quickstart"; }

sanitize() {
  local tool status=0
  local folders=$PATH:${CUDA_HOME:-/usr/local/cuda}/bin
  local sanitizer
  sanitizer=$(PATH=$folders command -v compute-sanitizer) || {
    echo "no compute-sanitizer on PATH or in CUDA_HOME/bin"
    return 77
  }
  for tool in memcheck initcheck racecheck synccheck; do
    echo "== $tool"
    own timeout "$limit" "$sanitizer" --tool "$tool" --error-exitcode 1 bin/values_test --gtest_filter='*cuda*' \
      --gtest_brief=1 || status=1
  done
  return "$status"
}

full() {
  local file=$data
  if [[ $data != *.h5 ]]; then
    file=$results/cifar100.h5
    [[ -e $file ]] || own bin/harness import cifar100 --from "$data" --to "$file" || return
  fi
  own timeout "$limit" bin/harness reproduce dskd/table1 --device "$device" --data "$file" --runs "$results/runs" --quiet \
    --cell '*:wrn_16_2:ce' --cell wrn_40_2:wrn_16_2:kd
}

# ---- The device

{
  date -u +%FT%TZ
  own bin/harness --version
  nvidia-smi 2>&1
  own bin/harness list devices --json
} > "$results/device.log" 2>&1
description=$(own bin/harness list devices | sed -n 's/^cuda:0  *//p')
case $description in
  cuda\ *) echo "device: $description" ;;
  *)
    echo "no device: ${description#not usable: }"
    exit 77
    ;;
esac

for c in "${checks[@]}"; do
  case $c in
    tests)
      check device gtest device_test 'Cuda.*-*AMissingDevice*'
      check values gtest values_test '*cuda*'
      check ops gtest ops_test '*cuda*'
      check golden_ops gtest golden_ops_test '*'
      check programs gtest program_test '*cuda*'
      check planner gtest planner_test '*cuda*'
      check threads gtest threads_test '*'
      check networks gtest golden_test '*cuda*'
      check api gtest api_test '*cuda*'
      check inference gtest inference_test '*cuda*'
      check trainer gtest trainer_test '*cuda*'
      check methods gtest methods_test '*cuda*'
      check trajectory gtest trajectory_test '*cuda*'
      ;;
    agree) check agree gtest agreement_test '*cuda*' ;;
    repeat) check repeat repeat ;;
    resume) check resume own timeout "$limit" bash harness/resume_test.sh bin/harness "$device" ;;
    bench) check bench step step.json --profile ;;
    torch) check torch side_by_side ;;
    quick) check quick quick ;;
    sanitize) check sanitize sanitize ;;
    full) check full full ;;
  esac
done
((failures == 0)) || exit 1
