"""`mlp-scratch info`: what this machine is, and what it can do at most."""

from typing import Any

import click

from mlp_scratch.backends import BACKENDS, get_backend
from mlp_scratch.backends.numba_settings import check_numba_settings
from mlp_scratch.cli.options import json_option
from mlp_scratch.cli.outputs import check_outputs, write_json
from mlp_scratch.errors import BackendUnavailableError, MissingDependencyError
from mlp_scratch.machine import describe_machine, usable_cores


@click.command("info", short_help="Describe this machine and measure its peaks.")
@json_option
def info_command(json: str | None) -> None:
    """Describe this machine and measure its peak arithmetic and memory bandwidth, which takes a few seconds."""
    check_outputs({"json": json})
    check_numba_settings("unset it")
    machine = describe_machine() | {"backends": {name: _why_not(name) or "available" for name in BACKENDS}}
    measured = _measure()
    if json:
        write_json(json, machine | {"measured": measured})
    rows = [*_described(machine), *_measured(measured), *_software(machine)]
    width = max(len(name) for name, _ in rows)
    click.echo("\n".join(f"{name:<{width}}  {value}" for name, value in rows))


def _why_not(backend: str) -> str:
    """Why `backend` cannot run here; empty where it can."""
    try:
        get_backend(backend)
    except (BackendUnavailableError, MissingDependencyError) as error:
        return str(error)
    return ""


def _measure() -> dict[str, list[dict[str, Any]]]:
    """Peaks on one thread and on every core that this process may use."""
    from mlp_scratch.backends.probe import peaks  # only here, because it loads Numba

    arithmetic, triad = [], []
    for threads in sorted({1, usable_cores()}):
        found = {dtype: peaks(dtype, threads) for dtype in ("float32", "float64")}
        for dtype, best in found.items():
            arithmetic.append({"dtype": dtype, "threads": threads, "gflops": best.gflops})
        bandwidth = max(best.gbytes_per_second for best in found.values())
        triad.append({"threads": threads, "gbytes_per_second": bandwidth})
    return {"arithmetic": arithmetic, "triad": triad}


def _described(machine: dict[str, Any]) -> list[tuple[str, str]]:
    cpu, cores, memory = machine["cpu"], machine["cpu"]["cores"], machine["memory"]
    caches = [f"{level.upper()} {_size(size)}" for level, size in cpu["caches"].items()]
    rows = [
        ("system", machine["system"]),
        ("processor", f"{cpu['model'] or 'unknown'} ({cpu['architecture']}), {cpu['simd'] or 'unknown vector unit'}"),
        ("caches", ", ".join(caches)),
        ("cores", f"{cores['usable']} usable, {cores['logical']} logical, {cores['physical'] or 'unknown'} physical"),
        ("memory", f"{_size(memory['total'])}, {_size(memory['available'])} available"),
    ]
    rows += [("GPU", _gpu(gpu)) for gpu in machine["gpus"]]
    return rows if machine["gpus"] else [*rows, ("GPU", f"none: {machine['no_gpu']}")]


def _gpu(gpu: dict[str, Any]) -> str:
    return (
        f"{gpu['name']}, {gpu['sms']} SMs, {_size(gpu['memory'])} on a {gpu['memory_bus_bits']}-bit bus, "
        f"compute capability {gpu['compute_capability']}"
    )


def _measured(peaks: dict[str, list[dict[str, Any]]]) -> list[tuple[str, str]]:
    arithmetic = [
        (f"peak {row['dtype']}", f"{row['gflops']:.1f} GFLOP/s on {_threads(row['threads'])}")
        for row in peaks["arithmetic"]
    ]
    triad = [
        ("memory triad", f"{row['gbytes_per_second']:.1f} GB/s on {_threads(row['threads'])}") for row in peaks["triad"]
    ]
    return arithmetic + triad


def _threads(count: int) -> str:
    return "1 thread" if count == 1 else f"{count} threads"


def _software(machine: dict[str, Any]) -> list[tuple[str, str]]:
    rows = []
    for blas in machine["blas"]:
        name = f"{blas['library']} {blas['version'] or ''}".strip()
        rows.append(("BLAS", f"{name}, {blas['architecture'] or 'unknown'} kernels, {blas['threads']} threads"))
    rows += [(name, version or "not installed") for name, version in machine["versions"].items()]
    return rows + [(f"backend {name}", state) for name, state in machine["backends"].items()]


def _size(n_bytes: int | None) -> str:
    """A number of bytes in the largest unit that leaves at least one of it.

    >>> _size(49152), _size(33554432), _size(None)
    ('48 KiB', '32 MiB', 'unknown')
    """
    if n_bytes is None:
        return "unknown"
    value, units = float(n_bytes), ["bytes", "KiB", "MiB", "GiB", "TiB"]
    while value >= 1024 and len(units) > 1:
        value, units = value / 1024, units[1:]
    return f"{value:.4g} {units[0]}"
