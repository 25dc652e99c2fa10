#!/bin/bash
# Prepares a builder: setup_node.sh HOSTNAME. What it leaves behind is what every node of the image starts with.
#
# Nodepool runs it once per image build, as the user that the base image lets in; it becomes root through sudo. It is
# safe to run again. From its environment it takes
#   NODEPOOL_PUBLIC_KEY  the public key that opens nodes, a whole line (Nodepool sets it)
#   NODEPOOL_SSH_KEY     another one, without its type, as older set-ups have it
#   NODEPOOL_PACKAGES    Debian packages that nodes need; without it a basic set is tried, empty for none
set -euo pipefail

user=jenkins
home=/home/$user

say() { echo "setup_node: $*"; }
die() { say "$*" >&2; exit 1; }

hostname=${1:?usage: setup_node.sh HOSTNAME}
if [ "$(id -u)" != 0 ]; then
    # sudo drops the environment, so ours travels as arguments.
    variables=()
    for name in "${!NODEPOOL_@}"; do variables+=("$name=${!name}"); done
    exec sudo -n env "${variables[@]}" "$0" "$@"
fi
here=$(dirname "$(readlink -f "$0")")

make_user() {
    if id -u "$user" >/dev/null 2>&1; then
        say "user $user is there"
    else
        useradd --create-home --home-dir "$home" --shell /bin/bash "$user"
        say "user $user made"
    fi
    # A user without any password counts as locked for some sshd; '*' means: only by key.
    usermod --password '*' "$user"
    mkdir -p "$home/workspace"
    chown "$user:" "$home" "$home/workspace"
}

# The line for a key that came without its type, which is the first thing inside it.
whole_line() {
    case $1 in
        *' '*) echo "$1" ;;
        AAAAB3NzaC1yc2E*) echo "ssh-rsa $1" ;;
        AAAAC3NzaC1lZDI1NTE5*) echo "ssh-ed25519 $1" ;;
        AAAAE2VjZHNhLXNoYTItbmlzdHAyNTY*) echo "ecdsa-sha2-nistp256 $1" ;;
        AAAAE2VjZHNhLXNoYTItbmlzdHAzODQ*) echo "ecdsa-sha2-nistp384 $1" ;;
        AAAAE2VjZHNhLXNoYTItbmlzdHA1MjE*) echo "ecdsa-sha2-nistp521 $1" ;;
        *) die "cannot tell the type of the key ${1:0:20}..." ;;
    esac
}

let_in() {
    local file=$home/.ssh/authorized_keys key line
    [ -n "${NODEPOOL_PUBLIC_KEY:-}${NODEPOOL_SSH_KEY:-}" ] ||
        die "neither NODEPOOL_PUBLIC_KEY nor NODEPOOL_SSH_KEY is set: nobody could log in to nodes"
    mkdir -p "$home/.ssh"
    touch "$file"
    for key in "${NODEPOOL_PUBLIC_KEY:-}" "${NODEPOOL_SSH_KEY:-}"; do
        [ -n "$key" ] || continue
        line=$(whole_line "$key")
        grep -qxF -- "$line" "$file" || echo "$line" >>"$file"
    done
    chmod 700 "$home/.ssh"
    chmod 600 "$file"
    chown -R "$user:" "$home/.ssh"
    say "keys that open $user: $(wc -l <"$file")"
}

allow_sudo() {
    local file=/etc/sudoers.d/nodepool-$user
    mkdir -p /etc/sudoers.d
    echo "$user ALL=(ALL) NOPASSWD:ALL" >"$file.new"
    chmod 440 "$file.new"
    # A mistake in any of these files takes sudo away from everybody.
    if command -v visudo >/dev/null; then visudo -qcf "$file.new"; fi
    mv "$file.new" "$file"
    say "$user may use sudo"
}

install_packages() {
    local package packages=() missing=() fatal=${NODEPOOL_PACKAGES:+yes}
    read -ra packages <<<"${NODEPOOL_PACKAGES-git rsync default-jre-headless}"
    [ ${#packages[@]} -gt 0 ] || return 0
    if ! command -v dpkg-query >/dev/null || ! command -v apt-get >/dev/null; then
        [ -z "$fatal" ] || die "cannot install ${packages[*]}: no apt-get here"
        say "WARNING: no apt-get here; nothing is installed"
        return 0
    fi
    for package in "${packages[@]}"; do
        # shellcheck disable=SC2016
        dpkg-query -W -f '${Status}' "$package" 2>/dev/null | grep -q ' installed$' || missing+=("$package")
    done
    if [ ${#missing[@]} -eq 0 ]; then
        say "installed already: ${packages[*]}"
    elif [ ! -w /usr ] || [ ! -w /var/lib/dpkg ]; then
        [ -z "$fatal" ] || die "cannot install ${missing[*]}: /usr is read-only"
        say "WARNING: /usr is read-only, so not installed: ${missing[*]}"
    elif DEBIAN_FRONTEND=noninteractive apt-get -qy -o Acquire::Retries=3 update &&
        DEBIAN_FRONTEND=noninteractive apt-get -qy install --no-install-recommends "${missing[@]}"; then
        say "installed: ${missing[*]}"
    else
        [ -z "$fatal" ] || die "could not install ${missing[*]}"
        say "WARNING: could not install ${missing[*]}"
    fi
}

# A lease of the builder makes each node ask for the builder's address first, and wait.
forget_leases() {
    rm -f /var/lib/dhcp/*.lease* /var/lib/dhclient/*.lease* /var/lib/NetworkManager/*.lease
    say "leases of the builder forgotten"
}

"$here/host_name.sh" "$hostname"
make_user
let_in
allow_sudo
install_packages
forget_leases
sync
say "done"
