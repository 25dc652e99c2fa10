#!/bin/bash
# useradd of a sandbox server: writes the user down and makes the home. Processes run as root whatever the user.
home= shell=/bin/bash comment= id= make= group= system= name= skeleton=/etc/skel groups=
while [ $# -gt 0 ]; do
    case $1 in
    -d | --home | --home-dir) home=$2; shift 2 ;;
    -s | --shell) shell=$2; shift 2 ;;
    -c | --comment) comment=$2; shift 2 ;;
    -u | --uid) id=$2; shift 2 ;;
    -g | --gid) group=$2; shift 2 ;;
    -G | --groups) groups=$2; shift 2 ;;
    -k | --skel) skeleton=$2; shift 2 ;;
    -b | -e | -f | -K | -p | -R | -P | -Z | --base-dir | --expiredate | --inactive | --password) shift 2 ;;
    --home-dir=*) home=${1#*=}; shift ;;
    --shell=*) shell=${1#*=}; shift ;;
    --uid=*) id=${1#*=}; shift ;;
    --gid=*) group=${1#*=}; shift ;;
    -M | --no-create-home) make=; shift ;;
    -r | --system) system=yes; shift ;;
    --) shift ;;
    --create-home) make=yes; shift ;;
    --*) shift ;;
    -*m*) make=yes; shift ;;
    -*) shift ;;
    *) name=$1; shift ;;
    esac
done
[[ $name =~ ^[a-z_][a-z0-9_-]*$ ]] || { echo "useradd: invalid user name '$name'" >&2; exit 3; }
if getent passwd "$name" >/dev/null; then echo "useradd: user '$name' already exists" >&2; exit 9; fi
if [ -z "$id" ]; then
    id=1000
    [ -z "$system" ] || id=100
    while getent passwd "$id" >/dev/null || getent group "$id" >/dev/null; do id=$((id + 1)); done
fi
home=${home:-/home/$name}
if [ -n "$group" ]; then
    entry=$(getent group "$group") || { echo "useradd: group '$group' does not exist" >&2; exit 6; }
    IFS=: read -r _ _ gid _ <<<"$entry"
else
    entry=$(getent group "$name") || echo "$name:x:$id:" >>/etc/group
    IFS=: read -r _ _ gid _ <<<"${entry:-$name:x:$id:}"
fi
echo "$name:x:$id:$gid:$comment:$home:$shell" >>/etc/passwd
echo "$name:!:19000:0:99999:7:::" >>/etc/shadow
for group in ${groups//,/ }; do
    sed -i -E "s/^($group:[^:]*:[^:]*:)(.+)?$/\1\2,$name/; s/^($group:[^:]*:[^:]*:),/\1/" /etc/group
done
if [ -n "$make" ] && [ ! -d "$home" ]; then
    mkdir -p "$home" || exit 12
    [ ! -d "$skeleton" ] || cp -r "$skeleton/." "$home/"
fi
exit 0
