import { afterAll, beforeAll, beforeEach, expect, test, vi } from "vitest";
import { overlap, type Rect } from "../document/rect";
import { view as shapeView } from "../tools/test-editor";
import type { AnnotationView } from "../wire.gen";
import { SettledLayer } from "./settled-layer";

const noop = () => {};
const context = new Proxy({} as CanvasRenderingContext2D, { get: () => noop, set: () => true });

// The layer only ever makes canvases; what is drawn on them is asked of the source below.
beforeAll(() => {
	vi.stubGlobal("document", { createElement: () => ({ width: 0, height: 0, getContext: () => context }) });
});
afterAll(() => {
	vi.unstubAllGlobals();
});

const screen = { width: 800, height: 600 };
const picture = { width: 2000, height: 2000 };
const LONG = Number.POSITIVE_INFINITY;

let shapes: { shape: AnnotationView; place: Rect }[];
let painted: string[];
let layer: SettledLayer;
let now: number;

const add = (id: string, left: number, top: number) =>
	shapes.push({
		shape: shapeView(id, { type: "bbox", x: left, y: top, width: 10, height: 10 }),
		place: { left, top, right: left + 10, bottom: top + 10 },
	});

const within = (area: Rect) => shapes.filter(({ place }) => overlap(place, area)).map(({ shape }) => shape);

/** Works until there is nothing to do but wait; what was painted meanwhile. */
function settle(): string[] {
	painted = [];
	for (let again: number | null = 0; again !== null; ) {
		again = layer.work(now, LONG);
		now += again ?? 0;
	}
	return [...new Set(painted)].sort();
}

beforeEach(() => {
	shapes = [];
	now = 1000;
	add("near", 100, 100);
	add("margin", 900, 100);
	add("far", 1500, 100);
	layer = new SettledLayer({
		shapesToPaint: within,
		countToPaint: (area) => within(area).length,
		paint: (_, shape) => painted.push(shape.id),
	});
	layer.restart(picture);
	layer.resize(screen);
	layer.turnTo({ scale: 1, x: 0, y: 0 }, now);
	settle();
});

test("what is on the screen is sharp first; what lies around it comes after", () => {
	layer.resize(screen);
	painted = [];
	while (!layer.sharp) layer.work(now, 0);
	expect(painted).toEqual(["near"]);
	expect(settle()).toContain("margin");
});

test("panning within the margin draws no shape again", () => {
	layer.turnTo({ scale: 1, x: -100, y: 0 }, now);
	expect(layer.outdated).toBe(true);
	expect(settle()).toEqual([]);
	expect(layer.sharp).toBe(true);
});

test("panning on draws only what has come into reach", () => {
	layer.turnTo({ scale: 1, x: -240, y: 0 }, now);
	settle();
	layer.turnTo({ scale: 1, x: -480, y: 0 }, now);
	expect(settle()).toEqual(["far"]);
});

test("while one zooms nothing is drawn; when it rests, all that is in sight is", () => {
	layer.turnTo({ scale: 2, x: 0, y: 0 }, now);
	painted = [];
	const wait = layer.work(now, LONG);
	expect(wait).toBeGreaterThan(0);
	expect(painted).toEqual([]);
	expect(layer.sharp).toBe(false);
	now += wait ?? 0;
	expect(settle()).toEqual(["near"]);
	expect(layer.sharp).toBe(true);
});

test("a changed shape is drawn again with its neighbours and nobody else, at once", () => {
	painted = [];
	expect(layer.refresh({ left: 90, top: 90, right: 120, bottom: 120 })).toBe(true);
	expect(painted).toEqual(["near"]);
	expect(layer.sharp).toBe(true);
});

test("a change among very many is put off, and what is shown stays until it is ready", () => {
	for (let n = 0; n < 400; n += 1) add(`crowd-${n}`, 300, 300);
	painted = [];
	expect(layer.refresh({ left: 290, top: 290, right: 320, bottom: 320 })).toBe(false);
	expect(painted).toEqual([]);
	expect(layer.sharp).toBe(false);
	expect(settle()).toHaveLength(402);
	expect(layer.sharp).toBe(true);
});

test("another image starts empty", () => {
	shapes = [];
	add("other", 50, 50);
	layer.restart(picture);
	expect(layer.sharp).toBe(false);
	expect(settle()).toEqual(["other"]);
});
