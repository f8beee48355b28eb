# go.sh: sourced by test/run: the Go modules with which a test's program is built.
#
# The compiler's own proxy gives them by name, once, into tmp_go/ of the project.

# need_go: sets OUTFLOW_GO, a directory with the built programs of test/clients
need_go() {
	local home=$project/tmp_go

	[ -z "${OUTFLOW_GO:-}" ] || return 0
	"$project/test/deps" golang-go:go
	mkdir -p "$home"
	cp "$project/test/clients/consume.go" "$home"
	(
		cd "$home"
		[ -e go.mod ] || go mod init outflow.invalid/clients
		[ -e go.sum ] || go get github.com/jackc/pglogrepl github.com/jackc/pgx/v5
		go build -o consume consume.go
	) >"$work/go.log" 2>&1 || {
		cat "$work/go.log"
		return 1
	}
	as_user mkdir "$work/go"
	cp "$home/consume" "$work/go"
	export OUTFLOW_GO=$work/go
}
