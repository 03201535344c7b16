"""A home without an engine: each program runs serially, and again with its statements ahead.

Theory of operation. A request is a `setup`, run at home, then `statements`. A forked child runs
them serially: that is the truth. Then all statements are carried out by workers before home
commits the first one; home judges each outcome at its turn, and runs what it must refuse. What the
program printed and what the `probe` shows must be the truth's in the end.

The promise is kept here by the package's own ledger, verdict and commit; only the choice of what
goes out, which may be wrong without harm, is this file's: everything that can.
"""

from __future__ import annotations

import ast
import builtins
import contextlib
import io
import itertools
import json
import marshal
import os
import pickle
import random
import shutil
import subprocess
import sys
import tempfile
import traceback
import types
from dataclasses import dataclass, field
from typing import Any

from taskpar_kernel.analysis.api import advance
from taskpar_kernel.analysis.predict import predict
from taskpar_kernel.commit.apply import apply, open_outcome
from taskpar_kernel.engine.ledger import Bundle, Ledger
from taskpar_kernel.engine.marks import AmbientMark
from taskpar_kernel.errors import NotPortable
from taskpar_kernel.model.effects import Effects, Scope
from taskpar_kernel.model.ids import HOME, Key, Place, Ticket
from taskpar_kernel.model.messages import AtGate, Attempt, Code, Finished
from taskpar_kernel.seed import HashSeed
from taskpar_kernel.transport.segments import Segments
from taskpar_kernel.validation.verdict import changed_file, stale_name
from taskpar_kernel.worker.seen import present_state
from taskpar_kernel.worker.undo import discard, journal_of, take_back

_KEPT = {"__name__", "__builtins__", "__doc__"}
_PENDING = object()


class Worker:
    """A worker process and what it was given."""

    def __init__(self, place: Place, folder: str):
        self.place = place
        self.at_gate = False
        self.process = subprocess.Popen(
            [sys.executable, "-c", "import worker_process as w; w.main()", str(place), folder],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env={**os.environ, **HashSeed.environment()},
        )

    def ask(self, kind: str, argument: Any) -> tuple[Any, str]:
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        pickle.dump((kind, argument), self.process.stdin)
        self.process.stdin.flush()
        answer: tuple[Any, str] = pickle.load(self.process.stdout)
        self.at_gate = isinstance(answer[0], AtGate)
        return answer


@dataclass(eq=False)
class Sent:
    """One statement and what became of it."""

    node: ast.stmt
    effects: Effects
    outcome: Bundle | None = None
    reads: dict[str, Bundle] = field(default_factory=dict)
    modules: tuple[tuple[str, str], ...] = ()
    ambient: dict[str, object] = field(default_factory=dict)
    inputs: tuple[Bundle, ...] = ()
    made: tuple[str, ...] = ()
    replica: Bundle | None = None
    worker: Worker | None = None
    ticket: Any = None
    gate: AtGate | None = None
    finished: Finished | None = None
    text: str = ""
    why: str = ""
    taken: bool = False


