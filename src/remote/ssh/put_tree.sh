# Replaces the folder $3, of mode $4, by the tar stream on standard input, whose last entry is $5.
# Unpacked beside its place and then moved: nobody sees half a tree, and none is left where the stream was cut.
set -eu
umask 022
to=$3 mode=$4 last=$5
new=$to.nodepool-new old=$to.nodepool-old
rm -rf -- "$new" "$old"
mkdir -p -- "$new"
tar -xpomf - -C "$new"
if ! [ -f "$new/$last" ]; then
  echo "the copy was cut short" >&2
  rm -rf -- "$new"
  exit 1
fi
rm -f -- "$new/$last"
chmod -- "$mode" "$new"
if [ -e "$to" ] || [ -L "$to" ]; then mv -- "$to" "$old"; fi
mv -- "$new" "$to"
rm -rf -- "$old"
