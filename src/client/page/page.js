/*
 * page.js
 *		The page of pg_outflow: live changes, lag and exports.
 *
 * Texts of the database are only ever set as text, never as HTML.  What a tab
 * keeps is bounded: the last changes, the start of their values, and some minutes
 * of figures.  Nothing moves under a reader: while a change is read, new ones are
 * only counted.
 */
import { Outflow } from './outflow.js';

const KEPT = 500;		/* changes */
const SHOWN = 200;		/* of them, at a time */
const SAMPLES = 180;	/* of figures, one a second */
const VALUE = 1000;		/* characters of one */
const VALUES = 4000;	/* and of all of a change */

const $ = (id) => document.getElementById(id);
const list = $('changes');
const kept = [];		/* newest last */
const tables = new Set();
const figures = { rate: [], 'slot-lag': [], lag: [] };
let paused = false;
let taken = 0;			/* changes, ever */
let drawn = 0;			/* of them */
let committed = null;	/* time of the transaction that comes in */
let last_status = null;
let received = 0;		/* changes since the last status */
let outflow = null;

function element(tag, text, name = '') {
	const made = document.createElement(tag);
	made.textContent = text;
	made.className = name;
	return made;
}

/* ---- changes ---- */

const name_of = (record) => record.table ? `${record.schema}.${record.table}` : record.prefix ?? record.tag ?? '';

function value_text(value) {
	const text = typeof value === 'string' ? value : JSON.stringify(value) ?? '';
	return text.length > VALUE ? `${text.slice(0, VALUE)}…` : text;
}

/* What a change shows: names and texts of values, and what those were that it changed. */
function values_of(record) {
	if (record.too_large)
		return [{ name: '', text: `${record.too_large} bytes: too large to be shown` }];
	if (record.op === 'truncate')
		return [{ name: '', text: 'all rows' }];
	const row = record.new ?? record.old ?? record.key;
	if (!row)
		return [{ name: '', text: value_text(record.content ?? record.command ?? '') }];
	const old = (record.new && (record.old ?? record.key)) ?? {};
	const values = [];
	let room = VALUES;
	for (const [name, value] of Object.entries(row)) {
		const text = value_text(value);
		const was = name in old && JSON.stringify(old[name]) !== JSON.stringify(value) ? value_text(old[name]) : undefined;
		values.push({ name, text, was, is_null: value === null });
		room -= name.length + text.length + (was?.length ?? 0);
		if (room < 0) {
			values.push({ name: '', text: '…' });
			break;
		}
	}
	if (record.unchanged)
		values.push({ name: 'unchanged', text: record.unchanged.join(', ') });
	return values;
}

function keep(record) {
	if (record.op === 'begin')
		committed = record.ts ? new Date(record.ts) : null;
	if (record.op === 'commit')
		committed = null;
	if (record.op === 'schema' || record.op === 'begin' || record.op === 'commit')
		return;
	const is_old = outflow.isOld(record);
	if (!is_old)
		received++;
	const item = { number: ++taken, op: record.op, name: name_of(record), values: values_of(record),
		time: committed ?? (is_old ? null : new Date()), about: [record.xid && `transaction ${record.xid}`, record.id].filter(Boolean).join('  ') };
	kept.push(item);
	if (kept.length > KEPT)
		kept.splice(0, kept.length - KEPT);
	if (record.table && !tables.has(item.name)) {
		tables.add(item.name);
		const after = [...$('table').options].slice(1).find((other) => other.value > item.name);
		$('table').add(new Option(item.name, item.name), after ?? null);
	}
}

const today = () => new Date().toDateString();

/* Of what was there before, it may not be known. */
function time_of(item) {
	const text = item.time?.toLocaleTimeString('en-GB') ?? '';
	const day = item.time?.toLocaleDateString('en-GB', { day: 'numeric', month: 'short' });
	const time = element('time', item.time && item.time.toDateString() !== today() ? `${day} ${text.slice(0, 5)}` : text, 'time');
	time.title = item.time?.toLocaleString() ?? '';
	return time;
}

