#!/bin/bash
# sudo of a sandbox server: everyone is root already, so run the command. -u changes HOME, USER and LOGNAME.
user= login= variables=()
while [ $# -gt 0 ]; do
    case $1 in
    --) shift; break ;;
    -u | --user) user=$2; shift 2 ;;
    --user=*) user=${1#*=}; shift ;;
    -u?*) user=${1#-u}; shift ;;
    -g | -p | -C | -h | -r | -t | -T | -U | -D | -R | --group | --prompt | --chdir) shift 2 ;;
    -v | -k | -K | -l | --validate | --list) exit 0 ;;
    -i | --login) login=yes; shift ;;
    -s | --shell) login=${login:-shell}; shift ;;
    -*i*) login=yes; shift ;;
    -*) shift ;;
    [A-Za-z_]*=*) variables+=("$1"); shift ;;
    *) break ;;
    esac
done
user=${user:-root}
entry=$(getent passwd "${user#\#}") || { echo "sudo: unknown user $user" >&2; exit 1; }
IFS=: read -r name _ _ _ _ home shell <<<"$entry"
export SUDO_USER=${USER:-root} HOME=$home USER=$name LOGNAME=$name
[ "$login" != yes ] || cd "$home" || exit 1
if [ -n "$login" ]; then
    if [ $# -eq 0 ]; then set -- "${shell:-/bin/bash}"; else set -- "${shell:-/bin/bash}" -c "$(printf '%q ' "$@")"; fi
fi
[ $# -gt 0 ] || { echo "usage: sudo [-u user] command" >&2; exit 1; }
exec env "${variables[@]}" "$@"
