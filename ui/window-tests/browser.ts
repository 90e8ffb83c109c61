/** The window over the made-up world, in a real browser: Debian's Chromium, or the one that `CHROMIUM` names. */

import { fileURLToPath } from "node:url";
import { type Browser, type BrowserContext, type BrowserContextOptions, chromium, type Page } from "playwright-core";
import { createServer, type ViteDevServer } from "vite";
import { afterAll, beforeAll, expect, onTestFinished } from "vitest";

const HOME = fileURLToPath(new URL("..", import.meta.url));
/** The browser must talk to nobody but us. */
const QUIET = [
	"--no-sandbox",
	"--disable-gpu",
	"--disable-quic",
	"--no-first-run",
	"--disable-background-networking",
	"--disable-component-update",
	"--disable-sync",
];

let server: ViteDevServer;
let browser: Browser;
/** One for each kind of screen: they keep the modules that they have loaded. */
const contexts = new Map<string, Promise<BrowserContext>>();

/** Call at the top of a test file. */
export function useBrowser(): void {
	beforeAll(async () => {
		// Any free port, and no reloads: a file saved meanwhile must not change what is tested.
		server = await createServer({ root: HOME, server: { port: 5199, strictPort: false, hmr: false, watch: null } });
		await server.listen();
		browser = await chromium.launch({
			executablePath: process.env.CHROMIUM ?? "/usr/bin/chromium",
			args: QUIET,
		});
	}, 60_000);
	afterAll(async () => {
		await browser?.close();
		await server?.close();
	});
}

/** A window in which `scene` has been played. Whatever it throws or logs as an error fails the test. */
export async function openScene(scene: string, options: BrowserContextOptions = {}): Promise<Page> {
	const screen = { viewport: { width: 1280, height: 800 }, ...options };
	const key = JSON.stringify(screen);
	if (!contexts.has(key)) contexts.set(key, browser.newContext(screen));
	const page = await ((await contexts.get(key)) as BrowserContext).newPage();
	const errors: string[] = [];
	page.on("pageerror", (error) => errors.push(error.message));
	page.on("console", (message) => message.type() === "error" && errors.push(message.text()));
	onTestFinished(async () => {
		await page.close();
		expect(errors).toEqual([]);
	});
	// A new window remembers nothing, but keeps what it learns when it is loaded again.
	await page.addInitScript(() => {
		if (!sessionStorage.getItem("opened")) localStorage.clear();
		sessionStorage.setItem("opened", "yes");
	});
	await page.goto(`${server.resolvedUrls?.local[0]}?scene=${scene}`);
	await page.waitForFunction(() => (globalThis as { world?: { settled?: boolean } }).world?.settled);
	return page;
}
