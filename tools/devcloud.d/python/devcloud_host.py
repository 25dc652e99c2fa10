"""What Nova's and Neutron's pieces both do to this machine: addresses that answer, and the marks of processes."""
import os

from oslo_concurrency import processutils

STATE = os.environ['DEVCLOUD_STATE']
NODES = f'{STATE}/nodes'


def switch_on(address, target):
    """Makes `address` one of this machine's. `target`, relative to the folder of addresses, is who answers there."""
    link = f'{NODES}/addresses/{address}'
    if os.path.lexists(link):
        os.unlink(link)
    os.symlink(target, link)
    processutils.execute('ip', 'route', 'replace', 'local', f'{address}/32', 'dev', 'lo')


def hang_up(address):
    """From now on nobody new is let in at `address`."""
    if os.path.lexists(f'{NODES}/addresses/{address}'):
        os.unlink(f'{NODES}/addresses/{address}')


def switch_off(address):
    """Undoes switch_on(). Nothing happens when that was already done."""
    hang_up(address)
    processutils.execute('ip', 'route', 'del', 'local', f'{address}/32', 'dev', 'lo', check_exit_code=[0, 2])


def start_time(pid):
    """Together with the pid this names a process for good. None when it has ended."""
    try:
        with open(f'/proc/{pid}/stat', encoding='utf-8', errors='replace') as stat:
            fields = stat.read().rpartition(') ')[2].split()
    except OSError:
        return None
    return None if fields[0] in 'ZX' else fields[19]
