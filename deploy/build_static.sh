#!/bin/sh
# Builds what the images hold: the server and the example worker as static binaries, which run FROM scratch.
#
#   deploy/build_static.sh DIRECTORY    puts `metrifold` and `worker` there
#
# The Dockerfile runs it for each platform; TARGETARCH is that of `docker build`, else the architecture of this machine.
set -eu
out=$1
case "${TARGETARCH:-$(uname -m)}" in
amd64 | x86_64) triple=x86_64-unknown-linux-gnu ;;
arm64 | aarch64) triple=aarch64-unknown-linux-gnu ;;
*) echo "no image for the architecture ${TARGETARCH:-$(uname -m)}; build for amd64 or arm64" >&2 && exit 1 ;;
esac
# Without an explicit target, static linking would apply to procedural macros too, and rustc refuses that.
RUSTFLAGS="-C target-feature=+crt-static" cargo build --locked --profile dist --target "$triple" \
    --package metrifold --bin metrifold --package metrifold-client --example worker
mkdir -p "$out"
built="${CARGO_TARGET_DIR:-target}/$triple/dist"
cp "$built/metrifold" "$built/examples/worker" "$out/"
