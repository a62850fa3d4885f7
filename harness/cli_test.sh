#!/usr/bin/env bash
# The program from outside: help, exit codes, one clear sentence for each mistake, and every command once on tiny data.
set -uo pipefail

harness=$PWD/$1
cd "$(mktemp -d "${TEST_TMPDIR:-/tmp}/cliXXXXXX")" || exit 1
export NO_COLOR=1 OMP_WAIT_POLICY=passive
unset DISTIL_DATA # real data sets there would be found where these commands look for none
failures=0

fail() {
  echo "FAILED: $*"
  failures=$((failures + 1))
}

# bad TEXT ARGUMENT...: exit code 2, one line on standard error that holds TEXT, nothing on standard output.
bad() {
  local text=$1 code=0
  shift
  "$harness" "$@" > out 2> err || code=$?
  [[ $code == 2 ]] || fail "exit code $code instead of 2: harness $*"
  [[ $(wc -l < err) == 1 ]] || fail "not one line: harness $*: $(cat err)"
  [[ ! -s out ]] || fail "standard output: harness $*: $(cat out)"
  grep -qF -- "$text" err || fail "no '$text' in: $(cat err)"
}

# good TEXT ARGUMENT...: exit code 0 and TEXT on standard output.
good() {
  local text=$1 code=0
  shift
  "$harness" "$@" > out 2> err || code=$?
  [[ $code == 0 ]] || fail "exit code $code: harness $*: $(cat err)"
  grep -qF -- "$text" out || fail "no '$text' in the output of harness $*: $(cat out)"
}

# Help everywhere, with examples.
good 'Examples:' --help
for command in quickstart import "import cifar10" "import cifar100" "import idx" "import folder" "import hdf5" synth inspect \
  train distil evaluate predict reproduce report list "list methods" "list models" "list recipes" "list devices"; do
  # shellcheck disable=SC2086
  good 'Examples:' $command --help
done
good 'harness ' --version

# The command line.
bad 'A subcommand is required'
bad "there is no command 'trian'; did you mean 'train'?" trian
bad "'train' has no option '--netwrok'; did you mean '--network'?" train --netwrok x --data y
bad '--network is required' train --data x
bad "there is no network 'resnet9'; did you mean 'resnet8'?" train --network resnet9 --data x.h5
bad "there is no suite or recipe 'dskdd'; did you mean 'dskd'?" reproduce dskdd
bad "--cell a:b: expected TEACHER:STUDENT:METHOD" reproduce dskd/table1 --cell a:b
bad "dskd/table1 has no method 'kdd'; did you mean 'kd'?" reproduce dskd/table1 --cell wrn_40_2:wrn_16_2:kdd
bad "'train.lrr' is unknown; did you mean 'lr'?" reproduce dskd/table1 --set train.lrr=1
bad '--shard 3/2: expected I/N' reproduce dskd/table1 --shard 3/2
bad '--shard : expected I/N' reproduce dskd/table1 --shard ''
bad '--epochs: Value 0 not in range' quickstart --epochs 0
bad '--checkpoint-seconds: Value nan not in range 0 to 1e+09' train --network resnet8 --data x.h5 --checkpoint-seconds nan
bad "'train.lr' is nan, but must be from 0.0 to 1000.0" reproduce dskd/table1 --set train.lr=nan
bad "there is no network 'resnet18'; did you mean 'resnet18_cifar'?" train --network resnet18 --data x.h5
bad 'no pair of dskd/table1 has this teacher' reproduce dskd/table1 --teacher resnet8=/dev/null
bad "did you mean 'methods'?" list method
bad "device" train --network resnet8 --data x.h5 --device nonsense

