const { LogicalReplicationService } = require('pg-logical-replication');
const { Client } = require('pg');

const outflow = {
	start: (client, slot, lsn) => client.query(`START_REPLICATION SLOT "${slot}" LOGICAL ${lsn} (nested 'text', numbers 'string')`),
	parse: buffer => buffer.toString(),
};
const [, , source, destination] = process.argv;
const target = new Client({ connectionString: destination });
const service = new LogicalReplicationService({ connectionString: source },
	{ acknowledge: { auto: false, timeoutSeconds: 0 }, flowControl: { enabled: true } });
let confirmed;

// the library confirms one byte more than it is told
function before(lsn) {
	const [high, low] = lsn.split('/').map(half => parseInt(half, 16));
	return low > 0 ? `${high.toString(16)}/${(low - 1).toString(16)}` : `${(high - 1).toString(16)}/ffffffff`;
}

service.on('data', async (lsn, text) => {
	const record = JSON.parse(text);
	if (record.op === 'begin') await target.query('BEGIN');
	if ('id' in record)             // one that comes again changes nothing
		await target.query('INSERT INTO changes VALUES ($1, $2) ON CONFLICT DO NOTHING', [record.id, text]);
	if (record.op === 'commit') await target.query('COMMIT');
	if (record.op === 'commit' || record.transactional === false)
		await service.acknowledge(confirmed = before(lsn));     // durable here, so the server may forget it
});
service.on('heartbeat', (lsn, time, wanted) => wanted && confirmed && service.acknowledge(confirmed));
service.on('error', error => { console.error(error); process.exit(1); });
target.connect().then(() => service.subscribe(outflow, 'orders'));
