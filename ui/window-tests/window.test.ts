/** The window under real keys and a real pointer. */

import type { Page } from "playwright-core";
import { expect, it } from "vitest";
import type { World } from "../src/backend/fake";
import { openScene, useBrowser } from "./browser";

useBrowser();

const attribute = (page: Page, testid: string, name: string) => page.getByTestId(testid).first().getAttribute(name);
const count = async (page: Page) => Number(await attribute(page, "canvas", "data-annotation-count"));
const saved = (page: Page, state: string) => page.locator(`[data-testid=save-state][data-state=${state}]`).waitFor();

/** A place on the canvas, as parts of its size. */
async function place(page: Page, x: number, y: number): Promise<[number, number]> {
	const box = await page.getByTestId("canvas").boundingBox();
	if (!box) throw new Error("the canvas is in sight");
	return [box.x + box.width * x, box.y + box.height * y];
}

async function drag(page: Page, from: [number, number], to: [number, number]): Promise<void> {
	await page.mouse.move(...from);
	await page.mouse.down();
	await page.mouse.move(...to, { steps: 6 });
	await page.mouse.up();
}

it("draws, labels, undoes and redoes, and says where it is saved", async () => {
	const page = await openScene("editing");
	const before = await count(page);
	await page.keyboard.press("w");
	expect(await attribute(page, "tool-box", "aria-pressed")).toBe("true");
	await drag(page, await place(page, 0.3, 0.25), await place(page, 0.45, 0.4));
	expect(await count(page)).toBe(before + 1);
	await saved(page, "synced");

	await page.keyboard.press("p");
	for (const [x, y] of [
		[0.6, 0.25],
		[0.7, 0.25],
		[0.65, 0.35],
	] as const)
		await page.mouse.click(...(await place(page, x, y)));
	await page.keyboard.press("Enter");
	expect(await count(page)).toBe(before + 2);

	const newest = page.getByTestId("shape-row").first();
	await newest.click();
	await page.keyboard.press("5");
	await newest.getByText("Traffic sign").waitFor();

	await page.keyboard.press("Control+z");
	await newest.getByText("Car").waitFor();
	await page.keyboard.press("Control+z");
	await expect.poll(() => count(page)).toBe(before + 1);
	await page.keyboard.press("Control+Shift+z");
	await expect.poll(() => count(page)).toBe(before + 2);
	await page.keyboard.press("Control+y");
	await newest.getByText("Traffic sign").waitFor();
	await saved(page, "synced");
});

it("selects on the canvas and in the list alike, and deletes", async () => {
	const page = await openScene("editing");
	const before = await count(page);
	await page.getByTestId("shape-row").nth(4).click();
	expect(await page.getByTestId("shape-row").nth(4).getAttribute("data-selected")).toBe("true");
	await page.keyboard.press("Delete");
	await expect.poll(() => count(page)).toBe(before - 1);
	await page.getByTestId("undo").click();
	await expect.poll(() => count(page)).toBe(before);
});

it("stays where one looks, and leaves the gesture in hand alone, when the lock is renewed", async () => {
	const page = await openScene("editing");
	const renew = () =>
		page.evaluate(() => {
			const { world } = globalThis as unknown as { world: World };
			world.setAccess(world.granted());
		});
	await page.keyboard.press("Control+0");
	const view = await attribute(page, "canvas", "data-view");
	const before = await count(page);
	await page.keyboard.press("w");
	await page.mouse.move(...(await place(page, 0.3, 0.3)));
	await page.mouse.down();
	await page.mouse.move(...(await place(page, 0.4, 0.4)), { steps: 3 });
	await renew();
	await page.mouse.move(...(await place(page, 0.5, 0.5)), { steps: 3 });
	await page.mouse.up();
	expect(await count(page)).toBe(before + 1);
	await renew();
	expect(await attribute(page, "canvas", "data-view")).toBe(view);
});

