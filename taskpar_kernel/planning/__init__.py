"""Pure: effects and costs come in, a task graph and a plan go out."""
