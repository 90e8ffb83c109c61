/**
 * Takes a picture of every state of the window, over the made-up world, and asks axe what a person with a screen
 * reader or weak eyes would stumble over: `npm run looks [-- SCENE…]`. The pictures are for looking at; axe decides.
 */

import { mkdir, readFile } from "node:fs/promises";
import { createRequire } from "node:module";
import { fileURLToPath } from "node:url";
import { chromium } from "playwright-core";
import { createServer } from "vite";

const OUT = fileURLToPath(new URL("out/", import.meta.url));
const AXE = await readFile(createRequire(import.meta.url).resolve("axe-core/axe.min.js"), "utf8");

const SIZES = {
	usual: { width: 1280, height: 800, scale: 1 },
	small: { width: 900, height: 600, scale: 1 },
	double: { width: 1280, height: 800, scale: 2 },
};

/** What a person does in a scene before the picture is taken. */
const DOINGS = {
	no_server: async (page) => {
		await page.getByTestId("demo-person").first().click();
		await page.getByTestId("sign-in-submit").click();
		await page.getByRole("alert").getByText("does not answer").waitFor();
	},
	edit_fails: async (page) => {
		await page.getByTestId("shape-row").first().click();
		await page.keyboard.press("3");
		await page.getByTestId("note").waitFor();
	},
	editing: async (page) => {
		await page.getByTestId("shape-row").nth(4).click();
	},
};

const server = await createServer({
	root: fileURLToPath(new URL("..", import.meta.url)),
	server: { port: 5199, strictPort: false, hmr: false, watch: null },
});
await server.listen();
const address = server.resolvedUrls.local[0];
const browser = await chromium.launch({
	executablePath: process.env.CHROMIUM ?? "/usr/bin/chromium",
	args: [
		"--no-sandbox",
		"--disable-gpu",
		"--disable-quic",
		"--no-first-run",
		"--disable-background-networking",
		"--disable-component-update",
		"--disable-sync",
	],
});

let faults = 0;
try {
	const { SCENES } = await server.ssrLoadModule("/src/backend/fake/index.ts");
	const asked = process.argv.slice(2);
	await mkdir(OUT, { recursive: true });
	for (const scene of asked.length > 0 ? asked : Object.keys(SCENES)) {
		for (const theme of ["light", "dark"]) await look(scene, theme, "usual");
	}
	for (const size of asked.length > 0 ? [] : ["small", "double"]) await look("editing", "light", size);
} finally {
	await browser.close();
	await server.close();
}
process.exitCode = faults > 0 ? 1 : 0;

async function look(scene, theme, size) {
	const { width, height, scale } = SIZES[size];
	const page = await browser.newPage({ viewport: { width, height }, deviceScaleFactor: scale, colorScheme: theme });
	page.on("pageerror", (error) => fault(scene, `throws: ${error.message}`));
	page.on("console", (message) => message.type() === "error" && fault(scene, `logs: ${message.text()}`));
	await page.goto(`${address}?scene=${scene}`);
	await page.waitForFunction(() => globalThis.world?.settled);
	await DOINGS[scene]?.(page);
	await page.screenshot({ path: `${OUT}${scene}-${theme}${size === "usual" ? "" : `-${size}`}.png` });
	await page.evaluate(AXE);
	const { violations } = await page.evaluate(() =>
		globalThis.axe.run(document, { rules: { "page-has-heading-one": { enabled: false } } }),
	);
	for (const { id, nodes } of violations)
		fault(
			`${scene} (${theme})`,
			`${id}: ${nodes.map(({ html, failureSummary }) => `${html}\n    ${failureSummary}`).join("\n  ")}`,
		);
	await page.close();
}

function fault(scene, what) {
	faults++;
	console.error(`${scene}: ${what}`);
}
