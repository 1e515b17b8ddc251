#!/bin/sh
# Installs the real parts that the tests run against, where they are missing: Debian by apt-get, macOS by Homebrew.
set -eu

missing() {
    for program in "$@"; do
        command -v "$program" >/dev/null 2>&1 || return 0
    done
    return 1
}

as_root() {
    if [ "$(id -u)" -eq 0 ]; then "$@"; else sudo "$@"; fi
}

case "$(uname -s)" in
Linux)
    if missing redis-server prometheus promtool strace docker-compose faketime cc; then
        as_root apt-get update -q
        # Only the programs are wanted, not services that start by themselves and take their ports.
        as_root env DEBIAN_FRONTEND=noninteractive RUNLEVEL=1 apt-get install --yes --quiet --no-install-recommends \
            redis-server prometheus strace docker-compose faketime gcc libc6-dev python3-venv
    fi
    ;;
Darwin)
    missing redis-server && brew install redis
    missing prometheus promtool && brew install prometheus
    missing docker-compose && brew install docker-compose
    ;;
esac

if missing cargo-nextest; then
    cargo install --locked cargo-nextest
fi
