#!/bin/bash
# userdel of a sandbox server.
remove= name=
for word in "$@"; do
    case $word in
    --remove) remove=yes ;;
    --*) ;;
    -*r*) remove=yes ;;
    -*) ;;
    *) name=$word ;;
    esac
done
entry=$(getent passwd "$name") || { echo "userdel: user '$name' does not exist" >&2; exit 6; }
IFS=: read -r _ _ _ _ _ home _ <<<"$entry"
sed -i "/^$name:/d" /etc/passwd /etc/shadow /etc/group
[ -z "$remove" ] || [ "$home" = / ] || rm -rf "$home"
