# Watching the pool. Sourced by tools/quickstart.
# shellcheck shell=bash

# How long the pool may take to fill.
PATIENCE_SECONDS=300

# rows COMMAND: "ID STATE (STEP)" of each row that `nodepool COMMAND` lists.
rows() {
    "$STATE/bin/nodepool" "$1" --detail 2>/dev/null | awk -F ' *[|] *' '
        $2 == "ID" { for (i = 1; i <= NF; i++) at[$i] = i; next }
        at["State"] && $2 ~ /^[0-9]+$/ {
            step = $at["Step"]
            print $2, $at["State"] (step == "None" || step == "" ? "" : " (" step ")")
        }'
}

# "2 building (boot), 1 ready", out of rows.
summary() {
    awk 'NF { $1 = ""; count[$0]++ } END { for (state in count) printf "%s%s, ", count[state], state }' | sed 's/, $//'
}

# The number of the last node of an earlier run. What a kept database knows is gone: the cloud starts empty.
last_node() {
    rows list | awk '$1 > last { last = $1 } END { print last + 0 }'
}

# fill_pool OLD: shows how the pool fills with nodes that are newer than number OLD. Fails when it does not.
fill_pool() {
    local wanted nodes ready images began=$SECONDS
    wanted=$(awk '$1 == "min-ready:" { sum += $2 } END { print sum + 0 }' "$STATE/nodepool.yaml")
    while :; do
        images=$(rows image-list | summary)
        nodes=$(rows list)
        # A node that a job has taken already was ready.
        ready=$(awk -v old="$1" '$1 > old && ($2 == "ready" || $2 == "used")' <<<"$nodes" | wc -l)
        nodes=$(summary <<<"$nodes")
        show $((SECONDS - began)) "image: ${images:-none}   nodes: ${nodes:-none}"
        if [ "$ready" -ge "$wanted" ]; then
            finish_line
            echo "The pool is full: $ready of $wanted nodes ready or at work after $((SECONDS - began)) s."
            return 0
        fi
        if ! all_run || [ $((SECONDS - began)) -ge "$PATIENCE_SECONDS" ]; then
            finish_line
            WHY="$ready of $wanted nodes were ready after $((SECONDS - began)) s"
            return 1
        fi
        pause
    done
}

# follow_jobs [once]: tells what becomes of each node while jobs run, until a program ends. With `once` it ends well when
# a node that a job used is gone and the pool is full again, and not well when that takes too long.
follow_jobs() {
    local began=$SECONDS wanted before now news used='' replaced=''
    wanted=$(awk '$1 == "min-ready:" { sum += $2 } END { print sum + 0 }' "$STATE/nodepool.yaml")
    before=$(rows list)
    while all_run; do
        now=$(rows list)
        news=$(changes "$before" "$now")
        if [ -n "$news" ]; then
            finish_line
            while read -r line; do printf '%4d s  %s\n' $((SECONDS - began)) "$line"; done <<<"$news"
        fi
        ! grep -q ': used$' <<<"$news" || used=1
        [ -z "$used" ] || ! grep -q ': gone$' <<<"$news" || replaced=1
        if [ "${1:-}" = once ]; then
            if [ -n "$replaced" ] && [ "$(awk '$2 == "ready" || $2 == "used"' <<<"$now" | wc -l)" -ge "$wanted" ]; then
                echo "A job has used a node, and another one has taken its place: after $((SECONDS - began)) s."
                return 0
            fi
            if [ $((SECONDS - began)) -ge "$PATIENCE_SECONDS" ]; then
                WHY="no node was used by a job and replaced within $PATIENCE_SECONDS s"
                return 1
            fi
        fi
        before=$now
        pause
    done
    return 1
}

# changes BEFORE NOW: "node ID: STATE" for each node whose state is another one; "gone" for those that are there no more.
changes() {
    awk -v before="$1" '
        BEGIN { count = split(before, lines, "\n"); for (i = 1; i <= count; i++) { split(lines[i], word, " "); old[word[1]] = word[2] } }
        NF { new[$1] = $2; if (old[$1] != $2) print "node " $1 ": " $2 }
        END { for (id in old) if (id != "" && !(id in new)) print "node " id ": gone" }' <<<"$2"
}

# show SECONDS TEXT: on a terminal one line that changes; elsewhere a line for each news.
SHOWN=''
show() {
    if [ -t 1 ]; then
        local size width
        size=$(stty size <&1 2>/dev/null || echo 24 80)
        width=${size#* }
        printf '\r\033[K%.*s' "$((width > 1 ? width - 1 : 79))" "$(printf '%4d s  %s' "$1" "$2")"
    elif [ "$2" != "$SHOWN" ]; then
        printf '%4d s  %s\n' "$1" "$2"
    fi
    SHOWN=$2
}

finish_line() {
    [ ! -t 1 ] || echo
}

# The nodes, and where to look.
show_pool() {
    local ready
    ready=$(rows list | awk '$2 == "ready" { last = $1 } END { print last }')
    echo
    "$STATE/bin/nodepool" list
    [ -z "$ONCE" ] || return 0
    cat <<END

In another terminal:
  . $(printf %q "$STATE/env")
  nodepool list             the nodes; \`nodepool --help\` tells what else there is
  nodepool watch            the pool as it changes; q ends it
  nodepool why debian       why the label is as it is
  nodepool delete $ready         another one takes its place
  nodepool job-list         which jobs hold their node when they fail
  openstack server list     the cloud's view, if python-openstackclient is installed (--os-cloud sandbox is set)
  ssh -F $(printf %q "$STATE/ssh_config") $(node_address)         a node from inside

Files:
  $STATE/nodepool.yaml   the configuration; kill -HUP $DAEMON_PID has it read again
  $STATE/clouds.yaml     how to reach the cloud
  $DAEMON_LOG
  $SANDBOX_LOG

END
    echo "Jenkins:     http://127.0.0.1:$JENKINS_PORT/ (REST only; user admin, token in $STATE/secure.conf)"
    if page_answers; then
        echo "Steering:    the API takes the write-token of $STATE/secure.conf, such as"
        echo "             curl -X DELETE -H 'Authorization: Bearer TOKEN' http://127.0.0.1:$WEB_PORT/api/v1/nodes/$ready"
        echo "Status page: http://127.0.0.1:$WEB_PORT/"
    fi
    echo
}

# The address of the first node.
node_address() {
    "$STATE/bin/nodepool" list | awk -F ' *[|] *' '
        $2 == "ID" { for (i = 1; i <= NF; i++) if ($i == "IP") address = i; next }
        address && !found && $2 ~ /^[0-9]+$/ { found = $address } END { print found }'
}

# Is the daemon's page there?
page_answers() {
    (
        exec 3<>"/dev/tcp/127.0.0.1/$WEB_PORT" || exit 1
        printf 'GET /healthz HTTP/1.0\r\nHost: 127.0.0.1\r\n\r\n' >&3
        read -rt 5 _ status _ <&3 && [ "$status" = 200 ]
    ) 2>/dev/null
}

# Why the pool is not full, as far as it can be told.
explain() {
    local why=${WHY:-}
    runs "$SANDBOX_PID" || why='nodepool-sandbox has ended'
    runs "$DAEMON_PID" || why='nodepoold has ended'
    {
        echo "The pool is not full: $why. The end of the log:"
        runs "$SANDBOX_PID" || tail -n 20 "$SANDBOX_LOG"
        tail -n 20 "$DAEMON_LOG"
    } >&2
}
