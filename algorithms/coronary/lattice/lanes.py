"""Eight cells side by side as one number for numba: what a vector register holds, with sums, differences and products.

Numba's own loops turn into vector operations only where LLVM can prove that what is written is not read again; a step of
the lattice reads 27 runs of one array and writes 27 of another, which it cannot.  On machines with shorter registers LLVM
takes two or four for one of these.
"""

from __future__ import annotations

import operator
from typing import Any

from llvmlite import ir
from numba import types
from numba.core.typing.templates import AbstractTemplate, infer_global, signature
from numba.extending import intrinsic, lower_builtin, models, register_model

LANES = 8

_VECTOR = ir.VectorType(ir.FloatType(), LANES)


class _LanesType(types.Type):
    def __init__(self) -> None:
        super().__init__(name="Lanes")


_LANES_TYPE = _LanesType()


@register_model(_LanesType)
class _LanesModel(models.PrimitiveModel):
    def __init__(self, manager: Any, numba_type: types.Type) -> None:
        super().__init__(manager, numba_type, _VECTOR)  # type: ignore[no-untyped-call]


def _load(_: Any, array: Any, at: Any) -> Any:
    """Return ``array[at : at + LANES]`` of a flat float32 array; nothing is checked."""

    def code(context: Any, builder: Any, called: Any, arguments: Any) -> Any:
        found = builder.load(_address(context, builder, called.args[0], *arguments))
        found.align = 4
        return found

    return _LANES_TYPE(array, types.intp), code


def _store(_: Any, array: Any, at: Any, lanes: Any) -> Any:
    """Write ``lanes`` to ``array[at : at + LANES]`` of a flat float32 array; nothing is checked."""

    def code(context: Any, builder: Any, called: Any, arguments: Any) -> Any:
        written = builder.store(arguments[2], _address(context, builder, called.args[0], *arguments[:2]))
        written.align = 4
        return context.get_dummy_value()

    return types.void(array, types.intp, lanes), code


def _spread(_: Any, number: Any) -> Any:
    """Return a float32 in every lane."""

    def code(context: Any, builder: Any, called: Any, arguments: Any) -> Any:
        undefined, every = ir.Constant(_VECTOR, ir.Undefined), ir.VectorType(ir.IntType(32), LANES)
        first = builder.insert_element(undefined, arguments[0], ir.IntType(32)(0))
        return builder.shuffle_vector(first, undefined, ir.Constant(every, [0] * LANES))

    return _LANES_TYPE(types.float32), code


load: Any = intrinsic(_load)
store: Any = intrinsic(_store)
spread: Any = intrinsic(_spread)


def _address(context: Any, builder: Any, array_type: Any, array: Any, at: Any) -> Any:
    place = builder.gep(context.make_array(array_type)(context, builder, array).data, [at])
    return builder.bitcast(place, _VECTOR.as_pointer())


def _let(sign: Any, instruction: str) -> None:
    @infer_global(sign)
    class _Typed(AbstractTemplate):
        def generic(self, args: Any, kws: Any) -> Any:
            both = args == (_LANES_TYPE, _LANES_TYPE)
            return signature(_LANES_TYPE, *args) if both and not kws else None

    @lower_builtin(sign, _LANES_TYPE, _LANES_TYPE)  # type: ignore[untyped-decorator]
    def _lowered(context: Any, builder: Any, called: Any, arguments: Any) -> Any:
        return getattr(builder, instruction)(*arguments, flags=("fast",))


for _sign, _instruction in (
    (operator.add, "fadd"),
    (operator.iadd, "fadd"),
    (operator.sub, "fsub"),
    (operator.isub, "fsub"),
    (operator.mul, "fmul"),
):
    _let(_sign, _instruction)