it("goes from the sign-in to a shape that is changed and saved without a mouse", async () => {
	const page = await openScene("sign_in");
	const { keyboard } = page;
	await keyboard.type("alice@example.org");
	await keyboard.press("Tab");
	await keyboard.type("alice-demo");
	await keyboard.press("Enter");
	// The list has the keyboard.
	await page.getByRole("listbox", { name: "Images" }).and(page.locator(":focus")).waitFor();
	await keyboard.press("ArrowDown");
	await keyboard.press("Enter");
	await page.locator("[data-testid=lock-banner][data-access=editing]").waitFor();
	while (!(await page.getByRole("listbox", { name: "Shapes" }).evaluate((list) => list === document.activeElement)))
		await keyboard.press("Tab");
	await keyboard.press("ArrowDown");
	await keyboard.press("3");
	await page.locator("[data-testid=shape-row][data-selected=true]").getByText("Tree").waitFor();
	await saved(page, "synced");

	// What opens in front gives the keyboard back.
	for (const open of ["F1", "account"]) {
		if (open === "F1") await keyboard.press("F1");
		else {
			await page.getByTestId("account-menu").focus();
			await keyboard.press("Enter");
			await page.getByTestId("sign-out").focus();
			await keyboard.press("Enter");
		}
		await page.locator("[role=dialog], [role=alertdialog]").waitFor();
		await keyboard.press("Escape");
		await page.locator("[role=dialog], [role=alertdialog]").waitFor({ state: "detached" });
		await expect.poll(() => page.evaluate(() => document.activeElement === document.body)).toBe(false);
	}
	await page.getByTestId("canvas").focus();
	await keyboard.press("Control+w");
	await page.getByRole("listbox", { name: "Images" }).and(page.locator(":focus")).waitFor();
});

it("announces the lock and what is saved, and not the passing of time", async () => {
	const page = await openScene("editing");
	await page.evaluate(() => {
		const heard: string[] = [];
		Object.assign(globalThis, { heard });
		for (const region of document.querySelectorAll("[role=status]"))
			new MutationObserver(() => region.textContent && heard.push(region.textContent)).observe(region, {
				characterData: true,
				childList: true,
				subtree: true,
			});
	});
	await page.waitForTimeout(2500);
	const heard = () => page.evaluate(() => (globalThis as unknown as { heard: string[] }).heard);
	expect(await heard()).toEqual([]);
	await page.getByTestId("shape-row").first().click();
	await page.keyboard.press("3");
	await saved(page, "saved_here");
	await saved(page, "synced");
	expect((await heard()).filter((sentence) => sentence === "Synced")).toHaveLength(1);
});

it("walks the images by keyboard alone", async () => {
	const page = await openScene("images");
	await page.keyboard.press("Control+f");
	await page.keyboard.type("school");
	await expect.poll(() => page.getByTestId("image-row").count()).toBe(2);
	await page.keyboard.press("ArrowDown");
	await page.keyboard.press("ArrowDown");
	await page.keyboard.press("Enter");
	await page.locator("[data-testid=lock-banner][data-access=editing]").waitFor();
	await page.getByRole("heading", { name: "school-lane-011.jpg" }).waitFor();
	await page.keyboard.press("a");
	await page.getByRole("heading", { name: "school-lane-005.jpg" }).waitFor();
	await page.keyboard.press("Control+w");
	await page.getByText("Choose an image").waitFor();
	expect(await page.locator("[data-lock=mine]").count()).toBe(0);
});

it("asks to be told, and offers what became free", async () => {
	const page = await openScene("read_only");
	await page.getByTestId("notify-me").click();
	await page.getByTestId("notify-me").getByText("You will be told").waitFor();
	await page.getByTestId("force-release").click();
	await page.getByTestId("force-release-confirm").click();
	await page.getByTestId("edit-now").focus();
	await page.keyboard.press("Enter");
	await page.getByTestId("canvas").and(page.locator(":focus")).waitFor();
	await page.locator("[data-testid=lock-banner][data-access=editing]").waitFor();
});

it("signs in, and out again with a word on what is kept", async () => {
	const page = await openScene("sign_in");
	await page.getByTestId("sign-in-email").fill("alice@example.org");
	await page.getByTestId("sign-in-password").fill("a guess");
	await page.getByTestId("sign-in-submit").click();
	await page.getByRole("alert").getByText("not right").waitFor();
	await page.getByTestId("demo-person").first().click();
	await page.getByTestId("sign-in-submit").click();
	await page.getByTestId("image-row").first().waitFor();
	await page.getByTestId("account-menu").click();
	await page.getByTestId("sign-out").click();
	await page.getByTestId("sign-out-confirm").click();
	await page.getByTestId("sign-in-email").waitFor();
});

it("keeps 100,000 images within reach, with a handful of rows in the page", async () => {
	const page = await openScene("many");
	await page.getByRole("listbox").focus();
	await page.keyboard.press("End");
	await page.locator("[data-image-id=street-100000]").waitFor();
	expect(await page.getByTestId("image-row").count()).toBeLessThan(60);
	const started = Date.now();
	await page.getByPlaceholder("Search images").fill("099999");
	await page.locator("[data-image-id=street-99999]").waitFor();
	expect(Date.now() - started).toBeLessThan(1000);
});

it("remembers the appearance that was chosen", async () => {
	const page = await openScene("images");
	await page.getByTestId("account-menu").click();
	await page.getByRole("menuitemradio", { name: "Dark" }).click();
	await page.reload();
	await expect.poll(() => page.locator("html").getAttribute("data-theme")).toBe("dark");
});
