"""Instructions of the GPU that Numba does not offer, written as LLVM code or inline PTX.

Every function here has a twin of the same name in `simulated`; `device` picks one of the two. Arrays are
one-dimensional, indices count elements and are not checked. "Four" elements are always four, of float32 by one
128-bit instruction and of float64 by two; the first of them lies at a multiple of 16 bytes.
"""

from collections.abc import Callable, Sequence
from functools import cache
from itertools import count
from typing import Any

from llvmlite import ir
from numba import types

try:
    from numba.cuda.extending import intrinsic as intrinsic
except ImportError:  # the `numba.cuda` inside Numba itself, which has none of its own
    from numba.extending import intrinsic as intrinsic

I32, I64 = ir.IntType(32), ir.IntType(64)
F32 = ir.FloatType()
SHARED = 3
"""The number of the address space of shared memory."""

_numbers = count()


def _pointer(context: Any, builder: Any, kind: Any, array: Any, at: Any) -> Any:
    return builder.gep(context.make_array(kind)(context, builder, array).data, [at])


def _shared_address(builder: Any, pointer: Any) -> Any:
    """The 32-bit address that inline PTX wants for a generic pointer into shared memory."""
    return builder.ptrtoint(builder.addrspacecast(pointer, pointer.type.pointee.as_pointer(SHARED)), I32)


def _assembly(builder: Any, text: str, constraints: str, result: Any, arguments: Sequence[Any]) -> Any:
    kind = ir.FunctionType(result, [argument.type for argument in arguments])
    return builder.call(ir.InlineAsm(kind, text, constraints, side_effect=True), arguments)


def _lanes(element: Any) -> int:
    """Elements in 128 bits."""
    return 128 // int(element.bitwidth)


def _vector_pointers(context: Any, builder: Any, kind: Any, array: Any, at: Any) -> list[Any]:
    """Where the 128-bit pieces of four elements lie."""
    lanes = _lanes(kind.dtype)
    vector = ir.VectorType(context.get_value_type(kind.dtype), lanes).as_pointer()
    starts = [builder.add(at, ir.Constant(at.type, first)) for first in range(0, 4, lanes)]
    return [builder.bitcast(_pointer(context, builder, kind, array, start), vector) for start in starts]


@intrinsic  # type: ignore[untyped-decorator]  # Numba's
def ld1(_typing: Any, array: Any, at: Any) -> Any:
    """array[at], without the code that Numba adds for negative indices."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        return builder.load(_pointer(context, builder, signature.args[0], *arguments))

    return array.dtype(array, types.intp), generate


@intrinsic  # type: ignore[untyped-decorator]  # Numba's
def st1(_typing: Any, array: Any, at: Any, value: Any) -> Any:
    """array[at] = value."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        builder.store(arguments[2], _pointer(context, builder, signature.args[0], *arguments[:2]))
        return context.get_dummy_value()

    return types.void(array, types.intp, array.dtype), generate


@intrinsic  # type: ignore[untyped-decorator]  # Numba's
def ld4(_typing: Any, array: Any, at: Any) -> Any:
    """array[at], ..., array[at + 3] as a tuple."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        elements = []
        for pointer in _vector_pointers(context, builder, signature.args[0], *arguments):
            vector = builder.load(pointer)
            vector.align = 16
            lanes = range(pointer.type.pointee.count)
            elements += [builder.extract_element(vector, ir.Constant(I32, lane)) for lane in lanes]
        return context.make_tuple(builder, signature.return_type, elements)

    return types.UniTuple(array.dtype, 4)(array, types.intp), generate


@intrinsic  # type: ignore[untyped-decorator]  # Numba's
def st4(_typing: Any, array: Any, at: Any, v0: Any, v1: Any, v2: Any, v3: Any) -> Any:
    """array[at], ..., array[at + 3] = v0, v1, v2, v3."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        values = list(arguments[2:])
        for pointer in _vector_pointers(context, builder, signature.args[0], *arguments[:2]):
            vector = ir.Constant(pointer.type.pointee, ir.Undefined)
            for lane in range(pointer.type.pointee.count):
                vector = builder.insert_element(vector, values.pop(0), ir.Constant(I32, lane))
            builder.store(vector, pointer).align = 16
        return context.get_dummy_value()

    return types.void(array, types.intp, *[array.dtype] * 4), generate


