"""The subcommands of `%taskpar` by name: nothing comes in; a kernel that starts reads only this."""

COMMANDS = {
    "on": "run cells through the engine",
    "off": "run cells serially",
    "last": "what ran where in the last cell, and what bounds its speed",
    "why": "what kept statements of it at home or waiting, and what would free them",
    "graph": "which statements of a cell need which",
    "plan": "what would run where, without running it",
    "workers": "the workers: pid, state, memory, what each holds",
    "verify": "run the cells so far again, serially and in parallel, and compare",
    "doctor": "versions, shared memory, left-overs, and a self-test",
    "help": "the help of a subcommand",
}
"""Subcommands of `%taskpar`, and what each is for."""

ABOUT_TEXT = ("graph", "plan")
"""Those that take the text below `%%taskpar` instead of running it."""
