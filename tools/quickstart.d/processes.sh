# The state folder, and the two programs that live in it. Sourced by tools/quickstart.
# shellcheck shell=bash

SANDBOX_PID='' DAEMON_PID='' MADE=''

# listens ADDRESS PORT: does something answer there?
listens() {
    (exec 3<>"/dev/tcp/$1/$2") 2>/dev/null
}

# Chooses the state folder and what a kept one was made with.
make_state_folder() {
    if [ -z "$KEEP" ]; then
        SSH_PORT=${SSH_PORT:-2222}
        return
    fi
    mkdir -p "$KEEP"
    STATE=$(readlink -f "$KEEP")
    if [ -e "$STATE/nodepool.yaml" ] && [ -e "$STATE/env" ]; then
        local kept
        kept=$(sed -n 's/^ *ssh-port: *//p' "$STATE/nodepool.yaml")
        [ "${SSH_PORT:-$kept}" = "$kept" ] ||
            die "$STATE/nodepool.yaml says ssh-port $kept: change it there, or remove it to have it made anew"
        SSH_PORT=${kept:-2222}
        grep -qs "tcp://127.0.0.1:$((PORT + 2))\$" "$STATE/nodepool.yaml" ||
            die "$STATE/nodepool.yaml has no events at port $((PORT + 2)): use the --port of then, or remove it to have it made anew"
    elif [ -n "$(ls -A "$STATE")" ]; then
        die "$STATE is neither empty nor from an earlier run"
    fi
    SSH_PORT=${SSH_PORT:-2222}
}

