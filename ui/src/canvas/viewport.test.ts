import { describe, expect, test } from "vitest";
import type { Point } from "../document/point";
import {
	actualSize,
	fitted,
	inSightOf,
	onDevice,
	panned,
	rescreened,
	toPicture,
	toScreen,
	zoomedBy,
	zoomedTo,
} from "./viewport";

const picture = { width: 4000, height: 3000 };
const screen = { width: 1000, height: 800 };
const fit = fitted(picture, screen);

describe("fit", () => {
	test("shows the whole picture in the middle, with air around it", () => {
		expect(fit.scale).toBeCloseTo((1000 - 48) / 4000);
		expect(toScreen(fit, [2000, 1500])).toEqual([500, 400]);
		const sight = inSightOf(fit, screen);
		expect(sight.left).toBeLessThan(0);
		expect(sight.bottom).toBeGreaterThan(3000);
	});

	test("enlarges a small picture, and does not break on a screen that is not there yet", () => {
		expect(fitted({ width: 100, height: 100 }, screen).scale).toBeCloseTo(7.52);
		expect(fitted(picture, { width: 0, height: 0 }).scale).toBeGreaterThan(0);
	});
});

describe("zoom", () => {
	const at: Point = [120, 340];

	test("keeps what is under the pointer under the pointer", () => {
		const under = toPicture(fit, at);
		let view = fit;
		for (const factor of [1.2, 1.7, 3, 0.8]) view = zoomedBy(view, factor, at, picture, screen);
		const [x, y] = toScreen(view, under);
		expect(x).toBeCloseTo(at[0]);
		expect(y).toBeCloseTo(at[1]);
	});

	test("ends at 64 screen pixels a pixel, and at a quarter of the whole", () => {
		expect(zoomedBy(fit, 1e9, at, picture, screen).scale).toBe(64);
		expect(zoomedBy(fit, 1e-9, at, picture, screen).scale).toBeCloseTo(fit.scale / 4);
	});

	test("to 100 % makes a pixel a pixel and keeps the middle", () => {
		const view = actualSize(fit, picture, screen);
		expect(view.scale).toBe(1);
		expect(toPicture(view, [500, 400])).toEqual([2000, 1500]);
	});
});

describe("pan", () => {
	test("moves by screen pixels", () => {
		const view = panned(zoomedTo(fit, 1, [500, 400], picture, screen), [30, -20], picture, screen);
		expect(toPicture(view, [500, 400])).toEqual([1970, 1520]);
	});

	test("never loses the picture", () => {
		for (const by of [
			[1e6, 1e6],
			[-1e6, -1e6],
		] as Point[]) {
			const { left, top, right, bottom } = inSightOf(panned(fit, by, picture, screen), screen);
			expect(Math.min(right, 4000) - Math.max(left, 0)).toBeGreaterThan(0);
			expect(Math.min(bottom, 3000) - Math.max(top, 0)).toBeGreaterThan(0);
		}
	});
});

test("a resized screen keeps the place in its middle", () => {
	const view = zoomedTo(fit, 2, [300, 300], picture, screen);
	const middle = toPicture(view, [500, 400]);
	const after = rescreened(view, picture, screen, { width: 600, height: 900 });
	expect(toPicture(after, [300, 450])).toEqual(middle);
});

test("on the device a view lies on whole pixels", () => {
	expect(onDevice({ scale: 0.5, x: 10.3, y: -4.2 }, 2)).toEqual({ scale: 1, x: 21, y: -8 });
});
