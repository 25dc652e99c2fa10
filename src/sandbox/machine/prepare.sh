# Makes /tree, the file tree of a server that boots, from /image.
# $1 host name, $2 address, $3 public host key, $4 public key of the keypair or nothing, then the image's users.
set -u
cp -a /image/. /tree/ || echo "not all of the image could be copied" >&2
cd /tree || exit 1
host=$1 address=$2 host_key=$3 key=$4
shift 4

# A boot starts with these empty.
rm -rf tmp run
mkdir -p run/lock etc/ssh && mkdir -m 1777 tmp || exit 1
rm -f etc/hostname etc/hosts etc/ssh/ssh_host_ed25519_key.pub
echo "$host" >etc/hostname
printf '127.0.0.1\tlocalhost\n%s\t%s\n' "$address" "$host" >etc/hosts
echo "$host_key" >etc/ssh/ssh_host_ed25519_key.pub

# As cloud-init does: the keypair's key is added for the image's users and stays in a later snapshot.
[ -n "$key" ] || exit 0
for user in "$@"; do
    home=
    while IFS=: read -r name _ _ _ _ folder _; do
        [ "$name" = "$user" ] && home=$folder
    done <etc/passwd
    [ -n "$home" ] && [ -d "/tree$home" ] || continue
    mkdir -p -m 700 "/tree$home/.ssh"
    keys=/tree$home/.ssh/authorized_keys
    grep -qxF -- "$key" "$keys" 2>/dev/null || echo "$key" >>"$keys"
    chmod 600 "$keys"
done
exit 0
