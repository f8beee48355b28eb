# node.sh: sourced by test/run: npm's packages that tests run as clients.
#
# npm gets them by name into tmp_node/ of the project, once; they are used from
# there, or from a copy where the servers' user can't read it.

node_packages="pg-logical-replication playwright-core kinesalite@3.3.3"

# npm_install DIRECTORY PACKAGES NAME: there, unless they are; the name is what is told
npm_install() {
	"$project/test/deps" nodejs:node npm
	[ "$(cat "$1/complete" 2>/dev/null)" != "$2" ] || return 0
	echo "installing $3"
	rm -rf "$1"
	mkdir "$1"
	# shellcheck disable=SC2086
	npm install --silent --no-audit --no-fund --prefix "$1" $2
	echo "$2" >"$1/complete"
}

# need_node: sets NODE_PATH
need_node() {
	local home=$project/tmp_node

	[ -z "${NODE_PATH:-}" ] || return 0
	npm_install "$home" "$node_packages" "$node_packages"
	if ! as_user test -r "$home/node_modules"; then
		cp -a "$home" "$work/node"
		home=$work/node
	fi
	export NODE_PATH=$home/node_modules
}

# need_chromium: sets CHROMIUM, the browser that playwright-core drives
need_chromium() {
	"$project/test/deps" chromium
	CHROMIUM=$(command -v chromium)
	export CHROMIUM
}
