#!/bin/sh
# guest-prepare.sh - makes what guest.sh boots: a kernel, its modules and an initial file system.
#
# usage: guest-prepare.sh
#
# The kernel is the distribution's package, fetched by apt-get download, which needs neither root
# nor an installation.  What is made is kept in GUEST_CACHE (by default
# ${XDG_CACHE_HOME:-~/.cache}/ferrule-guest), so that later runs need no network.
# Prints nothing when all is there.  Status 77, with the reason, when it cannot be made here.

set -u
here=$(cd "$(dirname "$0")" && pwd)
cache=${GUEST_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/ferrule-guest}
PATH=$PATH:/usr/sbin:/sbin

# What the guest needs beyond the kernel itself.  crc32_generic is what rdma_rxe asks for by name;
# crc32-pclmul would satisfy it too, but is slower in an emulated processor.
modules="virtio_pci virtio_net 9pnet_virtio 9p veth sch_netem crc32_generic rdma_rxe ib_uverbs
	rdma_ucm"

give_up() {
	echo "guest: $*"
	exit 77
}

# need PROGRAM PACKAGE
need() {
	command -v "$1" >/dev/null 2>&1 || lacking="$lacking $2"
}

check_programs() {
	[ "$(uname -m)" = x86_64 ] || give_up "the guest is made for x86_64, this is $(uname -m)"
	lacking=
	need qemu-system-x86_64 qemu-system-x86
	need busybox busybox-static
	need modprobe kmod
	need cpio cpio
	need xz xz-utils
	need ip iproute2
	need rdma iproute2
	need ibv_devinfo ibverbs-utils
	need setpriv util-linux
	[ -e /etc/libibverbs.d/rxe.driver ] || lacking="$lacking ibverbs-providers"
	[ -z "$lacking" ] || give_up "these packages are missing:$lacking"
	# It runs where there is no C library yet.  ldd fails for what is linked statically.
	! ldd "$(command -v busybox)" >/dev/null 2>&1 || give_up "busybox is not static: busybox-static"
}

# one_lib DIRECTORY - where modules are is lib/modules to some distributions and programs and
# usr/lib/modules to others; both lead there afterwards.
one_lib() {
	if [ -d "$1/usr/lib/modules" ]; then
		[ -e "$1/lib" ] || ln -s usr/lib "$1/lib"
	else
		mkdir -p "$1/usr" && ln -s ../lib "$1/usr/lib"
	fi
}

# plain DIRECTORY - modules that are compressed are not any more; busybox loads no other.
plain() {
	for module in "$1"/*.ko.xz; do [ ! -f "$module" ] || xz -d "$module" || return; done
	for module in "$1"/*.ko.zst; do [ ! -f "$module" ] || zstd -q --rm -d "$module" || return; done
	for module in "$1"/*.ko.gz; do [ ! -f "$module" ] || gzip -d "$module" || return; done
}

# dependencies PACKAGE VERSION - the files of all modules and of what they need, in the order in which
# they are loaded.  Newer kernels have crc32 built in, and no module of that name.
dependencies() {
	for module in $modules; do
		modprobe -d "$1" -S "$2" --show-depends "$module" || [ "$module" = crc32_generic ] ||
			echo "guest: the kernel $2 has no module $module" >&2
	done 2>>"$1/../log" | awk '$1 == "insmod" && !seen[$2]++ { print $2 }'
}

# Fetches the kernel and lays vmlinuz and the modules, numbered as they must be loaded, into $1.
fetch_kernel() {
	command -v apt-get >/dev/null 2>&1 || give_up "no apt-get to fetch a kernel with"
	package=$(apt-cache depends linux-image-amd64 2>/dev/null |
		awk '/Depends: linux-image-[0-9]/ { print $2; exit }')
	[ -n "$package" ] || give_up "apt knows no linux-image-amd64: apt-get update"
	echo "guest: fetching $package, once"
	(cd "$1" && timeout -k 5 400 apt-get -qq -o Acquire::http::Timeout=20 -o Acquire::Retries=1 \
		download "$package") >"$1/log" 2>&1 </dev/null ||
		give_up "$package could not be fetched: $(grep -m 1 '^E:' "$1/log")"
	version=${package#linux-image-}
	dpkg-deb -x "$1"/*.deb "$1/package" && one_lib "$1/package" && depmod -b "$1/package" "$version" &&
		mv "$1/package/boot/vmlinuz-$version" "$1/vmlinuz" && mkdir "$1/modules" ||
		give_up "$package is not made as expected"
	n=10
	dependencies "$1/package" "$version" | while read -r file; do
		cp "$file" "$1/modules/$n-$(basename "$file")" || exit 1
		n=$((n + 1))
	done
	plain "$1/modules" || give_up "the modules of $package could not be unpacked"
	ls "$1/modules"/*rdma_rxe.ko >/dev/null 2>&1 || give_up "$package has no rdma_rxe: $(tail -n 1 "$1/log")"
	rm -rf "$1/package" "$1"/*.deb "$1/log"
	echo "$kernel_key" >"$1/key"
}

# Packs busybox, the modules and guest-init.sh.
pack_initramfs() {
	rm -rf "$1/root"
	for dir in bin proc sys dev host control modules; do mkdir -p "$1/root/$dir"; done
	cp "$(command -v busybox)" "$1/root/bin/busybox"
	cp "$cache/kernel/modules"/* "$1/root/modules/"
	for name in sh mount insmod mkdir cat chroot hostname poweroff; do
		ln -s busybox "$1/root/bin/$name"
	done
	cp "$here/guest-init.sh" "$1/root/init"
	chmod 755 "$1/root/init"
	(cd "$1/root" && find . | cpio -o -H newc --quiet | gzip -1) >"$1/initramfs" ||
		give_up "the initial file system could not be packed"
}

# key FILE - what is there was made from the same things.
is_current() {
	[ "$(cat "$cache/$1" 2>/dev/null)" = "$2" ]
}

check_programs
mkdir -p "$cache" 2>/dev/null && [ -w "$cache" ] || give_up "$cache cannot be written"
exec 9>"$cache/lock"
flock -w 500 9 || give_up "somebody else prepares in $cache for more than 500 seconds"

kernel_key=$(printf '%s' "$modules" | cksum)
initramfs_key=$(cat "$0" "$here/guest-init.sh" "$cache/kernel/key" 2>/dev/null | cksum)
if is_current kernel/key "$kernel_key" && is_current initramfs.key "$initramfs_key"; then
	exit 0
fi
work=$(mktemp -d "$cache/making.XXXXXX") || give_up "$cache cannot be written"
trap 'rm -rf "$work"' EXIT
trap 'exit 1' HUP INT TERM
if ! is_current kernel/key "$kernel_key"; then
	mkdir "$work/kernel"
	fetch_kernel "$work/kernel"
	rm -rf "$cache/kernel" && mv "$work/kernel" "$cache/kernel" || give_up "$cache cannot be written"
fi
pack_initramfs "$work"
mv "$work/initramfs" "$cache/initramfs"
cat "$0" "$here/guest-init.sh" "$cache/kernel/key" | cksum >"$cache/initramfs.key"
