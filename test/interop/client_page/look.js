// look.js CHROMIUM URL DIRECTORY EXAMPLE PORT: a person's view of the page.  Prints "ready" and then
// one line for each check, "ok" or "not ok"; answers on stdin say that the test has done
// what it was asked for by a line "do ...".
const fs = require('fs');
const http = require('http');
const net = require('net');
const { chromium } = require('playwright-core');
const lines = require('readline').createInterface({ input: process.stdin })[Symbol.asyncIterator]();
const [, , executablePath, server, directory, example, examplePort] = process.argv;

const check = (what, ok) => console.log(`${ok ? 'ok' : 'not ok'} ${what}`);
async function ask(what) {
	console.log(`do ${what}`);
	await lines.next();
}
const shows = (page, text) => page.locator('#changes li', { hasText: text }).first()
	.waitFor({ timeout: 20000 }).then(() => true, () => false);

/* The notes that it lists, newest first. */
const notes = (page) => page.locator('#changes li', { hasText: 'public.notes' })
	.evaluateAll((rows) => rows.map((row) => row.querySelector('.values span:nth-child(2)').lastChild.textContent));

/* What lies between browser and server: it can cut connections, or lose them unnoticed. */
const between = { pairs: new Set() };
between.server = net.createServer((near) => {
	const far = net.connect(Number(new URL(server).port), '127.0.0.1');
	const pair = { near, far, lost: false };
	between.pairs.add(pair);
	for (const [from, to] of [[near, far], [far, near]]) {
		from.on('data', (data) => pair.lost || to.write(data));
		from.on('error', () => {});
		from.on('close', () => { pair.lost || to.destroy(); between.pairs.delete(pair); });
	}
});
between.cut = () => between.pairs.forEach(({ near, far }) => { near.destroy(); far.destroy(); });
between.lose = () => between.pairs.forEach((pair) => { pair.lost = true; });