function row_of(item) {
	const row = element('li', '', item.op);
	const values = element('span', '', 'values');
	row.tabIndex = -1;
	for (const value of item.values) {
		const pair = element('span', '', value.was === undefined ? '' : 'changed');
		if (value.name)
			pair.append(element('b', value.name));
		if (value.was !== undefined)
			pair.append(element('s', value.was), ' ');
		pair.append(value.is_null ? element('i', 'null') : value.text);
		values.append(pair);
	}
	values.append(element('span', item.about, 'about'));
	row.append(time_of(item), element('span', item.op, 'op'),
		element('span', item.name, 'name'), values);
	return row;
}

/* What is searched: all that a row shows. */
function search_text(item) {
	item.search = item.search ?? [item.op, item.name,
		...item.values.map((value) => `${value.name} ${value.was ?? ''} ${value.text}`)].join(' ').toLowerCase();
	return item.search;
}

/* A test of what search and table let through. */
function filter() {
	const wanted = $('search').value.trim().toLowerCase();
	const table = $('table').value;
	return (item) => (!table || item.name === table) && (!wanted || search_text(item).includes(wanted));
}

/* Somebody reads: has paused, scrolled down, opened or marked something. */
function is_held() {
	const marked = getSelection();
	return paused || list.scrollTop > 4 || list.querySelector('.open-row') !== null
		|| (!marked.isCollapsed && list.contains(marked.anchorNode));
}

/* The rows of what came after that change, above those that are there. */
function draw_after(number) {
	const wants = filter();
	const focused = document.activeElement;
	const rows = [];
	for (let i = kept.length - 1; i >= 0 && kept[i].number > number && rows.length < SHOWN; i--)
		if (wants(kept[i]))
			rows.push(row_of(kept[i]));
	if (number === 0)
		list.replaceChildren(...rows);
	else
		list.prepend(...rows);
	while (list.children.length > SHOWN)
		list.lastChild.remove();
	drawn = taken;
	/* what the keyboard was at may be gone */
	if (focused !== document.activeElement && focused.localName === 'li')
		list.focus({ preventScroll: true });
	$('empty').hidden = list.children.length > 0;
	$('empty').textContent = taken ? 'Nothing matches.' : 'Waiting for the first change.';
}

function draw_changes() {
	const waiting = taken - drawn;
	const held = is_held();
	if (waiting && !held)
		draw_after(drawn);
	$('more').hidden = !held || !waiting;
	if (held && waiting)
		$('more').textContent = `${count_text(waiting)} new ${waiting === 1 ? 'change' : 'changes'} ↑`;
}

function pause(on) {
	paused = on;
	$('pause').setAttribute('aria-pressed', on);
	$('pause').textContent = on ? 'Go on' : 'Pause';
	draw_changes();
}

