#!/bin/sh
# guest-init.sh - process 1 of the guest: mounts the host's files, runs the script, switches off.
#
# Runs in busybox on the initial file system that guest-prepare.sh packs.  The control directory
# is written by guest.sh: `run` is the script to start, `show` lists what below /tmp and /run is
# to be seen, `write` directories that can be written; both have lines "TAG PATH".

mount -t proc proc /proc
mount -t sysfs sys /sys
mount -t devtmpfs dev /dev
for module in /modules/*; do
	insmod "$module" || echo "guest: $module could not be loaded"
done

# A large msize spares round trips.  What the host does not change meanwhile may be cached.
p9=trans=virtio,version=9p2000.L,msize=262144
mount -t 9p -o $p9,cache=none control /control
mount -t 9p -o $p9,cache=loose,ro root /host

# Scratch space of the guest's own lies over the host's, with holes for what must be seen.
mkdir -p /whole
mount -o bind /host /whole
mount -t tmpfs tmpfs /host/run
mount -t tmpfs tmpfs /host/tmp
while read -r path; do
	[ ! -e "/host$path" ] || continue
	if [ -d "/whole$path" ]; then mkdir -p "/host$path"; else >>"/host$path"; fi
	mount -o bind "/whole$path" "/host$path"
done </control/show
while read -r tag path; do
	mkdir -p "/host$path"
	mount -t 9p -o $p9,cache=none,rw "$tag" "/host$path"
done </control/write

mount -t proc proc /host/proc
mount -t sysfs sys /host/sys
mount -t devtmpfs dev /host/dev
mkdir -p /host/dev/shm /host/dev/pts
mount -t tmpfs tmpfs /host/dev/shm
mount -t devpts devpts /host/dev/pts
mkdir -p /host/run/guest
mount -o bind /control /host/run/guest
# A name that resolves.
hostname localhost

chroot /host /bin/sh /run/guest/run </dev/null >/dev/console 2>&1
echo $? >/control/status
poweroff -f
