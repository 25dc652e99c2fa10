# Keystone, Glance, Placement, Nova and Neutron: configuration, schemas, processes. Sourced by tools/devcloud.
# shellcheck shell=bash

# render TEMPLATE... FILE: the templates of config/, one behind the other, with their @NAMES@ filled in.
render() {
    local templates=("${@:1:$#-1}") file=${*: -1} template
    for template in "${templates[@]}"; do
        cat "$PARTS/config/$template"
        echo
    done | sed -e "/^@SERVICE_ACCOUNT@\$/{r $PARTS/config/service-account" -e 'd}' | sed \
        -e "s|@STATE@|$STATE|g" \
        -e "s|@LOOPBACK@|$LOOPBACK|g" \
        -e "s|@KEYSTONE@|http://$LOOPBACK:5000/v3|g" \
        -e "s|@DATABASE@|mysql+pymysql://openstack:$DATABASE_PASSWORD@$LOOPBACK:$DATABASE_PORT|g" \
        -e "s|@RABBIT@|rabbit://guest:guest@$LOOPBACK:$RABBIT_PORT/|g" \
        -e "s|@RABBIT_PORT@|$RABBIT_PORT|g" \
        -e "s|@MEMCACHED@|$LOOPBACK:$MEMCACHED_PORT|g" \
        -e "s|@ADMIN_PASSWORD@|$ADMIN_PASSWORD|g" \
        -e "s|@SERVICE_PASSWORD@|$SERVICE_PASSWORD|g" \
        -e "s|@USER_PASSWORD@|$USER_PASSWORD|g" >"$file"
}

configure() {
    mkdir -p "$STATE"/{etc/policy.d,lib,lock,nova/instances,neutron,glance/images,glance/tasks,glance/staging,keys}
    # The services run from copies: a change of branch in the source folder does not reach into a cloud that runs.
    cp -r "$PARTS"/{python,bin}/. "$PARTS/node/door.py" "$PARTS/seed.py" "$STATE/lib/"
    echo '{}' >"$STATE/etc/policy.yaml"
    cp /etc/nova/api-paste.ini "$STATE/etc/api-paste.ini"
    render keystone.conf "$STATE/etc/keystone.conf"
    render placement.conf service-common "$STATE/etc/placement.conf"
    render glance-api.conf service-common "$STATE/etc/glance-api.conf"
    render nova.conf service-common "$STATE/etc/nova.conf"
    render nova-south.conf "$STATE/etc/nova-south.conf"
    render neutron.conf service-common "$STATE/etc/neutron.conf"
    render ml2.ini "$STATE/etc/ml2.ini"
    render clouds.yaml "$STATE/clouds.yaml"
}

keystone_schema() {
    local manage=(keystone-manage --config-file "$STATE/etc/keystone.conf") url=http://$LOOPBACK:5000/v3
    "${manage[@]}" db_sync &&
        "${manage[@]}" fernet_setup --keystone-user root --keystone-group root &&
        "${manage[@]}" credential_setup --keystone-user root --keystone-group root &&
        "${manage[@]}" bootstrap --bootstrap-password "$ADMIN_PASSWORD" --bootstrap-region-id RegionOne \
            --bootstrap-admin-url "$url" --bootstrap-internal-url "$url" --bootstrap-public-url "$url"
}

nova_schema() {
    local manage=(nova-manage --config-file "$STATE/etc/nova.conf")
    local cell0="mysql+pymysql://openstack:$DATABASE_PASSWORD@$LOOPBACK:$DATABASE_PORT/nova_cell0?charset=utf8"
    glance-manage --config-file "$STATE/etc/glance-api.conf" db_sync &&
        placement-manage --config-file "$STATE/etc/placement.conf" db sync &&
        "${manage[@]}" api_db sync &&
        "${manage[@]}" cell_v2 map_cell0 --database_connection "$cell0" &&
        "${manage[@]}" db sync || return 1
    "${manage[@]}" cell_v2 list_cells | grep -q ' cell1 ' || "${manage[@]}" cell_v2 create_cell --name cell1
}

neutron_schema() {
    neutron-db-manage --config-file "$STATE/etc/neutron.conf" --config-file "$STATE/etc/ml2.ini" upgrade heads
}

# Side by side: two cores are busy for half a minute.
make_schemas() {
    [ ! -e "$STATE/done.schemas" ] || return 0
    say 'making the database schemas'
    local name jobs=() failed=
    for name in keystone nova neutron; do
        "${name}_schema" >"$STATE/log/schema-$name.log" 2>&1 9>&- &
        jobs+=("$name:$!")
    done
    for name in "${jobs[@]}"; do
        wait "${name#*:}" || failed="$failed $STATE/log/schema-${name%:*}.log"
    done
    [ -z "$failed" ] || die "a schema could not be made: see$failed"
    touch "$STATE/done.schemas"
}

