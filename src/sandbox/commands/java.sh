#!/bin/sh
# There is no Java on a server of the sandbox unless the machine has one. What the sandbox's Jenkins serves as agent.jar is no
# Java, and is run as what it is.
if [ "$1" = -jar ] && [ "$(head -c 2 -- "$2")" = '#!' ]; then
    shift
    exec python3 "$@"
fi
for folder in $(printf %s "$PATH" | tr : ' '); do
    if [ "$folder" != /usr/local/sbin ] && [ -x "$folder/java" ]; then
        exec "$folder/java" "$@"
    fi
done
echo 'java: not found' >&2
exit 127
