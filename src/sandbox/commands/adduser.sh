#!/bin/bash
# adduser of a sandbox server: Debian's options, done by useradd. `adduser USER GROUP` adds to a group.
arguments=(-m) names=()
while [ $# -gt 0 ]; do
    case $1 in
    --home | --shell | --uid | --gid | --comment) arguments+=("$1" "$2"); shift 2 ;;
    --gecos) arguments+=(-c "$2"); shift 2 ;;
    --ingroup) arguments+=(-g "$2"); shift 2 ;;
    --no-create-home) arguments+=(-M); shift ;;
    --system) arguments+=(-r); shift ;;
    -*) shift ;;
    *) names+=("$1"); shift ;;
    esac
done
[ ${#names[@]} -ne 2 ] || exec usermod -a -G "${names[1]}" "${names[0]}"
exec useradd "${arguments[@]}" "${names[@]}"