# Files.
bad 'absent.h5' inspect absent.h5
echo 'not HDF5' > broken.h5
bad 'broken.h5' inspect broken.h5
bad 'broken.h5' train --network resnet8 --data broken.h5
bad 'absent' import cifar100 --from absent --to x.h5
bad "--data: there is no file 'nowhere/cifar100.h5'" reproduce short/cifar100 --data "$(mkdir nowhere && echo nowhere)"
bad "the data set 'cifar100' is not at" reproduce short/cifar100
bad "cannot read the folder 'runs'" report
mkdir empty && bad 'there are no finished runs in empty' report --runs empty
mkdir -p records/a && echo '{}' > records/a/result.json
bad "records/a/result.json: 'schema_version' is missing" report --runs records
echo '[[method]' > broken.toml
bad 'broken.toml:1: not valid TOML' reproduce broken.toml
bad "cannot open 'absent.toml'" reproduce absent.toml

# Networks that do not fit, before any data is looked for, and with --dry-run too. misfit METHOD TEACHER STUDENT: a recipe.
misfit() {
  printf 'dataset = "cifar100"\nseeds = 1\n[[method]]\nname = "ce"\n[[method]]\nname = "%s"\n%s\n[[pair]]\nteacher = "%s"\nstudent = "%s"\n' \
    "$1" "$4" "$2" "$3" > misfit.toml
}
unfit() {
  local text=$1
  shift
  misfit "$@"
  bad "$text" reproduce misfit.toml --threads 1
  bad "$text" reproduce misfit.toml --threads 1 --dry-run
}
unfit 'resnet14 → vgg8, vid, seed 1: method vid: the teacher has 3 stages and the student 4; vid.pairs=common' \
  vid resnet14 vgg8 ''
unfit 'method ab: the teacher has 3 stages and the student 4' ab resnet14 vgg8 ''
unfit 'method fsp: the teacher has 32 channels at tap f0 and the student 16' fsp resnet8x4 resnet8 ''
unfit 'method fitnet: the teacher has no stage 9' fitnet resnet14 resnet8 'options = { stage = 9 }'
unfit 'heads=3: the student has 3 stages' dskd resnet14 resnet8 'options = { heads = "3" }'
unfit '60000 negatives are more than the 50000 samples' crd resnet14 resnet8 'options = { negatives = 60000 }'
[[ ! -e runs ]] || fail 'a mistake left a folder'

# Every command once.
good '96 training and 40 test images' synth --to tiny.h5 --train 96 --test 40 --classes 4
good '"train":64' synth --to other.h5 --train 64 --test 16 --classes 4 --json
good 'tiny.h5' inspect tiny.h5
good 'resnet8' list models
good 'kd' list methods
good '"usable":true' list devices --json
good 'dskd/table1' list recipes

good '40 training' synth --to five.h5 --train 40 --test 10 --classes 5
short=(--epochs 2 --set batch=32 --threads 1)
good teacher/student.safetensors train --network resnet8 --data tiny.h5 "${short[@]}" --to teacher --quiet --tensorboard
[[ -s teacher/tensorboard/events.out.tfevents.distil ]] || fail 'no TensorBoard file'
[[ ! -s err ]] || fail "--quiet wrote: $(cat err)"
good teacher/student.safetensors train --network resnet8 --data tiny.h5 "${short[@]}" --to teacher --quiet
bad 'holds a run with another configuration; --restart' train --network resnet8 --data tiny.h5 --epochs 3 --to teacher
mkdir elsewhere && cp other.h5 elsewhere/tiny.h5
bad 'was trained on other data' train --network resnet8 --data elsewhere/tiny.h5 "${short[@]}" --to teacher
weights=(--teacher resnet8 --teacher-weights teacher/student.safetensors)
good '"event":"result"' distil --student resnet8 "${weights[@]}" --data tiny.h5 "${short[@]}" --method kd+at \
  --option kd.T=2 --json
