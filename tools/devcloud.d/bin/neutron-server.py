#!/usr/bin/python3
"""neutron-server with two changes.

It prepares its database classes before the first request. Upstream leaves that to the first query, and a worker whose
first request lists ports fails before it makes one, with 500 and "type object 'Port' has no attribute
'port_forwardings'", again and again until some other request arrives.

And it tells Nova less. Neutron costs more here than any other service, much of it for telling Nova about ports that Nova itself has just written
or deleted. Those messages are dropped; the ones about floating IPs are sent, so that a server lists them.
"""
import sys

import neutron.cmd.eventlet  # noqa: F401  (patches the standard library, so it must come first)
import neutron.db.migration.models.head  # noqa: F401  (imports every model)
from neutron.notifiers import nova
from sqlalchemy import orm

orm.configure_mappers()

send_network_change = nova.Notifier.send_network_change


def send_unless_novas_own(self, action, original_obj, returned_obj):
    if action not in ('update_port', 'delete_port'):
        send_network_change(self, action, original_obj, returned_obj)


nova.Notifier.send_network_change = send_unless_novas_own

from neutron.cmd.eventlet.server import main  # noqa: E402

sys.argv[0] = 'neutron-server'
sys.exit(main())
