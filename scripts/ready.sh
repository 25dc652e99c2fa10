#!/bin/bash
# Looks at a node before it is offered to jobs: ready.sh HOSTNAME. Fails if it is not fit for them.
#
# Nodepool runs it on each node, as the user of the image; it becomes root through sudo for what needs it. It is safe
# to run again. NODEPOOL_TOOLS: the commands that jobs need, `git` if it is not set.
set -euo pipefail

user=jenkins
work=/home/$user/workspace

say() { echo "ready: $*"; }
die() { say "$*" >&2; exit 1; }

hostname=${1:?usage: ready.sh HOSTNAME}
here=$(dirname "$(readlink -f "$0")")

as_root() { if [ "$(id -u)" = 0 ]; then "$@"; else sudo -n "$@"; fi; }
as_user() { if [ "$(id -un)" = "$user" ]; then "$@"; else sudo -n -u "$user" "$@"; fi; }

as_root "$here/host_name.sh" "$hostname"

id -u "$user" >/dev/null 2>&1 || die "there is no user $user: was this image made by setup_node.sh?"
trial=$work/.ready.$$
if as_user touch "$trial" && as_user rm "$trial"; then
    say "$work is writable for $user"
else
    die "$work is not writable for $user"
fi

read -ra tools <<<"${NODEPOOL_TOOLS-git}"
for tool in "${tools[@]}"; do
    command -v "$tool" >/dev/null || die "$tool is not installed"
    say "$tool is $(command -v "$tool")"
done
say "done"
