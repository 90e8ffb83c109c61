/** Lays a geometry's outline, in picture pixels, into a path. */

import { present } from "../document/kinds/keypoints";
import type { Point } from "../document/point";
import type { Geometry } from "../wire.gen";

export type Outline = Pick<CanvasPath, "moveTo" | "lineTo" | "closePath" | "rect" | "ellipse">;

/** `pixel`, a screen pixel's size on the picture, is what points without an extent are drawn by. */
export function trace(path: Outline, geometry: Geometry, pixel: number): void {
	switch (geometry.type) {
		case "bbox":
		case "mask":
			path.rect(geometry.x, geometry.y, geometry.width, geometry.height);
			break;
		case "obb":
			traceTurnedBox(path, geometry.cx, geometry.cy, geometry.width / 2, geometry.height / 2, radians(geometry.angle));
			break;
		case "ellipse": {
			const { cx, cy, rx, ry, angle } = geometry;
			const turn = radians(angle);
			path.moveTo(cx + rx * Math.cos(turn), cy + rx * Math.sin(turn));
			path.ellipse(cx, cy, rx, ry, turn, 0, 2 * Math.PI);
			break;
		}
		case "polygon":
			for (const ring of geometry.rings) traceLine(path, ring, true);
			break;
		case "multipolygon":
			for (const rings of geometry.polygons) for (const ring of rings) traceLine(path, ring, true);
			break;
		case "polyline":
			traceLine(path, geometry.points, false);
			break;
		case "keypoints":
			for (const [x, y] of present(geometry)) traceDot(path, [x, y], 4 * pixel);
			break;
		case "tag":
			break;
	}
}

/** Its inside is part of the shape. */
export const isFilled = ({ type }: Geometry): boolean => type !== "polyline";

export function traceLine(path: Outline, points: readonly Point[], closed: boolean): void {
	const first = points[0];
	if (!first) return;
	path.moveTo(first[0], first[1]);
	for (let i = 1; i < points.length; i += 1) {
		const point = points[i] as Point;
		path.lineTo(point[0], point[1]);
	}
	if (closed) path.closePath();
}

export function traceDot(path: Outline, [x, y]: Point, radius: number): void {
	path.moveTo(x + radius, y);
	path.ellipse(x, y, radius, radius, 0, 0, 2 * Math.PI);
}

const radians = (degrees: number): number => (degrees * Math.PI) / 180;

function traceTurnedBox(path: Outline, cx: number, cy: number, halfWidth: number, halfHeight: number, turn: number) {
	const [cos, sin] = [Math.cos(turn), Math.sin(turn)];
	const corner = (x: number, y: number): Point => [cx + x * cos - y * sin, cy + x * sin + y * cos];
	const ring = [
		corner(-halfWidth, -halfHeight),
		corner(halfWidth, -halfHeight),
		corner(halfWidth, halfHeight),
		corner(-halfWidth, halfHeight),
	];
	traceLine(path, ring, true);
}
