# Unpacks /image/data, a tar archive, over /image/tree. What servers share with the machine is left out.
cd /image/tree || exit 1
exec tar --extract --file=/image/data --no-same-owner --keep-directory-symlink \
    --exclude=./usr --exclude=./bin --exclude=./sbin --exclude='./lib*' --exclude=./proc --exclude=./sys \
    --exclude=./dev --exclude=usr --exclude=proc --exclude=sys --exclude=dev
