/**
 * A picture of every state of the window, for looking at, in `out/`; and what a person with a screen reader or weak
 * eyes would stumble over in it, as axe finds it.
 */

import { readFile } from "node:fs/promises";
import { createRequire } from "node:module";
import { fileURLToPath } from "node:url";
import type { AxeResults } from "axe-core";
import type { Page } from "playwright-core";
import { describe, expect, it } from "vitest";
import { SCENES } from "../src/backend/fake";
import { openScene, useBrowser } from "./browser";

useBrowser();

const OUT = fileURLToPath(new URL("out/", import.meta.url));
const AXE = await readFile(createRequire(import.meta.url).resolve("axe-core/axe.min.js"), "utf8");

/** What a person does in a scene before the picture is taken. */
const DOINGS: Record<string, (page: Page) => Promise<void>> = {
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
	editing: (page) => page.getByTestId("shape-row").nth(4).click(),
};

async function look(page: Page, name: string): Promise<void> {
	await page.screenshot({ path: `${OUT}${name}.png` });
	await page.evaluate(AXE);
	const { violations } = await page.evaluate(() =>
		(globalThis as unknown as { axe: { run(): Promise<AxeResults> } }).axe.run(),
	);
	const found = violations.flatMap(({ id, nodes }) =>
		nodes.map(({ html, failureSummary }) => [id, html, failureSummary]),
	);
	expect(found).toEqual([]);
}

it.each(Object.keys(SCENES))("%s", async (scene) => {
	const page = await openScene(scene);
	await DOINGS[scene]?.(page);
	for (const colorScheme of ["light", "dark"] as const) {
		await page.emulateMedia({ colorScheme });
		await look(page, `${scene}-${colorScheme}`);
	}
});

describe("what opens in front", () => {
	const inFront: Record<string, (page: Page) => Promise<void>> = {
		account: (page) => page.getByTestId("account-menu").click(),
		shortcuts: (page) => page.keyboard.press("F1"),
		sign_out: async (page) => {
			await page.getByTestId("account-menu").click();
			await page.getByTestId("sign-out").click();
		},
	};
	it.each(Object.keys(inFront))("%s", async (name) => {
		const page = await openScene("editing");
		await inFront[name]?.(page);
		await page.getByRole(name === "account" ? "menu" : name === "sign_out" ? "alertdialog" : "dialog").waitFor();
		await look(page, `front-${name}`);
	});

	it("force release", async () => {
		const page = await openScene("read_only");
		await page.getByTestId("force-release").click();
		await page.getByRole("alertdialog").waitFor();
		await look(page, "front-force-release");
	});
});

describe("other sizes", () => {
	it.each([
		["small", { viewport: { width: 900, height: 600 } }],
		["double", { deviceScaleFactor: 2 }],
	] as const)("%s", async (name, options) => {
		for (const scene of ["editing", "read_only", "sign_in"])
			await look(await openScene(scene, options), `${scene}-${name}`);
	});
});
