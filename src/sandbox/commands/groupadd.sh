#!/bin/bash
# groupadd and addgroup of a sandbox server.
name= id= force=
while [ $# -gt 0 ]; do
    case $1 in
    -g | --gid) id=$2; shift 2 ;;
    -K | -p | -R | -P | -U) shift 2 ;;
    -*f*) force=yes; shift ;;
    -*) shift ;;
    *) name=$1; shift ;;
    esac
done
[[ $name =~ ^[a-z_][a-z0-9_-]*$ ]] || { echo "groupadd: '$name' is not a valid group name" >&2; exit 3; }
if getent group "$name" >/dev/null; then
    [ -z "$force" ] || exit 0
    echo "groupadd: group '$name' already exists" >&2
    exit 9
fi
if [ -z "$id" ]; then
    id=1000
    while getent group "$id" >/dev/null; do id=$((id + 1)); done
fi
echo "$name:x:$id:" >>/etc/group
