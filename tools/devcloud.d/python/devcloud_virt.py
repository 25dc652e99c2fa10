"""Nova's own fake hypervisor, plus what a pool of machines needs from one.

* A server has a file tree, and ssh reaches it on its own address while it is switched on (node/door.py).
* A snapshot is uploaded, so that its image becomes active, and carries the tree: a server that is booted from it starts
  with that tree. (Upstream's FakeDriver uploads nothing and the image stays `queued`.)
* nova-compute can be restarted while servers live, and there is room for thousands of them.
* Delays and failures can be asked for, see KNOBS.
"""
import json
import os
import re
import signal
import tempfile

import eventlet
from nova import context as nova_context
from nova import exception
from nova import objects
from nova.compute import power_state
from nova.compute import task_states
from nova.image import glance
from nova.virt import fake
from oslo_concurrency import processutils

from devcloud_host import NODES
from devcloud_host import STATE
from devcloud_host import hang_up
from devcloud_host import start_time
from devcloud_host import switch_off
from devcloud_host import switch_on

# Read from STATE/knobs.json at each use. Those that end in _delay are seconds; a pattern is searched in the server's name.
KNOBS = {
    'spawn_delay': 0,     # the server stays BUILD for so long
    'spawn_fail': '',     # pattern: the server becomes ERROR
    'ssh_delay': 0,       # between ACTIVE and the first answer
    'ssh_never': '',      # pattern: the address never answers
    'snapshot_delay': 0,  # before the upload
    'snapshot_fail': '',  # pattern: nova deletes the image, and the server is ACTIVE again
    'snapshot_size': 0,   # bytes that an uploaded image has at least
    'destroy_delay': 0,   # a deleted server is listed for so long, but answers no more
}
# Images with this property are what snapshot() uploaded.
TREE_PROPERTY = 'devcloud_tree'
# A snapshot is the tree without these: a new server gets its own.
PER_SERVER = ('./etc/ssh/ssh_host_*', './etc/ssh/keypair', './etc/hostname', './dev/*', './proc/*', './run/*', './tmp/*')


def knob(name):
    try:
        with open(f'{STATE}/knobs.json', encoding='utf-8') as file:
            return json.load(file).get(name, KNOBS[name])
    except (OSError, ValueError):
        return KNOBS[name]


def delay(name):
    eventlet.sleep(float(knob(name)))


def matches(name, instance):
    pattern = knob(name)
    return bool(pattern) and re.search(pattern, instance.display_name or '') is not None


def folder(instance):
    return f'{NODES}/{instance.uuid}'


def fixed_addresses(network_info):
    return [ip['address'] for vif in network_info or [] for ip in vif.fixed_ips() if ip['version'] == 4]


def answering_addresses(uuid):
    """Where the server answers now. Not from network_info: nova has emptied that when a build was cancelled."""
    addresses = f'{NODES}/addresses'
    return [entry.name for entry in os.scandir(addresses)
            if entry.is_symlink() and os.readlink(entry.path) == f'../{uuid}']


def write_in(tree, path, text, mode=0o644):
    """Writes a file that belongs to the server's root. What a snapshot may have there is replaced, never followed."""
    owner = os.stat(tree)
    descriptor, fresh = tempfile.mkstemp(dir=os.path.dirname(tree))
    with os.fdopen(descriptor, 'w', encoding='utf-8') as file:
        file.write(text)
    os.chmod(fresh, mode)
    os.chown(fresh, owner.st_uid, owner.st_gid)
    os.rename(fresh, os.path.join(tree, path))


def make_own(tree, instance):
    """What two servers of one image do not share: name, host key, keypair."""
    name = re.sub(r'[^A-Za-z0-9.-]', '-', instance.hostname or 'server')
    write_in(tree, 'etc/hostname', f'{name}\n')
    write_in(tree, 'etc/ssh/keypair', f'{(instance.key_data or "").strip()}\n')
    with tempfile.TemporaryDirectory(dir=NODES) as keys:
        processutils.execute('ssh-keygen', '-q', '-t', 'ed25519', '-N', '', '-C', f'root@{name}', '-f', f'{keys}/key')
        for file, suffix, mode in (('key', '', 0o600), ('key.pub', '.pub', 0o644)):
            with open(f'{keys}/{file}', encoding='utf-8') as key:
                write_in(tree, f'etc/ssh/ssh_host_ed25519_key{suffix}', key.read(), mode)


def kill_first_process(note):
    """`note` is what door.py wrote: pid and start time."""
    try:
        with open(note, encoding='utf-8') as file:
            pid, started = file.read().split()
    except (OSError, ValueError):
        return
    if start_time(pid) == started:
        os.kill(int(pid), signal.SIGKILL)
        with eventlet.Timeout(10, False):
            while start_time(pid) == started:
                eventlet.sleep(0.02)


