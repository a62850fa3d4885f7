#!/usr/bin/env bash
# A run that is interrupted or killed and started again ends with the same bits as one that was not.
#
#   resume_test.sh HARNESS [DEVICE]
set -euo pipefail

harness=$(realpath "$1")
device=${2:-cpu}
cd "$(mktemp -d "${TEST_TMPDIR:-/tmp}/resumeXXXXXX")"
export OMP_WAIT_POLICY=passive
unset DISTIL_DATA

fail() {
  echo "FAILED: $*"
  exit 1
}

"$harness" synth --to tiny.h5 --train 160 --test 40 --classes 4 > /dev/null
train=("$harness" train --network resnet8 --data tiny.h5 --epochs 3 --set batch=16 --seed 1 --checkpoint-steps 1 --threads 1 --device "$device" --quiet)
digest() { (cd "$1" && sha256sum student.safetensors best.safetensors metrics.jsonl); }

begin=$(date +%s%N)
"${train[@]}" --to whole > /dev/null
took=$((($(date +%s%N) - begin) / 1000000)) # milliseconds
expected=$(digest whole)

# Killed at five random moments, each time resumed.
seed=${RANDOM}
RANDOM=$seed
echo "moments from seed $seed, a whole run takes $took ms"
kills=0
for _ in 1 2 3 4 5; do
  "${train[@]}" --to killed --resume > /dev/null 2> err &
  pid=$!
  sleep "$(printf '0.%03d' $((RANDOM % (took < 900 ? took : 900) + 20)))"
  if kill -KILL $pid 2> /dev/null; then kills=$((kills + 1)); fi
  wait $pid 2> /dev/null || true
done
"${train[@]}" --to killed --resume > /dev/null
[[ $(digest killed) == "$expected" ]] || fail "other bits after $kills kills"

# SIGINT: saves, says how to go on, exits with 130. (Background jobs of a script ignore it, so it is sent by hand.)
interrupted=0
for delay in 0.3 0.6 1.2 2.4; do
  rm -rf stopped
  code=0
  setsid "$BASH" -c 'trap - INT; exec "$@"' sh "${train[@]}" --to stopped --restart > out 2> err &
  pid=$!
  sleep $delay
  kill -TERM $pid 2> /dev/null || true
  wait $pid || code=$?
  [[ $code == 143 ]] && interrupted=1 && break
  [[ $code == 0 ]] || fail "exit code $code after SIGTERM: $(cat err)"
done
if [[ $interrupted == 1 && -e stopped/checkpoint.distil ]]; then
  grep -q -- '--resume' err || fail "no word on how to resume: $(cat err)"
  code=0
  "${train[@]}" --to stopped > /dev/null 2> err || code=$?
  [[ $code == 2 ]] && grep -q 'holds an unfinished run: --resume' err || fail "an unfinished run went unnoticed: $(cat err)"
  "${train[@]}" --to stopped --resume > /dev/null
  [[ $(digest stopped) == "$expected" ]] || fail "other bits after an interruption"
fi

# A damaged checkpoint is named.
"${train[@]}" --to hurt > /dev/null 2>&1 &
pid=$!
for _ in $(seq 200); do
  [[ -e hurt/checkpoint.distil ]] && break
  sleep 0.02
done
kill -KILL $pid 2> /dev/null || true
wait $pid 2> /dev/null || true
if [[ -e hurt/checkpoint.distil && ! -e hurt/result.json ]]; then
  truncate -s 100 hurt/checkpoint.distil
  code=0
  "${train[@]}" --to hurt --resume > /dev/null 2> err || code=$?
  [[ $code == 2 ]] && grep -q 'checkpoint.distil' err && grep -q -- '--restart' err || fail "a damaged checkpoint: $(cat err)"
fi
echo "all passed: $kills kills, interrupted: $interrupted"
