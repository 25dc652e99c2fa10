# Copies /server/tree, the file tree of a running server, to /image/tree. Files that change meanwhile are copied as
# they are met, as in the snapshot of a disk in use.
mkdir -p /image/tree || exit 1
cd /server/tree || exit 1
for part in .* *; do
    case $part in
    . | .. | '.*' | '*') ;;
    tmp | run | proc | sys | dev | usr) mkdir -p "/image/tree/$part" ;;
    *) cp -a "$part" /image/tree/ || echo "not all of $part could be copied" >&2 ;;
    esac
done
exit 0
