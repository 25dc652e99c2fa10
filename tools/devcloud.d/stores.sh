# Database, message queue and cache. Sourced by tools/devcloud.
# shellcheck shell=bash

sql() {
    mariadb --no-defaults -u root -S "$STATE/run/mysql.sock" -N -e "$1"
}

start_database() {
    if [ ! -e "$STATE/mysql/.made" ]; then
        rm -rf "$STATE/mysql"
        mkdir -p "$STATE/mysql"
        mariadb-install-db --no-defaults --user=root --datadir="$STATE/mysql" --skip-test-db \
            --auth-root-authentication-method=normal >"$STATE/log/mariadb-install.log" 2>&1 ||
            die "mariadb-install-db failed: see $STATE/log/mariadb-install.log"
        touch "$STATE/mysql/.made"
    fi
    # Speed before safety: what a power cut would cost here can be made again.
    start mariadb mariadbd --no-defaults --user=root --datadir="$STATE/mysql" --socket="$STATE/run/mysql.sock" \
        --pid-file="$STATE/run/mariadb.own" --bind-address="$LOOPBACK" --port="$DATABASE_PORT" --tmpdir=/tmp \
        --max-connections=1000 --innodb-buffer-pool-size=512M --innodb-flush-log-at-trx-commit=0 --innodb-doublewrite=0 \
        --skip-log-bin --skip-name-resolve --performance-schema=OFF \
        --character-set-server=utf8mb3 --collation-server=utf8mb3_general_ci
}

make_databases() {
    local name host
    wait_for 'the database' mariadb sql 'select 1'
    for name in keystone glance placement nova_api nova nova_cell0 neutron; do
        echo "CREATE DATABASE IF NOT EXISTS $name CHARACTER SET utf8mb3;"
        for host in "$LOOPBACK" localhost; do
            echo "GRANT ALL ON $name.* TO 'openstack'@'$host' IDENTIFIED BY '$DATABASE_PASSWORD';"
        done
    done | mariadb --no-defaults -u root -S "$STATE/run/mysql.sock"
}

# Erlang's port mapper has a port of its own here, so that no other Erlang on the machine is met.
start_queue() {
    export ERL_EPMD_ADDRESS=$LOOPBACK ERL_EPMD_PORT=$EPMD_PORT
    mkdir -p "$STATE/rabbit"
    render rabbitmq.conf "$STATE/rabbit/rabbitmq.conf"
    start epmd epmd -address "$LOOPBACK" -port "$EPMD_PORT"
    wait_for 'the port mapper of Erlang' epmd port_answers "$EPMD_PORT"
    # +S and +sbwt: two schedulers that sleep when there is nothing to do, instead of spinning.
    start rabbitmq env HOME="$STATE/rabbit" RABBITMQ_NODENAME=devcloud@localhost \
        RABBITMQ_CONFIG_FILE="$STATE/rabbit/rabbitmq.conf" RABBITMQ_CONF_ENV_FILE=/dev/null \
        RABBITMQ_MNESIA_BASE="$STATE/rabbit/mnesia" RABBITMQ_LOG_BASE="$STATE/log" \
        RABBITMQ_ENABLED_PLUGINS_FILE="$STATE/rabbit/enabled_plugins" RABBITMQ_PID_FILE="$STATE/run/rabbitmq.own" \
        RABBITMQ_DIST_PORT="$RABBIT_DISTRIBUTION_PORT" \
        RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS="-kernel inet_dist_use_interface {127,0,0,1} +S 2:2 +sbwt none +sbwtdcpu none +sbwtdio none" \
        /usr/lib/rabbitmq/bin/rabbitmq-server
}

start_cache() {
    start memcached memcached -u root -l "$LOOPBACK" -p "$MEMCACHED_PORT" -m 64 -c 4096
}
