// look.js CHROMIUM URL DIRECTORY: a person's view of the page.  Prints "ready" and then
// one line for each check, "ok" or "not ok"; answers on stdin say that the test has done
// what it was asked for by a line "do ...".
const { chromium } = require('playwright-core');
const lines = require('readline').createInterface({ input: process.stdin })[Symbol.asyncIterator]();
const [, , executablePath, url, directory] = process.argv;

const check = (what, ok) => console.log(`${ok ? 'ok' : 'not ok'} ${what}`);
async function ask(what) {
	console.log(`do ${what}`);
	await lines.next();
}
const shows = (page, text) => page.locator('#changes li', { hasText: text }).first()
	.waitFor({ timeout: 20000 }).then(() => true, () => false);

(async () => {
	const browser = await chromium.launch({ executablePath,
		args: ['--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run', '--disable-background-networking'] });
	const context = await browser.newContext({ viewport: { width: 390, height: 844 }, colorScheme: 'dark' });
	const page = await context.newPage();
	const errors = [];
	page.on('pageerror', (error) => errors.push(error.message));
	page.on('console', (message) => message.type() === 'error' && errors.push(message.text()));
	page.on('dialog', () => errors.push('a dialog'));
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

	await page.goto('about:blank');
	await ask('insert third');
	await page.goto(url);
	check('what came while the page was away', await shows(page, 'third'));
	check('... without a gap', await page.locator('#notice').isHidden());
	check('... and once', await page.locator('#changes li', { hasText: 'third' }).count() === 1);

	await ask('insert <img src=x onerror=alert(1)>');
	check('values are text', await shows(page, '<img src=x onerror=alert(1)>'));
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

	await ask('restart');
	await ask('insert fifth');
	check('after the program was killed', await shows(page, 'fifth'));
	check('no error on the page', errors.filter((text) => !/WebSocket/.test(text)).length === 0);
	if (errors.length)
		console.log(`# ${errors.join('; ')}`);

	const desk = await browser.newPage({ viewport: { width: 1280, height: 900 }, colorScheme: 'light' });
	await desk.goto(url);
	await desk.waitForTimeout(2500);
	await desk.screenshot({ path: `${directory}/desk.png` });
	await browser.close();
	process.exit(0);
})().catch((error) => { console.log(`not ok ${error}`); process.exit(1); });