/* To the newest, and on. */
function go_on() {
	list.querySelectorAll('.open-row').forEach((row) => row.classList.remove('open-row'));
	getSelection().removeAllRanges();
	list.scrollTop = 0;
	if (list.contains(document.activeElement))
		list.focus();
	pause(false);
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
const seconds_text = (seconds) => seconds < 0.05 ? '0 s' : `${seconds.toFixed(1)} s`;

/* How each is written, and what fills its chart at least: little is to look little. */
const kinds = {
	rate: { text: count_text, least: 10 },
	'slot-lag': { text: bytes_text, least: 1024 * 1024 },
	lag: { text: seconds_text, least: 1 },
};

function draw_chart(id) {
	const samples = figures[id];
	const canvas = $(`${id}-chart`);
	const scale = window.devicePixelRatio || 1;
	const width = canvas.clientWidth;
	const height = canvas.clientHeight;
	canvas.width = width * scale;
	canvas.height = height * scale;
	const paint = canvas.getContext('2d');
	const most = Math.max(...samples, kinds[id].least);
	const x = (i) => width - (samples.length - 1 - i) * width / (SAMPLES - 1);
	const y = (value) => height - 1 - value / most * (height - 6);
	paint.scale(scale, scale);
	paint.strokeStyle = paint.fillStyle = getComputedStyle(document.documentElement).getPropertyValue('--accent');
	paint.lineWidth = 1.5;
	/* stretches between what wasn't seen */
	for (let i = 0; i < samples.length; i++) {
		const first = i;
		if (samples[i] === null)
			continue;
		paint.beginPath();
		for (; i < samples.length && samples[i] !== null; i++)
			paint.lineTo(x(i), y(samples[i]));
		paint.stroke();
		paint.lineTo(x(i - 1), height);
		paint.lineTo(x(first), height);
		paint.globalAlpha = 0.14;
		paint.fill();
		paint.globalAlpha = 1;
	}
}

function figure(id, value, missed) {
	const samples = figures[id];
	samples.push(...Array(missed).fill(null), value);
	samples.splice(0, samples.length - SAMPLES);
	$(id).textContent = kinds[id].text(value);
	const peak = Math.max(...samples);
	$(`${id}-peak`).textContent = peak > 0 ? `peak ${kinds[id].text(peak)}` : '';
	if (!document.hidden)
		draw_chart(id);
}

function draw_charts() {
	Object.keys(figures).forEach(draw_chart);
}

function lsn_number(text) {
	const [high, low] = text.split('/');
	return parseInt(high, 16) * 2 ** 32 + parseInt(low, 16);
}

function draw_export(job) {
	const row = element('li', '', job.state);
	const head = element('div', '', 'head');
	const total = job.parts_total ?? 0;
	head.append(element('span', `${job.job}  ${job.source}`), element('span', job.state, 'job-state'));
	row.append(head);
	if (job.state === 'running' && total) {
		const bar = document.createElement('progress');
		bar.max = total;
		bar.value = job.parts_done ?? 0;
		bar.setAttribute('aria-label', `export ${job.job}`);
		row.append(bar);
	}
	row.append(element('p', [total && `${job.parts_done ?? 0} of ${total} ${total === 1 ? 'part' : 'parts'}`, job.rate && `${bytes_text(job.rate)}/s`,
		job.eta && `${job.eta} left`].filter(Boolean).join(' · ')));
	if (job.waiting_for || job.error)
		row.append(element('p', job.waiting_for ? `waits for ${job.waiting_for}` : job.error));
	return row;
}

function draw_server(server, preflight) {
	const advice = preflight.map((item) => {
		const row = element('li', `${item.item}: ${item.detail}`);
		if (item.fix)
			row.append(element('code', item.fix));
		return row;
	});
	$('exports').replaceChildren(...(server.jobs ?? []).map(draw_export));
	$('exports-section').hidden = !server.jobs?.length;
	/* it stays while somebody reads or copies it */
	if ($('advice').textContent !== advice.map((row) => row.textContent).join(''))
		$('advice').replaceChildren(...advice);
	$('advice-count').textContent = advice.length;
	$('advice-section').hidden = advice.length === 0;
}
function draw_footer(status) {
	$('footer').replaceChildren(...[
		`${count_text(status.records)} records, ${bytes_text(status.bytes)} since the start`,
		`confirmed ${status.confirmed}`,
		`kept from ${status.oldest} to ${status.head}`,
		status.clients === 1 ? '1 client' : `${count_text(status.clients)} clients`,
		status.server ? '' : 'PostgreSQL tells nothing just now',
	].filter(Boolean).map((text) => element('span', text)));
}

function show_status(status) {
	const now = performance.now();
	const seconds = last_status ? (now - last_status) / 1000 : 1;
	const missed = last_status ? Math.min(Math.max(Math.round(seconds) - 1, 0), SAMPLES) : 0;
	const lag = status.server?.slot_lag ?? lsn_number(status.received) - lsn_number(status.confirmed);
	last_status = now;
	figure('rate', received / seconds, missed > 2 ? missed : 0);
	figure('lag', status.waiting_seconds, missed > 2 ? missed : 0);
	figure('slot-lag', Math.max(lag, 0), missed > 2 ? missed : 0);
	received = 0;
	$('slot').textContent = status.slot;
	if (status.server)
		draw_server(status.server, status.preflight);
	draw_footer(status);
}

/* ---- connection ---- */

function notice(text) {
	$('notice').textContent = text;
	$('notice').hidden = !text;
}

let missing = '';	/* what the reader was told of a gap */

function show_state(state, reason) {
	const was = document.body.className;
	document.body.className = state;
	$('state-text').textContent = { open: 'live', waiting: 'reconnecting' }[state] ?? state;
	document.title = `${state === 'open' ? '' : '! '}${$('slot').textContent || 'outflow'} · outflow`;
	if (state === 'open')
		notice(missing);
	else if (state === 'closed')
		notice(`Not connected: ${reason || 'the connection was closed'}.`);
	else if (was === 'open')
		notice(`The connection was lost at ${new Date().toLocaleTimeString('en-GB')}${reason && `: ${reason}`}. It is tried again.`);
	if (state === 'closed' && /token/.test(reason)) {
		sessionStorage.removeItem('token');
		notice('');
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
		recent: KEPT,
		exact: true,
		onrecord: keep,
		onstatus: show_status,
		onstate(state, reason) {
			show_state(state, reason);
			if (state === 'open')
				sessionStorage.setItem('epoch', outflow.epoch);
		},
		onposition(position) { sessionStorage.setItem('position', position); },
		onrefetch() { missing = 'Some changes came and went while this page was away.'; },
	});
}