class DevcloudDriver(fake.FakeDriver):
    vcpus = 8000
    memory_mb = 16 * 1024 * 1024
    local_gb = 1000000

    def __init__(self, virtapi, read_only=False):
        super().__init__(virtapi, read_only)
        self._images = glance.API()

    def init_host(self, host):
        """What the database says lives here, lives here: upstream's fake forgets everything at a restart."""
        super().init_host(host)
        admin = nova_context.get_admin_context()
        # Both hypervisors keep their servers in one folder.
        self._sweep({instance.uuid for instance in objects.InstanceList.get_all(admin)})
        for instance in objects.InstanceList.get_by_host(admin, host, expected_attrs=['info_cache', 'flavor']):
            if instance.vm_state not in ('active', 'stopped', 'paused', 'suspended'):
                continue
            self.instances[instance.uuid] = fake.FakeInstance(
                instance.name, instance.power_state or power_state.RUNNING, instance.uuid)
            self.resources.claim(instance.flavor.vcpus, instance.flavor.memory_mb, instance.flavor.root_gb)
            network_info = instance.get_network_info()
            for vif in network_info:
                self._interfaces[vif['id']] = vif
            if instance.vm_state == 'active':
                self._answer(instance, network_info)

    def spawn(self, context, instance, image_meta, injected_files, admin_password, allocations, network_info=None,
              block_device_info=None, power_on=True, accel_info=None):
        delay('spawn_delay')
        if matches('spawn_fail', instance):
            raise exception.VirtualInterfaceCreateException()
        super().spawn(context, instance, image_meta, injected_files, admin_password, allocations, network_info,
                      block_device_info, power_on, accel_info)
        self._make_tree(context, instance, image_meta)
        seconds = float(knob('ssh_delay'))
        if seconds:
            eventlet.spawn_after(seconds, self._answer, instance, network_info)
        else:
            self._answer(instance, network_info)

    def destroy(self, context, instance, network_info, block_device_info=None, destroy_disks=True,
                destroy_secrets=True):
        self._halt(instance.uuid)
        processutils.execute('rm', '-rf', folder(instance))
        delay('destroy_delay')
        if instance.uuid in self.instances:
            super().destroy(context, instance, network_info, block_device_info, destroy_disks, destroy_secrets)

    def power_off(self, instance, timeout=0, retry_interval=0):
        super().power_off(instance, timeout, retry_interval)
        self._halt(instance.uuid)

    def power_on(self, context, instance, network_info, block_device_info=None, accel_info=None):
        super().power_on(context, instance, network_info, block_device_info, accel_info)
        self._answer(instance, network_info)

    def reboot(self, context, instance, network_info, reboot_type, block_device_info=None, bad_volumes_callback=None,
               accel_info=None):
        super().reboot(context, instance, network_info, reboot_type, block_device_info, bad_volumes_callback,
                       accel_info)
        self._halt(instance.uuid)
        self._answer(instance, network_info)

    def snapshot(self, context, instance, image_id, update_task_state):
        update_task_state(task_state=task_states.IMAGE_PENDING_UPLOAD)
        delay('snapshot_delay')
        if matches('snapshot_fail', instance):
            # Not InstanceNotRunning: nova then leaves the server in this task_state for ever.
            raise exception.NovaException('this snapshot was asked to fail (knobs.json)')
        update_task_state(task_state=task_states.IMAGE_UPLOADING, expected_state=task_states.IMAGE_PENDING_UPLOAD)
        properties = {TREE_PROPERTY: '1', 'image_location': 'snapshot', 'image_state': 'available',
                      'owner_id': instance.project_id}
        meta = {'disk_format': 'raw', 'container_format': 'bare', 'properties': properties}
        with tempfile.NamedTemporaryFile(dir=NODES) as archive:
            # 1: a file changed while it was read. As on a disk that is in use.
            processutils.execute('tar', '-czf', archive.name, '--numeric-owner', *(f'--exclude={p}' for p in PER_SERVER),
                                 '-C', f'{folder(instance)}/tree', '.', check_exit_code=[0, 1])
            if int(knob('snapshot_size')) > os.path.getsize(archive.name):
                os.truncate(archive.name, int(knob('snapshot_size')))
            with open(archive.name, 'rb') as data:
                self._images.update(context, image_id, meta, data)

    def get_console_output(self, context, instance):
        """As cloud-init prints it: the place where a client can learn a server's host key."""
        try:
            with open(f'{folder(instance)}/tree/etc/ssh/ssh_host_ed25519_key.pub', encoding='utf-8') as key:
                return f'-----BEGIN SSH HOST KEY KEYS-----\n{key.read()}-----END SSH HOST KEY KEYS-----\n'
        except OSError:
            return ''

    def _make_tree(self, context, instance, image_meta):
        tree = f'{folder(instance)}/tree'
        os.makedirs(folder(instance), exist_ok=True)
        image = self._images.get(context, image_meta.id)
        if (image.get('properties') or {}).get(TREE_PROPERTY) == '1':
            os.makedirs(tree)
            with tempfile.NamedTemporaryFile(dir=NODES) as archive:
                self._images.download(context, image_meta.id, dest_path=archive.name)
                processutils.execute('tar', '-xzpf', archive.name, '--numeric-owner', '--same-owner', '-C', tree)
        else:
            processutils.execute('cp', '-a', f'{STATE}/skeleton', tree)
        make_own(tree, instance)

    def _answer(self, instance, network_info):
        """Lets ssh in, unless the server was deleted meanwhile."""
        if instance.uuid in self.instances and not matches('ssh_never', instance):
            for address in fixed_addresses(network_info):
                switch_on(address, f'../{instance.uuid}')

    def _sweep(self, known):
        """Removes servers that were deleted while no nova-compute ran."""
        links = [os.path.basename(os.readlink(entry.path)) for entry in os.scandir(f'{NODES}/addresses')]
        folders = [entry.name for entry in os.scandir(NODES)]
        for name in {*links, *folders} - known:
            if re.fullmatch('[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}', name):
                self._halt(name)
                processutils.execute('rm', '-rf', f'{NODES}/{name}')

    def _halt(self, uuid):
        """Ends every process of the server: its first one takes the others along.

        The route goes last. Without it the ssh clients would not hear that their connections were closed, and wait.
        """
        addresses = answering_addresses(uuid)
        for address in addresses:
            hang_up(address)
        kill_first_process(f'{NODES}/{uuid}/init')
        for address in addresses:
            switch_off(address)
