# node.sh: sourced by test/run: npm's packages that tests run as clients.
#
# npm gets them by name into tmp_node/ of the project, once; they are used from
# there, or from a copy where the servers' user can't read it.

node_packages="pg-logical-replication playwright-core kinesalite@3.3.3"

# need_node: sets NODE_PATH
need_node() {
	local home=$project/tmp_node

	[ -z "${NODE_PATH:-}" ] || return 0
	"$project/test/deps" nodejs:node npm
	if [ "$(cat "$home/complete" 2>/dev/null)" != "$node_packages" ]; then
		echo "installing $node_packages"
		rm -rf "$home"
		mkdir "$home"
		# shellcheck disable=SC2086
		npm install --silent --no-audit --no-fund --prefix "$home" $node_packages
		echo "$node_packages" >"$home/complete"
	fi
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
