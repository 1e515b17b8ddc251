#!/bin/sh
# Builds the wheel with the metrifold binary inside, and that of metrifold-gunicorn-compat: build_wheel.sh [OUTPUT_DIRECTORY].
# Needs cargo; gets maturin if it is missing. WHEEL_PROFILE names cargo's profile: `dist`, or `dev` to use what is built already.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
output=${1:-$here/../../target/wheels}
mkdir -p "$output"
output=$(cd "$output" && pwd)
cd "$here"
command -v maturin >/dev/null || python3 -m pip install --quiet 'maturin>=1.16,<2'

profile=${WHEEL_PROFILE:-dist}
case "$profile" in dev) folder=debug ;; *) folder=$profile ;; esac

cargo build --locked --profile "$profile" --package metrifold --bin metrifold
built=${CARGO_TARGET_DIR:-../../target}/$folder/metrifold
mkdir -p python/metrifold/bin
cp "$built" python/metrifold/bin/metrifold.new
chmod 755 python/metrifold/bin/metrifold.new
mv python/metrifold/bin/metrifold.new python/metrifold/bin/metrifold

maturin build --locked --profile "$profile" --out "$output"
python3 -m pip wheel --quiet --no-deps --wheel-dir "$output" ./compat
