/** Upright rectangles, as edges: what bounds, culls and clamps. */

import type { Point } from "./point";

export interface Rect {
	left: number;
	top: number;
	right: number;
	bottom: number;
}

export interface Size {
	width: number;
	height: number;
}

export const rectOf = (size: Size): Rect => ({ left: 0, top: 0, right: size.width, bottom: size.height });

export function rectAround(points: readonly (readonly number[])[]): Rect {
	const rect = { left: Infinity, top: Infinity, right: -Infinity, bottom: -Infinity };
	for (const [x, y] of points as readonly Point[]) {
		if (x < rect.left) rect.left = x;
		if (x > rect.right) rect.right = x;
		if (y < rect.top) rect.top = y;
		if (y > rect.bottom) rect.bottom = y;
	}
	return rect;
}

export const widthOf = (rect: Rect): number => rect.right - rect.left;
export const heightOf = (rect: Rect): number => rect.bottom - rect.top;

export const grown = (rect: Rect, by: number): Rect => ({
	left: rect.left - by,
	top: rect.top - by,
	right: rect.right + by,
	bottom: rect.bottom + by,
});

export const contains = (rect: Rect, [x, y]: Point): boolean =>
	x >= rect.left && x <= rect.right && y >= rect.top && y <= rect.bottom;

export const encloses = (outer: Rect, inner: Rect): boolean =>
	inner.left >= outer.left && inner.right <= outer.right && inner.top >= outer.top && inner.bottom <= outer.bottom;

export const overlap = (a: Rect, b: Rect): boolean =>
	a.left <= b.right && b.left <= a.right && a.top <= b.bottom && b.top <= a.bottom;

export const union = (a: Rect, b: Rect): Rect => ({
	left: Math.min(a.left, b.left),
	top: Math.min(a.top, b.top),
	right: Math.max(a.right, b.right),
	bottom: Math.max(a.bottom, b.bottom),
});

export const clampPoint = ([x, y]: Point, rect: Rect): Point => [
	Math.min(rect.right, Math.max(rect.left, x)),
	Math.min(rect.bottom, Math.max(rect.top, y)),
];

/** As much of the step `by` as `rect` can take without leaving `room`; what is out already may only come back. */
export function clampStep(rect: Rect, by: Point, room: Rect): Point {
	const axis = (step: number, low: number, high: number) =>
		step < 0 ? Math.max(step, Math.min(0, low)) : Math.min(step, Math.max(0, high));
	return [
		axis(by[0], room.left - rect.left, room.right - rect.right),
		axis(by[1], room.top - rect.top, room.bottom - rect.bottom),
	];
}
