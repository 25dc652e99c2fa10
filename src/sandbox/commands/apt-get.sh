#!/bin/bash
# apt-get of a sandbox server: the software is the machine's. A package counts as installed if the machine has it.
action= packages=()
while [ $# -gt 0 ]; do
    case $1 in
    -o | -t | -c) shift 2 ;;
    -*) shift ;;
    *) if [ -z "$action" ]; then action=$1; else packages+=("${1%%=*}"); fi; shift ;;
    esac
done
case $action in
update | upgrade | dist-upgrade | full-upgrade | clean | autoclean | autoremove) exit 0 ;;
install) ;;
*) echo "apt-get: a sandbox server cannot '$action'" >&2; exit 100 ;;
esac
for package in "${packages[@]}"; do
    [ -e "/usr/share/doc/$package" ] && continue
    echo "E: Unable to locate package $package: the machine that runs the sandbox does not have it" >&2
    exit 100
done
