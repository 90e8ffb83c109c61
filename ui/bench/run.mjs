// Serves the benchmark, opens it in headless Chromium or (with --webkit) in WebKitGTK's MiniBrowser, prints the figures.
//   node bench/run.mjs [--webkit] [--shapes=10000]

import { spawn } from "node:child_process";
import { existsSync } from "node:fs";
import { parseArgs } from "node:util";
import { svelte } from "@sveltejs/vite-plugin-svelte";
import { chromium } from "playwright-core";
import { createServer } from "vite";

const { values } = parseArgs({
	options: { webkit: { type: "boolean" }, shapes: { type: "string", default: "10000" } },
});

let arrived;
const figures = new Promise((resolve) => {
	arrived = resolve;
});

const receiver = {
	name: "figures",
	configureServer(server) {
		server.middlewares.use("/figures", (request, response) => {
			let body = "";
			request.on("data", (part) => {
				body += part;
			});
			request.on("end", () => {
				response.end();
				arrived(JSON.parse(body));
			});
		});
	},
};

const server = await createServer({
	root: new URL("..", import.meta.url).pathname,
	configFile: false,
	// Not the one of a development server that may be running beside us.
	cacheDir: "node_modules/.vite-bench",
	plugins: [svelte(), receiver],
	logLevel: "warn",
	server: { port: 0, host: "127.0.0.1", hmr: false },
});
await server.listen();
const address = `http://127.0.0.1:${server.httpServer.address().port}/bench/canvas.html?shapes=${values.shapes}`;
const close = values.webkit ? openWebKit() : await openChromium();
console.log(JSON.stringify(await figures, null, 2));
await close();
await server.close();

async function openChromium() {
	const browser = await chromium.launch({
		executablePath: process.env.CHROMIUM ?? "/usr/bin/chromium",
		// Without the display's clock, or the fastest frame would be a 60th of a second.
		args: ["--no-sandbox", "--disable-gpu", "--disable-frame-rate-limit", "--disable-gpu-vsync"],
	});
	const page = await browser.newPage({ viewport: { width: 1300, height: 850 } });
	page.on("pageerror", (error) => console.error(error));
	page.on("console", (message) => message.type() === "error" && console.error(message.text()));
	await page.goto(address);
	return () => browser.close();
}

function openWebKit() {
	const browser = [
		"/usr/lib/x86_64-linux-gnu/webkit2gtk-4.1/MiniBrowser",
		"/usr/lib/aarch64-linux-gnu/webkit2gtk-4.1/MiniBrowser",
	].find(existsSync);
	if (!browser) throw new Error("MiniBrowser is not installed: apt-get install libwebkit2gtk-4.1-0 webkit2gtk-driver");
	const child = spawn("xvfb-run", ["-a", "-s", "-screen 0 1600x1000x24", browser, "--geometry=1320x950", address], {
		detached: true,
		stdio: "ignore",
		// As the app does where there is no GPU.
		env: { ...process.env, WEBKIT_DISABLE_COMPOSITING_MODE: "1", WEBKIT_DISABLE_SANDBOX_THIS_IS_DANGEROUS: "1" },
	});
	return () => process.kill(-child.pid);
}