[[ $(grep -c '"event":"epoch"' out) == 2 ]] || fail 'not one JSON line for each epoch'
[[ $(find runs -name result.json) == runs/tiny/resnet8__resnet8/kd+at/seed1-*/result.json ]] || fail 'not in the usual folder'
bad "did you mean 'kd'?" distil --student resnet8 "${weights[@]}" --data tiny.h5 --method kdd
bad "kd.Q" distil --student resnet8 "${weights[@]}" --data tiny.h5 --method kd+at --option kd.Q=2
bad '--option T is given twice' distil --student resnet8 "${weights[@]}" --data tiny.h5 --option T=2 --option T=3
bad "no option 'kd.lr'" distil --student resnet8 "${weights[@]}" --data tiny.h5 --option lr=2
bad 'option ab.epochs = ' distil --student resnet8 "${weights[@]}" --data tiny.h5 --method ab --option epochs=-1
bad "'ce' has no use for a teacher" distil --student resnet8 "${weights[@]}" --data tiny.h5 --method ce
bad 'expected KEY=VALUE' distil --student resnet8 "${weights[@]}" --data tiny.h5 --option T
bad "it has no tensor 'block1.layer.0.bn1.weight'" distil --student resnet8 --teacher wrn_16_2 --teacher-weights teacher/student.safetensors --data tiny.h5
bad 'method vid: the teacher has 3 stages and the student 4' distil --student vgg8 "${weights[@]}" --data tiny.h5 --method vid
bad "negatives are more than the 96 samples: set crd.negatives" distil --student resnet8 "${weights[@]}" --data tiny.h5 --method crd
bad "'fc.weight' has shape [4,64], the network needs [5,64]" distil --student resnet8 "${weights[@]}" --data five.h5 --method kd
head -c 1000 teacher/student.safetensors > cut.safetensors
bad 'cut.safetensors' evaluate --network resnet8 --weights cut.safetensors --data tiny.h5
good 'on 40 test images' evaluate --network resnet8 --weights teacher/student.safetensors --data tiny.h5
good 'tiny.h5#0' predict --network resnet8 --weights teacher/student.safetensors --data tiny.h5 --limit 2 tiny.h5
[[ $(wc -l < out) == 2 ]] || fail '--limit 2 did not print two lines'
echo 'not an image' > x.jpg
bad 'x.jpg' predict --network resnet8 --weights teacher/student.safetensors --data tiny.h5 x.jpg

# A recipe of one's own: dry run, run, skip, table, report, check.
cat > mine.toml << 'TOML'
title = "Mine"
dataset = "tiny"
seeds = 2
[train]
epochs = 2
batch = 32
[[method]]
name = "ce"
label = "Student"
[[method]]
name = "kd"
label = "KD"
[[pair]]
teacher = "resnet14"
student = "resnet8"
TOML
# Weights of a teacher that do not fit are found before a student is trained.
bad 'into resnet14: it has no tensor' reproduce mine.toml --threads 1 --data tiny.h5 --runs mine \
  --teacher resnet14=teacher/student.safetensors
