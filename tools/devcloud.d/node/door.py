#!/usr/bin/python3
"""What answers on port 22 of every server of the devcloud.

    door.py NODES_FOLDER PORT UID_BASE SOURCE_CIDR...

A connection's own destination says which server is meant: NODES_FOLDER/addresses/ADDRESS is a link to the folder of a
server that is switched on. Its file tree is then run as a small container (own users, processes, mounts and host name;
the machine's network and /usr), and `sshd -i` inside it takes the connection over. So the login users, their keys and
the host key are those of the server's own tree, and its root is nobody on the machine.

The first process of a server is started at the first connection and kept, so that all sessions see the same processes.
It lives until the server is switched off (devcloud_virt.py kills it) or this process ends.
"""
import ctypes
import ipaddress
import os
import select
import signal
import socket
import sys

SSHD = ['/usr/sbin/sshd', '-i', '-e', '-f', '/etc/ssh/sshd_config']
# Folders and files of the machine that a server sees, unless its own tree has something there.
SHARED_ETC = ('alternatives', 'ssl', 'ld.so.cache', 'ld.so.conf', 'ld.so.conf.d')
DEVICES = ('null', 'zero', 'full', 'random', 'urandom', 'tty')
UID_COUNT = 65536
BOOT_SECONDS = 60

# <linux/mount.h>, <sched.h>, <linux/prctl.h>; Python has these from 3.12 on only, and never mount(2).
MS_RDONLY, MS_NODEV, MS_NOSUID, MS_NOEXEC, MS_REMOUNT, MS_BIND = 1, 4, 2, 8, 32, 4096
MS_REC, MS_PRIVATE = 16384, 1 << 18
MNT_DETACH = 2
CLONE_NEWNS, CLONE_NEWUTS, CLONE_NEWIPC = 0x00020000, 0x04000000, 0x08000000
CLONE_NEWUSER, CLONE_NEWPID = 0x10000000, 0x20000000
PR_SET_CHILD_SUBREAPER = 36
SYS_PIVOT_ROOT = {'x86_64': 155, 'aarch64': 41}[os.uname().machine]

libc = ctypes.CDLL(None, use_errno=True)


def call(function, *arguments):
    """A libc function that returns -1 and errno when it fails."""
    encoded = [os.fsencode(a) if isinstance(a, str) else a for a in arguments]
    if function(*encoded) == -1:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number), f'{function.__name__}{arguments}')


def mount(source, target, kind=None, flags=0, options=None):
    call(libc.mount, source, target, kind, ctypes.c_ulong(flags), options)


def bind(source, target, *, folder, read_only=False, devices=False):
    """Shows `source` at `target`, and makes the mount point first."""
    if folder:
        os.makedirs(target, exist_ok=True)
    elif not os.path.lexists(target):
        os.close(os.open(target, os.O_CREAT | os.O_WRONLY, 0o644))
    mount(source, target, flags=MS_BIND)
    flags = (MS_RDONLY if read_only else 0) | (0 if devices else MS_NODEV)
    if flags:
        mount(source, target, flags=MS_REMOUNT | MS_BIND | flags)


def assemble(tree):
    """Mounts, while still root of the machine: what the server cannot undo. `tree` becomes a mount of its own."""
    call(libc.unshare, CLONE_NEWNS)
    mount('none', '/', flags=MS_REC | MS_PRIVATE)
    bind(tree, tree, folder=True)
    # /usr without /usr/local: that one is the server's own.
    for entry in os.scandir('/usr'):
        if entry.name != 'local' and entry.is_dir(follow_symlinks=False):
            bind(entry.path, f'{tree}/usr/{entry.name}', folder=True, read_only=True)
    for name in SHARED_ETC:
        source = f'/etc/{name}'
        if os.path.exists(source) and not os.path.islink(f'{tree}/etc/{name}'):
            bind(source, f'{tree}/etc/{name}', folder=os.path.isdir(source), read_only=True)
    os.makedirs(f'{tree}/dev', exist_ok=True)
    mount('tmpfs', f'{tree}/dev', 'tmpfs', MS_NOSUID | MS_NOEXEC, 'mode=755,size=64k')
    for name in DEVICES:
        bind(f'/dev/{name}', f'{tree}/dev/{name}', folder=False, devices=True)
    for name, target in (('ptmx', 'pts/ptmx'), ('fd', '/proc/self/fd'), ('stdin', '/proc/self/fd/0'),
                         ('stdout', '/proc/self/fd/1'), ('stderr', '/proc/self/fd/2')):
        os.symlink(target, f'{tree}/dev/{name}')
    for name in ('dev/pts', 'dev/shm', 'proc', 'run'):
        os.makedirs(f'{tree}/{name}', exist_ok=True)


