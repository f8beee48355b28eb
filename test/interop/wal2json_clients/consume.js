// consume.js CONNECTION SLOT OPTIONS LAST: prints what npm's pg-logical-replication
// makes of wal2json's messages, one a line, up to the first with LAST in it.
// CONNECTION and OPTIONS (of the library's Wal2JsonPlugin) are JSON.
const {
	LogicalReplicationService,
	Wal2JsonPlugin,
} = require('pg-logical-replication');

const [connection, slot, options, last] = process.argv.slice(2);
const service = new LogicalReplicationService(JSON.parse(connection));

service.on('error', (error) => {
	console.error(error);
	process.exit(1);
});
service.on('data', (lsn, message) => {
	const line = JSON.stringify(message);

	console.log(line);
	if (line.includes(last)) service.stop().then(() => process.exit(0));
});
service.subscribe(new Wal2JsonPlugin(JSON.parse(options)), slot).catch(() => {});