class Home:
    """Runs requests, one after the other."""

    def __init__(self, folder: str):
        self.segments = Segments(folder or None, "home")
        self.workers: dict[Place, Worker] = {}
        self._folder = folder
        self._keys = itertools.count(1)
        self._tickets = itertools.count(1)

    def worker(self, number: int) -> Worker:
        place = Place(number)
        if place in self.workers and self.workers[place].process.poll() is not None:
            del self.workers[place]
        if place not in self.workers:
            self.workers[place] = Worker(place, self._folder)
        return self.workers[place]

    # One request -----------------------------------------------------------------------------

    def run(self, request: dict[str, Any]) -> dict[str, Any]:
        namespace = _clear()
        exec(_compiled(request["setup"], "<setup>"), namespace)
        folder = _Folder(request.get("folder", ""))
        serial = [*_in_child(lambda: _serially(request, namespace)), folder.seen()]
        folder.restore()
        ledger = Ledger(self._keys, self.segments, AmbientMark())
        nodes = ast.parse(request["code"]).body
        sent = self._ahead(nodes, ledger, namespace, request)
        parallel = _in_child(lambda: self._in_parallel(sent, ledger, namespace, request["probe"]))
        parallel["parallel"].append(folder.seen())
        folder.forget()
        for worker in self.workers.values():
            worker.at_gate = False  # the child has answered
        for worker in self.workers.values():
            worker.ask("forget", tuple(Key(k) for k in ledger.bundles))
        return {"serial": serial, **parallel}

    def _in_parallel(
        self, sent: list[Sent], ledger: Ledger, namespace: dict[str, Any], probe: str
    ) -> dict[str, Any]:
        text = io.StringIO()
        with contextlib.redirect_stdout(text):
            error = self._walk(sent, ledger, namespace)
            for one in sent:
                self._abandon(one)
            shown = _probe(probe, namespace)
        return {
            "parallel": [shown, text.getvalue(), error],
            "statements": [_described(s) for s in sent],
        }

    def _ahead(
        self, nodes: list[ast.stmt], ledger: Ledger, namespace: dict[str, Any], request: Any
    ) -> list[Sent]:
        env: dict[str, Any] = {}
        scope = Scope({k: v for k, v in namespace.items() if k not in _KEPT})
        sent = []
        places = itertools.cycle(request.get("places", [1]))
        home = set(request.get("home", []))
        prelude: list[Sent] = []
        cheap = set(request.get("prelude", []))
        for number, node in enumerate(nodes):
            one = Sent(node, predict(node, scope))
            scope = advance(scope, node, one.effects)
            place = next(places)
            if number in cheap:
                prelude.append(one)
                self._gather(one, ledger, namespace, env, request)
                _bind(one, env, one)
            elif number in home:
                one.why = "at home"
                _bind(one, env, _PENDING)
            else:
                self._send(one, ledger, namespace, env, {**request, "place": place})
                _bind(one, env, one.outcome if one.outcome is not None else _PENDING)
            sent.append(one)
        return sent

    def _gather(
        self,
        one: Sent,
        ledger: Ledger,
        namespace: dict[str, Any],
        env: dict[str, Any],
        request: Any,
    ) -> dict[str, Any]:
        """Find where each name `one` reads comes from; NotPortable: that is not known."""
        names = one.effects.reads | one.effects.changes | one.effects.deletes
        names -= set(request.get("hide", []))
        values: dict[str, Any] = {}
        made: dict[str, Sent] = {}
        modules = []
        for name in sorted(names):
            source = env.get(name)
            if source is _PENDING:
                raise NotPortable(f"{name} is pending")
            if isinstance(source, Sent):
                made[name] = source
            elif source is not None:
                one.reads[name] = source
            elif isinstance(namespace.get(name), types.ModuleType):
                modules.append((name, namespace[name].__name__))
            elif name in namespace:
                values[name] = namespace[name]
        one.reads |= ledger.bundles_for(values, Place(request.get("place", 1)))
        one.modules = tuple(modules)
        return made

    def _send(
        self,
        one: Sent,
        ledger: Ledger,
        namespace: dict[str, Any],
        env: dict[str, Any],
        request: Any,
    ) -> None:
        worker = self.worker(request["place"])
        try:
            if worker.at_gate:
                raise NotPortable("its worker waits at the gate")  # noqa: TRY301
            made = self._gather(one, ledger, namespace, env, request)
            ambient_key, one.ambient, ambient = ledger.ambient_key()
            before: list[Sent] = list(dict.fromkeys(made.values()))
            codes = []
            for other in before:
                needs = self._gather(other, ledger, namespace, env, request)
                if set(needs.values()) - {other}:
                    raise NotPortable("preludes of one level only")  # noqa: TRY301
                codes.append(Code(_marshalled(other.node), _keys(other.reads), other.modules, ()))
            everything = {b.key: b for s in (*before, one) for b in s.reads.values()}
            if ambient is not None:
                everything[ambient.key] = ambient
            for bundle in everything.values():
                self._deliver(bundle, worker)
        except NotPortable as why:
            one.why = f"not sent: {why}"
            return
        one.inputs = tuple(everything.values())
        one.made = tuple(made)
        one.outcome = ledger.expect(ledger.next_key(), worker.place)
        if before:
            one.replica = ledger.expect(ledger.next_key(), worker.place)
        attempt = Attempt(
            Ticket(next(self._tickets)),
            one.outcome.key,
            _marshalled(one.node),
            ast.unparse(one.node),
            _keys(one.reads),
            one.modules,
            ambient_key,
            tuple(sorted(one.effects.changes)),
            tuple(codes),
            tuple((name, before.index(source)) for name, source in made.items()),
            None if one.replica is None else one.replica.key,
        )
        one.worker, one.ticket = worker, attempt.ticket
        finished, one.text = worker.ask("attempt", attempt)
        if isinstance(finished, AtGate):
            one.gate = finished
        elif isinstance(finished, Finished):
            one.finished, one.why = finished, finished.why
        else:
            one.why = finished

    def _deliver(self, bundle: Bundle, worker: Worker) -> None:
        if worker.place in bundle.holders:
            return
        packed: Any = bundle.packed
        if HOME not in bundle.holders or packed is None:
            holder = min(p for p in bundle.holders if p != HOME)
            if self.workers[holder].at_gate:
                raise NotPortable("the holder of its input waits at the gate")
            packed, _ = self.workers[holder].ask("forward", bundle.key)
            if isinstance(packed, str):
                raise NotPortable(packed)
        worker.ask("value", (bundle.key, packed))
        bundle.holders.add(worker.place)

    # Home's walk -----------------------------------------------------------------------------

    def _walk(self, sent: list[Sent], ledger: Ledger, namespace: dict[str, Any]) -> str:
        for one in sent:
            if not one.why:
                one.why = self._take(one, ledger, namespace)
            if not one.why:
                one.taken = True
                sys.stdout.write(one.text)
                continue
            if one.outcome is not None:
                one.outcome.dropped = True
            self._abandon(one)
            ledger.before_home(one.effects, namespace)
            try:
                exec(_compiled(one.node), namespace)
            except BaseException as error:  # noqa: BLE001 - it is compared
                return _last_line(error)
            finally:
                ledger.after_home(one.effects, namespace)
        return ""

    def _abandon(self, one: Sent) -> None:
        if one.gate is not None and one.finished is None and one.worker is not None:
            one.finished, _ = one.worker.ask("abandon", None)

    def _journal(self, one: Sent) -> str:
        return journal_of(self._folder, one.ticket)

    def _take(self, one: Sent, ledger: Ledger, namespace: dict[str, Any]) -> str:
        if one.gate is not None:
            why = self._stale(one, ledger, namespace, one.gate)
            if why:
                return why
            assert one.worker is not None
            one.finished, one.text = one.worker.ask("proceed", None)
        finished = one.finished
        if finished is None:
            return "stays home"
        if not finished.ok or finished.packed is None:
            assert not os.path.exists(self._journal(one))
            return finished.why + finished.left
        why = self._stale(one, ledger, namespace, finished) if one.gate is None else ""
        if why:
            return why
        try:
            opened = open_outcome(finished.packed, self.segments, ledger.resolve)
        except NotPortable as refused:
            take_back(self._journal(one))
            return f"cannot be brought home: {refused}"
        apply(opened, namespace)
        discard(self._journal(one))
        assert one.outcome is not None
        one.outcome.objects |= {
            n: namespace[n] for n in one.effects.changes if n in namespace and n in one.reads
        }
        ledger.take_in(one.outcome, opened)
        return ""

    def _stale(
        self, one: Sent, ledger: Ledger, namespace: dict[str, Any], told: AtGate | Finished
    ) -> str:
        for bundle in one.reads.values():
            if not bundle.at_home:
                return "what makes its input was run again"
        pairs = [(n, b.objects.get(n)) for n, b in one.reads.items()]
        pairs += [(n, sys.modules[m]) for n, m in one.modules]
        name = stale_name(pairs, namespace)
        if name:
            return f"{name} is not what was predicted"
        if not all(map(ledger.unchanged, one.reads.values())):
            return "its input was changed in between"
        if ledger.ambient_mark() != one.ambient:
            return "ambient state was changed in between"
        if one.replica is not None and not self._same_prelude(one, ledger, namespace, told):
            return "the prelude came out differently"
        if changed_file(told.files_read, present_state):
            return "a file was changed in between"
        return ""

    @staticmethod
    def _same_prelude(
        one: Sent, ledger: Ledger, namespace: dict[str, Any], told: AtGate | Finished
    ) -> bool:
        assert one.replica is not None
        if told.replica is None:
            return False
        values = {n: namespace[n] for n in one.made if n in namespace}
        return len(values) == len(one.made) and ledger.accept_replica(
            one.replica, values, one.inputs, told.replica
        )