(async () => {
	await new Promise((resolve) => between.server.listen(0, '127.0.0.1', resolve));
	const url = `http://127.0.0.1:${between.server.address().port}/`;
	const browser = await chromium.launch({ executablePath,
		args: ['--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run', '--disable-background-networking'] });
	const context = await browser.newContext({ viewport: { width: 390, height: 844 }, colorScheme: 'dark' });
	const page = await context.newPage();
	const errors = [];
	page.on('pageerror', (error) => errors.push(error.message));
	page.on('console', (message) => message.type() === 'error' && errors.push(message.text()));
	page.on('dialog', () => errors.push('a dialog'));
	await page.clock.install();
	await page.goto(url);
	await page.locator('#state-text', { hasText: 'live' }).waitFor();

	await ask('insert first');
	check('a change appears', await shows(page, 'first'));
	await page.waitForTimeout(1500);
	check('no sideways scrolling on a phone', await page.evaluate(() => document.body.scrollWidth <= window.innerWidth));
	await page.screenshot({ path: `${directory}/phone.png` });

	await page.fill('#search', 'FIRST');
	check('a search finds it', await shows(page, 'first'));
	await page.fill('#search', 'nothing of the kind');
	check('... or not', await page.locator('#empty').textContent() === 'Nothing matches.');
	await page.fill('#search', '');

	await page.keyboard.press('Tab');
	await page.locator('#changes').focus();
	await page.keyboard.press('Space');
	check('the space key pauses', await page.locator('#pause').textContent() === 'Go on');
	await ask('insert second');
	await page.waitForTimeout(1000);
	check('nothing moves while paused', await page.locator('#changes li', { hasText: 'second' }).count() === 0);
	await page.keyboard.press('Space');
	check('and then it is all there', await shows(page, 'second'));

	await page.locator('#changes li', { hasText: 'second' }).click();
	await ask('insert while reading');
	await page.locator('#more', { hasText: '1 new change' }).waitFor();
	check('nothing moves while a change is read', await page.locator('#changes li', { hasText: 'while reading' }).count() === 0);
	await page.keyboard.press('Escape');
	check('and then it goes on', await shows(page, 'while reading'));
	await page.keyboard.press('ArrowDown');
	await page.keyboard.press('ArrowDown');
	await page.keyboard.press('Enter');
	check('a change is opened by keyboard',
		await page.locator('#changes li.open-row', { hasText: 'second' }).locator('.about').isVisible());
	await page.keyboard.press('Escape');
	await ask("sql INSERT INTO numbers VALUES (1.50, 9007199254740993, '[2.10, \"2.10\"]')");
	check('numbers are those of the database', await shows(page, 'n1.50big9007199254740993doc[2.10,"2.10"]'));

	await page.goto('about:blank');
	await ask('insert third');
	await page.goto(url);
	check('what came while the page was away', await shows(page, 'third'));
	check('... without a gap', await page.locator('#notice').isHidden());
	check('... and once', await page.locator('#changes li', { hasText: 'third' }).count() === 1);
	check('... with what came before, each once', JSON.stringify(await notes(page)) === JSON.stringify(['third', 'while reading', 'second', 'first']));

	// somebody else opens it
	const stranger = await (await browser.newContext({ viewport: { width: 1440, height: 900 } })).newPage();
	await stranger.goto(url);
	check('a page that opens shows the last changes', await shows(stranger, 'first'));
	await stranger.locator('#rate', { hasText: /\d/ }).waitFor();
	check('... not as if they came now', await stranger.locator('#rate').textContent() === '0');
	check('... with their times', await stranger.evaluate(() => [...document.querySelectorAll('#changes time')]
		.every((time) => /^\d\d:\d\d:\d\d$/.test(time.textContent))));
	await ask('insert for both');
	check('... and goes on', await shows(stranger, 'for both'));
	check('... without a gap or a double',
		JSON.stringify(await notes(stranger)) === JSON.stringify(['for both', 'third', 'while reading', 'second', 'first']));

	// exports
	await ask('export');
	await stranger.locator('#exports progress').waitFor();
	check('a running export has a bar', await stranger.locator('#exports progress').evaluate((bar) => bar.value > 0 && bar.value < bar.max));
	check('... and says how far it is', /\d+ of \d+ parts/.test(await stranger.locator('#exports').textContent()));
	await stranger.screenshot({ path: `${directory}/export.png` });
	await ask('release');
	check('... until it is done', await stranger.locator('#exports .done').waitFor().then(() => true, () => false));
	await stranger.close();

	const tomorrow = await (await browser.newContext()).newPage();
	await tomorrow.clock.install({ time: Date.now() + 86400000 });
	await tomorrow.goto(url);
	await shows(tomorrow, 'first');
	check('what came on another day says so', /^\d+ \w+ \d\d:\d\d$/.test(await tomorrow.locator('#changes time').first().textContent()));
	await tomorrow.close();

	await ask('insert <img src=x onerror=alert(1)>');
	check('values are text', await shows(page, '<img src=x onerror=alert(1)>'));
	await page.locator('#advice-section summary').click();
	check('advice of preflight', await page.locator('#advice li').first().waitFor().then(() => true, () => false));

	// a tab whose handlers never come to an end holds up nobody
	const other = await context.newPage();
	await other.goto(url);
	await other.evaluate(async (address) => {
		const { Outflow } = await import('/outflow.js');
		window.seen = 0;
		new Outflow(address, { window: 1, onrecord() { window.seen++; return new Promise(() => {}); } });
	}, url.replace('http', 'ws'));
	await ask('insert fourth');
	check('a tab beside a slow one', await shows(page, 'fourth'));

	// connections that end while handlers are at work
	await other.evaluate((address) => import('/outflow.js').then(({ Outflow }) => {
		window.bodies = [];
		window.states = [];
		window.slow = new Outflow(address, { tables: ['public.many'],
			onstate(state) { window.states.push(state); },
			onrecord: (record) => new Promise((done) => setTimeout(() => {
				if (record.op === 'insert')
					window.bodies.push(record.new.id);
				done();
			}, 30)) });
	}), url.replace('http', 'ws'));
	await other.waitForFunction(() => window.states.includes('open'));
	await ask('sql INSERT INTO many SELECT generate_series(1, 100)');
	for (let at = 10; at < 100; at += 30) {
		await other.waitForFunction((count) => window.bodies.length >= count, at);
		between.cut();
	}
	await other.waitForFunction(() => window.bodies.length >= 100, null, { timeout: 60000 });
	await other.waitForTimeout(500);
	check('what handlers get is in order and once, through cuts',
		JSON.stringify(await other.evaluate(() => window.bodies)) === JSON.stringify(Array.from({ length: 100 }, (_, i) => i + 1)));
	await other.close();

	// a page of one's own, on another server
	http.createServer((request, response) => {
		response.setHeader('Content-Type', 'text/html');
		response.end(fs.readFileSync(example));
	}).listen(Number(examplePort), '127.0.0.1');
	const own = await context.newPage();
	const logged = [];
	own.on('console', (message) => logged.push(message.text()));
	const subscribed = own.waitForEvent('websocket').then((socket) => socket.waitForEvent('framereceived'));
	await own.goto(`http://127.0.0.1:${examplePort}/`);
	await subscribed;
	const told = own.waitForEvent('console', { predicate: (message) => message.text().startsWith('insert') });
	await ask('sql INSERT INTO many VALUES (1000)');
	await told.catch(() => {});
	check("README.md's example logs a change", logged.some((text) => text === 'insert {id: 1000}'));
	if (!logged.some((text) => text === 'insert {id: 1000}'))
		console.log(`# ${logged.join('; ')}`);
	await own.close();

	// a network that is gone without a word, while the machine sleeps
	await page.locator('#state-text', { hasText: 'live' }).waitFor();
	between.lose();
	await ask('insert asleep');
	await page.waitForTimeout(2000);
	check('a lost network is silent', await page.locator('#changes li', { hasText: 'asleep' }).count() === 0);
	await page.clock.fastForward('05:00');
	check('after minutes of sleep it is noticed', await shows(page, 'asleep'));
	check('... without a gap', await page.locator('#notice').isHidden());

	// a tab that its browser has put to sleep, until the server had to give it up
	const lifecycle = await context.newCDPSession(page);
	await lifecycle.send('Page.setWebLifecycleState', { state: 'frozen' });
	await ask("sql INSERT INTO notes (body) SELECT 'frozen ' || n || repeat(' zzz', 2000) FROM generate_series(1, 400) AS n");
	await ask('sql ALTER TABLE keyless REPLICA IDENTITY FULL; ALTER TABLE exported REPLICA IDENTITY FULL');
	await ask('wait frozen');
	await lifecycle.send('Page.setWebLifecycleState', { state: 'active' });
	check('a tab that was frozen goes on', await shows(page, 'frozen 400'));
	check('... without a gap', await page.locator('#notice').isHidden());
	check('advice that was followed is gone',
		await page.locator('#advice-section').waitFor({ state: 'hidden', timeout: 20000 }).then(() => true, () => false));

	await ask('restart');
	await ask('insert fifth');
	check('after the program was killed', await shows(page, 'fifth'));
	check('no error on the page', errors.filter((text) => !/WebSocket/.test(text)).length === 0);
	if (errors.length)
		console.log(`# ${errors.join('; ')}`);

	await ask('scene');
	for (const [name, width, colorScheme] of [['desk', 1440, 'light'], ['desk-dark', 1440, 'dark'], ['phone-light', 390, 'light']]) {
		const picture = await browser.newPage({ viewport: { width, height: 900 }, colorScheme });
		await picture.goto(url);
		await picture.waitForTimeout(2500);
		check(`${name}: what an update changed, and what it was`, await shows(picture, 'statenew paid'));
		check(`${name}: what a delete took`, await shows(picture, 'deletepublic.ordersid13customer'));
		await picture.screenshot({ path: `${directory}/${name}.png` });
	}
	await browser.close();
	process.exit(0);
})().catch((error) => { console.log(`not ok ${error}`); process.exit(1); });
