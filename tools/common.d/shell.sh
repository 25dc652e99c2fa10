# What the commands in tools/ have in common: messages, becoming root, installing what is missing. Sourced by them.
# shellcheck shell=bash

die() {
    echo "${0##*/}: $*" >&2
    exit 1
}

as_root() {
    if [ "$(id -u)" = 0 ]; then
        "$@"
    elif command -v sudo >/dev/null; then
        sudo "$@"
    else
        die "must be root for: $*"
    fi
}

# install_missing PACKAGE=PROOF...: the proof is a command or a file that the Debian package brings. Packages whose proof
# is there are left alone.
install_missing() {
    local item proof missing=()
    for item in "$@"; do
        proof=${item#*=}
        [ -e "$proof" ] || command -v "$proof" >/dev/null || missing+=("${item%%=*}")
    done
    [ ${#missing[@]} -gt 0 ] || return 0
    command -v apt-get >/dev/null ||
        die "these Debian packages, or what corresponds to them here, have to be installed first: ${missing[*]}"
    echo "installing Debian packages: ${missing[*]}"
    local log
    log=$(mktemp)
    if ! as_root bash -c "$(declare -f apt_without_services); apt_without_services \"\$@\"" apt "${missing[@]}" >"$log" 2>&1
    then
        tail -n 20 "$log" >&2
        rm -f "$log"
        die "could not install ${missing[*]}"
    fi
    rm -f "$log"
}

# Debian starts the service of a package that it installs. Nobody asked for an sshd or a gearmand on this machine.
apt_without_services() {
    local policy=/usr/sbin/policy-rc.d made='' status=0
    if [ ! -e "$policy" ]; then
        printf '#!/bin/sh\nexit 101\n' >"$policy"
        chmod 755 "$policy"
        made=1
    fi
    export DEBIAN_FRONTEND=noninteractive
    apt-get -q -o DPkg::Lock::Timeout=600 -o Acquire::Retries=3 update || true
    apt-get -q -y -o DPkg::Lock::Timeout=600 -o Acquire::Retries=3 --no-install-recommends install "$@" || status=$?
    [ -z "$made" ] || rm -f "$policy"
    return "$status"
}

# What is needed to build.
require_rust() {
    PATH=$PATH:${CARGO_HOME:-$HOME/.cargo}/bin
    command -v cargo >/dev/null || die "there is no Rust toolchain: see https://rustup.rs"
    local least have
    least=$(sed -n 's/^rust-version = "\(.*\)"/\1/p' Cargo.toml)
    have=$(rustc --version | cut -d ' ' -f 2)
    [ "$(printf '%s\n' "$least" "$have" | sort -V | head -n 1)" = "$least" ] ||
        die "Rust $least is needed and $have is here: rustup update"
    install_missing gcc=cc libc6-dev=/usr/include/stdio.h
}

# Where cargo puts what it builds, with $CARGO_TARGET_DIR and cargo's configuration taken into account.
target_folder() {
    cargo metadata --no-deps --format-version 1 | sed -n 's/.*"target_directory":"\([^"]*\)".*/\1/p'
}
