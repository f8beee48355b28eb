/*
 * page.js
 *		The page of pg_outflow: live changes, lag and exports.
 *
 * Texts of the database are only ever set as text, never as HTML.  What a tab
 * keeps is bounded: the last changes, and some minutes of figures.
 */
import { Outflow } from './outflow.js';

const KEPT = 500;		/* changes */
const SHOWN = 200;		/* of them, at a time */
const SAMPLES = 180;	/* of figures, one a second */

const $ = (id) => document.getElementById(id);
const kept = [];		/* newest last */
const tables = new Set();
const figures = { rate: [], 'slot-lag': [], lag: [] };
let paused = false;
let dirty = false;
let last_status = null;
let received = 0;		/* changes since the last status */
let outflow = null;

/* ---- changes ---- */

const name_of = (record) => record.table ? `${record.schema}.${record.table}` : record.prefix ?? record.tag ?? '';

function text_of(record) {
	if (record.too_large)
		return `${record.too_large} bytes`;
	const shown = record.new ?? record.key ?? record.old ?? record.content ?? record.command;
	const unchanged = record.unchanged ? `  unchanged: ${record.unchanged.join(', ')}` : '';
	return (typeof shown === 'string' ? shown : JSON.stringify(shown) ?? '') + unchanged;
}

function keep(record) {
	if (record.op === 'schema' || record.op === 'begin' || record.op === 'commit')
		return;
	received++;
	const item = { op: record.op, name: name_of(record), text: text_of(record).slice(0, 4000), id: record.id ?? '' };
	item.search = `${item.op} ${item.name} ${item.text}`.toLowerCase();
	kept.push(item);
	if (kept.length > KEPT)
		kept.splice(0, kept.length - KEPT);
	if (record.table && !tables.has(item.name)) {
		tables.add(item.name);
		const option = new Option(item.name, item.name);
		const after = [...$('table').options].slice(1).find((other) => other.value > item.name);
		$('table').add(option, after ?? null);
	}
	dirty = true;
}

function element(tag, text, name) {
	const made = document.createElement(tag);
	made.textContent = text;
	made.className = name;
	return made;
}

function row_of(item) {
	const row = element('li', '', item.op);
	row.tabIndex = -1;
	row.title = item.id;
	row.append(element('span', item.op, 'op'), element('span', item.name, 'name'), element('code', item.text, ''));
	return row;
}

function draw_changes() {
	dirty = false;
	const wanted = $('search').value.trim().toLowerCase();
	const table = $('table').value;
	const rows = [];
	for (let i = kept.length - 1; i >= 0 && rows.length < SHOWN; i--)
		if ((!table || kept[i].name === table) && (!wanted || kept[i].search.includes(wanted)))
			rows.push(row_of(kept[i]));
	$('changes').replaceChildren(...rows);
	$('empty').hidden = rows.length > 0;
	$('empty').textContent = kept.length ? 'Nothing matches.' : 'Waiting for the first change.';
}

function pause(on) {
	paused = on;
	$('pause').setAttribute('aria-pressed', on);
	$('pause').textContent = on ? 'Go on' : 'Pause';
	if (!on)
		draw_changes();
}

/* ---- figures ---- */

function bytes_text(bytes) {
	const units = ['B', 'kB', 'MB', 'GB', 'TB'];
	let unit = 0;
	while (bytes >= 1024 && unit < units.length - 1) {
		bytes /= 1024;
		unit++;
	}
	return `${unit && bytes < 10 ? bytes.toFixed(1) : Math.round(bytes)} ${units[unit]}`;
}

const count_text = (count) => Math.round(count).toLocaleString('en');

function draw_chart(id, samples) {
	const canvas = $(`${id}-chart`);
	const scale = window.devicePixelRatio || 1;
	const width = canvas.clientWidth;
	const height = canvas.clientHeight;
	canvas.width = width * scale;
	canvas.height = height * scale;
	const paint = canvas.getContext('2d');
	paint.scale(scale, scale);
	const most = Math.max(...samples, 1);
	paint.strokeStyle = paint.fillStyle = getComputedStyle(document.documentElement).getPropertyValue('--accent');
	paint.lineWidth = 1.5;
	paint.beginPath();
	samples.forEach((value, i) => paint.lineTo(
		width - (samples.length - 1 - i) * width / (SAMPLES - 1), height - 2 - value / most * (height - 6)));
	paint.stroke();
	paint.globalAlpha = 0.12;
	paint.lineTo(width, height);
	paint.lineTo(width - (samples.length - 1) * width / (SAMPLES - 1), height);
	paint.fill();
}