$('login').addEventListener('submit', (event) => {
	event.preventDefault();
	sessionStorage.setItem('token', $('token').value);
	$('token').value = '';
	connect();
});
$('pause').addEventListener('click', () => pause(!paused));
$('more').addEventListener('click', go_on);
for (const id of ['search', 'table'])
	$(id).addEventListener('input', () => draw_after(0));

/* ---- by mouse and keyboard ---- */

function open_row(row) {
	row.classList.toggle('open-row');
	row.scrollIntoView({ block: 'nearest' });
	draw_changes();
}

/* The change that lies so many from the one with the focus. */
function move(by) {
	const rows = [...list.children];
	const at = rows.indexOf(document.activeElement);
	const row = rows[at < 0 ? 0 : Math.min(Math.max(at + by, 0), rows.length - 1)];
	row?.focus();
}

list.addEventListener('click', (event) => {
	const row = event.target.closest('li');
	if (row && getSelection().isCollapsed)
		open_row(row);
});

const keys = {
	' ': () => paused || !is_held() ? pause(!paused) : go_on(),
	'/': () => $('search').focus(),
	ArrowDown: () => move(1),
	ArrowUp: () => move(-1),
	Enter: () => document.activeElement.parentNode === list && open_row(document.activeElement),
	Escape: go_on,
};

document.addEventListener('keydown', (event) => {
	if (event.ctrlKey || event.metaKey || event.altKey)
		return;
	if (event.key === 'Escape' && event.target === $('search')) {
		event.preventDefault();
		event.target.value = '';
		draw_after(0);
		list.focus();
	} else if (keys[event.key] && !event.target.closest('input, select, button, summary')) {
		event.preventDefault();
		keys[event.key]();
	}
});
document.addEventListener('visibilitychange', () => {
	if (document.hidden)
		return;
	outflow?.retry();
	draw_charts();
});
addEventListener('resize', draw_charts);
matchMedia('(prefers-color-scheme: dark)').addEventListener('change', draw_charts);
$('advice-section').open = matchMedia('(min-width: 64rem)').matches;
setInterval(() => document.hidden || draw_changes(), 200);
connect();
