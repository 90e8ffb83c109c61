import { svelte } from "@sveltejs/vite-plugin-svelte";
import { defineConfig } from "vitest/config";

export default defineConfig({
	plugins: [svelte()],
	// Tauri prints the Rust compiler's errors beside ours; do not wipe them.
	clearScreen: false,
	server: { port: 5173, strictPort: true },
	build: {
		outDir: "dist",
		// WebKitGTK 2.42 and the WebView2 and WKWebView of the same autumn.
		target: ["safari17", "chrome119"],
		// The content security policy has no `data:` for scripts or fonts: keep every asset a file.
		assetsInlineLimit: 0,
		modulePreload: { polyfill: false },
	},
	test: { include: ["src/**/*.test.ts"], environment: "node" },
});
