#!/bin/sh
# Runs one test alone many times and counts its failures; `make repeat TEST=name TIMES=n`.
#
#   repeat.sh NAME TIMES    NAME: a part of a Rust test's name, or tests/test_x.py::test_y of the Python package
#
# Keeps the output of every failed run in target/repeat/.
set -eu
cd "$(dirname "$0")/.."
name=$1 times=$2
logs=$PWD/target/repeat
rm -rf "$logs"
mkdir -p "$logs"

once() {
    case "$name" in
    *.py*) (cd clients/python && "${METRIFOLD_VENV:-../../target/venv}/bin/python" -m pytest "$name") ;;
    *) cargo nextest run --locked --workspace --retries 0 --no-tests fail -E "test(/$name/)" ;;
    esac
}

failed=0
for run in $(seq "$times"); do
    if once > "$logs/$run.log" 2>&1; then
        rm "$logs/$run.log"
    else
        failed=$((failed + 1))
        echo "run $run failed: $logs/$run.log"
    fi
done
echo "$name: $failed of $times runs failed"
[ "$failed" -eq 0 ]
