# Starting, finding and ending processes, and waiting for what they offer. Sourced by tools/devcloud.
# shellcheck shell=bash
#
# run/NAME.pid holds "PID START_TIME". Together they name one process for good, even after a reboot. Looking for a mark in
# the environment does not work: uwsgi, sshd and neutron-server write a title over theirs.

STARTED=()

start_time() {
    sed 's/^.*) //' "/proc/$1/stat" 2>/dev/null | cut -d' ' -f20
}

# Prints the pid of a service that runs; fails when it does not.
pid_of() {
    local pid started
    read -r pid started 2>/dev/null <"$STATE/run/$1.pid" || return 1
    [ -n "$started" ] && [ "$(start_time "$pid")" = "$started" ] || return 1
    ! grep -q '^State:.Z' "/proc/$pid/status" 2>/dev/null || return 1
    echo "$pid"
}

# Kills what outlived the first process of a service. (Linux gives no new process the number of a session that has members.)
kill_remains() {
    local pid member
    read -r pid _ 2>/dev/null <"$STATE/run/$1.pid" || return 0
    [ ! -e "/proc/$pid" ] || return 0
    for member in $(ps -o pid= -s "$pid"); do
        kill -KILL "$member" 2>/dev/null || true
    done
}

# After a reboot the numbers in the pid files mean nothing.
forget_last_boot() {
    local boot
    boot=$(cat /proc/sys/kernel/random/boot_id)
    [ "$(cat "$STATE/run/boot" 2>/dev/null)" = "$boot" ] || rm -f "$STATE"/run/*.pid
    echo "$boot" >"$STATE/run/boot"
}

# start NAME COMMAND...: unless it runs. Each service has a session of its own, so stop() finds all of it.
start() {
    local name=$1 pid
    shift
    ! pid_of "$name" >/dev/null || return 0
    kill_remains "$name"
    setsid nohup "$@" >>"$STATE/log/$name.log" 2>&1 </dev/null 9>&- &
    pid=$!
    echo "$pid $(start_time "$pid")" >"$STATE/run/$name.pid"
    STARTED+=("$name")
}

# stop NAME SECONDS: asks it to end; after so many seconds, what is left of its session is killed.
stop() {
    local name=$1 seconds=$2 pid member
    if pid=$(pid_of "$name"); then
        kill -TERM "$pid" 2>/dev/null || true
        for ((i = 0; i < seconds * 5; i++)); do
            [ -n "$(ps -o pid= -s "$pid")" ] || break
            sleep 0.2
        done
        for member in $(ps -o pid= -s "$pid"); do
            kill -KILL "$member" 2>/dev/null || true
        done
        say "stopped $name"
    fi
    kill_remains "$name"
    rm -f "$STATE/run/$name.pid"
}

# wait_for WHAT NAME COMMAND...: until the command succeeds, at most WAIT_SECONDS, and only while the service NAME runs.
wait_for() {
    local what=$1 name=$2 end=$((SECONDS + WAIT_SECONDS))
    shift 2
    until "$@" >/dev/null 2>&1; do
        pid_of "$name" >/dev/null || die "$name ended while we waited for $what: see $STATE/log/$name.log"
        [ "$SECONDS" -lt "$end" ] || die "no $what after $WAIT_SECONDS s: see $STATE/log/$name.log"
        sleep 0.25
    done
}

port_answers() {
    (exec 3<>"/dev/tcp/$LOOPBACK/$1") 2>/dev/null
}

# An API that asks for a login answers too.
url_answers() {
    case $(curl --noproxy '*' --max-time 20 -s -o /dev/null -w '%{http_code}' "$1") in
        2* | 3* | 401) ;;
        *) return 1 ;;
    esac
}
