# What the parts agree on: addresses, ports, names, passwords. Sourced by tools/devcloud.
# shellcheck shell=bash disable=SC2034  # they are used in the other parts

STATE=${DEVCLOUD_STATE:-/var/lib/devcloud}

LOOPBACK=127.0.0.1
DATABASE_PORT=13306
RABBIT_PORT=5672
RABBIT_DISTRIBUTION_PORT=25672
EPMD_PORT=14369
MEMCACHED_PORT=21211
SSH_PORT=${DEVCLOUD_SSH_PORT:-22}

# How long a service may take to start. Long, because the machine may be busy with other work.
WAIT_SECONDS=${DEVCLOUD_WAIT_SECONDS:-600}

# The addresses of servers and floating IPs. They exist on this machine only.
PRIVATE_CIDR=10.77.0.0/16
PUBLIC_CIDR=10.78.0.0/16
STORAGE_CIDR=10.79.0.0/16

# Every service listens on loopback only, so these protect nothing; they exist because OpenStack wants some.
ADMIN_PASSWORD='admin'
SERVICE_PASSWORD='service'
USER_PASSWORD='devcloud'
DATABASE_PASSWORD='database'

# User ids 0 to 65535 inside the servers are these ones on the machine: an id that owns nothing here.
NODE_UID_BASE=770000000

# Debian's own python, never one that a version manager put first on PATH.
PYTHON=/usr/bin/python3
