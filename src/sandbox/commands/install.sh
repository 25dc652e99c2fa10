#!/bin/bash
# install of a sandbox server: as usual, without a change of owner.
arguments=()
while [ $# -gt 0 ]; do
    case $1 in
    -o | -g | --owner | --group) shift 2 ;;
    -o?* | -g?* | --owner=* | --group=*) shift ;;
    --) break ;;
    *) arguments+=("$1"); shift ;;
    esac
done
exec /usr/bin/install "${arguments[@]}" "$@"
