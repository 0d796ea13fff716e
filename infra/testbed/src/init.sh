# The first process of a node. Arguments: scratch directory, name, helper binary, sshd address, cgroup name.
set -eu
scratch=$1 name=$2 helper=$3 address=$4 cgroup=$5

mount --make-rprivate /
hostname "$name"
mount -t proc proc /proc

# Private, writable copies of what a node changes; the rest of the machine is read-only here.
mount -t tmpfs -o mode=0700 cairn-node "$scratch"
for tree in etc var; do
    mkdir -p "$scratch/$tree/upper" "$scratch/$tree/work"
done
mkdir -p "$scratch/var/upper/lib/cairn-node/bin"
touch "$scratch/helper"
mount --bind "$helper" "$scratch/helper"
mount -t overlay overlay -o "lowerdir=/etc,upperdir=$scratch/etc/upper,workdir=$scratch/etc/work" /etc
mount -t overlay overlay -o "lowerdir=/var,upperdir=$scratch/var/upper,workdir=$scratch/var/work" /var
touch /var/lib/cairn-node/bin/cairn-node
chmod 0700 /var/lib/cairn-node
mount --bind "$scratch/helper" /var/lib/cairn-node/bin/cairn-node
mount -t tmpfs -o mode=0755 tmpfs /home
mount -t tmpfs -o mode=1777 tmpfs /tmp
mount -t tmpfs -o mode=1777 tmpfs /var/tmp
mount -t tmpfs -o mode=1777 tmpfs /dev/shm
if [ -d /dev/mqueue ]; then mount -t mqueue mqueue /dev/mqueue; fi
mount -t devpts -o newinstance,gid=5,mode=0620,ptmxmode=0666 devpts /dev/pts
mount --bind /dev/pts/ptmx /dev/ptmx
mount -t tmpfs -o mode=0755 tmpfs /run
mount -o remount,bind,ro /
mkdir -p /run/sshd /run/lock

# Its own identity.
rm -f /etc/ssh/ssh_host_* /etc/nologin
rm -rf /etc/ssh/cairn /etc/ssh/sshd_config.d /etc/cairn-node
mkdir -p /etc/ssh/sshd_config.d /etc/cairn-node
ssh-keygen -q -t ed25519 -N '' -C "$name" -f /etc/ssh/ssh_host_ed25519_key
ssh-keygen -q -t ecdsa -N '' -C "$name" -f /etc/ssh/ssh_host_ecdsa_key
cat > /etc/ssh/sshd_config <<CONFIG
Include /etc/ssh/sshd_config.d/*.conf
ListenAddress $address
HostKey /etc/ssh/ssh_host_ed25519_key
HostKey /etc/ssh/ssh_host_ecdsa_key
PasswordAuthentication no
KbdInteractiveAuthentication no
UsePAM yes
UseDNS no
PrintMotd no
MaxStartups 100
AcceptEnv LANG LC_*
Subsystem sftp internal-sftp
CONFIG
# The load of this machine is not the node's: a build beside it must not take it out of use.
cat > /etc/cairn-node/config.json <<CONFIG
{"cgroup_root": "$cgroup", "preallocate": false, "measure_usage": false}
CONFIG

/usr/sbin/sshd -E /run/sshd.log
# Reaps whatever loses its parent, as a first process must.
while :; do
    sleep 3600 &
    wait $! || true
done