class _Folder:
    """A folder that both runs work in: each begins with what the setup has left there."""

    def __init__(self, path: str):
        self.path = path
        self._copy = tempfile.mkdtemp() if path else ""
        if path:
            subprocess.run(["cp", "-a", path, f"{self._copy}/files"], check=True)

    def seen(self) -> str:
        """Tell what is in the folder: names, modes, times if they are old, and contents."""
        found = []
        for base, folders, files in os.walk(self.path) if self.path else ():
            for name in sorted(folders + files):
                whole = os.path.join(base, name)
                status = os.lstat(whole)
                old = status.st_mtime if status.st_mtime < 1e9 else 0
                content = None
                if os.path.islink(whole):
                    content = os.readlink(whole)
                elif os.path.isfile(whole):
                    with open(whole, errors="replace") as file:
                        content = file.read()[:1000]
                path = os.path.relpath(whole, self.path)
                found.append((path, oct(status.st_mode), status.st_nlink, old, content))
        return repr(sorted(found))

    def restore(self) -> None:
        for name in os.listdir(self.path) if self.path else ():
            whole = os.path.join(self.path, name)
            if os.path.isdir(whole) and not os.path.islink(whole):
                shutil.rmtree(whole)
            else:
                os.unlink(whole)
        if self.path:
            subprocess.run(["cp", "-a", f"{self._copy}/files/.", self.path], check=True)

    def forget(self) -> None:
        if self._copy:
            shutil.rmtree(self._copy)


