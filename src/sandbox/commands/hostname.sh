#!/bin/bash
# hostname of a sandbox server: shows the name; a new one is written down and holds from the next boot on.
case ${1:-} in
"" | -*) exec /usr/bin/hostname "$@" ;;
*) echo "$1" >/etc/hostname ;;
esac
