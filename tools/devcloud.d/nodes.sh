# What the servers of the fake hypervisor are made of: their addresses, their file tree, the door that ssh comes through.
# Sourced by tools/devcloud.
# shellcheck shell=bash

# The tree that a server starts with when its image is the base image. Owners are as seen from inside a server.
make_skeleton() {
    local tree=$STATE/skeleton folder
    [ ! -d "$tree" ] || return 0
    rm -rf "$tree.new"
    mkdir -p "$tree.new"
    (
        cd "$tree.new" || exit
        mkdir -p dev proc sys run root opt srv mnt media home/debian \
            usr/local/{bin,sbin,lib,libexec,share,include,src,etc} \
            var/{cache,lib,local,log,spool,tmp} tmp etc/{ssh,nodepool,default,init.d}
        ln -s usr/bin bin
        ln -s usr/sbin sbin
        for folder in /lib /lib32 /lib64 /libx32; do
            [ ! -L "$folder" ] || ln -s "$(readlink "$folder")" ".$folder"
        done
        ln -s /run var/run
        ln -s /proc/mounts etc/mtab
        touch var/log/{lastlog,wtmp,btmp}
        chmod 1777 tmp var/tmp
        chmod 700 root

        for folder in bash.bashrc debian_version default/useradd environment host.conf issue localtime login.defs \
            nsswitch.conf os-release pam.conf pam.d profile profile.d protocols resolv.conf security services shells \
            skel timezone; do
            [ ! -e "/etc/$folder" ] || cp -aL "/etc/$folder" "etc/$folder"
        done
        printf '127.0.0.1 localhost\n::1 localhost ip6-localhost\n' >etc/hosts
        sed 's/:\*:/:x:/' /usr/share/base-passwd/passwd.master >etc/passwd
        sed 's/:\*:/:x:/' /usr/share/base-passwd/group.master >etc/group
        echo 'sshd:x:100:65534::/run/sshd:/usr/sbin/nologin' >>etc/passwd
        echo 'debian:x:1000:1000:Debian:/home/debian:/bin/bash' >>etc/passwd
        echo 'debian:x:1000:' >>etc/group
        sed 's/:.*/:*:19000:0:99999:7:::/' etc/passwd >etc/shadow
        sed 's/:.*/:*::/' etc/group >etc/gshadow
        chmod 640 etc/shadow etc/gshadow
        cp -a etc/skel/. home/debian

        install -m 644 "$PARTS/node/sshd_config" etc/ssh/sshd_config
        install -m 755 "$PARTS/node/sudo" usr/local/bin/sudo
        install -m 755 /usr/bin/setpriv usr/local/libexec/become
        chown -hR "$NODE_UID_BASE:$NODE_UID_BASE" .
        chown -hR "$((NODE_UID_BASE + 1000)):$((NODE_UID_BASE + 1000))" home/debian
        chmod 4755 usr/local/libexec/become
    )
    mv "$tree.new" "$tree"
}

# Addresses of all networks lead nowhere unless a live server or a floating IP in use has put its own route on the
# loopback device. So a dead address says "no route to host" at once, and nothing ever leaves by the default route.
add_routes() {
    mkdir -p "$STATE/nodes/addresses"
    chmod 700 "$STATE/nodes"
    local network link
    for network in "$PRIVATE_CIDR" "$PUBLIC_CIDR" "$STORAGE_CIDR"; do ip route replace unreachable "$network"; done
    # Those that were in use when `down` or a reboot took them.
    for link in "$STATE"/nodes/addresses/*; do
        [ ! -L "$link" ] || ip route replace local "${link##*/}/32" dev lo
    done
}

remove_routes() {
    local network address
    for network in "$PRIVATE_CIDR" "$PUBLIC_CIDR" "$STORAGE_CIDR"; do
        ip -4 -o route show table local root "$network" | sed -n 's/^local \([0-9.]*\).*/\1/p' | while read -r address; do
            ip route del local "$address" dev lo
        done
        ip route del unreachable "$network" 2>/dev/null || true
    done
}

# The image that stands for a Debian (nobody looks inside: servers of it get the skeleton) and the users' key pair.
make_files() {
    mkdir -p "$STATE/keys"
    [ -e "$STATE/base.qcow2" ] || qemu-img create -q -f qcow2 "$STATE/base.qcow2" 1G
    [ -e "$STATE/keys/nodepool.pub" ] || ssh-keygen -q -t ed25519 -N '' -C nodepool@devcloud -f "$STATE/keys/nodepool"
}

start_door() {
    start door "$PYTHON" "$STATE/lib/door.py" "$STATE/nodes" "$SSH_PORT" "$NODE_UID_BASE" \
        127.0.0.0/8 "$PRIVATE_CIDR" "$PUBLIC_CIDR" "$STORAGE_CIDR"
}
