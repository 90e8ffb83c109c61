/** A shape in a few words, for lists. */

import { say } from "../strings/say";
import type { Geometry } from "../wire.gen";

export function sizeOf(geometry: Geometry): string {
	switch (geometry.type) {
		case "bbox":
		case "obb":
		case "mask":
			return `${Math.round(geometry.width)} × ${Math.round(geometry.height)}`;
		case "ellipse":
			return `${Math.round(geometry.rx * 2)} × ${Math.round(geometry.ry * 2)}`;
		case "polygon":
			return points(geometry.rings.flat().length);
		case "multipolygon":
			return points(geometry.polygons.flat(2).length);
		case "polyline":
		case "keypoints":
			return points(geometry.points.length);
		case "tag":
			return "";
	}
}

const points = (count: number): string => say("geometry.points", { count });
