/*
 * outflow.js
 *		Changes of a PostgreSQL database, by the WebSocket of pg_outflow.
 *
 *	import { Outflow } from 'http://127.0.0.1:8088/outflow.js';
 *	const changes = new Outflow('ws://127.0.0.1:8088', {
 *		tables: ['public.*'],
 *		onrecord(record) { console.log(record.op, record.table, record.new); },
 *		onrefetch() { console.log('read the tables anew, then go on'); },
 *	});
 *
 * Connects again by itself and goes on where it was: after each message the
 * position of the last whole transaction is kept, and what comes again after a
 * cut has the same id, by which onrecord is called once.  When the server no
 * longer has what came in between, onrefetch is called before anything else.
 * A record is acknowledged once onrecord has returned, or what it returned has
 * resolved: that is the back-pressure.
 *
 * Options: tables (patterns), token, position and epoch (to go on after a
 * reload: keep those of the object), window (bytes under way), onrecord,
 * onposition(position), onrefetch(info), onstatus(status), onstate(state), one
 * of "connecting", "open", "waiting" and "closed", with a reason.
 */
const FIRST_PAUSE = 500;
const LONGEST_PAUSE = 15000;
/* after these nothing gets better by trying again */
const FINAL_CODES = [1008, 4001, 4003];

export class Outflow {
	constructor(url, options = {}) {
		this.url = url;
		this.options = options;
		this.position = options.position ?? null;
		this.epoch = options.epoch ?? null;
		this.last = null;	/* id of the last record that was handed on */
		this.pause = FIRST_PAUSE;
		this.closed = false;
		this.connect();
	}

	connect() {
		this.tell('connecting');
		const socket = new WebSocket(this.url);
		this.socket = socket;
		/* one message after the other, though handlers may wait */
		let work = Promise.resolve();
		socket.onopen = () => this.send({
			type: 'subscribe', tables: this.options.tables, token: this.options.token,
			window: this.options.window, epoch: this.epoch ?? undefined, after: this.position ?? undefined,
		});
		socket.onmessage = (event) => {
			work = work.then(() => this.socket === socket && this.take(JSON.parse(event.data)))
				.catch((error) => { console.error(error); socket.close(4000, 'a handler failed'); });
		};
		socket.onclose = (event) => {
			if (this.socket !== socket)
				return;
			if (this.closed || FINAL_CODES.includes(event.code)) {
				this.closed = true;
				this.tell('closed', event.reason);
				return;
			}
			const pause = this.pause * (0.5 + Math.random() / 2);
			this.tell('waiting', event.reason);
			this.pause = Math.min(this.pause * 2, LONGEST_PAUSE);
			this.timer = setTimeout(() => this.connect(), pause);
		};
	}

	async take(message) {
		if (message.type === 'subscribed') {
			if (message.refetch)
				await this.options.onrefetch?.(message);
			if (!message.recovered)
				this.last = null;
			this.epoch = message.epoch;
			this.position = message.position;
			this.pause = FIRST_PAUSE;
			this.tell('open');
			if (this.options.onstatus)
				this.send({ type: 'watch' });
		} else if (message.type === 'status')
			this.options.onstatus?.(message);
		else if (message.type === 'records') {
			for (const record of message.records) {
				/* ids sort as they are delivered */
				if (record.id && this.last && record.id <= this.last)
					continue;
				await this.options.onrecord?.(record);
				this.last = record.id ?? this.last;
			}
			this.position = message.position;
			this.options.onposition?.(message.position);
			this.send({ type: 'ack', bytes: message.bytes });
		}
	}

	send(message) {
		if (this.socket.readyState === WebSocket.OPEN)
			this.socket.send(JSON.stringify(message));
	}

	tell(state, reason = '') {
		this.options.onstate?.(state, reason);
	}

	/* Connects now instead of after the pause. */
	retry() {
		if (this.closed || this.socket.readyState === WebSocket.OPEN)
			return;
		clearTimeout(this.timer);
		this.connect();
	}

	close() {
		this.closed = true;
		clearTimeout(this.timer);
		this.socket.close(1000);
	}
}