def first_process(tree, power, ready):
    """Becomes process 1 of the server: the last mounts, then it waits until `power` is closed."""
    signal.alarm(BOOT_SECONDS)
    # Mounts that came along from the machine are locked to their places; a fresh bind is not, so it can become the root.
    mount(tree, tree, flags=MS_BIND | MS_REC)
    # The folders above are closed to the server's root, so from here on all paths are relative.
    os.chdir(tree)
    os.setgroups([])
    os.setresgid(0, 0, 0)
    os.setresuid(0, 0, 0)
    os.setsid()
    os.umask(0o022)
    mount('proc', 'proc', 'proc', MS_NOSUID | MS_NODEV | MS_NOEXEC)
    mount('devpts', 'dev/pts', 'devpts', MS_NOSUID | MS_NOEXEC, 'newinstance,ptmxmode=666,mode=620,gid=5')
    mount('tmpfs', 'dev/shm', 'tmpfs', MS_NOSUID | MS_NODEV, 'mode=1777')
    mount('tmpfs', 'run', 'tmpfs', MS_NOSUID | MS_NODEV, 'mode=755')
    os.mkdir('run/sshd', 0o755)
    call(libc.syscall, SYS_PIVOT_ROOT, '.', '.')
    call(libc.umount2, '.', MNT_DETACH)
    os.chdir('/')
    with open('/etc/hostname', encoding='utf-8') as name:
        socket.sethostname(name.read().strip())
    os.dup2(power, 0)
    os.dup2(os.open('/dev/null', os.O_WRONLY), 1)
    os.dup2(1, 2)
    signal.alarm(0)
    os.write(ready, b'ready')
    # bash, because it collects orphans that end while it waits in `read`.
    os.execve('/usr/bin/bash', ['init', '-c', 'read -r _'], {'PATH': '/usr/sbin:/usr/bin'})


def start_time(pid):
    """Together with the pid this names a process for good. None when there is none, or only what is left of one."""
    try:
        with open(f'/proc/{pid}/stat', encoding='utf-8', errors='replace') as stat:
            fields = stat.read().rpartition(') ')[2].split()
    except OSError:
        return None
    return None if fields[0] in 'ZX' else fields[19]


def in_child(function, *arguments):
    """Forks; the child never returns."""
    pid = os.fork()
    if pid == 0:
        try:
            function(*arguments)
        except BaseException as error:  # nothing of the child may reach the parent's code
            print(f'door: {error!r}', file=sys.stderr, flush=True)
        finally:
            os._exit(1)
    return pid


class Servers:
    """The servers that have a first process: folder -> (pid, start time, the pipe that keeps it alive)."""

    def __init__(self, uid_base):
        self.uid_base = uid_base
        self.running = {}

    def forget_dead(self):
        """Also ends one whose server was deleted while it started."""
        for folder, (pid, started, power) in list(self.running.items()):
            if start_time(pid) != started or not os.path.isdir(f'{folder}/tree'):
                os.close(power)
                del self.running[folder]

    def pid(self, folder):
        self.forget_dead()
        if folder not in self.running:
            pid, power = self._boot(folder)
            started = start_time(pid)
            self.running[folder] = (pid, started, power)
            with open(f'{folder}/init', 'w', encoding='utf-8') as note:
                note.write(f'{pid} {started}\n')
        return self.running[folder][0]

    def _boot(self, folder):
        power, hold_power = os.pipe()
        hear, say = os.pipe()
        mapped, tell_mapped = os.pipe()

        def middle():
            signal.alarm(BOOT_SECONDS)
            for descriptor in (hold_power, hear, tell_mapped):
                os.close(descriptor)
            tree = f'{folder}/tree'
            assemble(tree)
            call(libc.unshare, CLONE_NEWUSER | CLONE_NEWNS | CLONE_NEWPID | CLONE_NEWUTS | CLONE_NEWIPC)
            os.write(say, b'map\n')
            os.read(mapped, 1)
            child = in_child(first_process, tree, power, say)
            os.write(say, f'{child}\n'.encode())
            os._exit(0)

        child = in_child(middle)
        for descriptor in (power, say, mapped):
            os.close(descriptor)
        try:
            if not os.read(hear, 4):
                raise OSError(f'{folder} did not start')
            for kind in ('uid', 'gid'):
                with open(f'/proc/{child}/{kind}_map', 'w', encoding='utf-8') as table:
                    table.write(f'0 {self.uid_base} {UID_COUNT}\n')
            os.write(tell_mapped, b'.')
            answer = b''
            while piece := os.read(hear, 64):
                answer += piece
            if b'ready' not in answer:
                raise OSError(f'{folder} did not start')
            return int(answer.replace(b'ready', b'')), hold_power
        except OSError:
            os.close(hold_power)
            raise
        finally:
            os.close(hear)
            os.close(tell_mapped)


def sshd_inside(pid, connection):
    os.dup2(connection.fileno(), 0)
    os.dup2(connection.fileno(), 1)
    os.execve('/usr/bin/nsenter', ['nsenter', '--target', str(pid), '--user', '--mount', '--uts', '--ipc', '--pid', '--',
                                   *SSHD], {'PATH': '/usr/sbin:/usr/bin'})


def answer(connection, peer, nodes, sources, servers):
    address = ipaddress.ip_address(connection.getsockname()[0])
    source = ipaddress.ip_address(peer[0])
    folder = os.path.realpath(f'{nodes}/addresses/{address}')
    if not any(source in network for network in sources) or not os.path.isdir(f'{folder}/tree'):
        return
    pid = servers.pid(folder)
    in_child(sshd_inside, pid, connection)


def main():
    nodes, port, uid_base, *sources = sys.argv[1:]
    networks = [ipaddress.ip_network(source) for source in sources]
    servers = Servers(int(uid_base))
    # First processes lose their parent at once: they are ours to collect.
    call(libc.prctl, PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    with socket.create_server(('0.0.0.0', int(port)), backlog=500) as listener:
        while True:
            ready, _, _ = select.select([listener], [], [], 1.0)
            try:
                while os.waitpid(-1, os.WNOHANG)[0]:
                    pass
            except ChildProcessError:
                pass
            servers.forget_dead()
            if not ready:
                continue
            try:
                connection, peer = listener.accept()
                with connection:
                    answer(connection, peer, nodes, networks, servers)
            except OSError as error:
                print(f'door: {error}', file=sys.stderr, flush=True)


if __name__ == '__main__':
    main()
