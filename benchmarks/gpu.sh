#!/usr/bin/env bash
# Everything that needs a GPU, in under 8 minutes: tests, compute-sanitizer, the ladder, products, populations and
# training steps raced against the frameworks. Records and logs go to benchmarks/results/<GPU>/.
#
#   benchmarks/gpu.sh                        with python3
#   benchmarks/gpu.sh FOLDER                 and put all that it wrote into FOLDER/gpu-results.tar.gz, after each part
#   PYTHON=~/venv/bin/python benchmarks/gpu.sh
#   WHEELS=folder benchmarks/gpu.sh          take missing packages from there: for a machine without a network
#   MINUTES=9 benchmarks/gpu.sh              in place of 8: the last part has what the others leave
#
# Wants CUDA, Numba and PyTorch; uses JAX and CuPy where they are. Small packages that are missing are put into a
# folder of their own, never into yours. A part that fails or takes too long is reported, what it has measured by then
# is written, and the next one runs; the exit code is 1 if any did. Where no kernel can run, it ends at once.
set -uo pipefail
archive=
if [ $# -gt 0 ]; then
  archive=$(cd "$1" && pwd)/gpu-results.tar.gz || { echo "gpu.sh: got '$1', expected a folder; make it" >&2; exit 2; }
fi
cd "$(dirname "$0")/.." || exit 2
python=${PYTHON:-python3}
minutes=${MINUTES:-8}
export PYTHONPATH="$PWD:$PWD/kernels:$PWD/benchmarks${PYTHONPATH:+:$PYTHONPATH}"
export CUDA_HOME=${CUDA_HOME:-/usr/local/cuda}
export PATH="$PATH:$CUDA_HOME/bin"
export XLA_PYTHON_CLIENT_PREALLOCATE=false # JAX would take most of the GPU's memory from the others
# Where the engine looks by itself: said here, it takes no package that downloads to find that.
export MLP_SCRATCH_CACHE=${MLP_SCRATCH_CACHE:-${XDG_CACHE_HOME:-${HOME:-}/.cache}/mlp-scratch}
unset NUMBA_ENABLE_CUDASIM

command -v "$python" >/dev/null || { echo "gpu.sh: $python is missing, expected a Python; set PYTHON" >&2; exit 2; }
gpu=$(nvidia-smi --query-gpu=name --format=csv,noheader 2>/dev/null | head -n 1)
[ -n "$gpu" ] || { echo "gpu.sh: nvidia-smi found no GPU, expected one; run it on a machine that has one" >&2; exit 2; }
results="benchmarks/results/${gpu// /-}"
logs="$results/logs"
packages="$logs/packages"
mkdir -p "$logs"
failed=()

keep() {
  if [ -n "$archive" ]; then
    tar --exclude="$packages" -czf "$archive.part" "$results" kernels/README.md && mv "$archive.part" "$archive"
  fi
}
trap keep EXIT

# part NAME SECONDS COMMAND...: run a command with a time limit and its output in a log. All parts together have the
# minutes, less what it takes to end the last one.
part() {
  local name=$1 limit=$2 began=$SECONDS code=0 left=$((60 * minutes - 12 - SECONDS))
  shift 2
  limit=$((limit < left ? limit : left > 1 ? left : 1))
  timeout --signal="${signal:-TERM}" --kill-after=10 "$limit" "$@" >"$logs/$name.log" 2>&1 || code=$?
  if [ "$code" -eq 0 ]; then
    echo "ok      $name ($((SECONDS - began)) s): $(tail -n 1 "$logs/$name.log")"
  else
    echo "FAILED  $name (exit code $code, $((SECONDS - began)) s): $(tail -n 1 "$logs/$name.log")"
    return 1
  fi
}

# Ctrl-C, when time is over: what was measured by then is written.
in_turn() {
  signal=INT part "$@" || failed+=("$1")
  keep
}

# What is missing of the small packages and of those that they need, into a folder that goes with the script.
missing=$("$python" - <<'PYTHON'
from importlib.util import find_spec

names = {
    "click": "click", "rich": "rich", "markdown_it": "markdown-it-py", "mdurl": "mdurl", "pygments": "pygments",
    "safetensors": "safetensors", "psutil": "psutil", "cpuinfo": "py-cpuinfo", "threadpoolctl": "threadpoolctl",
    "scipy": "scipy", "hypothesis": "hypothesis", "sortedcontainers": "sortedcontainers",
    "pytest": "pytest", "iniconfig": "iniconfig", "pluggy": "pluggy", "packaging": "packaging",
    "xdist": "pytest-xdist", "execnet": "execnet",
}
print(*(package for module, package in names.items() if find_spec(module) is None))
PYTHON
)
if [ -n "$missing" ]; then
  # Without their dependencies, no other NumPy can slip in front of yours.
  # shellcheck disable=SC2086  # one argument for each package
  part packages 60 "$python" -m pip install --quiet --no-deps --target "$packages" \
    ${WHEELS:+--no-index --find-links "$WHEELS"} $missing || failed+=(packages)
  export PYTHONPATH="$PYTHONPATH:$PWD/$packages"
fi

part machine 30 "$python" -c "
from mlp_kernels.cuda.availability import unavailability
from mlp_kernels.cuda.ladder import machine
print(unavailability() or machine())
raise SystemExit(bool(unavailability()))" || { cat "$logs/machine.log"; exit 1; }

# Nothing is timed here, so these share the GPU. The sanitizer sees every rung at a size that no tile divides, and
# networks in each of the ways that the backend has: those that it chooses itself, and the others by force.
waiting=()
trial="$logs/trial.py"
cat >"$trial" <<'PYTHON'
"""Every kernel once: what compute-sanitizer watches."""
import numpy as np

import mlp_scratch as ms
from mlp_kernels.cuda import ladder
from mlp_scratch.backends import cuda_ways

choose, chosen = cuda_ways.way_for, []


def remembered(program, size, update, **options):
    way = choose(program, size, update, **options)
    if update == "train":
        chosen.append(way.name)
    return way


def train(widths, precision=None):
    rng = np.random.default_rng(0)
    x, y = rng.standard_normal((70, widths[0])).astype("float32"), rng.integers(0, widths[-1], 70)
    model = ms.MLP(widths, activation="relu", dropout=0.2, batch_norm=True, seed=0)
    options = {"loss": "cross_entropy", "batch_size": 32, "epochs": 2, "precision": precision}
    model.fit(x, y, backend="cuda", progress=False, **options)
    model.predict(x, backend="cuda")
    model.loss_and_gradients(x, y, backend="cuda")


for rung in ladder.RUNGS:
    ladder.measure(rung, size=202, seconds=0, beside_cublas=False)
# Outputs are multiples of four: rows end there, and what is behind a shorter output is copied without being written.
cuda_ways.way_for = remembered
for widths in [3, 5, 4], [64, 48, 12]:  # in shared memory, of which the second has to ask for more
    train(widths)
assert chosen == [cuda_ways.BLOCK_IN_SHARED] * 2, f"got {chosen}, expected shared memory for both"
cuda_ways.way_for = choose
population = ms.Population(ms.MLP([2, 24, 1]), seeds=range(3))
population.fit(np.ones((70, 2), "float32"), np.ones(70, "float32"), epochs=2, backend="cuda")
for name, side, precision in [
    (cuda_ways.BLOCK, 2, None),
    (cuda_ways.GRID, 4, None),
    (cuda_ways.GRAPH, 4, "3xtf32"),
    (cuda_ways.MATRICES, 4, "bf16"),
]:
    way, plain = cuda_ways.Way(name, side), cuda_ways.Way(cuda_ways.LAUNCHES, 4)
    cuda_ways.way_for = lambda _program, _size, update, *, way=way, plain=plain, **_: plain if update == "infer" else way
    train([9, 17, 8], precision)
PYTHON
if command -v compute-sanitizer >/dev/null; then
  for tool in memcheck racecheck initcheck synccheck; do
    part "sanitizer-$tool" 180 compute-sanitizer --tool "$tool" --error-exitcode 1 "$python" "$trial" &
    waiting+=("sanitizer-$tool:$!")
  done
else
  echo "FAILED  sanitizer: compute-sanitizer is missing, expected it in $CUDA_HOME/bin; set CUDA_HOME"
  failed+=(sanitizer)
fi
# A warning of another version of Numba is no error here. Kernels are compiled in each process: most of the time.
pytest=("$python" -m pytest -q -p no:cacheprovider -W default)
part tests 150 "${pytest[@]}" -n 8 tests/kernels_cuda tests/backends/test_plan.py tests/backends/test_frozen_layers.py \
  --ignore tests/kernels_cuda/test_in_simulator.py --ignore tests/kernels_cuda/test_assembly.py &
waiting+=("tests:$!")
# The same networks as in the simulator; on a GPU each way to run them is compiled first.
part network-tests 180 "${pytest[@]}" -n 5 --dist loadfile tests/backends/simulated_cuda &
waiting+=("network-tests:$!")
part precision-tests 180 "${pytest[@]}" tests/backends/simulated_precisions.py &
waiting+=("precision-tests:$!")
for each in "${waiting[@]}"; do
  wait "${each#*:}" || failed+=("${each%%:*}")
done
keep

# From here on one at a time: these are timed.
in_turn ladder 90 "$python" -m mlp_kernels.cuda.ladder --write
in_turn gemm 90 "$python" -m mlp_benchmarks.cli gemm --contender cuda,cublas \
  --size 1024,1025,1026,1028,1032,4096 --processes 1 --json "$results/gemm-cuda.json"
in_turn population 60 "$python" -m mlp_benchmarks.cli population --contender cuda,jax-cuda-vmap-scan \
  --networks 1000 --epochs 10 --processes 1 --rounds 3 --json "$results/population-cuda.json"
in_turn compare 180 "$python" -m mlp_benchmarks.cli compare --contender cuda,torch-cuda,torch-cudagraph,jax-cuda \
  --case d2l,quickstart,digits,wide-1024,wide-4096 --processes 1 --rounds 5 --minutes 2 \
  --json "$results/compare-cuda.json"

rm -rf "$packages" "$trial"
echo
if [ "${#failed[@]}" -eq 0 ]; then
  echo "All parts ran in $SECONDS s; records are in $results."
else
  echo "${#failed[@]} parts failed in $SECONDS s: ${failed[*]}. Logs are in $logs, records in $results."
  exit 1
fi
