# Runs the script $1 with the other arguments, as root if that can be. Given after $1, in this order: the numbers of
# the login user and of its group, then what was given here.
# An image may take sudo away from its user at the end of its setup; then the user's own rights have to do.
script=$1
shift
user=$(id -u)
group=$(id -g)
if [ "$user" != 0 ] && sudo -n true 2>/dev/null; then
  exec sudo -n sh -c "$script" nodepool "$user" "$group" "$@"
fi
exec sh -c "$script" nodepool "$user" "$group" "$@"
