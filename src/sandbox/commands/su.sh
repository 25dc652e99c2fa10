#!/bin/bash
# su and runuser of a sandbox server: everyone is root already, so take on the user's home and run the command.
command= login= user= given=
while [ $# -gt 0 ]; do
    case $1 in
    -c | --command) command=$2 given=yes; shift 2 ;;
    --command=*) command=${1#*=} given=yes; shift ;;
    - | -l | --login) login=yes; shift ;;
    -u | --user) user=$2; shift 2 ;;
    -s | -g | -G | -w | --shell | --group) shift 2 ;;
    --) shift; break ;;
    -*) shift ;;
    *) if [ -z "$user" ]; then user=$1; shift; else break; fi ;;
    esac
done
user=${user:-root}
entry=$(getent passwd "$user") || { echo "su: user $user does not exist" >&2; exit 1; }
IFS=: read -r name _ _ _ _ home _ <<<"$entry"
export HOME=$home USER=$name LOGNAME=$name
[ -z "$login" ] || cd "$home" || exit 1
if [ -n "$given" ]; then exec /bin/bash -c "$command" "$@"; fi
[ $# -eq 0 ] || exec "$@"
exec /bin/bash
