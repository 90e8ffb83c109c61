import { describe, expect, test } from "vitest";
import type { Geometry } from "../wire.gen";
import {
	bounds,
	handles,
	isSpeck,
	moved,
	nearestEdge,
	touches,
	withHandleAt,
	withoutVertex,
	withVertex,
} from "./geometry";
import type { Point } from "./point";

const picture = { width: 400, height: 300 };

const ring = (x: number, y: number, size: number): Point[] => [
	[x, y],
	[x + size, y],
	[x + size, y + size],
	[x, y + size],
];

const bbox: Geometry = { type: "bbox", x: 10, y: 20, width: 100, height: 50 };
const obb: Geometry = { type: "obb", cx: 100, cy: 100, width: 80, height: 40, angle: 90 };
const ellipse: Geometry = { type: "ellipse", cx: 100, cy: 100, rx: 40, ry: 20, angle: 90 };
const polygon: Geometry = { type: "polygon", rings: [ring(10, 10, 90), ring(40, 40, 20)] };
const multipolygon: Geometry = {
	type: "multipolygon",
	polygons: [[ring(10, 10, 90), ring(40, 40, 20)], [ring(200, 200, 50)]],
};
const polyline: Geometry = {
	type: "polyline",
	points: [
		[10, 10],
		[60, 10],
		[60, 90],
	],
};
const keypoints: Geometry = {
	type: "keypoints",
	points: [
		[10, 10, 2],
		[0, 0, 0],
		[50, 70, 1],
	],
};
const mask: Geometry = { type: "mask", x: 10, y: 20, width: 30, height: 40, rle: "" };
const tag: Geometry = { type: "tag" };

const all = { bbox, obb, ellipse, polygon, multipolygon, polyline, keypoints, mask };

test.each([
	["bbox", { left: 10, top: 20, right: 110, bottom: 70 }],
	["obb", { left: 80, top: 60, right: 120, bottom: 140 }],
	["ellipse", { left: 80, top: 60, right: 120, bottom: 140 }],
	["polygon", { left: 10, top: 10, right: 100, bottom: 100 }],
	["multipolygon", { left: 10, top: 10, right: 250, bottom: 250 }],
	["polyline", { left: 10, top: 10, right: 60, bottom: 90 }],
	["keypoints", { left: 10, top: 10, right: 50, bottom: 70 }],
	["mask", { left: 10, top: 20, right: 40, bottom: 60 }],
] as const)("the bounds of a %s", (name, expected) => {
	expect(bounds(all[name])).toEqual(expected);
});

test("the bounds of a turned ellipse touch it; they are not its box's", () => {
	const rect = bounds({ type: "ellipse", cx: 0, cy: 0, rx: 10, ry: 10, angle: 45 });
	expect(rect?.right).toBeCloseTo(10);
});

test.each([
	["bbox", [50, 50], [50, 75]],
	["obb", [100, 135], [135, 100]],
	["ellipse", [100, 135], [118, 138]],
	["polygon", [20, 20], [50, 50]],
	["multipolygon", [210, 210], [150, 150]],
	["multipolygon", [20, 20], [50, 50]],
	["polyline", [30, 11], [30, 30]],
	["keypoints", [51, 69], [1, 1]],
] as const)("a %s is touched at %s, not at %s", (name, on, off) => {
	expect(touches(all[name], on as unknown as Point, 2)).toBe(true);
	expect(touches(all[name], off as unknown as Point, 2)).toBe(false);
});

test("a line beside the pointer counts within reach only", () => {
	expect(touches(bbox, [113, 50], 2)).toBe(false);
	expect(touches(bbox, [113, 50], 4)).toBe(true);
});

test.each(Object.entries(all))("a %s moves as a whole and comes back", (_, geometry) => {
	expect(moved(moved(geometry, [7, 5], picture), [-7, -5], picture)).toEqual(geometry);
});

test.each(Object.entries(all))("a %s does not leave the picture", (_, geometry) => {
	const rect = bounds(moved(geometry, [10000, -10000], picture));
	expect(rect?.right).toBeCloseTo(400);
	expect(rect?.top).toBeCloseTo(0);
});

test("an absent keypoint stays where it is: nowhere", () => {
	expect(moved(keypoints, [5, 5], picture)).toEqual({
		type: "keypoints",
		points: [
			[15, 15, 2],
			[0, 0, 0],
			[55, 75, 1],
		],
	});
});

test("fields of a newer version survive every change", () => {
	const newer = { ...bbox, score: 0.5 } as Geometry;
	expect(withHandleAt(moved(newer, [1, 1], picture), 4, [200, 200], false, picture)).toMatchObject({ score: 0.5 });
});

test("a tag has no place", () => {
	expect(bounds(tag)).toBeNull();
	expect(touches(tag, [0, 0], 10)).toBe(false);
	expect(handles(tag, 1)).toEqual([]);
	expect(moved(tag, [5, 5], picture)).toBe(tag);
});

describe("boxes", () => {
	test("have eight handles, each at its place", () => {
		expect(handles(bbox, 1).map(({ at }) => at)).toEqual([
			[10, 20],
			[60, 20],
			[110, 20],
			[110, 45],
			[110, 70],
			[60, 70],
			[10, 70],
			[10, 45],
		]);
	});

	test("a side moves one edge only", () => {
		expect(withHandleAt(bbox, 3, [150, 999], false, picture)).toEqual({ ...bbox, width: 140 });
	});

	test("dragged past the side across, the box turns over and is never negative", () => {
		expect(withHandleAt(bbox, 4, [5, 5], false, picture)).toEqual({ type: "bbox", x: 5, y: 5, width: 5, height: 15 });
	});

	test("keeping proportions, a corner follows the nearer axis", () => {
		expect(withHandleAt(bbox, 4, [210, 300], true, picture)).toEqual({ ...bbox, width: 200, height: 100 });
	});
});

