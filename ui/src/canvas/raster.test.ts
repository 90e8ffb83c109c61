import { expect, test } from "vitest";
import { around } from "./raster";

const outer = { left: 0, top: 0, right: 100, bottom: 80 };
const area = (pieces: ReturnType<typeof around>) =>
	pieces.reduce((sum, { left, top, right, bottom }) => sum + (right - left) * (bottom - top), 0);

test("what lies around an area covers the rest exactly once", () => {
	expect(area(around({ left: 10, top: 10, right: 60, bottom: 50 }, outer))).toBe(100 * 80 - 50 * 40);
	expect(around(outer, outer)).toEqual([]);
});

test("after a shift only the bared strips are left", () => {
	expect(around({ left: -30, top: 0, right: 70, bottom: 80 }, outer)).toEqual([
		{ left: 70, top: 0, right: 100, bottom: 80 },
	]);
});

test("beside an area that is elsewhere everything is left", () => {
	expect(area(around({ left: 500, top: 500, right: 600, bottom: 600 }, outer))).toBe(100 * 80);
});
