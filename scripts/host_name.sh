#!/bin/bash
# Gives the machine its name: host_name.sh NAME. As root; safe to run again. Where a container does not let its name be
# changed, /etc/hosts is written all the same, so that the name resolves.
set -euo pipefail

name=${1:?usage: host_name.sh NAME}
case $name in
    *[!A-Za-z0-9.-]* | .* | -*) echo "host_name: '$name' is not a host name" >&2; exit 2 ;;
esac
short=${name%%.*}
names=$name
[ "$short" = "$name" ] || names="$name $short"

if [ "$(uname -n)" != "$name" ]; then
    hostname "$name" 2>/dev/null || echo "host_name: the kernel keeps the name $(uname -n)"
fi
echo "$name" >/etc/hostname

# 127.0.1.1 is Debian's own place for it. Written in one piece and in place: /etc/hosts may be a mount, which cannot be
# replaced.
hosts=$(grep -v '^127\.0\.1\.1[[:space:]]' /etc/hosts || true)
printf '%s\n127.0.1.1 %s\n' "${hosts:-127.0.0.1 localhost}" "$names" >/etc/hosts
echo "host_name: $name"