function figure(id, value, text) {
	const samples = figures[id];
	samples.push(value);
	if (samples.length > SAMPLES)
		samples.shift();
	$(id).textContent = text;
	if (!document.hidden)
		draw_chart(id, samples);
}

function lsn_number(text) {
	const [high, low] = text.split('/');
	return parseInt(high, 16) * 2 ** 32 + parseInt(low, 16);
}

function draw_export(job) {
	const row = document.createElement('li');
	const head = element('div', '', 'head');
	const total = job.parts_total ?? 0;
	head.append(element('span', `${job.job}  ${job.source}`, ''),
		element('span', [job.state, job.rate ? `${bytes_text(job.rate)}/s` : '', job.eta ?? ''].filter(Boolean).join(' · '), ''));
	row.append(head);
	if (total) {
		const bar = document.createElement('progress');
		bar.max = total;
		bar.value = job.parts_done ?? 0;
		bar.setAttribute('aria-label', `export ${job.job}`);
		row.append(bar);
	}
	if (job.waiting_for || job.error)
		row.append(element('code', job.waiting_for ?? job.error, ''));
	return row;
}

function draw_server(server, preflight) {
	const advice = preflight.map((item) => {
		const row = document.createElement('li');
		row.append(element('div', `${item.item}: ${item.detail}`, ''));
		if (item.fix)
			row.append(element('code', item.fix, ''));
		return row;
	});
	$('exports').replaceChildren(...(server.jobs ?? []).map(draw_export));
	$('exports-section').hidden = !server.jobs?.length;
	$('advice').replaceChildren(...advice);
	$('advice-section').hidden = advice.length === 0;
}

function show_status(status) {
	const seconds = last_status ? (performance.now() - last_status) / 1000 : 1;
	last_status = performance.now();
	figure('rate', received / seconds, count_text(received / seconds));
	received = 0;
	figure('lag', status.waiting_seconds, status.waiting_seconds < 0.05 ? 'none' : `${status.waiting_seconds.toFixed(1)} s`);
	const lag = status.server?.slot_lag ?? lsn_number(status.received) - lsn_number(status.confirmed);
	figure('slot-lag', lag, bytes_text(Math.max(lag, 0)));
	$('slot').textContent = status.slot;
	document.title = `${status.slot} · outflow`;
	if (status.server)
		draw_server(status.server, status.preflight);
}

/* ---- connection ---- */

function show_state(state, reason) {
	document.body.className = state;
	const shown = state === 'open' ? 'live' : state;
	$('state-text').textContent = reason ? `${shown}: ${reason}` : shown;
	if (state === 'closed' && /token/.test(reason)) {
		sessionStorage.removeItem('token');
		$('login').hidden = false;
		$('token').focus();
	}
}

function connect() {
	$('login').hidden = true;
	outflow = new Outflow(`${location.protocol === 'https:' ? 'wss' : 'ws'}://${location.host}`, {
		token: sessionStorage.getItem('token') ?? undefined,
		position: sessionStorage.getItem('position') ?? undefined,
		epoch: sessionStorage.getItem('epoch') ?? undefined,
		onrecord: keep,
		onstatus: show_status,
		onstate(state, reason) {
			show_state(state, reason);
			if (state === 'open')
				sessionStorage.setItem('epoch', outflow.epoch);
		},
		onposition(position) { sessionStorage.setItem('position', position); },
		onrefetch() {
			$('notice').textContent = 'Some changes came and went while this page was away.';
			$('notice').hidden = false;
		},
	});
}

$('login').addEventListener('submit', (event) => {
	event.preventDefault();
	sessionStorage.setItem('token', $('token').value);
	$('token').value = '';
	connect();
});
$('pause').addEventListener('click', () => pause(!paused));
for (const id of ['search', 'table'])
	$(id).addEventListener('input', draw_changes);
document.addEventListener('keydown', (event) => {
	if (event.target.closest('input, select, button'))
		return;
	if (event.key === ' ') {
		event.preventDefault();
		pause(!paused);
	} else if (event.key === '/') {
		event.preventDefault();
		$('search').focus();
	}
});
document.addEventListener('visibilitychange', () => {
	if (!document.hidden)
		outflow?.retry();
});
setInterval(() => {
	if (dirty && !paused && !document.hidden)
		draw_changes();
}, 200);
connect();
