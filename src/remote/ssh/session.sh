# What a run and its end have in common: the session of processes in which a command runs, and where it is recorded.

# The record of the run that goes on: the machine's boot, the leader of the session and when that process started. A
# number of a process is used again one day; the three together are not.
record=${HOME:-/nonexistent}/.nodepool-run
[ -w "${record%/*}" ] || record=/tmp/.nodepool-run.$(id -u)

boot=unknown
{ IFS= read -r boot </proc/sys/kernel/random/boot_id; } 2>/dev/null || :

# Sets $fields to what /proc tells of process $1 from its state on; proc(5) has the meaning of each.
look_at() {
  { IFS= read -r fields <"/proc/$1/stat"; } 2>/dev/null || return 1
  fields=${fields##*) }
}

nth() {
  shift "$1"
  echo "$1"
}

# Prints the live processes of session $1.
members() {
  for entry in /proc/[0-9]*; do
    look_at "${entry#/proc/}" || continue
    # Split into words on purpose: state, parent, group, session.
    # shellcheck disable=SC2086
    set -- "$1" $fields
    [ "$5" = "$1" ] || continue
    case $2 in Z | X) ;; *) echo "${entry#/proc/}" ;; esac
  done
}

# Ends all processes of session $1: asks for five seconds, then kills for ten. Fails if any is left.
stop_session() {
  signal=TERM tries=0
  while pids=$(members "$1") && [ -n "$pids" ]; do
    [ "$tries" -lt 50 ] || signal=KILL
    [ "$tries" -lt 150 ] || return 1
    if [ "$tries" = 0 ] || [ "$signal" = KILL ]; then
      # The group first, in one step; then who made a group of its own, and what runs as root.
      # shellcheck disable=SC2086
      {
        kill "-$signal" "-$1"
        kill "-$signal" $pids
        [ "$(id -u)" = 0 ] || sudo -n kill "-$signal" $pids
      } >/dev/null 2>&1
    fi
    tries=$((tries + 1))
    sleep 0.1
  done
}

# Ends the run that is recorded, if it still goes on.
stop_recorded() {
  [ -f "$record" ] && [ -O "$record" ] || return 0
  { read -r its_boot its_leader its_start <"$record"; } 2>/dev/null || return 0
  if [ "$its_boot" = "$boot" ] && [ "${its_leader:-0}" -gt 1 ] 2>/dev/null; then
    # While any process of a session lives its number is not given away, so a leader that is gone is no risk.
    # shellcheck disable=SC2086
    if ! look_at "$its_leader" || [ "$(nth 20 $fields)" = "$its_start" ]; then
      stop_session "$its_leader" || return 1
    fi
  fi
  rm -f "$record"
}
