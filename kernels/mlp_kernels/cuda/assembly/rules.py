"""What is wrong with a compiled kernel: what a GPU would do slowly, or not at all, and say nothing about."""

from dataclasses import dataclass

from mlp_kernels.cuda.assembly.listings import Capability, Configuration, Listing
from mlp_kernels.cuda.shared_memory import PLAIN
from mlp_kernels.cuda.tiles import Tile

WARP = 32
REGISTER_UNIT = 256
"""Registers are given to a warp in multiples of these."""


@dataclass(frozen=True, slots=True)
class Multiprocessor:
    """What all blocks on one multiprocessor share: CUDA C++ Programming Guide, "Compute Capabilities"."""

    registers: int
    threads: int
    shared_bytes: int


MULTIPROCESSORS: dict[Capability, Multiprocessor] = {
    (8, 0): Multiprocessor(65536, 2048, 164 * 1024),
    (9, 0): Multiprocessor(65536, 2048, 228 * 1024),
    (12, 0): Multiprocessor(65536, 1536, 100 * 1024),
}
RESERVED = 1024
"""Bytes of shared memory that the system takes for each block."""


def resident_blocks(configuration: Configuration, listing: Listing) -> int:
    """How many blocks of a kernel fit a multiprocessor at the same time, by what `ptxas` says."""
    if listing.registers is None or listing.shared_bytes is None:
        raise ValueError("listing: got one without registers, expected one that ptxas has seen")
    has, warps = MULTIPROCESSORS[listing.capability], -(-configuration.threads // WARP)
    of_a_warp = -(-listing.registers * WARP // REGISTER_UNIT) * REGISTER_UNIT
    return min(
        has.registers // (warps * of_a_warp),
        has.threads // configuration.threads,
        has.shared_bytes // (listing.shared_bytes + RESERVED),
    )


def problems(configuration: Configuration, listing: Listing) -> list[str]:
    """What is wrong with a kernel, a sentence each."""
    n = listing.counts
    wrong = {"local memory": n["local"], "calls of functions": n["call"]}
    if not configuration.is_double:
        wrong["float64"] = n["float64"]
    found = [f"expected no {what}, got {many}" for what, many in wrong.items() if many]
    if configuration.is_network:
        found += _of_a_network(configuration, n)
    elif configuration.tile is None:
        found += _of_a_plain_rung(configuration, n)
    else:
        found += _of_a_product(configuration, configuration.tile, n)
    if listing.registers is not None:
        found += _of_resources(configuration, listing)
    return [f"{configuration}, capability {'.'.join(map(str, listing.capability))}: {each}" for each in found]


def _of_resources(configuration: Configuration, listing: Listing) -> list[str]:
    found = []
    if listing.spilled_bytes:
        found.append(f"expected no spills, got {listing.spilled_bytes} bytes")
    if listing.shared_bytes and listing.shared_bytes > PLAIN:
        found.append(f"expected at most {PLAIN} bytes of shared memory, got {listing.shared_bytes}")
    if listing.shared_bytes and configuration.is_network:
        found.append(f"expected all shared memory to be asked for at the launch, got {listing.shared_bytes} bytes")
    # A grid that meets at a counter has one block for each multiprocessor: if it does not fit, it waits for ever.
    if resident_blocks(configuration, listing) < 1:
        found.append(
            f"expected a block of {configuration.threads} threads to fit a multiprocessor, got "
            f"{listing.registers} registers a thread and {listing.shared_bytes} bytes of shared memory"
        )
    return found


def _of_a_network(configuration: Configuration, n: dict[str, int]) -> list[str]:
    """Networks read single numbers, side by side in a warp: no loads of 128 bits here."""
    name, found = configuration.name, []
    fused = n["fma.f64" if configuration.is_double else "fma.f32"]
    # The products are three: forward, the gradient of the input, that of the weights.
    least = 3 * configuration.side**2 or int(name == "finish")
    if fused < least:
        found.append(f"expected at least {least} fused multiply-adds, got {fused}")
    if n["load.read-only"]:
        found.append(f"expected no loads past the caches that see writes, got {n['load.read-only']}")
    if n["access.generic"]:
        found.append(f"expected the memory of every address to be known, got {n['access.generic']} that are not")
    in_shared = name == "block in shared memory"
    if (n["load.shared"] > 0) != in_shared:
        found.append(f"expected {'' if in_shared else 'no '}loads from shared memory, got {n['load.shared']}")
    # A block waits in five places: for its parameters, three times while it draws an order, and between phases. A grid
    # meets in two: on either side of a counter its threads wait, and a fence stands.
    in_blocks, meets = name in ("block", "block in shared memory"), name == "grid"
    for what, wanted in [("barrier", 5 * in_blocks + 4 * meets), ("atomic", 2 * meets), ("fence", 4 * meets)]:
        if n[what] != wanted:
            found.append(f"expected {wanted} of {what}, got {n[what]}")
    if (n["load.acquire"] >= 2) != meets:
        found.append(f"expected the counter to be read anew by the grid alone, got {n['load.acquire']}")
    return found


def _of_a_plain_rung(configuration: Configuration, n: dict[str, int]) -> list[str]:
    used = n["fma.f32"]
    if configuration.name == "shared tile":
        return [] if used == 32 else [f"expected a fused multiply-add for each of 32 steps of the tile, got {used}"]
    return [] if used else ["expected fused multiply-adds, got none"]


def _of_a_product(configuration: Configuration, tile: Tile, n: dict[str, int]) -> list[str]:
    on_tensor_cores = configuration.name in ("tf32", "3xtf32", "bf16")
    found = (_on_tensor_cores if on_tensor_cores else _in_registers)(configuration, tile, n)
    if configuration.name == "register tile":
        if n["load.global.128"] == 0:
            found.append("expected loads of 128 bits, got none")
        if n["copy.128"] or n["copy.single"]:
            found.append(f"expected no asynchronous copies, got {n['copy.128'] + n['copy.single']}")
        return found
    in_fours = configuration.aligned and (on_tensor_cores or configuration.layout != "NT")
    if in_fours and n["copy.128"] == 0:
        found.append("expected asynchronous copies of 128 bits, got none")
    if not configuration.aligned and n["copy.128"]:
        found.append(f"expected no copies of 128 bits to places that are not aligned, got {n['copy.128']}")
    if n["copy.128"] + n["copy.single"] == 0:
        found.append("expected asynchronous copies, got none")
    return found


def _on_tensor_cores(configuration: Configuration, tile: Tile, n: dict[str, int]) -> list[str]:
    found = []
    kind, other = ("bf16", "tf32") if configuration.name == "bf16" else ("tf32", "bf16")
    each = tile.warp_rows // 16 * (tile.warp_columns // 8) * (3 if configuration.name == "3xtf32" else 1)
    used = n[f"mma.{kind}"]
    if used == 0 or used % each:
        found.append(f"expected a multiple of {each} mma.{kind}, got {used}")
    if n[f"mma.{other}"]:
        found.append(f"expected no mma.{other}, got {n[f'mma.{other}']}")
    if n["fma.f32"] and configuration.epilogue != "adam":
        found.append(f"expected no other multiply-adds, got {n['fma.f32']}")
    return found


def _in_registers(configuration: Configuration, tile: Tile, n: dict[str, int]) -> list[str]:
    found = []
    each, used = tile.lane_rows * tile.lane_columns, n["fma.f64" if configuration.is_double else "fma.f32"]
    of_product_alone = configuration.epilogue != "adam"  # which has some of its own
    if used < each or (of_product_alone and used % each):
        found.append(f"expected a multiple of {each} fused multiply-adds, got {used}")
    # Each read of a step of K serves all multiply-adds of the step.
    steps = max(1, used // each) if of_product_alone else 1
    reads = (tile.lane_rows + tile.lane_columns) // (2 if configuration.is_double else 4) * steps
    if n["load.shared.128"] < reads:
        found.append(f"expected {reads} reads of 128 bits from shared memory, got {n['load.shared.128']}")
    if configuration.aligned and n["store.global.128"] == 0:
        found.append("expected stores of 128 bits, got none")
    return found
