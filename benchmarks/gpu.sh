#!/usr/bin/env bash
# Everything that needs a GPU, in under 8 minutes: tests, compute-sanitizer, the ladder, products, training steps and
# populations raced against the frameworks. Records and logs go to benchmarks/results/<GPU>/.
#
#   benchmarks/gpu.sh                        with python3
#   PYTHON=~/venv/bin/python benchmarks/gpu.sh
#   WHEELS=folder benchmarks/gpu.sh          take missing packages from there: for a machine without a network
#
# Wants CUDA, Numba and PyTorch; uses JAX and CuPy where they are. Small packages that are missing are put into a
# folder of their own, never into yours. A part that fails or takes too long is reported, and the next one runs;
# the exit code is 1 if any did.
set -uo pipefail
cd "$(dirname "$0")/.." || exit 2
python=${PYTHON:-python3}
export PYTHONPATH="$PWD:$PWD/kernels:$PWD/benchmarks${PYTHONPATH:+:$PYTHONPATH}"
export CUDA_HOME=${CUDA_HOME:-/usr/local/cuda}
export PATH="$PATH:$CUDA_HOME/bin"
export XLA_PYTHON_CLIENT_PREALLOCATE=false # JAX would take most of the GPU's memory from the others
unset NUMBA_ENABLE_CUDASIM

command -v "$python" >/dev/null || { echo "gpu.sh: $python is missing, expected a Python; set PYTHON" >&2; exit 2; }
gpu=$(nvidia-smi --query-gpu=name --format=csv,noheader 2>/dev/null | head -n 1)
[ -n "$gpu" ] || { echo "gpu.sh: nvidia-smi found no GPU, expected one; run it on a machine that has one" >&2; exit 2; }
results="benchmarks/results/${gpu// /-}"
logs="$results/logs"
mkdir -p "$logs"
failed=()

# part NAME SECONDS COMMAND...: run a command with a time limit and its output in a log. All parts together have 8
# minutes, less what it takes to end the last one.
part() {
  local name=$1 limit=$2 began=$SECONDS code=0 left=$((470 - SECONDS))
  shift 2
  limit=$((limit < left ? limit : left > 1 ? left : 1))
  timeout --kill-after=5 "$limit" "$@" >"$logs/$name.log" 2>&1 || code=$?
  if [ "$code" -eq 0 ]; then
    echo "ok      $name ($((SECONDS - began)) s)"
  else
    echo "FAILED  $name (exit code $code, $((SECONDS - began)) s): $(tail -n 1 "$logs/$name.log")"
    return 1
  fi
}

in_turn() { part "$@" || failed+=("$1"); }

# What is missing of the small packages, into a folder that goes with the script.
packages="$logs/packages"
missing=$("$python" - <<'PYTHON'
from importlib.util import find_spec

names = {
    "click": "click", "rich": "rich", "safetensors": "safetensors", "pooch": "pooch", "psutil": "psutil",
    "cpuinfo": "py-cpuinfo", "threadpoolctl": "threadpoolctl", "scipy": "scipy", "pytest": "pytest",
    "hypothesis": "hypothesis", "sklearn": "scikit-learn",
}
print(*(package for module, package in names.items() if find_spec(module) is None))
PYTHON
)
if [ -n "$missing" ]; then
  # Without the dependencies of these, no other NumPy can slip in front of yours.
  extra=(attrs sortedcontainers iniconfig pluggy packaging pygments markdown-it-py mdurl platformdirs requests joblib)
  # shellcheck disable=SC2086  # one argument for each package
  part packages 60 "$python" -m pip install --quiet --no-deps --target "$packages" \
    ${WHEELS:+--no-index --find-links "$WHEELS"} $missing "${extra[@]}" || failed+=(packages)
  export PYTHONPATH="$PYTHONPATH:$PWD/$packages"
fi

in_turn machine 20 "$python" -c "
from mlp_kernels.cuda.availability import unavailability
from mlp_kernels.cuda.ladder import machine
print(unavailability() or machine())
raise SystemExit(bool(unavailability()))"
cat "$logs/machine.log"

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
for widths in [3, 5, 2], [64, 100, 10]:  # in shared memory, of which the second has to ask for more
    train(widths)
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
    train([9, 17, 5], precision)
PYTHON
if command -v compute-sanitizer >/dev/null; then
  for tool in memcheck racecheck initcheck synccheck; do
    part "sanitizer-$tool" 150 compute-sanitizer --tool "$tool" --error-exitcode 1 "$python" "$trial" &
    waiting+=("sanitizer-$tool:$!")
  done
else
  echo "FAILED  sanitizer: compute-sanitizer is missing, expected it in $CUDA_HOME/bin; set CUDA_HOME"
  failed+=(sanitizer)
fi
part tests 120 "$python" -m pytest -q -p no:cacheprovider tests/kernels_cuda tests/backends \
  --ignore tests/kernels_cuda/test_in_simulator.py --ignore tests/kernels_cuda/test_assembly.py \
  --ignore tests/backends/test_cuda.py --ignore tests/backends/simulated_cuda &
waiting+=("tests:$!")
# The same networks as in the simulator; on a GPU each way to run them is compiled first.
part network-tests 150 "$python" -m pytest -q -p no:cacheprovider tests/backends/simulated_cuda &
waiting+=("network-tests:$!")
part precision-tests 150 "$python" -m pytest -q -p no:cacheprovider tests/backends/simulated_precisions.py &
waiting+=("precision-tests:$!")
for each in "${waiting[@]}"; do
  wait "${each#*:}" || failed+=("${each%%:*}")
done

# From here on one at a time: these are timed.
in_turn ladder 90 "$python" -m mlp_kernels.cuda.ladder --write
in_turn gemm 80 "$python" -m mlp_benchmarks.cli gemm --contender cuda,cublas \
  --size 1024,1025,1026,1028,1032,4096 --json "$results/gemm-cuda.json"
in_turn compare 140 "$python" -m mlp_benchmarks.cli compare --contender cuda,torch-cuda,torch-cudagraph,jax-cuda \
  --case d2l,quickstart,digits,wide-1024,wide-4096 --processes 1 --rounds 5 --minutes 2 \
  --json "$results/compare-cuda.json"
in_turn population 60 "$python" -m mlp_benchmarks.cli population --contender cuda,jax-cuda-vmap-scan \
  --networks 1000 --epochs 10 --processes 1 --rounds 3 --json "$results/population-cuda.json"

rm -rf "$packages" "$trial"
echo
if [ "${#failed[@]}" -eq 0 ]; then
  echo "All parts ran in $SECONDS s; records are in $results."
else
  echo "${#failed[@]} parts failed in $SECONDS s: ${failed[*]}. Logs are in $logs, records in $results."
  exit 1
fi
