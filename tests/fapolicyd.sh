#!/bin/sh
# Runs fapolicyd, which lets everything through, on the file system of one
# folder: fapolicyd.sh UNPACKED FOLDER SCRATCH
#
# Start it in a mount namespace of its own: what it marks are mounts, so other
# processes of the machine are not asked about, and what is laid over /etc,
# /var/lib and /run is seen here alone. SCRATCH is an empty folder.
set -eu
unpacked=$1 folder=$2 scratch=$3
# Again in the same namespace: it is all there.
if [ ! -e /etc/fapolicyd/compiled.rules ]; then
    mount -t tmpfs none "$scratch"
    mkdir "$scratch/etc" "$scratch/etc.work" "$scratch/lib" "$scratch/lib.work"
    mount -t overlay -o "lowerdir=/etc,upperdir=$scratch/etc,workdir=$scratch/etc.work" none /etc
    mount -t overlay -o "lowerdir=/var/lib,upperdir=$scratch/lib,workdir=$scratch/lib.work" none /var/lib
    mount -t tmpfs none /run
    mkdir -p /etc/fapolicyd/rules.d /etc/fapolicyd/trust.d /var/lib/fapolicyd /run/fapolicyd
fi
kind=$(stat --file-system --format %T "$folder")
[ "$kind" != ext2/ext3 ] || kind=ext4
sed -e "s/^watch_fs.*/watch_fs = $kind/" \
    -e 's/^uid.*/uid = root/' -e 's/^gid.*/gid = root/' -e 's/^trust =.*/trust = file/' \
    "$unpacked/etc/fapolicyd/fapolicyd.conf" > /etc/fapolicyd/fapolicyd.conf
echo 'allow perm=any all : all' > /etc/fapolicyd/compiled.rules
cp "$unpacked/etc/fapolicyd/fapolicyd.trust" /etc/fapolicyd/
LD_LIBRARY_PATH=$(dirname "$(find "$unpacked" -name liblmdb.so.0)")
export LD_LIBRARY_PATH
exec "$unpacked/usr/sbin/fapolicyd" --debug-deny
