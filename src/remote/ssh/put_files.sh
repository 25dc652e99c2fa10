# Writes the files $4 and so on from the tar stream on standard input, where each has the ending $3; they belong to the
# user $1 and the group $2. A file is moved into its place when all have come, so each is whole or absent.
set -eu
umask 022
owner=$1:$2 ending=$3
shift 3
for file in "$@"; do
  mkdir -p -- "${file%/*}/"
  rm -f -- "$file$ending"
done
tar -xpomf - -C /
for file in "$@"; do
  chown -- "$owner" "$file$ending"
done
for file in "$@"; do
  mv -f -- "$file$ending" "$file"
done