describe("rotated boxes", () => {
	test("a corner drags in the box's own frame; the opposite corner stays", () => {
		const opposite = handles(obb, 1)[4]?.at;
		const after = withHandleAt(obb, 0, [140, 40], false, picture);
		expect(handles(after, 1)[0]?.at).toEqual([140, 40]);
		expect(handles(after, 1)[4]?.at).toEqual(opposite);
		expect(after).toMatchObject({ width: 100, height: 60, angle: 90 });
	});

	test("the rotation handle turns it towards the pointer, in eighths when asked", () => {
		const rotate = handles(obb, 1).length - 1;
		expect(withHandleAt(obb, rotate, [100, 0], false, picture)).toMatchObject({ angle: 0 });
		expect(withHandleAt(obb, rotate, [0, 100], false, picture)).toMatchObject({ angle: 270 });
		expect(withHandleAt(obb, rotate, [140, 55], true, picture)).toMatchObject({ angle: 45 });
	});

	test("the rotation handle keeps its distance on the screen", () => {
		expect(handles({ ...obb, angle: 0 } as Geometry, 2).at(-1)?.at).toEqual([100, 32]);
	});
});

describe("vertices", () => {
	test("are numbered through the rings", () => {
		expect(withHandleAt(polygon, 5, [62, 41], false, picture)).toEqual({
			type: "polygon",
			rings: [
				ring(10, 10, 90),
				[
					[40, 40],
					[62, 41],
					[60, 60],
					[40, 60],
				],
			],
		});
	});

	test("the closing edge of a ring is an edge too; an open line has none", () => {
		expect(nearestEdge(polygon, [8, 50])).toEqual({ at: [10, 50], after: 3 });
		expect(nearestEdge(polyline, [20, 40])).toEqual({ at: [20, 10], after: 0 });
	});

	test("one is added on the nearest edge", () => {
		const place = nearestEdge(multipolygon, [225, 201]);
		expect(place && withVertex(multipolygon, place)).toMatchObject({
			polygons: [
				[ring(10, 10, 90), ring(40, 40, 20)],
				[
					[
						[200, 200],
						[225, 200],
						[250, 200],
						[250, 250],
						[200, 250],
					],
				],
			],
		});
	});

	test("a hole that falls below three goes; an outer ring keeps its last three", () => {
		const triangle: Geometry = { type: "polygon", rings: [ring(10, 10, 90).slice(1), ring(40, 40, 20).slice(1)] };
		expect(withoutVertex(triangle, 4)).toEqual({ type: "polygon", rings: [ring(10, 10, 90).slice(1)] });
		expect(withoutVertex(triangle, 0)).toBeNull();
	});

	test("a part that falls below three goes with its holes; the last part stays", () => {
		const parts: Geometry = {
			type: "multipolygon",
			polygons: [[ring(10, 10, 90).slice(1), ring(40, 40, 20)], [ring(200, 200, 50)]],
		};
		expect(withoutVertex(parts, 0)).toEqual({ type: "multipolygon", polygons: [[ring(200, 200, 50)]] });
		const last: Geometry = { type: "multipolygon", polygons: [[ring(10, 10, 90).slice(1)]] };
		expect(withoutVertex(last, 0)).toBeNull();
	});

	test("a line keeps its last two; a skeleton keeps all its points", () => {
		expect(withoutVertex(polyline, 1)).toEqual({
			type: "polyline",
			points: [
				[10, 10],
				[60, 90],
			],
		});
		expect(
			withoutVertex(
				{
					type: "polyline",
					points: [
						[0, 0],
						[9, 9],
					],
				},
				0,
			),
		).toBeNull();
		expect(withoutVertex(keypoints, 0)).toBeNull();
	});

	test("one is dragged no further than the picture's edge", () => {
		expect(withHandleAt(polyline, 1, [900, -5], false, picture)).toMatchObject({
			points: [
				[10, 10],
				[400, 0],
				[60, 90],
			],
		});
	});

	test("the second visible keypoint is not the second in the list", () => {
		expect(withHandleAt(keypoints, 1, [52, 72], false, picture)).toMatchObject({
			points: [
				[10, 10, 2],
				[0, 0, 0],
				[52, 72, 1],
			],
		});
	});
});

test("a speck is what is thinner than a hand can mean; a flat line and a point are not", () => {
	expect(isSpeck({ type: "bbox", x: 0, y: 0, width: 50, height: 1 }, 2)).toBe(true);
	expect(isSpeck(bbox, 2)).toBe(false);
	expect(
		isSpeck(
			{
				type: "polyline",
				points: [
					[0, 0],
					[50, 0],
				],
			},
			2,
		),
	).toBe(false);
	expect(
		isSpeck(
			{
				type: "polyline",
				points: [
					[0, 0],
					[1, 0],
				],
			},
			2,
		),
	).toBe(true);
	expect(isSpeck({ type: "keypoints", points: [[5, 5, 2]] }, 2)).toBe(false);
});
