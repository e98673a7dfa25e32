#!/usr/bin/env bash
# Everything that needs a GPU, in one run: bench/gpu.sh [--dry-run] [tests] [bench] [train] [video] [memcheck] [racecheck]
#
# Logs, the records of the benches and a trace are left in $OUT (default: gpu-out); the last lines say what passed. Each
# step has a limit of its own and none stops the others. PYTHON: the interpreter (default: python3). FASTSWAP_COMMIT: what
# the record calls the commit where there is no .git.
set -uo pipefail
cd "$(dirname "$0")/.."
OUT=${OUT:-gpu-out}
PYTHON=${PYTHON:-python3}
LIMIT=${LIMIT:-540} # seconds a step

dry=
[ "${1:-}" = --dry-run ] && { dry=1; shift; }
steps=${*:-tests bench train video memcheck racecheck}
[ -n "$dry" ] || mkdir -p "$OUT"
export FASTSWAP_REQUIRE_GPU=1 PYTHONUNBUFFERED=1 PYTHONPATH="$PWD${PYTHONPATH:+:$PYTHONPATH}"
failed=0

run() { # run NAME COMMAND...: its output to $OUT/NAME.log
  local name=$1 began=$SECONDS
  shift
  if [ -n "$dry" ]; then
    echo "$name: $*"
    return
  fi
  if timeout "$LIMIT" "$@" >"$OUT/$name.log" 2>&1; then
    echo "passed  $name ($((SECONDS - began)) s): $(tail -n 1 "$OUT/$name.log")" | tee -a "$OUT/summary.txt"
  else
    echo "FAILED  $name (status $?, $((SECONDS - began)) s): $(tail -n 1 "$OUT/$name.log")" | tee -a "$OUT/summary.txt"
    failed=1
  fi
}

sanitizer() { # only the kernels of ours, on the small pictures of the tests; 86: what it found, not what pytest says
  local found
  found=$(command -v compute-sanitizer || ls /usr/local/cuda*/bin/compute-sanitizer 2>/dev/null | head -n 1)
  if [ -z "$found" ] && [ -z "$dry" ]; then
    echo "absent  $1: no compute-sanitizer here" | tee -a "$OUT/summary.txt"
    return
  fi
  run "$1" "${found:-compute-sanitizer}" --tool "$1" --error-exitcode 86 "$PYTHON" -m pytest tests/ops -q -k "triton or cupy"
}

rooms() { # what reads, looks at and writes videos
  run rooms "$PYTHON" -m pytest tests/video tests/faces tests/faceset tests/conversion tests/test_streams.py -m gpu -q
}

training() { # the tests of the engine, then each preset: compilers and loaders take part at the first batch alone
  local files size
  files=$(grep -l 'mark\.gpu' tests/training/test_*.py tests/bench_train/test_*.py | tr '\n' ' ')
  # shellcheck disable=SC2086 # a list of files
  run train-tests "$PYTHON" -m pytest $files -m gpu -q
  for size in 128 256 512; do
    run "train-gan-$size" "$PYTHON" -c "from pathlib import Path; from fastswap.bench.train.run import bench_train; bench_train(['gan:$size'], (64, 8, 32, 128), device='cuda', record=Path('$OUT/train-gan-$size.json'))"
  done
}

[ -z "$dry" ] && : >"$OUT/summary.txt"
for step in $steps; do
  case $step in
    tests) run tests "$PYTHON" -m pytest tests/ops tests/test_gpu.py -q; rooms ;;
    bench) run bench "$PYTHON" -c "from fastswap.cli import main; main()" bench ops --output "$OUT/ops-gpu.json" --profile "$OUT/trace.json.gz" ;;
    train) training ;;
    video) run video "$PYTHON" -c "from fastswap.cli import main; main()" bench video --device cuda --record "$OUT/video-gpu.json" ;;
    memcheck | racecheck) sanitizer "$step" ;;
    *) echo "no step $step: there are tests, bench, train, video, memcheck, racecheck" >&2; exit 2 ;;
  esac
done
exit $failed