[[ ! -e mine ]] || fail 'a student was trained before a teacher that cannot be loaded'
good '5 runs, 5 left' reproduce mine.toml --threads 1 --data tiny.h5 --runs mine --dry-run
[[ ! -e mine ]] || fail '--dry-run left something'
good 'KD' reproduce mine.toml --threads 1 --data tiny.h5 --runs mine --quiet
sum=$(find mine -name '*.safetensors' -o -name metrics.jsonl | sort | xargs sha256sum)
good 'KD' reproduce mine.toml --threads 1 --data tiny.h5 --runs mine
grep -q '5 runs were already done' err || fail "finished runs were not skipped: $(cat err)"
# Runs that another recipe was the first to need fill this one's table too, also where only plain students are asked for.
cp mine.toml same.toml
good 'KD' reproduce same.toml --threads 1 --data tiny.h5 --runs mine --quiet
good 'Student' reproduce same.toml --threads 1 --data tiny.h5 --runs mine --cell '*:*:ce' --quiet
good 'KD' reproduce mine.toml --threads 1 --data tiny.h5 --runs mine --restart --quiet
[[ $sum == "$(find mine -name '*.safetensors' -o -name metrics.jsonl | sort | xargs sha256sum)" ]] || fail 'a second run gave other bits'
# What --dry-run promised: that memory, to the byte.
"$harness" reproduce mine.toml --threads 1 --data tiny.h5 --runs elsewhere/none --dry-run --json > plan
for method in ce kd; do
  promised=$(grep "\"method\":\"$method\".*\"student\":\"resnet8\"" plan | head -1 | grep -o '"memory_bytes":[0-9]*' | grep -o '[0-9]*')
  grep -rhq "\"planned_bytes\": $promised,\$" mine/tiny/*__resnet8/$method || fail "$method took other memory than $promised"
done
# Also where a phase of its own before the main one needs more: FSP's has the teacher, its main one has not.
sed -e '/^seeds/s/2/1/' -e '/^epochs/s/2/1/' -e '/^name = "kd"/s/kd"/fsp"\noptions = { "fsp.epochs" = 2 }/' mine.toml > phases.toml
"$harness" reproduce phases.toml --threads 1 --data tiny.h5 --runs phases --dry-run --json > plan
good 'KD' reproduce phases.toml --threads 1 --data tiny.h5 --runs phases --quiet
for method in ce fsp; do
  line=$(grep "\"method\":\"$method\".*\"student\":\"resnet8\"" plan)
  promised=$(grep -o '"memory_bytes":[0-9]*' <<< "$line" | grep -o '[0-9]*')
  epochs=$(grep -o '"epochs":[0-9]*' <<< "$line" | grep -o '[0-9]*')
  grep -rhq "\"planned_bytes\": $promised,\$" phases/tiny/*__resnet8/$method || fail "$method took other memory than $promised"
  [[ $epochs == $(cat phases/tiny/*__resnet8/$method/*/metrics.jsonl | wc -l) ]] || fail "$method has not $epochs epochs"
done
[[ $epochs == 3 ]] || fail "FSP's first phase is not among its $epochs epochs"
# Two machines' shares make one machine's table.
for shard in 1 2; do
  good '' reproduce mine.toml --threads 1 --data tiny.h5 --runs shard$shard --shard $shard/2 --quiet
done
[[ $(find shard1 shard2 -path '*__resnet8*' -name result.json | wc -l) == 4 ]] || fail 'the shards do not make up the whole'
good '5 files with 1 tables from 5 runs' report --runs shard1 --runs shard2 --to merged
good '5 files with 1 tables from 5 runs' report --runs mine --to tables
cmp merged/mine.csv tables/mine.csv || fail 'two shards gave another table than one machine'
cmp merged/mine.md tables/mine.md || fail 'two shards gave another table than one machine'

# A suite that is stopped goes on where it was: finished runs are skipped, and the one under way is resumed.
stopped=0
for delay in 0.4 0.8 1.6 3.2; do
  rm -rf halted
  code=0
  "$harness" reproduce mine.toml --threads 1 --data tiny.h5 --runs halted --checkpoint-steps 1 --quiet > out 2> err &
  pid=$!
  sleep $delay
  kill -TERM $pid 2> /dev/null || true
  wait $pid || code=$?
  [[ $code == 143 && -n $(find halted -name checkpoint.distil) ]] && stopped=1 && break
done
if [[ $stopped == 1 ]]; then
  good 'unfinished' reproduce mine.toml --threads 1 --data tiny.h5 --runs halted --dry-run
  good 'KD' reproduce mine.toml --threads 1 --data tiny.h5 --runs halted --quiet
  [[ $(cd mine && find . -name '*.safetensors' | sort | xargs sha256sum) == "$(cd halted && find . -name '*.safetensors' | sort | xargs sha256sum)" ]] ||
    fail 'a suite that was stopped gave other bits'
fi

