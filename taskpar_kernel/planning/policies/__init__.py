"""Pure: a task graph comes in, a plan goes out; one policy a file, all with one interface."""
