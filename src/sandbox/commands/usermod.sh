#!/bin/bash
# usermod of a sandbox server: groups, home and shell.
groups= home= shell= name=
while [ $# -gt 0 ]; do
    case $1 in
    -G | -aG | --groups) groups=$2; shift 2 ;;
    -d | --home) home=$2; shift 2 ;;
    -s | --shell) shell=$2; shift 2 ;;
    -c | -e | -f | -g | -l | -p | -u | -v | -V | -w | -W) shift 2 ;;
    -*) shift ;;
    *) name=$1; shift ;;
    esac
done
getent passwd "$name" >/dev/null || { echo "usermod: user '$name' does not exist" >&2; exit 6; }
for group in ${groups//,/ }; do
    getent group "$group" >/dev/null || { echo "usermod: group '$group' does not exist" >&2; exit 6; }
    sed -i -E "s/^($group:[^:]*:[^:]*:)(.+)?$/\1\2,$name/; s/^($group:[^:]*:[^:]*:),/\1/" /etc/group
done
[ -z "$home" ] || sed -i -E "s|^($name:[^:]*:[^:]*:[^:]*:[^:]*:)[^:]*:|\1$home:|" /etc/passwd
[ -z "$shell" ] || sed -i -E "s|^($name:.*:)[^:]*$|\1$shell|" /etc/passwd
exit 0