good '5 files with 1 tables from 5 runs' report --runs mine --to tables
"$harness" report --runs mine --to tables --check || fail 'fresh tables are called stale'
echo >> tables/mine.md
bad "stale tables: 'tables/mine.md'" report --runs mine --to tables --check
good 'short' reproduce mine.toml --threads 1 --data tiny.h5 --runs mine --epochs 1 --seeds 1 --quiet

# A search for the fastest convolutions is recorded, and what was recorded repeats the run's bits.
search=(reproduce mine.toml --threads 1 --data tiny.h5 --epochs 1 --seeds 1 --quiet --set train.winograd=true)
DISTIL_CACHE=$PWD/cache good 'KD' "${search[@]}" --runs searched --set train.algorithms=search
list=$(grep -rhE '"algorithms": ".*=' searched/tiny/resnet14__resnet8/kd | sed 's/.*: "\(.*\)".*/\1/')
[[ -n $list || $("$harness" list devices) != *avx512* ]] || fail 'the record does not say what the search chose'
good 'KD' "${search[@]}" --runs listed --set "train.algorithms=$list"
for run in none__resnet14/ce resnet14__resnet8/kd; do
  cmp {searched,listed}/tiny/$run/*/student.safetensors || fail "$run by a recorded list gave other bits"
done

# Figure 2 of the DSKD paper: from records alone, and nowhere else.
sed -e 's/name = "kd"/name = "dskd"/' -e 's/label = "KD"/label = "DSKD"\noptions = { histogram = 10 }/' mine.toml > weights.toml
good 'DSKD' reproduce weights.toml --threads 1 --data tiny.h5 --runs weights --seeds 1 --epochs 1
! grep -q 'kd_w1' out err || fail 'bins of histograms among the numbers of progress'
good '6 files with 1 tables from 3 runs' report --runs weights --to figures
for term in kd_w1 kd_w2 fea_w1 fea_w2; do
  counts=$(grep -o "\"dskd.$term\":\[[0-9,]*" weights/tiny/resnet14__resnet8/dskd/*/metrics.jsonl | sed 's/.*\[//')
  [[ $((${counts//,/+})) == 96 ]] || fail "the bins of $term hold $counts, not the epoch's 96 samples"
done
grep -q 'class="ridge' figures/weights-resnet14-resnet8-dskd.svg || fail 'no figure of the weights'
grep -q 'short: the recipe has 96 samples, 2 epochs' figures/weights-resnet14-resnet8-dskd.svg || fail 'a short figure is not marked'
! grep -q 'kd_w1' figures/*.md figures/*.csv figures/*.json || fail 'bins of histograms in a table'
"$harness" report --runs weights --to figures --check || fail 'a fresh figure is called stale'

# The quickstart, scaled down to seconds.
good 'quickstart/report.html' quickstart --threads 1 --epochs 1 --limit-train 128 --limit-test 64 --quiet
grep -q '<svg' quickstart/report.html || fail 'no chart in the report'

# A disk that is full is a failure at run time, and leaves nothing half-written under the final name.
code=0
(ulimit -f 8 && trap '' XFSZ && "$harness" synth --to full.h5 --train 500 --test 50) > out 2> err || code=$?
[[ $code == 1 ]] || fail "exit code $code instead of 1 for a full disk: $(cat err)"
[[ ! -e full.h5 ]] || fail 'half a file under its final name'
code=0
(ulimit -f 64 && trap '' XFSZ && "$harness" train --network resnet8 --data tiny.h5 "${short[@]}" --to full --quiet) > out 2> err ||
  code=$?
[[ $code == 1 && $(wc -l < err) == 1 ]] || fail "exit code $code instead of 1 for a full disk: $(cat err)"
[[ -z $(find full -name '*.safetensors' -o -name result.json -o -name checkpoint.distil) ]] || fail 'half-written files'

[[ $failures == 0 ]] && echo "all passed"
exit $((failures > 0))
