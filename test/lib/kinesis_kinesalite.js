// kinesis_kinesalite.js PORT: npm's kinesalite, a Kinesis that splits and merges shards.
const kinesalite = require('kinesalite');

kinesalite({ createStreamMs: 100, updateStreamMs: 300, shardLimit: 100 }).listen(Number(process.argv[2]), '127.0.0.1',
	() => console.log('ready'));
