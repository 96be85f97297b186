"""LLVM vector instructions, written down by a Numba intrinsic while it generates code.

LLVM takes vectors of any width and splits those that are wider than the CPU's registers, so what is built
from these pieces is correct everywhere and fast where the width is the register's.
"""

from collections.abc import Callable

from llvmlite import ir
from numba.core import cgutils

from mlp_kernels.cpu.tile import Tile

_INDEX = ir.IntType(64)
_INT32 = ir.IntType(32)
_POINTER = ir.IntType(8).as_pointer()


def index(value: int) -> ir.Constant:
    """The 64-bit constant used for sizes and offsets."""
    return ir.Constant(_INDEX, value)


def unroll(branch: ir.Instruction, times: int) -> None:
    """Tell LLVM how often to unroll the loop that `branch` jumps back to the start of; 1 is not at all."""
    module = branch.parent.function.module
    count = ir.MetaDataString(module, "llvm.loop.unroll.count")
    wish = module.add_metadata([count, ir.Constant(_INT32, times)])
    loop = module.add_metadata([wish, ir.Constant(_INT32, len(module.metadata))])
    loop.operands = (loop, wish)  # the name of a loop is a node that names itself first
    branch.set_metadata("llvm.loop", loop)


class Vectors:
    """Vectors of `lanes` elements of `tile.dtype`; every method emits code where `builder` stands.

    Offsets are counted in elements. Loads and stores assume no alignment: on CPUs with wide vectors an
    unaligned instruction on aligned memory costs nothing.
    """

    def __init__(self, builder: ir.IRBuilder, tile: Tile, lanes: int | None = None) -> None:
        self.builder, self.tile, self.lanes = builder, tile, lanes or tile.lanes
        single = tile.dtype.itemsize == 4
        self.element: ir.Type = ir.FloatType() if single else ir.DoubleType()
        # A lane of a mask is as wide as the element: what the blend and mask instructions want.
        self.mask_element = ir.IntType(8 * tile.dtype.itemsize)
        self.type = ir.VectorType(self.element, self.lanes)
        self.suffix = f"v{self.lanes}{'f32' if single else 'f64'}"

    def constant(self, value: float) -> ir.Constant:
        """A vector of one constant."""
        return ir.Constant(self.type, [float(value)] * self.lanes)

    def splat(self, scalar: ir.Value) -> ir.Value:
        """A scalar of any type in every lane."""
        vector = ir.VectorType(scalar.type, self.lanes)
        first = self.builder.insert_element(ir.Constant(vector, ir.Undefined), scalar, ir.Constant(_INT32, 0))
        lane_zero = ir.Constant(ir.VectorType(_INT32, self.lanes), [0] * self.lanes)
        return self.builder.shuffle_vector(first, ir.Constant(vector, ir.Undefined), lane_zero)

    def pointer(self, address: ir.Value) -> ir.Value:
        """The pointer to an element at an integer address."""
        return self.builder.inttoptr(address, self.element.as_pointer())

    def address(self, pointer: ir.Value, offset: ir.Value | int) -> ir.Value:
        """`pointer + offset` elements."""
        return self.builder.gep(pointer, [index(offset) if isinstance(offset, int) else offset])

    def bytes(self, pointer: ir.Value) -> ir.Value:
        """The same pointer, whose `address` counts bytes."""
        return self.builder.bitcast(pointer, _POINTER)

    def load(self, pointer: ir.Value, offset: ir.Value | int = 0) -> ir.Value:
        """One vector from memory."""
        place = self.builder.bitcast(self.address(pointer, offset), self.type.as_pointer())
        return self.builder.load(place, align=1)

    def store(self, vector: ir.Value, pointer: ir.Value, offset: ir.Value | int = 0) -> None:
        """One vector to memory."""
        place = self.builder.bitcast(self.address(pointer, offset), self.type.as_pointer())
        self.builder.store(vector, place, align=1)

    def part(self, vector: ir.Value, first: int, count: int) -> ir.Value:
        """`count` neighbouring lanes, from lane `first`, as a vector of their own."""
        order = ir.Constant(ir.VectorType(_INT32, count), list(range(first, first + count)))
        return self.builder.shuffle_vector(vector, ir.Constant(self.type, ir.Undefined), order)

    def store_part(
        self, vector: ir.Value, first: int, count: int, pointer: ir.Value, offset: ir.Value | int = 0
    ) -> None:
        """`count` neighbouring lanes, from lane `first`, to memory."""
        part = self.part(vector, first, count)
        place = self.builder.bitcast(self.address(pointer, offset), part.type.as_pointer())
        self.builder.store(part, place, align=1)

    def broadcast(self, pointer: ir.Value, offset: ir.Value | int = 0) -> ir.Value:
        """One element from memory in every lane."""
        return self.splat(self.builder.load(self.address(pointer, offset), align=1))

    def multiply_add(self, x: ir.Value, y: ir.Value, z: ir.Value) -> ir.Value:
        """`x*y + z`, rounded once where the CPU can, else twice.

        `llvm.fma` would insist on one rounding: without the instruction it calls libm, a hundred times slower.
        """
        return self.call("llvm.fmuladd", x, y, z)

    def first_lanes(self, count: ir.Value) -> ir.Value:
        """A mask of the first `count` lanes; `count` may be negative or beyond the last."""
        capped = self.builder.select(self.builder.icmp_signed("<", count, index(self.lanes)), count, index(self.lanes))
        lane = ir.Constant(ir.VectorType(self.mask_element, self.lanes), list(range(self.lanes)))
        wide = self.mask_element.width == _INDEX.width
        limit = capped if wide else self.builder.trunc(capped, self.mask_element)
        return self.builder.icmp_signed("<", lane, self.splat(limit))

    def row_masks(self, count: ir.Value) -> list[ir.Value]:
        """Masks of the first `count` elements of a row of a panel, one for each vector."""
        return [self.first_lanes(self.builder.sub(count, index(j * self.lanes))) for j in range(self.tile.vectors)]

    def load_part(self, pointer: ir.Value, offset: ir.Value | int, mask: ir.Value | None) -> ir.Value:
        """One vector from memory that may be read as a whole; zero in the lanes outside `mask`, if one is given.

        A choice after the load takes an instruction at most, where a CPU without masks would load lane by lane.
        """
        vector = self.load(pointer, offset)
        return vector if mask is None else self.builder.select(mask, vector, self.constant(0.0))

    def masked_load(self, pointer: ir.Value, offset: ir.Value | int, mask: ir.Value) -> ir.Value:
        """The lanes of `mask` from memory, zero in the others, whose memory is not touched."""
        place = self.builder.bitcast(self.address(pointer, offset), self.type.as_pointer())
        kind = ir.FunctionType(self.type, [place.type, _INT32, mask.type, self.type])
        function = cgutils.get_or_insert_function(self.builder.module, kind, f"llvm.masked.load.{self.suffix}.p0")
        return self.builder.call(function, [place, ir.Constant(_INT32, 1), mask, self.constant(0.0)])

    def masked_store(self, vector: ir.Value, pointer: ir.Value, offset: ir.Value | int, mask: ir.Value) -> None:
        """The lanes of `mask` to memory; the memory of the others is not touched."""
        place = self.builder.bitcast(self.address(pointer, offset), self.type.as_pointer())
        kind = ir.FunctionType(ir.VoidType(), [self.type, place.type, _INT32, mask.type])
        function = cgutils.get_or_insert_function(self.builder.module, kind, f"llvm.masked.store.{self.suffix}.p0")
        self.builder.call(function, [vector, place, ir.Constant(_INT32, 1), mask])

    def prefetch(self, pointer: ir.Value, *, to_write: bool = False, near: bool = True) -> None:
        """Prefetch the cache line of an address, into L1 or, where it is not needed so near, into L2; never faults."""
        kind = ir.FunctionType(ir.VoidType(), [_POINTER, _INT32, _INT32, _INT32])
        function = cgutils.get_or_insert_function(self.builder.module, kind, "llvm.prefetch.p0")
        locality, of_data = (3 if near else 2), 1
        flags = [ir.Constant(_INT32, flag) for flag in (int(to_write), locality, of_data)]
        self.builder.call(function, [self.bytes(pointer), *flags])

    def prefetch_for_write(self, pointer: ir.Value, offset: ir.Value | int = 0) -> None:
        """Prefetch a cache line that will be written soon."""
        self.prefetch(self.address(pointer, offset), to_write=True)

    def transpose(self, rows: list[ir.Value]) -> list[ir.Value]:
        """R vectors, R a power of two, to R vectors that hold the `lanes` columns one after the other.

        Rows 0, 2, ... and rows 1, 3, ... are transposed each for themselves, then their elements interleave:
        the halving of the fast Fourier transform, log2(R) rounds of R shuffles.
        """
        if len(rows) == 1:
            return rows
        even, odd = self.transpose(rows[0::2]), self.transpose(rows[1::2])
        half, width = self.lanes // 2, ir.VectorType(_INT32, self.lanes)
        low = ir.Constant(width, [i for lane in range(half) for i in (lane, self.lanes + lane)])
        high = ir.Constant(width, [i for lane in range(half, self.lanes) for i in (lane, self.lanes + lane)])
        return [
            self.builder.shuffle_vector(e, o, order) for e, o in zip(even, odd, strict=True) for order in (low, high)
        ]

    def load_transposed(self, rows: list[ir.Value], offset: ir.Value) -> list[ir.Value]:
        """A square from memory, its columns as vectors: `lanes` elements from `offset` on of as many rows.

        Registers of 128 bits and their multiples are loaded piece by piece, so that what is left to shuffle stays
        inside pieces of 128 bits: half of the shuffles that `transpose` needs, and cheaper ones.
        """
        piece = min(self.lanes, 16 // self.tile.dtype.itemsize)
        short = Vectors(self.builder, self.tile, piece)
        columns = []
        for k in range(0, self.lanes, piece):
            vectors = []
            for first in range(piece):
                pieces = [short.load(row, self.builder.add(offset, index(k))) for row in rows[first::piece]]
                vectors.append(self._joined(pieces))
            columns += self._transpose_pieces(vectors, piece)
        return columns

    def _joined(self, pieces: list[ir.Value]) -> ir.Value:
        """Neighbouring pieces as one vector."""
        while len(pieces) > 1:
            size = 2 * pieces[0].type.count
            order = ir.Constant(ir.VectorType(_INT32, size), list(range(size)))
            pieces = [self.builder.shuffle_vector(x, y, order) for x, y in zip(pieces[0::2], pieces[1::2], strict=True)]
        return pieces[0]

    def _transpose_pieces(self, rows: list[ir.Value], piece: int) -> list[ir.Value]:
        """`transpose` of each `piece` elements of the vectors for themselves."""
        if len(rows) == 1:
            return rows
        even, odd = self._transpose_pieces(rows[0::2], piece), self._transpose_pieces(rows[1::2], piece)
        orders = []
        for half in (0, piece // 2):
            lanes = [start + half + i for start in range(0, self.lanes, piece) for i in range(piece // 2)]
            order = [i for lane in lanes for i in (lane, self.lanes + lane)]
            orders.append(ir.Constant(ir.VectorType(_INT32, self.lanes), order))
        return [self.builder.shuffle_vector(e, o, order) for e, o in zip(even, odd, strict=True) for order in orders]

    def collect(self, pointers: list[ir.Value]) -> ir.Value:
        """One element, of whatever type, from each of `lanes` places."""
        vector: ir.Value = ir.Constant(ir.VectorType(pointers[0].type.pointee, self.lanes), ir.Undefined)
        for i, pointer in enumerate(pointers):
            vector = self.builder.insert_element(vector, self.builder.load(pointer, align=1), ir.Constant(_INT32, i))
        return vector

    def total(self, vectors: list[ir.Value]) -> ir.Value:
        """The sum of all lanes of some vectors, in halves: one fixed order, and few roundings."""
        while len(vectors) > 1:
            vectors = [self.builder.fadd(x, y) for x, y in zip(vectors[0::2], vectors[1::2], strict=True)]
        kind = ir.FunctionType(self.element, [self.element, self.type])
        function = cgutils.get_or_insert_function(self.builder.module, kind, f"llvm.vector.reduce.fadd.{self.suffix}")
        # In the order of the lanes, as it would be without the flag, each addition would wait for the one before.
        return self.builder.call(function, [ir.Constant(self.element, -0.0), vectors[0]], fastmath=("reassoc",))

    def when(
        self, condition: ir.Value, values: list[ir.Value], change: Callable[[list[ir.Value]], list[ir.Value]]
    ) -> list[ir.Value]:
        """`change(values)` where the condition holds at run time, else `values`."""
        before = self.builder.block
        with self.builder.if_then(condition):
            changed = change(values)
            inside = self.builder.block
        merged = []
        for old, new in zip(values, changed, strict=True):
            value = self.builder.phi(old.type)
            value.add_incoming(old, before)
            value.add_incoming(new, inside)
            merged.append(value)
        return merged

    def call(self, name: str, *operands: ir.Value) -> ir.Value:
        """An LLVM intrinsic of vectors of this type, by its name without the type."""
        kind = ir.FunctionType(self.type, [self.type] * len(operands))
        function = cgutils.get_or_insert_function(self.builder.module, kind, f"{name}.{self.suffix}")
        return self.builder.call(function, operands)
