# Installing what is missing. Sourced by tools/devcloud.
# shellcheck shell=bash

missing_packages() {
    local package
    grep -v -e '^#' -e '^$' "$PARTS/packages" | while read -r package; do
        dpkg-query -W -f '${Status}\n' "$package" 2>/dev/null | grep -q 'ok installed' || echo "$package"
    done
}

install_packages() {
    local missing policy=/usr/sbin/policy-rc.d made_policy=
    mapfile -t missing < <(missing_packages)
    [ ${#missing[@]} -gt 0 ] || return 0
    say "installing ${#missing[@]} packages and what they depend on (apt)"
    # Debian starts services when it installs them. They would take our ports.
    if [ ! -e "$policy" ]; then
        printf '#!/bin/sh\nexit 101\n' >"$policy"
        chmod 755 "$policy"
        made_policy=1
    fi
    local result=0
    {
        apt-get -q -o DPkg::Lock::Timeout=900 update || true
        apt-get -q -y -o DPkg::Lock::Timeout=900 --no-install-recommends install "${missing[@]}"
    } >"$STATE/log/apt.log" 2>&1 || result=$?
    [ -z "$made_policy" ] || rm -f "$policy"
    [ "$result" = 0 ] || die "apt failed: see $STATE/log/apt.log"
}
