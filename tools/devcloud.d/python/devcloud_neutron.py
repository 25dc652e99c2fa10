"""Neutron without agents: ports and floating IPs that are ACTIVE at once.

Upstream, an agent on the hypervisor binds a port and an L3 agent reports a floating IP; without them a port stays DOWN,
and so does a floating IP. Neutron finds both classes by the entry points beside this file.
"""
from neutron.services.l3_router import l3_router_plugin
from neutron_lib import constants
from neutron_lib.api.definitions import portbindings
from neutron_lib.callbacks import events
from neutron_lib.callbacks import registry
from neutron_lib.callbacks import resources
from neutron_lib.plugins.ml2 import api
from oslo_log import log

from devcloud_host import switch_off
from devcloud_host import switch_on

LOG = log.getLogger(__name__)


class InstantPorts(api.MechanismDriver):
    """Binds each port to the first segment that is offered."""

    @property
    def connectivity(self):
        return portbindings.CONNECTIVITY_L2

    def initialize(self):
        pass

    def bind_port(self, context):
        segment = next(iter(context.segments_to_bind), None)
        if segment is None:
            return
        details = {portbindings.CAP_PORT_FILTER: True,
                   portbindings.OVS_HYBRID_PLUG: False,
                   portbindings.VIF_DETAILS_CONNECTIVITY: portbindings.CONNECTIVITY_L2}
        context.set_binding(segment[api.ID], portbindings.VIF_TYPE_OVS, details, status=constants.PORT_STATUS_ACTIVE)


@registry.has_registry_receivers
class InstantFloatingIps(l3_router_plugin.L3RouterPlugin):
    """A floating IP answers on this machine for as long as it is associated with a port."""

    @registry.receives(resources.FLOATING_IP, [events.AFTER_CREATE, events.AFTER_UPDATE, events.AFTER_DELETE])
    def _floating_ip_changed(self, resource, event, trigger, payload):
        floating_ip = payload.latest_state or {}
        address = floating_ip.get('floating_ip_address')
        if not address:
            return
        deleted = event == events.AFTER_DELETE
        fixed = None if deleted else floating_ip.get('fixed_ip_address')
        self._point(address, fixed)
        if not deleted:
            status = self._report(payload.context, payload.resource_id, fixed)
            if isinstance(floating_ip, dict):
                floating_ip['status'] = status  # this dictionary becomes the answer to the caller

    def disassociate_floatingips(self, context, port_id, do_notify=True):
        """Called when a port goes, with its server: no event is sent for the floating IPs."""
        before = self.get_floatingips(context.elevated(), filters={'port_id': [port_id]})
        result = super().disassociate_floatingips(context, port_id, do_notify)
        for floating_ip in before:
            self._point(floating_ip['floating_ip_address'], None)
            self._report(context, floating_ip['id'], None)
        return result

    def _point(self, address, fixed):
        try:
            if fixed:
                switch_on(str(address), str(fixed))
            else:
                switch_off(str(address))
        except Exception:  # an answer to the caller matters more than a route
            LOG.exception('floating IP %s', address)

    def _report(self, context, floating_ip_id, fixed):
        status = constants.FLOATINGIP_STATUS_ACTIVE if fixed else constants.FLOATINGIP_STATUS_DOWN
        self.update_floatingip_status(context.elevated(), floating_ip_id, status)
        return status
