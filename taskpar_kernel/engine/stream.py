"""Steps come in, statement instances in program order go out, as far as control flow is known.

A loop whose iterable can be walked ahead yields, for each iteration, a `Binding` of its targets and
the instances of its body; the test of an `if` around some of them is evaluated ahead where it only
compares names that are known. The rule: walking ahead consumes nothing that home will walk (it
evaluates the iterable expression anew), and what it finds is a prediction that home checks.

Program order is a tuple: numbers of steps and iterations alternate, outermost first.
"""

from __future__ import annotations

import ast
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from taskpar_kernel.analysis.iterables import plain_condition, scalars_only
from taskpar_kernel.model.effects import Effects
from taskpar_kernel.model.refusal import Refusal
from taskpar_kernel.model.steps import Guard, HomeStep, LoopStep, Step, TopLevel, Unit

if TYPE_CHECKING:
    from taskpar_kernel.engine.attempts import AttemptRecord

Order = tuple[int, ...]
Values = Mapping[str, Any]


@dataclass(slots=True, eq=False)
class Instance:
    """One run-to-be of a unit or a home step."""

    step: Unit | HomeStep
    order: Order
    attempt: AttemptRecord | None = None
    local: Mapping[str, Any] = field(default_factory=dict)
    """What the targets of comprehensions around it will be."""
    bound: Mapping[str, Any] = field(default_factory=dict)
    """What the targets of all loops around it will be."""
    refused: Refusal | None = None
    """Why it could not be sent out when that was tried."""
    part: int = 0
    """Which part of its attempt's outcome is its own."""
    doubtful: bool = False
    """Whether it stands in a branch, and nobody knows yet which one home will take."""
    reached: bool = False
    """Whether home came to it."""

    @property
    def effects(self) -> Effects:
        """The predicted effects of its step."""
        return self.step.effects


@dataclass(frozen=True, slots=True, eq=False)
class Binding:
    """The loop targets of one iteration, with the values they will have."""

    order: Order
    values: dict[str, Any]


@dataclass(frozen=True, slots=True, eq=False)
class Opaque:
    """A loop that could not be walked ahead (yet): what it may do is its effects."""

    order: Order
    effects: Effects


Item = Instance | Binding | Opaque
Walk = Callable[[ast.expr], Iterator[Any] | None]


@dataclass(slots=True)
class Stream:
    """Instances of a cell's steps in program order, made on demand.

    `walk` evaluates an iterable expression ahead of home and returns an iterator over it, or None
    if its input is not known yet; `passed` tells whether home has left a place in program order
    behind.
    """

    tops: Sequence[TopLevel]
    walk: Walk
    passed: Callable[[Order], bool]
    known: Callable[[ast.expr], Mapping[str, Any]] = lambda _: {}
    """Gives the values of an expression's names, as far as they are known."""
    apart: Callable[[Unit], bool] = lambda _: False
    """Whether a block goes out as the units that it consists of."""
    _items: Iterator[Item | None] = field(init=False)

    def __post_init__(self) -> None:
        self._items = self._tops()

    def pull(self) -> Item | None:
        """Return the next item, or None when there is none now (blocked, or at the end)."""
        return next(self._items, None)

    def _tops(self) -> Iterator[Item | None]:
        for top in self.tops:
            yield from self._steps(top.steps, (), {}, {})

    def _steps(
        self, steps: Sequence[Step], prefix: Order, local: Values, bound: Values
    ) -> Generator[Item | None, None, ast.stmt | None]:
        """Yield instances up to a jump that is known to be made, and return that."""
        said: dict[ast.expr, bool | None] = {}
        for step in steps:
            met = self._is_met(step.when, said) if step.when else True
            if met is False:
                continue
            if isinstance(step, LoopStep):
                yield from self._loop(step, (*prefix, step.id), local, bound)
            elif isinstance(step, Unit) and step.members and self.apart(step):
                yield from self._steps(step.members, prefix, local, bound)
            else:
                order = (*prefix, step.id)
                yield Instance(step, order, local=local, bound=bound, doubtful=met is None)
                if isinstance(step, HomeStep) and self._is_left(step, bound):
                    return step.leaves
        return None

    def _is_left(self, step: HomeStep, bound: Values) -> bool:
        """Whether a jump is surely made here, as far as can be told ahead."""
        node = step.node
        if step.leaves is None or not isinstance(node, ast.If) or not plain_condition(node.test):
            return False
        try:
            return self._holds(node.test, bound)
        except Exception:  # noqa: BLE001 - not known yet, or home will raise it
            return False

    def _is_met(self, when: Sequence[Guard], said: dict[ast.expr, bool | None]) -> bool | None:
        """Return whether home will come to a step in these branches; None: nobody knows.

        `said` keeps what each test said: it is asked once, where its statement stands.
        """
        doubtful = False
        for guard in when:
            if guard.test not in said:
                try:
                    said[guard.test] = self._holds(guard.test, {})
                except Exception:  # noqa: BLE001 - home will meet it, and raise it, at its turn
                    said[guard.test] = None
            says = said[guard.test]
            if says != guard.holds and (says is not None or guard.holds is None):
                return False
            doubtful |= says is None and guard.holds is not None and not guard.likely
        return None if doubtful else True

    def _loop(
        self, loop: LoopStep, prefix: Order, local: Values, bound: Values
    ) -> Iterator[Item | None]:
        clause = loop.clause
        items = self.walk(clause.iter)
        while items is None:
            if self.passed(prefix):
                return
            yield None
            items = self.walk(clause.iter)
        index = 0
        unpack = _unpacker(clause.target)
        while not self.passed(prefix):
            try:
                values = unpack(next(items))
                holds = all(self._holds(test, values) for test in loop.conditions)
            except StopIteration:
                return
            except Exception:  # noqa: BLE001 - home will meet it, and raise it, at its turn
                yield Opaque((*prefix, index), loop.effects)
                return
            if not loop.is_local:
                yield Binding((*prefix, index), values)
            if holds:
                inner = {**local, **values} if loop.is_local else local
                here = (*prefix, index)
                jump = yield from self._steps(loop.body, here, inner, {**bound, **values})
                if isinstance(jump, ast.Break):
                    return
            index += 1

    def _holds(self, test: ast.expr, values: Mapping[str, Any]) -> bool:
        """Evaluate a plain condition ahead."""
        known = {n: v for n, v in self.known(test).items() if n not in values}
        if not scalars_only(test, {**known, **values}):
            raise TypeError("evaluating it might have effects")
        code = compile(ast.Expression(test), "<condition>", "eval")
        return bool(eval(code, {"__builtins__": {}}, {**known, **values}))  # noqa: S307 - scalars


def _unpacker(target: ast.expr) -> Callable[[Any], dict[str, Any]]:
    """Return a function that binds one item to the loop's targets, as the loop would."""
    if isinstance(target, ast.Name):
        name = target.id
        return lambda item: {name: item}
    source = ast.Module([ast.Assign([target], ast.Name("item", ast.Load()))], [])
    code = compile(ast.fix_missing_locations(source), "<loop target>", "exec")
    plain = (tuple, list, str, bytes, dict)

    def unpack(item: Any) -> dict[str, Any]:
        if type(item) not in plain:
            raise TypeError("unpacking it might have effects")
        values: dict[str, Any] = {"item": item, "__builtins__": {}}
        exec(code, values)  # noqa: S102 - an assignment to plain names
        del values["__builtins__"]
        if not any(isinstance(n, ast.Name) and n.id == "item" for n in ast.walk(target)):
            del values["item"]
        return values

    return unpack