def _bind(one: Sent, env: dict[str, Any], source: Any) -> None:
    for name in one.effects.writes | one.effects.changes:
        env[name] = source
    for name in one.effects.deletes:
        env[name] = _PENDING


def _keys(reads: dict[str, Bundle]) -> tuple[tuple[str, Key], ...]:
    return tuple((name, bundle.key) for name, bundle in reads.items())


def _compiled(what: Any, name: str = "<cell>") -> Any:
    if isinstance(what, str):
        return compile(what, name, "exec")
    return compile(ast.Module([what], []), name, "exec")


def _marshalled(node: ast.stmt) -> bytes:
    return marshal.dumps(_compiled(node))


def _clear() -> dict[str, Any]:
    namespace = vars(sys.modules["__main__"])
    for name in namespace.keys() - _KEPT:
        del namespace[name]
    namespace |= {"__builtins__": builtins, "__name__": "__main__"}
    return namespace


def _serially(request: dict[str, Any], namespace: dict[str, Any]) -> Any:
    text, error = io.StringIO(), ""
    with contextlib.redirect_stdout(text):
        try:
            for node in ast.parse(request["code"]).body:
                exec(_compiled(node), namespace)
        except BaseException as raised:  # noqa: BLE001 - it is compared
            error = _last_line(raised)
        shown = _probe(request["probe"], namespace)
    return [shown, text.getvalue(), error]


def _probe(source: str, namespace: dict[str, Any]) -> str:
    try:
        return repr(eval(source, namespace))
    except Exception as error:  # noqa: BLE001 - it is compared
        return _last_line(error)


def _last_line(error: BaseException) -> str:
    try:
        return traceback.format_exception_only(error)[-1].strip()
    except Exception:  # noqa: BLE001 - a strange __str__
        return type(error).__name__


def _in_child(what: Any) -> Any:
    """Return what `what()` returns in a forked child, whose world is thrown away."""
    with tempfile.TemporaryFile() as file:
        state = random.getstate()
        child = os.fork()
        if child == 0:
            random.setstate(state)  # it is seeded anew after a fork
            try:
                file.write(json.dumps(what()).encode())
                file.flush()
            finally:
                os._exit(0)
        os.waitpid(child, 0)
        file.seek(0)
        return json.loads(file.read())


def _described(one: Sent) -> dict[str, Any]:
    files = [path for path, _ in one.finished.files_read] if one.finished else []
    return {
        "taken": one.taken,
        "why": one.why,
        "ename": one.finished.ename if one.finished else "",
        "evalue": one.finished.evalue if one.finished else "",
        "files": files,
        "waited": one.gate is not None,
    }


def main() -> None:
    """Serve requests, one line of JSON each, until the input ends."""
    HashSeed.learn()
    home = Home(sys.argv[1])
    source, sink = os.fdopen(os.dup(0)), os.fdopen(os.dup(1), "w")
    sys.stdout = io.StringIO()
    for line in source:
        try:
            answer: Any = home.run(json.loads(line))
        except Exception:  # noqa: BLE001 - told to the test
            answer = {"broken": traceback.format_exc()}
        sink.write(json.dumps(answer) + "\n")
        sink.flush()