# Fills the state folder: a key pair, the configuration, both programs with their arguments.
# shellcheck disable=SC2016  # $ and " of the files that are written
make_state() {
    if [ -z "$KEEP" ]; then
        STATE=$(mktemp -d "${TMPDIR:-/tmp}/nodepool-quickstart.XXXXXX")
        MADE=1
    fi
    # The path of the daemon's socket, which lies in it, cannot be longer than 107 bytes.
    [ ${#STATE} -le 80 ] || die "the path $STATE is too long"
    [[ $STATE$ROOT != *[\"\\?#%[:cntrl:]]* ]] || die "these paths have characters that cannot be used: $STATE, $ROOT"
    exec 8>"$STATE/lock"
    flock -n 8 || die "another tools/quickstart runs in $STATE"
    mkdir -p "$STATE/bin" "$STATE/log"
    [ -e "$STATE/key" ] || ssh-keygen -q -t ed25519 -N '' -C nodepool-quickstart -f "$STATE/key"
    if [ ! -e "$STATE/nodepool.yaml" ]; then
        local text
        text=$(<examples/sandbox.yaml)
        text=${text//@STATE@/"$STATE"}
        text=${text//@ROOT@/"$ROOT"}
        text=${text//@SSH_PORT@/"$SSH_PORT"}
        text=${text//@ZMQ_PORT@/"$ZMQ_PORT"}
        text=${text//@GEARMAN_PORT@/"$GEARMAN_PORT"}
        if has_gearmand; then
            text=${text//@QUEUE_DEMAND@/no}
        else
            # No server, no demand: the queue of Jenkins tells it instead.
            text=$(sed '/^# The Gearman servers/,/^$/d' <<<"$text")
            text=${text//@QUEUE_DEMAND@/yes}
        fi
        # Comments at the beginning are about the file that this one is made from.
        printf '%s\n' "$text" | sed '1,/^$/d' >"$STATE/nodepool.yaml"
    fi
    # Not secure.conf of /etc/nodepool: that belongs to another nodepool.
    TOKEN=$(od -An -N 16 -tx1 /dev/urandom | tr -d ' \n')
    WEB_TOKEN=$(od -An -N 16 -tx1 /dev/urandom | tr -d ' \n')
    (umask 077 && printf '[jenkins "local"]\nurl = http://127.0.0.1:%s/\nuser = admin\napikey = %s\n[web]\nwrite-token = %s\n' \
        "$JENKINS_PORT" "$TOKEN" "$WEB_TOKEN" >"$STATE/secure.conf")
    {
        echo '# For a shell: . this file, and then: nodepool list'
        printf 'export PATH=%q:$PATH\n' "$STATE/bin"
        printf 'export OS_CLIENT_CONFIG_FILE=%q OS_CLOUD=sandbox\n' "$STATE/clouds.yaml"
        # A proxy is not asked for what runs on this machine.
        echo 'export NO_PROXY=127.0.0.1 no_proxy=127.0.0.1'
    } >"$STATE/env"
    local program
    for program in nodepool nodepoold; do
        {
            echo '#!/bin/bash'
            printf '. %q\n' "$STATE/env"
            printf 'exec %q -c %q -s %q "$@"\n' "$PROGRAMS/$program" "$STATE/nodepool.yaml" "$STATE/secure.conf"
        } >"$STATE/bin/$program"
        chmod 755 "$STATE/bin/$program"
    done
    {
        echo 'Host 127.*'
        printf '    Port %s\n    User jenkins\n    IdentityFile "%s"\n' "$SSH_PORT" "$STATE/key"
        # Addresses are given to new servers, with new keys.
        printf '    IdentitiesOnly yes\n    StrictHostKeyChecking no\n    UserKnownHostsFile /dev/null\n    LogLevel ERROR\n'
    } >"$STATE/ssh_config"
}

# start LOG PROGRAM ARGUMENT...: in a session of its own, so that Ctrl-C reaches this script alone, which ends the
# programs in order. Should this script be killed, they are asked to end as well.
start() {
    local log=$1
    shift
    setpriv --pdeathsig TERM -- setsid -- "$@" >"$log" 2>&1 </dev/null 8>&- &
}

# Whether Debian's Gearman server is there.
has_gearmand() {
    [ -x /usr/sbin/gearmand ]
}

start_sandbox() {
    SANDBOX_LOG=$STATE/log/sandbox.log
    local gearman=()
    if has_gearmand; then
        gearman=(--gearman "127.0.0.1:$GEARMAN_PORT" --start-gearmand)
    else
        echo 'there is no gearmand (apt-get install gearman-job-server): jobs wait in the queue of Jenkins'
    fi
    start "$SANDBOX_LOG" env NODEPOOL_SANDBOX_JENKINS_TOKEN="$TOKEN" "$PROGRAMS/nodepool-sandbox" \
        --port "$PORT" --ssh-port "$SSH_PORT" --state-dir "$STATE/sandbox" --clouds-yaml "$STATE/clouds.yaml" \
        --jenkins "127.0.0.1:$JENKINS_PORT" --zmq "127.0.0.1:$ZMQ_PORT" "${gearman[@]}" --jobs steady
    SANDBOX_PID=$!
    local until=$((SECONDS + 60))
    until grep -qs 'is ready on' "$SANDBOX_LOG"; do
        if ! runs "$SANDBOX_PID" || [ "$SECONDS" -ge "$until" ]; then
            tail -n 20 "$SANDBOX_LOG" >&2
            die 'the sandbox did not start'
        fi
        pause
    done
}

start_daemon() {
    DAEMON_LOG=$STATE/log/nodepoold.log
    # The nodes have this machine's /usr, where nothing can be installed from inside: no packages.
    start "$DAEMON_LOG" env NODEPOOL_PACKAGES= "$STATE/bin/nodepoold" -d --webapp "127.0.0.1:$WEB_PORT"
    DAEMON_PID=$!
}

pause() {
    sleep 0.3
}

runs() {
    [ -n "$1" ] && kill -0 "$1" 2>/dev/null
}

all_run() {
    runs "$DAEMON_PID" && runs "$SANDBOX_PID"
}

# stop PID SECONDS
stop() {
    runs "$1" || return 0
    kill -TERM "$1"
    local until=$((SECONDS + $2))
    while runs "$1" && [ "$SECONDS" -lt "$until" ]; do pause; done
    ! runs "$1" || kill -KILL "$1"
    wait "$1" 2>/dev/null || true
}

# The daemon first, so that it does not see its cloud go.
stop_all() {
    trap '' HUP INT TERM
    [ -z "$DAEMON_PID$SANDBOX_PID" ] || echo 'stopping'
    stop "$DAEMON_PID" 60
    stop "$SANDBOX_PID" 60
    [ -z "$MADE" ] || rm -rf "$STATE"
}
