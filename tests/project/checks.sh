#!/bin/sh
# Run every check with the tools in $BIN, report each, and fail if one failed. Options go to pytest.
set -u
failed=""

check() {
    name=$1
    shift
    echo "== $name"
    "$@" || failed="$failed $name"
}

check ruff "$BIN/ruff" check .
check format "$BIN/ruff" format --check .
check mypy "$BIN/mypy"
check layers "$BIN/lint-imports"
# whole files side by side: some keep kernels from test to test
check pytest "$BIN/python" -m pytest -n auto --maxprocesses 4 --dist loadfile "$@"

if [ -n "$failed" ]; then
    echo "== failed:$failed"
    exit 1
fi
echo "== all checks passed"