def shared_array(element: Any, size: int) -> Callable[[], Any]:
    """A function that kernels call for `size` elements of shared memory, at a multiple of 16 bytes.

    Each function stands for memory of its own.
    """
    number = next(_numbers)

    @intrinsic  # type: ignore[untyped-decorator]  # Numba's
    def allocate(_typing: Any) -> Any:
        def generate(context: Any, builder: Any, signature: Any, _arguments: Any) -> Any:
            name = f"shared_{number}"
            memory = builder.module.globals.get(name)
            if memory is None:
                block = ir.ArrayType(context.get_data_type(element), size)
                memory = ir.GlobalVariable(builder.module, block, name, addrspace=SHARED)
                memory.linkage, memory.align = "internal", 16
                memory.initializer = ir.Constant(block, ir.Undefined)
            first = builder.bitcast(
                builder.addrspacecast(memory, memory.type.pointee.as_pointer()),
                context.get_data_type(element).as_pointer(),
            )
            array = context.make_array(signature.return_type)(context, builder)
            bytes_of_one = int(element.bitwidth) // 8
            context.populate_array(
                array,
                data=first,
                shape=[ir.Constant(I64, size)],
                strides=[ir.Constant(I64, bytes_of_one)],
                itemsize=ir.Constant(I64, bytes_of_one),
                meminfo=None,
            )
            return array._getvalue()

        return types.Array(element, 1, "C")(), generate

    return allocate


@intrinsic  # type: ignore[untyped-decorator]  # Numba's
def copy4_async(_typing: Any, to: Any, to_at: Any, source: Any, source_at: Any, valid: Any) -> Any:
    """Begin to copy four elements from global to shared memory: the first `valid`, 0 to 4, and zeros after them."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        to, to_at, source, source_at, valid = arguments
        element = signature.args[0].dtype
        lanes, size = _lanes(element), int(element.bitwidth) // 8
        for first in range(0, 4, lanes):
            here, there = (
                _pointer(context, builder, kind, array, builder.add(at, ir.Constant(at.type, first)))
                for kind, array, at in [(signature.args[0], to, to_at), (signature.args[2], source, source_at)]
            )
            elements = builder.sub(valid, ir.Constant(I32, first))
            for limit, comparison in [(0, "<"), (lanes, ">")]:
                beyond = builder.icmp_signed(comparison, elements, ir.Constant(I32, limit))
                elements = builder.select(beyond, ir.Constant(I32, limit), elements)
            arguments_ = [_shared_address(builder, here), there, builder.mul(elements, ir.Constant(I32, size))]
            text = "cp.async.cg.shared.global [$0], [$1], 16, $2;"
            _assembly(builder, text, "r,l,r,~{memory}", ir.VoidType(), arguments_)
        return context.get_dummy_value()

    return types.void(to, types.intp, source, types.intp, types.int32), generate


@intrinsic  # type: ignore[untyped-decorator]  # Numba's
def copy1_async(_typing: Any, to: Any, to_at: Any, source: Any, source_at: Any, valid: Any) -> Any:
    """Begin to copy one element from global to shared memory, or a zero where `valid` is 0."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        to, to_at, source, source_at, valid = arguments
        size = int(signature.args[0].dtype.bitwidth) // 8
        here = _pointer(context, builder, signature.args[0], to, to_at)
        there = _pointer(context, builder, signature.args[2], source, source_at)
        bytes_valid = builder.mul(valid, ir.Constant(I32, size))
        text = f"cp.async.ca.shared.global [$0], [$1], {size}, $2;"
        arguments_ = [_shared_address(builder, here), there, bytes_valid]
        _assembly(builder, text, "r,l,r,~{memory}", ir.VoidType(), arguments_)
        return context.get_dummy_value()

    return types.void(to, types.intp, source, types.intp, types.int32), generate


