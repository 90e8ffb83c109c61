/** What must be known of a kind of geometry to show it, point at it and change it. */

import type { Geometry } from "../../wire.gen";
import type { Point } from "../point";
import type { Rect } from "../rect";

export type GeometryType = Geometry["type"];
export type GeometryOf<T extends GeometryType> = Extract<Geometry, { type: T }>;

export interface Handle {
	at: Point;
	/** A vertex is a point of the shape itself; the others change its frame. */
	role: "vertex" | "corner" | "side" | "rotate";
	/** CSS cursor. */
	cursor: string;
}

/** A place on an outline where a vertex could be. */
export interface EdgePlace {
	at: Point;
	/** The handle after which the new vertex comes. */
	after: number;
}

export interface Kind<G extends Geometry> {
	/** `null`: it has no place on the picture. */
	bounds(geometry: G): Rect | null;
	/** A pointer at `at` means this shape; `reach` is how far beside a line still counts. */
	touches(geometry: G, at: Point, reach: number): boolean;
	moved(geometry: G, by: Point): G;
	/** What can be dragged; a handle is known by its place in this list. `pixel` is a screen pixel's size here. */
	handles(geometry: G, pixel: number): Handle[];
	/** `keep` asks to keep what the kind can keep: the proportions of a box, eighths of a turn. */
	withHandleAt(geometry: G, handle: number, to: Point, keep: boolean): G;
	/** Absent where vertices cannot be added or removed. */
	nearestEdge?(geometry: G, at: Point): EdgePlace | null;
	withVertex?(geometry: G, place: EdgePlace): G;
	/** `null`: what would be left is no shape. */
	withoutVertex?(geometry: G, handle: number): G | null;
}
