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
 * A connection that says nothing is given up: of a machine that slept, or of a
 * network that is gone, a browser may never be told, and the server says
 * something every 25 s.
 *
 * Options: tables (patterns), token, position and epoch (to go on after a
 * reload: keep those of the object), recent (begin at least so many changes before
 * now, as far as the server has them at hand), window (bytes under way), exact (numbers
 * that JavaScript would change, such as 2.70 and 9007199254740993, come as
 * JSON.rawJSON, which JSON.stringify writes as they were, in browsers that have
 * it), onrecord, onposition(position), onrefetch(info), onstatus(status),
 * onstate(state), one of "connecting", "open", "waiting" and "closed", with a
 * reason.  isOld(record) tells changes of before the connection from live ones.
 */
const FIRST_PAUSE = 500;
const LONGEST_PAUSE = 15000;
const SILENCE = 60000;
const CHECK = 10000;
/* after these nothing gets better by trying again */
const FINAL_CODES = [1008, 4001, 4003];

const exactly = JSON.rawJSON && ((key, value, context) =>
	typeof value === 'number' && String(value) !== context.source ? JSON.rawJSON(context.source) : value);

export class Outflow {
	constructor(url, options = {}) {
		this.url = url;
		this.options = options;
		this.position = options.position ?? null;
		this.epoch = options.epoch ?? null;
		this.recent = options.recent;
		this.head = '';		/* of the server's changes when it connected, as ids have it */
		this.last = null;	/* id of the last record that was handed on */
		this.pause = FIRST_PAUSE;
		this.closed = false;
		/* one message after the other, though handlers may wait, and a connection end */
		this.work = Promise.resolve();
		this.watch = setInterval(() => this.check(), CHECK);
		globalThis.addEventListener?.('online', () => this.retry());
		this.connect();
	}

	connect() {
		this.tell('connecting');
		const socket = new WebSocket(this.url);
		this.socket = socket;
		this.heard = Date.now();
		socket.onopen = () => this.send(socket, {
			type: 'subscribe', tables: this.options.tables, token: this.options.token,
			window: this.options.window, epoch: this.epoch ?? undefined, after: this.position ?? undefined,
			recent: this.recent,
		});
		socket.onmessage = (event) => {
			this.heard = Date.now();
			this.work = this.work.then(() => this.socket === socket && this.take(socket, this.parse(event.data)))
				.catch((error) => { console.error(error); socket.close(4000, 'a handler failed'); });
		};
		socket.onclose = (event) => this.socket === socket && this.lose(event.code, event.reason);
	}

	parse(text) {
		return JSON.parse(text, this.options.exact && text.startsWith('{"type":"records"') ? exactly : undefined);
	}

	lose(code, reason) {
		this.socket = null;
		if (this.closed || FINAL_CODES.includes(code)) {
			this.end();
			this.tell('closed', reason);
			return;
		}
		this.tell('waiting', reason);
		this.timer = setTimeout(() => this.connect(), this.pause * (0.5 + Math.random() / 2));
		this.pause = Math.min(this.pause * 2, LONGEST_PAUSE);
	}

	/* Its end may never be told, so that isn't waited for. */
	check() {
		const socket = this.socket;
		if (!socket || Date.now() - this.heard < SILENCE)
			return;
		this.socket = null;
		socket.close();
		this.lose(0, 'nothing was heard for a minute');
	}

	/* Handlers wait, and meanwhile the connection may be another one. */
	async take(socket, message) {
		if (message.type === 'subscribed') {
			if (message.refetch)
				await this.options.onrefetch?.(message);
			if (this.socket !== socket)
				return;
			if (!message.recovered)
				this.last = null;
			this.epoch = message.epoch;
			this.position = message.position;
			this.head = message.head.split('/').map((half) => half.padStart(8, '0')).join('');
			this.recent = undefined;
			this.pause = FIRST_PAUSE;
			this.tell('open');
			if (this.options.onstatus)
				this.send(socket, { type: 'watch' });
		} else if (message.type === 'status')
			this.options.onstatus?.(message);
		else if (message.type === 'records') {
			for (const record of message.records) {
				/* ids sort as they are delivered */
				if (record.id && this.last && record.id <= this.last)
					continue;
				await this.options.onrecord?.(record);
				this.last = record.id ?? this.last;
				if (this.socket !== socket)
					return;
			}
			this.position = message.position;
			this.options.onposition?.(message.position);
			this.send(socket, { type: 'ack', bytes: message.bytes });
		}
	}

	send(socket, message) {
		if (socket.readyState === WebSocket.OPEN)
			socket.send(JSON.stringify(message));
	}

	tell(state, reason = '') {
		this.options.onstate?.(state, reason);
	}

	/* An id begins with where its transaction's commit stands, before its end. */
	isOld(record) {
		return Boolean(record.id && record.id < this.head);
	}

	/* Connects now instead of after the pause. */
	retry() {
		this.check();
		if (this.closed || this.socket)
			return;
		clearTimeout(this.timer);
		this.connect();
	}

	end() {
		this.closed = true;
		clearTimeout(this.timer);
		clearInterval(this.watch);
	}

	close() {
		this.end();
		this.socket?.close(1000);
	}
}