@intrinsic  # type: ignore[untyped-decorator]  # Numba's
def commit_copies(_typing: Any) -> Any:
    """Close the group of this thread's copies begun since the last one."""

    def generate(context: Any, builder: Any, _signature: Any, _arguments: Any) -> Any:
        _assembly(builder, "cp.async.commit_group;", "~{memory}", ir.VoidType(), [])
        return context.get_dummy_value()

    return types.void(), generate


@cache
def wait_for_copies_but(groups: int) -> Callable[[], None]:
    """A function that waits for this thread's groups of copies, all but the last `groups`."""

    @intrinsic  # type: ignore[untyped-decorator]  # Numba's
    def wait(_typing: Any) -> Any:
        def generate(context: Any, builder: Any, _signature: Any, _arguments: Any) -> Any:
            _assembly(builder, f"cp.async.wait_group {groups};", "~{memory}", ir.VoidType(), [])
            return context.get_dummy_value()

        return types.void(), generate

    return wait


@intrinsic  # type: ignore[untyped-decorator]  # Numba's
def to_tf32(_typing: Any, value: Any) -> Any:
    """A float32 rounded to the 10 bits of fraction that tensor cores read."""

    def generate(_context: Any, builder: Any, _signature: Any, arguments: Any) -> Any:
        text = "cvt.rna.tf32.f32 $0, $1;"
        return builder.bitcast(_assembly(builder, text, "=r,f", I32, arguments), F32)

    return types.float32(types.float32), generate


@intrinsic  # type: ignore[untyped-decorator]  # Numba's
def pack_bf16(_typing: Any, low: Any, high: Any) -> Any:
    """Two float32 rounded to bfloat16, in the low and the high half of 32 bits."""

    def generate(_context: Any, builder: Any, _signature: Any, arguments: Any) -> Any:
        return _assembly(builder, "cvt.rn.bf16x2.f32 $0, $2, $1;", "=r,f,f", I32, arguments)

    return types.uint32(types.float32, types.float32), generate


def _mma(shape: str, operand: Any) -> Any:
    """The intrinsic of one kind of `mma.sync`: 4 registers of A, 2 of B, 4 of C, and 4 of the result."""
    text = f"mma.sync.aligned.{shape} {{$0, $1, $2, $3}}, {{$4, $5, $6, $7}}, {{$8, $9}}, {{$10, $11, $12, $13}};"

    @intrinsic  # type: ignore[untyped-decorator]  # Numba's
    def mma(
        _typing: Any, a0: Any, a1: Any, a2: Any, a3: Any, b0: Any, b1: Any, c0: Any, c1: Any, c2: Any, c3: Any
    ) -> Any:
        def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
            bits = [builder.bitcast(value, I32) for value in arguments[:6]]
            result = ir.LiteralStructType([F32] * 4)
            sums = _assembly(builder, text, "=f,=f,=f,=f,r,r,r,r,r,r,f,f,f,f", result, [*bits, *arguments[6:]])
            elements = [builder.extract_value(sums, i) for i in range(4)]
            return context.make_tuple(builder, signature.return_type, elements)

        return types.UniTuple(types.float32, 4)(*[operand] * 6, *[types.float32] * 4), generate

    return mma


mma_tf32 = _mma("m16n8k8.row.col.f32.tf32.tf32.f32", types.float32)
"""C (16, 8) + A (16, 8) B (8, 8) by a warp; operands are float32 that `to_tf32` has rounded."""

mma_bf16 = _mma("m16n8k16.row.col.f32.bf16.bf16.f32", types.uint32)
"""C (16, 8) + A (16, 16) B (16, 8) by a warp; operands are pairs of bfloat16."""


@intrinsic  # type: ignore[untyped-decorator]  # Numba's
def load_acquire(_typing: Any, array: Any, at: Any) -> Any:
    """A 64-bit integer of global memory as other blocks have left it, and all that they wrote before it."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        pointer = _pointer(context, builder, signature.args[0], *arguments)
        return _assembly(builder, "ld.acquire.gpu.global.u64 $0, [$1];", "=l,l,~{memory}", I64, [pointer])

    return types.int64(array, types.intp), generate