# start_wsgi NAME PORT PROCESSES THREADS FILE VARIABLE. Close after each answer: uwsgi's HTTP socket has no keep-alive.
start_wsgi() {
    start "$1" env "$6=$STATE/etc" uwsgi_python3 --http-socket "$LOOPBACK:$2" --master --processes "$3" --threads "$4" \
        --wsgi-file "$5" --enable-threads --lazy-apps --need-app --thunder-lock --die-on-term --no-orphans \
        --buffer-size 65535 --listen 100 --add-header 'Connection: close' --disable-logging --log-5xx \
        --procname-prefix "devcloud-$1 "
}

start_apis() {
    start_wsgi keystone 5000 2 4 /usr/bin/keystone-wsgi-public OS_KEYSTONE_CONFIG_DIR
    start_wsgi placement 8778 1 4 /usr/bin/placement-api OS_PLACEMENT_CONFIG_DIR
    start glance-api "$PYTHON" "$STATE/lib/service.py" glance-api glance.cmd.api --config-file "$STATE/etc/glance-api.conf"
    start neutron-server "$PYTHON" "$STATE/lib/neutron-server.py" --config-file "$STATE/etc/neutron.conf" \
        --config-file "$STATE/etc/ml2.ini"
    wait_for Keystone keystone url_answers "http://$LOOPBACK:5000/v3"
    seed identity
    start_wsgi nova-api 8774 3 1 /usr/bin/nova-api-wsgi OS_NOVA_CONFIG_DIR
}

start_nova_workers() {
    local name
    wait_for RabbitMQ rabbitmq port_answers "$RABBIT_PORT"
    for name in conductor scheduler; do
        start "nova-$name" "$PYTHON" "$STATE/lib/service.py" "nova-$name" "nova.cmd.$name" \
            --config-file "$STATE/etc/nova.conf"
    done
    start nova-compute "$PYTHON" "$STATE/lib/nova-compute.py" --config-file "$STATE/etc/nova.conf"
    start nova-compute-south "$PYTHON" "$STATE/lib/nova-compute.py" --config-file "$STATE/etc/nova.conf" \
        --config-file "$STATE/etc/nova-south.conf"
}

wait_for_apis() {
    wait_for Glance glance-api url_answers "http://$LOOPBACK:9292/healthcheck"
    wait_for Neutron neutron-server url_answers "http://$LOOPBACK:9696/"
    wait_for Nova nova-api url_answers "http://$LOOPBACK:8774/"
    wait_for Placement placement url_answers "http://$LOOPBACK:8778/"
}

both_hypervisors_are_known() {
    [ "$(sql 'select count(*) from nova.compute_nodes where deleted=0')" = 2 ]
}

# Those of a cloud that was down are known from before. The scheduler takes one for dead until it has said that it lives,
# and a server that is asked for before that becomes ERROR.
both_hypervisors_live() {
    local lively="\`binary\`='nova-compute' and deleted=0 and last_seen_up > utc_timestamp() - interval 30 second"
    [ "$(sql "select count(*) from nova.services where $lively")" = 2 ]
}

# Nothing can boot before the hypervisors belong to a cell. The scheduler would see to it within 20 s.
join_cell() {
    wait_for 'the hypervisors' nova-compute-south both_hypervisors_are_known
    [ "$(sql 'select count(*) from nova_api.host_mappings')" = 2 ] ||
        nova-manage --config-file "$STATE/etc/nova.conf" cell_v2 discover_hosts >"$STATE/log/discover-hosts.log" 2>&1 9>&-
    wait_for 'the hypervisors to live' nova-compute-south both_hypervisors_live
}

# seed identity|cloud|places: once.
seed() {
    [ ! -e "$STATE/done.$1" ] || return 0
    say "seeding: $1"
    env OS_CLIENT_CONFIG_FILE="$STATE/clouds.yaml" SERVICE_PASSWORD="$SERVICE_PASSWORD" USER_PASSWORD="$USER_PASSWORD" \
        LOOPBACK="$LOOPBACK" PRIVATE_CIDR="$PRIVATE_CIDR" PUBLIC_CIDR="$PUBLIC_CIDR" STORAGE_CIDR="$STORAGE_CIDR" STATE="$STATE" \
        "$PYTHON" "$STATE/lib/seed.py" "$1" 9>&- || die "seed.py $1 failed"
    touch "$STATE/done.$1"
}
