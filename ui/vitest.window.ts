/** The tests that need a browser: `npm run test:window`. */

import { svelte } from "@sveltejs/vite-plugin-svelte";
import { defineConfig } from "vitest/config";

export default defineConfig({
	plugins: [svelte()],
	test: { include: ["window-tests/**/*.test.ts"], environment: "node", testTimeout: 30_000, fileParallelism: false },
});
