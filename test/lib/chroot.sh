# chroot.sh: sourced by what runs in a Debian of its own, as root.

# mirror_of [-SUFFIX]: where the machine has its own release from, or the
# release's security updates
mirror_of() {
	. /etc/os-release
	# shellcheck disable=SC2016
	apt-get indextargets \
		--format '$(CODENAME) $(REPO_URI)' 'Created-By: Packages' |
		awk -v name="$VERSION_CODENAME$1" '$1 == name { print $2; exit }'
}

mirror=$(mirror_of '')
security=$(mirror_of -security)

# inside ROOT COMMAND: where its mounts and its processes end with it
inside() {
	cp /etc/resolv.conf /etc/hosts "$1/etc/"
	# shellcheck disable=SC2016
	unshare --mount --pid --fork --kill-child sh -c '
		mount -t proc proc "$1/proc" &&
		mount --rbind /dev "$1/dev" &&
		mount -t tmpfs tmpfs "$1/dev/shm" &&
		exec chroot "$1" env -i PATH=/usr/sbin:/usr/bin:/sbin:/bin \
			HOME=/root LANG=C TERM=dumb DEBIAN_FRONTEND=noninteractive \
			TESTS="$3" JOBS="$4" PIP_CERT=/etc/ssl/certs/ca-certificates.crt \
			sh -c "$2"' sh "$1" "$2" "${TESTS:-}" "${JOBS:-}" </dev/null
}

# new_root SUITE ROOT PACKAGE,...: a fresh root file system
new_root() {
	debootstrap --variant=minbase --include="$3" "$1" "$2" "$mirror" || return
	# the newest minor releases of servers
	[ -z "$security" ] || [ "$1" = sid ] ||
		echo "deb $security $1-security main" \
			>"$2/etc/apt/sources.list.d/security.list"
	# a mirror may lag behind the few days that sid's index says it is good for
	echo 'Acquire::Check-Valid-Until "false";' \
		>"$2/etc/apt/apt.conf.d/mirror-may-lag"
	# no package starts a server in there
	printf '#!/bin/sh\nexit 101\n' >"$2/usr/sbin/policy-rc.d"
	chmod 755 "$2/usr/sbin/policy-rc.d"
}
