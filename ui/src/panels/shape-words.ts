/** A shape in a few words, for lists. */

import { say } from "../strings/say";
import type { Geometry } from "../wire.gen";

export function sizeOf(geometry: Geometry): string {
	const size = extent(geometry);
	if (size) return `${size.width} × ${size.height}`;
	switch (geometry.type) {
		case "polygon":
			return points(geometry.rings.flat().length);
		case "multipolygon":
			return points(geometry.polygons.flat(2).length);
		case "polyline":
		case "keypoints":
			return points(geometry.points.length);
		default:
			return "";
	}
}

/** Of what has a width and a height of its own; whole pixels. */
function extent(geometry: Geometry): { width: number; height: number } | null {
	switch (geometry.type) {
		case "bbox":
		case "obb":
		case "mask":
			return { width: Math.round(geometry.width), height: Math.round(geometry.height) };
		case "ellipse":
			return { width: Math.round(geometry.rx * 2), height: Math.round(geometry.ry * 2) };
		default:
			return null;
	}
}

/** The same for who cannot see that the first is across. */
export function sizeInWords(geometry: Geometry): string {
	const size = extent(geometry);
	return size ? say("geometry.size", size) : sizeOf(geometry);
}

const points = (count: number): string => say("geometry.points", { count });
