# Writes the files $4 and so on from the tar stream on standard input, where each has the ending $3; they belong to the
# user $1 and the group $2. A file is moved into its place when all have come, so each is whole or absent.
# A machine that has just booted starts programs slowly: each is called once for all files where that is possible.
set -eu
umask 022
owner=$1:$2 ending=$3
shift 3

make_folders() {
  for file in "$@"; do
    set -- "$@" "${file%/*}/"
    shift
  done
  mkdir -p -- "$@"
}

# unfinished PROGRAM ARGUMENT FILE...: calls the program for what is not in its place yet.
unfinished() {
  program=$1 argument=$2
  shift 2
  for file in "$@"; do
    set -- "$@" "$file$ending"
    shift
  done
  "$program" "$argument" "$@"
}

make_folders "$@"
unfinished rm -f "$@"
tar -xpomf - -C /
unfinished chown "$owner" "$@"
for file in "$@"; do
  mv -f -- "$file$ending" "$file"
done
