/** What can be asked of any geometry, whatever its kind. */

import type { Geometry } from "../wire.gen";
import { bbox } from "./kinds/bbox";
import { ellipse } from "./kinds/ellipse";
import { keypoints } from "./kinds/keypoints";
import type { EdgePlace, GeometryOf, GeometryType, Handle, Kind } from "./kinds/kind";
import { mask } from "./kinds/mask";
import { multipolygon } from "./kinds/multipolygon";
import { obb } from "./kinds/obb";
import { polygon } from "./kinds/polygon";
import { polyline } from "./kinds/polyline";
import { tag } from "./kinds/tag";
import type { Point } from "./point";
import { clampPoint, clampStep, heightOf, type Rect, rectOf, type Size, widthOf } from "./rect";

export type { EdgePlace, Handle } from "./kinds/kind";

const KINDS: { [T in GeometryType]: Kind<GeometryOf<T>> } = {
	bbox,
	obb,
	polygon,
	multipolygon,
	polyline,
	keypoints,
	ellipse,
	mask,
	tag,
};

// The table pairs each type with its own kind; the compiler cannot follow that through the union.
const kindOf = (geometry: Geometry) => KINDS[geometry.type] as unknown as Kind<Geometry>;

export const bounds = (geometry: Geometry): Rect | null => kindOf(geometry).bounds(geometry);

export const touches = (geometry: Geometry, at: Point, reach: number): boolean =>
	kindOf(geometry).touches(geometry, at, reach);

export const handles = (geometry: Geometry, pixel: number): Handle[] => kindOf(geometry).handles(geometry, pixel);

/** Moved by as much of `by` as keeps it on the picture. */
export function moved(geometry: Geometry, by: Point, picture: Size): Geometry {
	const rect = bounds(geometry);
	return rect ? kindOf(geometry).moved(geometry, clampStep(rect, by, rectOf(picture))) : geometry;
}

export const withHandleAt = (geometry: Geometry, handle: number, to: Point, keep: boolean, picture: Size): Geometry =>
	kindOf(geometry).withHandleAt(geometry, handle, clampPoint(to, rectOf(picture)), keep);

export const nearestEdge = (geometry: Geometry, at: Point): EdgePlace | null =>
	kindOf(geometry).nearestEdge?.(geometry, at) ?? null;

export const withVertex = (geometry: Geometry, place: EdgePlace): Geometry =>
	kindOf(geometry).withVertex?.(geometry, place) ?? geometry;

/** `null`: it has no such vertex to spare. */
export const withoutVertex = (geometry: Geometry, handle: number): Geometry | null =>
	kindOf(geometry).withoutVertex?.(geometry, handle) ?? null;

/** Too small to have been meant: nobody could see it or point at it again. */
export function isSpeck(geometry: Geometry, least: number): boolean {
	const rect = bounds(geometry);
	if (!rect) return false;
	const flat = geometry.type === "polyline" || geometry.type === "keypoints";
	const [width, height] = [widthOf(rect), heightOf(rect)];
	return flat ? geometry.type === "polyline" && Math.max(width, height) < least : Math.min(width, height) < least;
}
