# Runs the line $2 with the environment $3 and so on (NAME=value), for $1 seconds at most, in a session of its own.
# Exits as the line did, with 124 when it was stopped, with 125 when it could not be stopped.
#
# Standard input is the leash: after a first line "hold" its end means that we let go or that the connection is gone,
# and the command is stopped. Without that line (a forced command may have closed it) only the time counts.
seconds=$1 line=$2
shift 2
if ! stop_recorded; then
  echo "nodepool: an earlier run goes on and could not be stopped" >&2
  exit 125
fi
command -v setsid >/dev/null || {
  echo "nodepool: setsid is missing on this machine (util-linux)" >&2
  exit 127
}
shell=$(command -v bash || command -v sh)

exec 3<&0
# The leader records itself before it becomes the command: a run that nobody knows of cannot exist.
# shellcheck disable=SC2016
setsid sh -c '
  record=$1 boot=$2
  shift 2
  start() {
    shift 19
    echo "$1"
  }
  if { IFS= read -r fields <"/proc/$$/stat"; } 2>/dev/null; then
    (umask 077; set -C; rm -f "$record"; echo "$boot $$ $(start ${fields##*) })" >"$record") 2>/dev/null
  fi
  exec env "$@"
' nodepool "$record" "$boot" "$@" "$shell" -c "$line" </dev/null 3<&- &
child=$!
(
  bound=
  timeout 9 true && bound="timeout $seconds"
  # shellcheck disable=SC2016,SC2086
  $bound sh -c 'read -r word && [ "$word" = hold ] && exec cat >/dev/null; exec sleep "$1"' nodepool "$seconds"
  trap "" TERM
  stop_session "$child" && exit 99
  exit 98
) <&3 3<&- >/dev/null 2>&1 &
watcher=$!
# From here on the command alone holds our output, so that its end shows.
exec 3<&- >/dev/null 2>&1

wait "$child"
status=$?
# A watcher that is stopping the session does not listen; any other ends here.
kill "$watcher"
wait "$watcher"
case $? in
  99) status=124 ;;
  98) status=125 ;;
esac
[ "$status" = 125 ] || rm -f "$record"
exit "$status"
