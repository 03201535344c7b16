"""Expressions come in, the parts of them that can run ahead go out.

The rule: only what evaluating the expression surely evaluates becomes a part.
"""

from __future__ import annotations

import ast
from collections.abc import Iterable
from dataclasses import replace

from taskpar_kernel.analysis.loops import targets_of, used, within, worth
from taskpar_kernel.analysis.making import Maker
from taskpar_kernel.analysis.maps import ITEM, Applied, applied_in
from taskpar_kernel.analysis.predict import predict
from taskpar_kernel.analysis.shapes import (
    COMPREHENSIONS,
    consumed_generator,
    evaluated,
    makes_functions,
    results,
)
from taskpar_kernel.analysis.together import of_comprehension
from taskpar_kernel.model.effects import Scope
from taskpar_kernel.model.steps import Comprehension, LoopStep, Step, Unit


class Parts(Maker):
    """Takes expressions apart."""

    def parts(self, expressions: Iterable[ast.expr | None], scope: Scope) -> list[Step]:
        """Return the calls and comprehensions that are always evaluated and may travel.

        A call is taken apart if several of its operands may travel; otherwise it goes as a whole.
        """
        return [step for node in expressions if node for step in self.part(node, scope)]

    def part(self, node: ast.expr, scope: Scope) -> list[Step]:
        """Return the parts of one expression, or the expression itself if it is one."""
        saved = self.next_id
        if not self.inside and not self.straight:
            generator = consumed_generator(node, scope)
            inner = [self.comprehension(generator, scope)] if generator else []
            if isinstance(node, COMPREHENSIONS):
                inner = [self.comprehension(node, scope)]
            applied = applied_in(node, scope)
            if applied is not None:
                inner = [self.applied(applied, node, scope)]
            if any(inner):
                return [step for step in inner if step]
            self.next_id = saved
            parts = self.parts(evaluated(node), scope)
            if len(parts) > 1 or any(isinstance(part, LoopStep) for part in parts):
                return parts
            self.next_id = saved
        if isinstance(node, (ast.Call, *COMPREHENSIONS)):
            effects = predict(node, scope)
            dear = self.eager or effects.cost_s != 0.0
            dear = dear and not (self.local and makes_functions(node))
            if effects.travels and dear and not effects.writes and not effects.deletes:
                return [self.unit(node, effects)]
        return self.parts(evaluated(node), scope)

    def comprehension(self, node: Comprehension, scope: Scope) -> LoopStep | None:
        """Return the comprehension taken apart, or None where that cannot be or does not pay."""
        targets = targets_of(node, scope, by_value=self.by_value)
        if targets is None:
            self.keep(node, of_comprehension(node, scope, None))
            return None
        effects = predict(node, scope)
        if effects.cost_s == 0.0 and not self.eager:
            return None
        if targets & (effects.reads | effects.writes) or effects.writes or effects.deletes:
            return None  # a function that is called uses a name of the notebook spelled alike
        number = self.number()
        units = self.element(node, within(scope, targets))
        local = [replace(unit, local=used(unit, targets)) for unit in units]
        apart = not any(u.effects.changes - targets or u.effects.draws for u in local)
        if apart and any(worth(unit, eager=self.eager) for unit in local):
            return LoopStep(number, node, effects, self.text(node), node.lineno, tuple(local))
        self.keep(node, of_comprehension(node, scope, local))
        return None

    def applied(self, applied: Applied, node: ast.expr, scope: Scope) -> LoopStep | None:
        """Return the loop of a function that is applied to each item, or None; `node` uses it."""
        saved = self.next_id
        loop = applied.loop()
        effects = predict(node, scope)
        unsafe = effects.writes or effects.deletes or ITEM in scope.objects
        if unsafe or (self.local and isinstance(applied.function, ast.Lambda)):
            return None
        found = self.comprehension(loop, scope)
        if found is None or len(found.body) != 1:
            self.next_id = saved
            return None
        (unit,) = found.body
        if not isinstance(unit, Unit) or unit.node is not loop.elt:
            self.next_id = saved
            return None
        text = f"{self.text(applied.function)}(…)"
        unit = replace(unit, text=text, local=(ITEM,))
        return replace(
            found, body=(unit,), effects=effects, text=self.text(node), place=applied.place
        )

    def element(self, node: Comprehension, inside: Scope) -> list[Unit]:
        """Return the units of what a comprehension evaluates for each element."""
        self.inside += 1
        steps = self.parts(results(node), inside)
        self.inside -= 1
        return [step for step in steps if isinstance(step, Unit)]


__all__ = ["Parts"]
